# floor 8: effects
# Ticks for the core and, when somebody told it, the time of day. RAM: none.
"""The only code that asks the platform for time.

now()            ms ticks in [0, 2**30), on every platform (ESP32 wraps there by itself, the unix
                 port at 2**62, CPython has no ticks at all)
wall_ms6()       6 bytes, ms since 1970, or None while nobody has set the clock
raw_ms()         the same as an int, or ms of a clock that nobody has set
set_wall(ms6, bound_s=1)   takes such 6 bytes, sets the chip's RTC too; False if they are no time
known()          (wall_ms6(), error_s()), or None while it is not set
set_error(s)     the clock was set before this start; it is `s` seconds wrong at most
error_s()        how wrong wall_ms6() may be, in whole s; 65535 = unknown

An ESP32 boots without a date; a clock before 2025 counts as not set. Its epoch is 2000 or 1970
depending on the build, so it is asked, not assumed. ms since 1970 are heap ints on a 32-bit
board: fine once a reading, not once a datagram.
"""

import time

from l4mesh.compat import const

_MASK = const(0x3FFFFFFF)
_S_2000 = const(946684800)  # 1970 to 2000
_S_2025 = const(1735689600)
_S_2100 = const(4102444800)

_offset = 0  # ms to add to the system clock
_error = 2  # s; a host's clock is kept by its own NTP
_set_at = None  # s since 1970, when set_wall was called

if hasattr(time, "ticks_ms"):

    def now():
        """ms ticks in [0, 2**30)."""
        return time.ticks_ms() & _MASK

else:

    def now():
        """ms ticks in [0, 2**30)."""
        return (time.monotonic_ns() // 1000000) & _MASK


def raw_ms():
    ms = time.time_ns() // 1000000 + _offset
    return ms + _S_2000 * 1000 if time.gmtime(0)[0] == 2000 else ms


def wall_ms6():
    """ms since 1970 as 6 bytes, None when not set."""
    ms = raw_ms()
    return ms.to_bytes(6, "big") if ms >= _S_2025 * 1000 else None


def set_wall(ms6, bound_s=1):
    """Take the time from somebody who knows it. False: these are not 6 bytes of 2025..2100."""
    global _offset, _error, _set_at
    ms = int.from_bytes(ms6, "big")
    if len(ms6) != 6 or not _S_2025 * 1000 <= ms < _S_2100 * 1000:
        return False
    _offset += ms - raw_ms()
    try:  # the RTC keeps it over a soft reset and deep sleep
        import machine

        t = time.gmtime(ms // 1000 - (_S_2000 if time.gmtime(0)[0] == 2000 else 0))
        machine.RTC().datetime(t[:3] + t[6:7] + t[3:6] + (ms % 1000 * 1000,))
        _offset += ms - raw_ms()  # the RTC moved the system clock
    except Exception:
        pass  # no RTC here: the offset alone does it
    _set_at = ms // 1000
    _error = bound_s
    return True


def known():
    t = wall_ms6()
    return None if t is None else (t, error_s())


def set_error(s):
    global _error, _set_at
    _error = s
    _set_at = raw_ms() // 1000


def error_s():
    """How many s wall_ms6() may be off; grows with the crystal's drift, 61 ppm when hot."""
    s = raw_ms() // 1000
    if s < _S_2025:
        return 65535
    return min(65534, _error + (max(0, s - _set_at) >> 14 if _set_at else 0))
