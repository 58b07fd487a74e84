# floor 8: effects
# What touches the outside: sockets, files, radio, clock, entropy.
