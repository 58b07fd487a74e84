# machine as on ESP32; the parts themselves are on the bench desk. RAM: 5 KiB.
"""Pin, ADC, I2C, WDT, RTC, resets. The watchdog and the reset line are pulled from outside, so
they work on a board that hangs. WDT cannot be stopped and survives a soft reset.

Interrupts of pins come when the board looks at a pin or feeds the watchdog, which the firmware
does ten times a second: later than on a chip, but in their order, as far apart as they were.
"""

import sys
import time
from binascii import unhexlify

import _hw
from _i2c import I2C, SoftI2C  # noqa: F401
from umachine import Signal, idle, mem8, mem16, mem32, soft_reset, time_pulse_us  # noqa: F401

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
EXT0_WAKE = 2
TIMER_WAKE = 4

_freq = 160000000
_irqs = {}  # pin -> (Pin, handler, trigger)
_edges = []  # (pin, level, ms after the one before)
_served = 0  # when the last was delivered
_level = None  # (pin, level) that an interrupt was for, while its handler runs


def _interrupts():
    """Call the handlers of what has come; edges as far apart as they were."""
    global _served, _level
    if not _irqs or _level is not None:
        return
    for text in _hw.ask("edges", size=2000).split():
        _edges.append([int(x) for x in text.split(b":")])
    while _edges:
        left = _edges[0][2] - time.ticks_diff(time.ticks_ms(), _served)
        if left > 10:
            break
        if left > 0:
            time.sleep_ms(left)  # bounces stay bounces
        id, level, _ = _edges.pop(0)
        _served = time.ticks_ms()
        pin, handler, trigger = _irqs.get(id) or (None, None, 0)
        if handler and trigger & (1 if level else 2):
            _level = (id, level)
            try:
                handler(pin)
            except Exception as e:
                sys.print_exception(e)
            _level = None


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
        self._up = 0
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, hold=None, drive=None):
        if pull != -1:
            self._up = int(pull == self.PULL_UP)
        if value is not None:
            self.value(value)

    def value(self, v=None):
        if v is None:
            _interrupts()
            if _level is not None and _level[0] == self._id:
                return _level[1]
            return int(_hw.ask("get %d %d" % (self._id, self._up)) or 0)
        _hw.ask("set %d %d" % (self._id, bool(v)))

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=3, **kw):
        _irqs[self._id] = (self, handler, trigger)
        _hw.ask("watch %d %d" % (self._id, handler is not None))
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
        _interrupts()
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
