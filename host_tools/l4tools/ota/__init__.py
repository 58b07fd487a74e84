"""Updates over the mesh: bundles, offers, and a roll-out that begins with canaries."""
