# floor 1: primitives
# Millisecond ticks modulo 2**30, as the ESP32 has them. RAM: none.
"""Tick arithmetic: the only code that knows that time wraps (every 12.4 days).

A tick is an int in [0, 2**30). `diff` is right for spans below half the period (6.2 days);
anything longer is kept in minutes (minutes.py).
"""

from .compat import const

MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)


def add(t, ms):
    """The tick `ms` after (or, negative, before) tick `t`."""
    return (t + ms) & MASK


def diff(a, b):
    """Signed ms from tick `b` to tick `a`: positive when `a` is later."""
    return ((a - b + _HALF) & MASK) - _HALF
