"""The small drivers: chip temperature, voltage, DHT22, counter."""

import sys

from l4drivers import adc, chip, counter, dht22
from l4mesh import ticks


class Module:
    def __init__(self, **names):
        for k in names:
            setattr(self, k, names[k])


class With:
    """Modules of a board, for a while."""

    def __init__(self, **modules):
        self.new = modules
        self.old = {k: sys.modules.get(k) for k in modules}

    def __enter__(self):
        sys.modules.update(self.new)

    def __exit__(self, *e):
        for k in self.old:
            if self.old[k] is None:
                del sys.modules[k]
            else:
                sys.modules[k] = self.old[k]


def said(f):
    try:
        f()
    except OSError as e:
        return e.args[0]
    raise AssertionError("nothing was said")


def test_chip_temperature_by_what_the_chip_has():
    with With(esp32=Module(mcu_temperature=lambda: 41)):
        assert chip.temperature() == 41
    with With(esp32=Module(raw_temperature=lambda: 122)):
        assert abs(chip.temperature() - 50) < 1e-9
    with With(esp32=Module()):
        assert "no temperature" in said(chip.temperature)


class Adc:
    ATTN_11DB = 3
    error = None

    def __init__(self, pin, atten=0):
        assert atten == 3
        if pin == 99:
            raise ValueError("invalid pin")

    def read_uv(self):
        if Adc.error:
            raise Adc.error
        return 1500008


def test_voltage():
    with With(machine=Module(ADC=Adc, Pin=lambda n: n)):
        v = adc.Voltage(34, 2)
        assert v.read() == 3.000016
        Adc.error = OSError(-259, "ESP_ERR_INVALID_STATE")
        assert "ADC2" in said(v.read)
        Adc.error = None
        assert v.read() == 3.000016
        assert "Pin 99 can't measure" in said(adc.Voltage(99).read)


class Dht:
    """The `dht` of the firmware."""

    def __init__(self, pin=None):
        self.n = 0
        self.error = None
        self.t, self.h = 21.5, 48.0

    def DHT22(self, pin):
        return self

    def measure(self):
        if self.error:
            raise self.error
        self.n += 1

    def temperature(self):
        return self.t

    def humidity(self):
        return self.h


class Clock:
    def __init__(self):
        self.t = ticks.MASK - 100  # it wraps

    def now(self):
        return self.t

    def later(self, ms):
        self.t = ticks.add(self.t, ms)


def test_dht22_measures_once_for_both():
    fake = Dht()
    c = Clock()
    real, dht22.clock = dht22.clock, c
    try:
        with With(dht=fake, machine=Module(Pin=lambda n: n)):
            d = dht22.DHT22(4)
            assert (d.temperature(), d.humidity(), fake.n) == (21.5, 48.0, 1)
            c.later(1999)
            assert (d.humidity(), fake.n) == (48.0, 1)
            c.later(1)
            assert (d.humidity(), fake.n) == (48.0, 2)
            c.later(5000)
            fake.error = OSError(116)
            assert said(d.temperature).startswith("No DHT22 answers on pin 4: check")
            assert "No DHT22" in said(d.humidity)  # nothing stale
            fake.error = Exception("checksum error")
            assert "sends garbage" in said(d.humidity)
            fake.error = None
            fake.h = 300.0
            assert "sends garbage" in said(d.temperature)
            fake.h = 30.0
            assert d.humidity() == 30.0
    finally:
        dht22.clock = real


class Pin:
    IN, PULL_UP, IRQ_FALLING, IRQ_RISING = 1, 2, 2, 1

    def __init__(self, n, mode, pull):
        if n > 48:
            raise ValueError("invalid pin")
        assert (mode, pull) == (1, 2)
        self.level = 1
        Pin.made = self

    def value(self):
        return self.level

    def irq(self, handler, trigger):
        self.handler, self.trigger = handler, trigger


def contact(debounce_ms, **kw):
    with With(machine=Module(Pin=Pin)):
        return counter.Counter(14, debounce_ms, **kw), Pin.made


def edges(c, pin, *times):
    """Edges so many ms after the one before; each turns the level over."""
    for ms in times:
        c.later(ms)
        pin.level ^= 1
        if pin.trigger == 3 or not pin.level:
            pin.handler(pin)


def test_a_bouncing_contact_counts_once():
    c = Clock()
    real, counter.clock = counter.clock, c
    try:
        n, pin = contact(20)
        assert n.total() == 0
        for k in range(3):
            edges(c, pin, 100, 1, 2, 1, 3)  # closes
            assert n.n == k + 1
            edges(c, pin, 80, 1, 2)  # opens
            assert pin.level == 1 and n.n == k + 1
        # An edge was lost: at rest the level is looked at.
        edges(c, pin, 100)
        pin.level = 1
        c.later(100)
        assert n.total() == 4
        edges(c, pin, 100, 50)
        assert n.total() == 5
        c.later(1 << 28)
        assert n.total() == 5
        edges(c, pin, 1 << 28)
        assert n.total() == 6
    finally:
        counter.clock = real


def test_electronic_pulses_all_count():
    c = Clock()
    real, counter.clock = counter.clock, c
    try:
        n, pin = contact(0, factor=0.5)
        edges(c, pin, *([0] * 20))
        assert n.n == 10 and n.total() == 5.0
    finally:
        counter.clock = real


def test_a_pin_that_is_none():
    with With(machine=Module(Pin=Pin)):
        assert "no pin 60" in said(lambda: counter.Counter(60))
