"""app.py as shipped: the example that users start from does what its comments say."""

import sys

from board import Board
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


def app():
    """The module, on a board whose dht driver is the one above."""
    Dht22.broken = False
    Dht22.measured = 0
    old = sys.modules.get("dht")
    sys.modules["dht"] = Dht
    try:
        if "app" in sys.modules:
            del sys.modules["app"]
        return __import__("app")
    finally:
        del sys.modules["dht"]
        if old:
            sys.modules["dht"] = old


def drive(board, ms):
    """Every reading of the first `ms` -> (list of bytes, Sensors)."""
    sensors = Sensors(app().sensors(board))
    got = []

    def submit(data, n):
        got.append(data)
        return True

    now = 0
    while now < ms:
        now += max(1, sensors.poll(now, submit))
    return got, sensors


def board(**kw):
    return Board(machine=Machine, gc=Gc(), interval_s=10, **kw)


def test_on_mains():
    got, sensors = drive(board(), 20000)
    assert got == ["temperature=21.3 °C".encode(), b"humidity=48.9 %"] * 2
    assert Dht22.measured == 2  # one measurement serves both
    assert sensors.why() == "All sensors work."


def test_on_battery():
    got, _ = drive(board(battery_pin=34), 5000)
    assert got[-1] == b"battery=100 %" and len(got) == 3


def test_a_dead_sensor_sends_no_stale_value():
    b = board(battery_pin=34)
    sensors = Sensors(app().sensors(b))
    Dht22.broken = True
    got = []
    for _ in range(3):
        sensors.poll(0, lambda data, n: got.append(data) is None)
    assert got == [b"battery=100 %"]
    assert "temperature fails" in sensors.why()


def test_it_is_short():
    with open(app().__file__) as f:
        assert f.read().count("\n") <= 50
