"""Sensors: when they are read, what the queue gets, how a failing one is kept apart."""

from l4mesh import ticks
from sensors import Sensor, Sensors

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


def test_the_newest_value_is_there_for_others():
    it = iter([21.5, None, "open", float("nan"), 22.0, 22.0])
    s = Sensor("t", "C", 1, lambda: next(it), "temperature", total=True)
    assert (s.kind, s.total, s.value, s.news) == ("temperature", True, None, False)
    s.data(s.read())
    assert s.value == 21.5 and s.news
    s.news = False
    s.data(s.read())
    assert s.value == 21.5 and not s.news
    s.data(s.read())
    assert s.value == "open"
    s.news = False
    try:
        s.data(s.read())
    except ValueError:
        pass
    assert s.value == "open" and not s.news
    s = Sensor("t", "C", 1, lambda: next(it), band=5)  # also what is not sent
    Sensors([s])
    assert s.data(s.read()) and s.value == 22.0
    s.line.sent()
    s.news = False
    s.data(s.read())
    assert s.news


def test_hurry_reads_all_at_once():
    queue = Queue()
    s = Sensors([Sensor(n, "", 3600, lambda: 1) for n in "abc"])
    now = run(s, queue, 5000)
    assert len(queue.got) == 3
    s.hurry()
    run(s, queue, 5000, now)
    assert queue.got[3:] == [b"a=1", b"b=1", b"c=1"]


class Told:
    def __init__(self):
        self.said = []
        self.faults = []

    def say(self, text):
        self.said.append(text)

    def fault(self, text, e):
        self.faults.append((text, e))


def test_a_failure_is_told_once_a_run_of_them():
    told = Told()
    answers = [OSError("No X on pin 4: check its wires."), KeyError("k"), 1, KeyError("k")]

    def read():
        v = answers.pop(0)
        if isinstance(v, Exception):
            raise v
        return v

    s = Sensors([Sensor("a", "", 1, read)], None, None, told.say, told.fault)
    queue = Queue()
    s.poll(START, queue.submit)
    assert s.why() == "a fails: No X on pin 4: check its wires."
    now = START
    while answers:
        now = ticks.add(now, s.poll(now, queue.submit))
    assert [text for text, _ in told.faults] == [
        "sensor a: No X on pin 4: check its wires",
        "sensor a: " + repr(KeyError("k")),
    ]
    assert isinstance(told.faults[1][1], KeyError) and s.errors == 3 and s.taken == 1


def test_the_second_slow_read_in_a_row_is_told_once():
    told = Told()
    ms = [60, 10, 60, 70, 90]
    t = [START]

    def read():
        t[0] = ticks.add(t[0], ms.pop(0))
        return 1

    s = Sensors([Sensor("a", "", 1, read)], None, None, told.say, now=lambda: t[0])
    for _ in range(5):
        assert (s.all[0].slow > 1) == (len(ms) < 2)
        s.poll(t[0], Queue().submit)
        t[0] = ticks.add(t[0], 2000)
    assert told.said == ["sensor a: a read takes 70 ms; up to 50 keep the node lively"]
    assert s.why() == "a read of a takes 90 ms."


class Watch:
    """hangs.Hangs, as far as Sensors uses it."""

    def __init__(self, out):
        self.out = out
        self.log = []

    def begin(self, i, now):
        self.log.append(("begin", i))
        return 5000 if i in self.out else 0

    def end(self, i):
        self.log.append(("end", i))
        return len(self.log) >= 8

    def why(self):
        return ["b is left out"]


def test_a_sensor_that_hung_is_left_out_and_the_others_go_on():
    watch = Watch([1])
    queue = Queue()
    all = [Sensor(n, "", 1, lambda: 1) for n in "abc"]
    s = Sensors(all, None, None, None, None, watch)
    now = run(s, queue, 1000)
    assert queue.got == [b"a=1", b"c=1"] and s.why() == "b is left out."
    assert watch.log == [("begin", 0), ("end", 0), ("begin", 1), ("begin", 2), ("end", 2)]
    watch.out = []
    run(s, queue, 5000, now)
    assert queue.got.count(b"b=1") == 1 and queue.got.count(b"a=1") == 6
    assert len(watch.log) == 9  # it said that it is not needed any more


def test_an_exception_unmarks_the_sensor():
    watch = Watch([])

    def read():
        raise OSError(5)

    Sensors([Sensor("a", "", 1, read)], hangs=watch).poll(START, Queue().submit)
    assert watch.log == [("begin", 0), ("end", 0)]
