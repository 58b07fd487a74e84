# floor 12: firmware
# Started by MicroPython after boot.py; all is in supervisor.py, which comes compiled. RAM: none.
import gc

import micropython

micropython.kbd_intr(-1)  # Ctrl-C may be part of a packet: l4mesh_io/serial.py reads it soon
gc.threshold(16384)  # MicroPython has none of its own; small ones leave no room between modules

import supervisor  # noqa: E402

supervisor.run()
