"""app.py as shipped: the example that users start from does what its comments say."""

import sys

from board import Board
from l4drivers import dht22
from sensors import Sensors


class Pin:
    OUT = 3

    def __init__(self, number, mode=None):
        self.number = number


class Adc:
    def __init__(self, pin):
        self.pin = pin

    def read_uv(self):
        return 2100000


class Machine:
    ADC = Adc


Machine.Pin = Pin


class Dht22:
    broken = False
    measured = 0

    def __init__(self, pin):
        assert pin.number == 4
        self._values = None

    def measure(self):
        if Dht22.broken:
            raise OSError(110)
        Dht22.measured += 1
        self._values = (21.3, 48.9)

    def temperature(self):
        return self._values[0]

    def humidity(self):
        return self._values[1]


class Dht:
    DHT22 = Dht22


class Gc:
    def mem_free(self):
        return 1


class Clock:
    t = 0

    def now(self):
        return Clock.t


class Fakes:
    """The modules of a board, and the driver's clock in virtual time, for a while."""

    def __enter__(self):
        Dht22.broken = False
        Dht22.measured = Clock.t = 0
        self._old = [(k, sys.modules.get(k)) for k in ("dht", "machine", "app")]
        sys.modules.update({"dht": Dht, "machine": Machine})
        sys.modules.pop("app", None)
        self._clock = dht22.clock
        dht22.clock = Clock()
        return __import__("app")

    def __exit__(self, *e):
        dht22.clock = self._clock
        for name, module in self._old:
            sys.modules.pop(name, None)
            if module:
                sys.modules[name] = module


def drive(app, board, ms):
    """Every reading of the first `ms` -> (list of bytes, Sensors)."""
    sensors = Sensors(app.sensors(board))
    got = []

    def submit(data, n):
        got.append(data)
        return True

    while Clock.t < ms:
        Clock.t += max(1, sensors.poll(Clock.t, submit))
    return got, sensors


def board(**kw):
    return Board(machine=Machine, gc=Gc(), interval_s=10, **kw)


def test_on_mains():
    with Fakes() as app:
        got, sensors = drive(app, board(), 20000)
        assert got == ["temperature=21.3 °C".encode(), b"humidity=48.9 %"] * 2
        assert Dht22.measured == 2  # one measurement serves both
        assert sensors.why() == "All sensors work."


def test_on_battery():
    with Fakes() as app:
        got, _ = drive(app, board(battery_pin=34), 5000)
        assert got[-1] == b"battery=100 %" and len(got) == 3


def test_a_dead_sensor_sends_no_stale_value():
    with Fakes() as app:
        Dht22.broken = True
        got, sensors = drive(app, board(battery_pin=34), 1500)
        assert got == [b"battery=100 %"]
        assert "temperature fails: No DHT22 answers on pin 4" in sensors.why()


def test_it_is_short():
    with Fakes() as app, open(app.__file__) as f:
        assert f.read().count("\n") <= 50
