# floor 13: firmware
# Started by MicroPython after boot.py; all is in supervisor.py, which comes compiled. RAM: none.
import gc

import micropython

micropython.kbd_intr(-1)  # Ctrl-C may be part of a packet: l4mesh_io/serial.py reads it soon
gc.threshold(16384)  # MicroPython has none of its own; small ones leave no room between modules

try:
    import supervisor

    supervisor.run()
except Exception as e:
    import sys

    if sys.path[0][:5] != "/ota/":
        raise
    # An update that can't even start: ota_boot.py counts, and goes back to the files before.
    import time

    import machine

    sys.print_exception(e)
    time.sleep(1)
    machine.reset()
