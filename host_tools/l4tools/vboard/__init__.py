"""Virtual boards: the unix port behind a pseudo-terminal, and a supervisor that plays the chip."""
