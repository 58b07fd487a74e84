"""A whole mesh on this machine: hub, tiers, virtual boards; for `l4 mesh`, demo and tests."""
