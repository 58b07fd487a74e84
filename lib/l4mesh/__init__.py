# floor 7: node
# The l4mesh protocol core: pure, no I/O. RAM: nothing is imported until it is asked for.
__version__ = "0.1.0"
