# Chip, versions and memory.
# ruff: noqa: F821 (names of _common.py, which comes before)
import binascii
import os
import sys

import machine

d = {"machine": getattr(sys.implementation, "_machine", sys.platform)}
d["micropython"] = ".".join([str(x) for x in sys.implementation.version[:3]])
d["platform"] = sys.platform
d["id"] = binascii.hexlify(machine.unique_id()).decode()
f = machine.freq()
d["mhz"] = (f[0] if isinstance(f, tuple) else f) // 1000000
gc.collect()
d["heap_free"] = gc.mem_free()
d["heap_used"] = gc.mem_alloc()
s = os.statvfs("/")
d["fs_free"] = s[0] * s[3]
d["fs_size"] = s[0] * s[2]
d["regions"] = []
try:
    import esp32

    for i in esp32.idf_heap_info(esp32.HEAP_DATA):
        d["regions"].append(tuple(i))
    d["chip_c"] = esp32.mcu_temperature()
except Exception:
    pass  # not an ESP32, or one without a thermometer
print(repr(d))
