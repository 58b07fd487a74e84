"""On the PYTHONPATH of a tool under test: pyserial's RFC 2217 client polls for each answer every
50 ms, twice a command of esptool. 2 ms here; what goes over the line is the same.
"""

import time
import types

import serial.rfc2217

_sleep = time.sleep
quick = types.ModuleType("time")
quick.__dict__.update(time.__dict__)
quick.sleep = lambda s: _sleep(0.002 if s == 0.05 else s)
serial.rfc2217.time = quick
