# machine as on ESP32; the parts themselves are on the bench desk. RAM: 5 KiB.
"""Pin, ADC, WDT, RTC, resets. The watchdog and the reset line are pulled from outside, so they
work on a board that hangs. WDT cannot be stopped and survives a soft reset.
"""

import sys
import time
from binascii import unhexlify

import _hw
from umachine import Signal, idle, mem8, mem16, mem32, soft_reset, time_pulse_us  # noqa: F401

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
EXT0_WAKE = 2
TIMER_WAKE = 4

_freq = 160000000


def reset():
    _hw.die("reset 2")


if _hw.bootloader:

    def bootloader(timeout=0):
        _hw.die("bootloader")


def deepsleep(ms=0):
    _hw.die("sleep %d" % ms)


def lightsleep(ms=0):
    time.sleep_ms(ms)


def reset_cause():
    return _hw.cause


def wake_reason():
    return TIMER_WAKE if _hw.cause == DEEPSLEEP_RESET else 0


def unique_id():
    if _hw.mac:
        return unhexlify(_hw.mac)
    return b"\x02L4" + bytes([int(p) for p in _hw.ip.split(".")[1:]])


def freq(hz=None):
    global _freq
    if hz is None:
        return _freq
    if hz not in (80000000, 160000000, 240000000):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _freq = hz


def disable_irq():
    return 0


def enable_irq(state):
    pass


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_UP = 2
    PULL_DOWN = 1
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, id, mode=-1, pull=-1, *, value=None, hold=None, drive=None):
        if not isinstance(id, int) or not 0 <= id < 50:
            raise ValueError("invalid pin")
        self._id = id
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, hold=None, drive=None):
        if value is not None:
            self.value(value)

    def value(self, v=None):
        if v is None:
            return int(_hw.ask("get %d" % self._id) or 0)
        _hw.ask("set %d %d" % (self._id, bool(v)))

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=3, **kw):
        return self


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3

    def __init__(self, pin, *, atten=0):
        self._id = pin._id if isinstance(pin, Pin) else pin

    def atten(self, a):
        pass

    def read_uv(self):
        return int(_hw.ask("adc %d" % self._id) or 0)

    def read_u16(self):
        return min(65535, self.read_uv() * 65535 // 3300000)

    def read(self):
        return self.read_u16() >> 4


class WDT:
    _ms = 0
    _fed = 0

    def __init__(self, id=0, timeout=5000):
        if id != 0 or timeout <= 0:
            raise ValueError
        WDT._ms = timeout
        WDT._fed = time.ticks_ms()
        _hw.ask("wdt %d" % timeout)

    def feed(self):
        # A word to the desk each time would cost more than the work that is watched.
        now = time.ticks_ms()
        if time.ticks_diff(now, WDT._fed) * 8 >= WDT._ms:
            WDT._fed = now
            _hw.tell("feed")


class RTC:
    def __init__(self, id=0):
        pass

    def memory(self, data=None):
        if data is None:
            return _hw.ask("rtc", size=2200)
        if len(data) > 2048:
            raise ValueError("buffer too long")
        _hw.ask("rtc!", bytes(data))

    def datetime(self, t=None):
        # The host's date stays the host's; a board without one takes what it is told.
        clock = sys.modules.get("time", time)
        if t is not None:
            if hasattr(clock, "set"):
                clock.set(t)
            return
        n = clock.gmtime()
        return n[:3] + (n[6],) + n[3:6] + (0,)

    def init(self, t):
        pass
