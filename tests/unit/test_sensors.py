"""Sensors: when they are read, what the queue gets, how a failing one is kept apart; the board."""

from l4mesh import ticks
from sensors import Board, Sensor, Sensors, percent

START = ticks.MASK - 5000  # the clock wraps during each test


class Pin:
    OUT = 3

    def __init__(self, number, mode=None):
        self.number = number
        self.mode = mode
        self.log = []

    def value(self, v):
        self.log.append(v)


class Queue:
    """The node's end: takes readings unless it is full."""

    def __init__(self):
        self.got = []
        self.full = False

    def submit(self, data, n):
        assert isinstance(data, bytes) and n == len(data)
        if not self.full:
            self.got.append(data)
        return not self.full


def run(sensors, queue, ms, now=START):
    """Poll for `ms` of virtual time -> the time then."""
    end = ticks.add(now, ms)
    while ticks.diff(end, now) > 0:
        wait = sensors.poll(now, queue.submit)
        assert 0 <= wait <= 60000
        now = ticks.add(now, min(wait, ticks.diff(end, now)))
    return now


def values(*given):
    left = list(given)
    return lambda: left.pop(0)


def one(read, unit="V", every_s=1, led=None):
    return Sensors([Sensor("a", unit, every_s, read)], led)


def sent(value, unit="V"):
    queue = Queue()
    one(lambda: value, unit).poll(START, queue.submit)
    return queue.got


def test_formats():
    assert sent(21.5, "°C") == ["a=21.5 °C".encode()]
    assert sent(0.1 + 0.2) == [b"a=0.3 V"]
    assert sent(-40.0) == [b"a=-40 V"]
    assert sent(101325, "Pa") == [b"a=101325 Pa"]
    assert sent("open", "") == [b"a=open"]
    assert sent(0) == [b"a=0 V"]
    assert sent(None) == []


def test_what_is_no_reading_is_an_error():
    for bad in (float("nan"), float("inf"), "x" * 101, "two\nlines"):
        queue = Queue()
        s = one(values(bad))
        s.poll(START, queue.submit)
        assert queue.got == [] and s.errors == 1
        assert "a fails" in s.why()


def test_every_interval_without_drift():
    queue = Queue()
    at = []
    clock = [START]

    def read():
        at.append(ticks.diff(clock[0], START))
        return 1

    s = one(read, every_s=2)
    for late in (0, 2300, 4000, 6001):  # polled when the loop had time
        clock[0] = ticks.add(START, late)
        s.poll(clock[0], queue.submit)
    assert at == [0, 2300, 4000, 6001]
    assert s.poll(clock[0], queue.submit) == 1999  # still on the beat of 2 s


def test_missed_beats_are_not_made_up_for():
    queue = Queue()
    s = one(lambda: 1, every_s=1)
    s.poll(START, queue.submit)
    later = ticks.add(START, 60500)
    assert s.poll(later, queue.submit) == 1000
    assert len(queue.got) == 2


def test_one_sensor_a_poll():
    queue = Queue()
    s = Sensors([Sensor(n, "", 5, lambda: 1) for n in ("x", "y", "z")])
    assert [s.poll(START, queue.submit) for _ in range(4)] == [0, 0, 5000, 5000]
    assert queue.got == [b"x=1", b"y=1", b"z=1"]


def test_a_failing_sensor_is_alone():
    queue = Queue()

    def broken():
        raise OSError(110)

    s = Sensors([Sensor("bad", "", 1, broken), Sensor("good", "", 1, lambda: 7)])
    run(s, queue, 20000)
    assert queue.got == [b"good=7"] * 20
    assert s.errors == 4  # at 0, 2, 6, 14 s
    assert s.taken == 20
    assert "bad fails" in s.why() and "110" in s.why() and "good" not in s.why()


def test_retries_slow_down_to_a_minute_and_recover():
    queue = Queue()
    fail = [True]

    def read():
        if fail[0]:
            raise OSError(5)
        return 1

    s = one(read, every_s=10)
    now = run(s, queue, 600000)
    assert 10 <= s.errors <= 15
    fail[0] = False
    now = run(s, queue, 120000, now)
    assert len(queue.got) >= 6
    assert s.why() == "All sensors work."


def test_the_led_blinks_once_for_each_reading_taken():
    queue = Queue()
    led = Pin(2)
    s = one(values(1, None, 2, 3), led=led)
    now = run(s, queue, 3000)
    assert (s.taken, led.log) == (2, [1, 0, 1, 0])  # None is skipped
    queue.full = True
    s.poll(now, queue.submit)
    assert (s.taken, s.refused, led.log) == (2, 1, [1, 0, 1, 0])


def test_no_sensors_at_all():
    assert Sensors([]).poll(START, Queue().submit) == 60000


def test_misuse_raises_early():
    for name, unit, every_s in (
        ("", "V", 1),
        ("a=b", "V", 1),
        ("a b", "V", 1),
        ("n" * 50, "u" * 11, 1),
        ("a", "V", 0),
        ("a", "V", 86401),
    ):
        try:
            Sensor(name, unit, every_s, None)
        except ValueError as e:
            assert str(e).endswith(".")
        else:
            raise AssertionError((name, unit, every_s))


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


def test_a_sensor_with_a_band_sends_what_its_line_misses():
    values = [21.0] * 20 + [25.0] * 3 + [None, 25.0]
    it = iter(values)
    sent = []
    s = Sensors([Sensor("t", "C", 1, lambda: next(it), band=0.5)])
    for i in range(len(values)):
        s.poll(i * 1000, lambda data, n: sent.append(bytes(data)) or True)
    heads = [d.split(b"\t")[1].split(b" ")[0] for d in sent]
    assert heads == [b"0!", b"19", b"2!"] and s.taken == 3
    assert sent[1].startswith(b"t=25 C\t") and s.errors == 0


def test_a_refused_value_of_a_line_is_sent_again_as_a_gap():
    answers = [True, False, True]
    sent = []
    values = iter([1.0, 9.0, 9.0])
    s = Sensors([Sensor("t", "C", 1, lambda: next(values), band=0.5)])

    def submit(data, n):
        sent.append(bytes(data))
        return answers[len(sent) - 1]

    for i in range(3):
        s.poll(i * 1000, submit)
    assert [d.split(b"\t")[1][:2] for d in sent] == [b"0!", b"0 ", b"0!"]
    assert s.taken == 2 and s.refused == 1


def test_text_with_a_tab_is_refused():
    s = Sensors([Sensor("t", "C", 1, lambda: "a\tb")])
    s.poll(0, lambda data, n: True)
    assert s.errors == 1 and "tab" in s.why()
