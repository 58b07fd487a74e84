"""How small a heap runs the firmware: `python -m l4tools.heap` (docs/memory.md)."""
