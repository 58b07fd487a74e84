"""The board's own state, and what the modes judge by."""

from board import Board, percent


class Pin:
    OUT = 3

    def __init__(self, number, mode=None):
        self.number = number
        self.mode = mode
        self.log = []

    def value(self, v):
        self.log.append(v)


def test_percent():
    assert [percent(mv) for mv in (0, 3300, 3800, 4200, 5000)] == [0, 0, 50, 100, 100]
    last = 0
    for mv in range(3200, 4300):
        assert last <= percent(mv) <= last + 1
        last = percent(mv)
    assert last == 100


# -- the board


class Adc:
    ATTN_11DB = 3
    uv = 1900000
    broken = False

    def __init__(self, pin):
        self.pin = pin
        self.range = None

    def atten(self, value):
        self.range = value

    def read_uv(self):
        if Adc.broken:
            raise OSError("ADC2 is used by Wi-Fi")
        return Adc.uv


class PlainAdc:
    def __init__(self, pin):
        pass

    def read_uv(self):
        return 2100000


class Machine:
    Pin = Pin
    ADC = Adc


class Gc:
    def mem_free(self):
        return 54321


class Esp32:
    HEAP_DATA = 4

    def idf_heap_info(self, kind):
        return [(1000, 500, 300, 200), (90000, 60000, 45000, 40000)]


class Wifi:
    up = True

    def rssi(self):
        return -70


def board(**kw):
    Adc.uv = 1900000
    Adc.broken = False
    kw.setdefault("machine", Machine)
    return Board(gc=Gc(), esp32=Esp32(), **kw)


def test_a_board_on_mains():
    s = board().signals()
    assert s == {
        "mains": True,
        "metered": False,
        "battery": None,
        "heap_free": 54321,
        "heap_largest": 45000,
        "wifi": False,
        "rssi": None,
    }


def test_a_board_on_battery():
    b = board(battery_pin=34, led=2, metered=True, wifi=Wifi(), interval_s=3)
    s = b.signals()
    assert (s["mains"], s["battery"], s["metered"]) == (False, 50, True)
    assert (s["wifi"], s["rssi"]) == (True, -70)
    assert b._adc.pin.number == 34 and b._adc.range == Adc.ATTN_11DB
    assert b.led.number == 2 and b.led.mode == Pin.OUT
    assert b.interval_s == 3
    assert b.signals() is s  # no garbage


def test_a_divider_and_an_adc_with_one_range():
    class Plain(Machine):
        ADC = PlainAdc

    assert board(battery_pin=34, machine=Plain).battery() == 100
    assert board(battery_pin=34, divider=1.8, machine=Plain).battery_mv() == 3780


def test_the_battery_is_smoothed_but_a_fall_is_seen_at_once():
    b = board(battery_pin=34)
    assert b.battery_mv() == 3800
    Adc.uv = 1850000  # a burst of the radio
    assert b.battery_mv() == 3775
    for _ in range(30):
        b.battery_mv()
    assert b.battery_mv() <= 3704
    Adc.uv = 1600000
    assert b.battery_mv() == 3200 and b.battery() == 0


def test_a_broken_adc_keeps_the_last_word():
    b = board(battery_pin=34)
    Adc.broken = True
    assert b.battery() is None and b.errors == 1
    Adc.broken = False
    assert b.battery() == 50
    Adc.broken = True
    assert b.battery() == 50 and b.errors == 2


def test_no_esp32_no_largest_block():
    b = Board(machine=Machine, gc=Gc(), esp32=object())
    assert b.signals()["heap_largest"] is None
