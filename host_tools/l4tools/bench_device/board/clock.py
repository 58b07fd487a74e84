# Do clock and chance work?
# ruff: noqa: F821 (names of _common.py, which comes before)
import os

t = time.ticks_ms()
u = time.ticks_us()
time.sleep_ms(200)
d = {"ms": time.ticks_diff(time.ticks_ms(), t), "us": time.ticks_diff(time.ticks_us(), u)}
a = os.urandom(32)
d["random"] = a != os.urandom(32) and len(set(a)) > 8
print(repr(d))
