"""The virtual network: one hub process, real loopback sockets, virtual addresses 10.77.k.x."""
