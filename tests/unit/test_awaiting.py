"""Sensors that are read by coroutines: side by side, timed out, cancelled, closed."""

import asyncio

from l4mesh import ticks
from l4mesh_io import clock
from sensors import Sensor, Sensors


class Run:
    """Polls sensors in real time, as the loop does; `skip` makes a read's time-out come."""

    def __init__(self, *sensors):
        self.sensors = Sensors(list(sensors), None, self.call)
        self.got = []
        self.calls = 0
        self.skip = 0

    def call(self, f):
        self.calls += 1
        return f()

    def submit(self, data, n):
        self.got.append(data)
        return True

    def now(self):
        return ticks.add(clock.now(), self.skip)

    def until(self, condition, most=3000):
        """Poll until condition(); the longest wait that poll() asked for on the way."""
        end = ticks.add(clock.now(), most)
        longest = 0
        while not condition():
            assert ticks.diff(end, clock.now()) > 0, (self.got, self.sensors.why())
            longest = max(longest, self.sensors.poll(self.now(), self.submit))
        return longest


def sleeper(ms, value):
    async def read():
        await asyncio.sleep(ms / 1000)
        return value

    return read


def test_reads_go_on_side_by_side_and_others_are_not_kept_waiting():
    plain = []
    r = Run(
        Sensor("slow", "C", 60, sleeper(120, 1.5)),
        Sensor("slower", "C", 60, sleeper(200, 2)),
        Sensor("plain", "", 0.1, lambda: plain.append(1) or len(plain)),
    )
    t = clock.now()
    wait = r.until(lambda: b"slower=2 C" in r.got)
    took = ticks.diff(clock.now(), t)
    assert r.got.index(b"slow=1.5 C") < r.got.index(b"slower=2 C")
    assert len(plain) >= 2 and b"plain=1" in r.got[:1]
    assert took < 2000 and wait <= 20  # one after the other would be no matter; asleep would
    assert r.sensors.why() == "All sensors work." and r.sensors.taken == len(r.got)
    assert not r.sensors.all[0].busy


def test_when_none_is_under_way_the_loop_may_sleep():
    r = Run(Sensor("a", "", 60, sleeper(0, 5)))
    r.until(lambda: r.got)
    assert r.sensors.poll(r.now(), r.submit) > 1000
    calls = r.calls
    r.sensors.poll(r.now(), r.submit)
    assert r.calls == calls  # asyncio does not run


def test_one_that_raises():
    async def read():
        await asyncio.sleep(0)
        raise OSError("No X on pin 4: check its wires.")

    r = Run(Sensor("a", "", 60, read), Sensor("b", "", 60, lambda: 1))
    r.until(lambda: r.sensors.errors)
    assert r.sensors.why() == "a fails: No X on pin 4: check its wires."
    assert not r.sensors.all[0].busy
    r.until(lambda: r.got)
    assert r.got == [b"b=1"]


def test_none_and_bands_are_as_for_plain_reads():
    r = Run(Sensor("a", "", 60, sleeper(0, None)), Sensor("b", "C", 60, sleeper(0, 4.0), band=1))
    r.until(lambda: r.got)
    assert len(r.got) == 1 and r.got[0].startswith(b"b=4 C\t")


def test_one_that_hangs_is_cancelled_told_and_tried_again():
    ended = []
    answers = [None, 7]

    async def read():
        if answers.pop(0):
            return 7
        try:
            while True:
                await asyncio.sleep(0.01)
        finally:
            ended.append(1)

    r = Run(Sensor("a", "", 60, read), Sensor("b", "", 1, lambda: 1))
    r.until(lambda: r.got)
    r.skip = 9900
    r.sensors.poll(r.now(), r.submit)
    assert r.sensors.errors == 0
    r.skip = 10500
    r.until(lambda: ended)
    assert r.sensors.why() == "a fails: no answer in 10 s." and r.sensors.errors == 1
    r.until(lambda: not r.sensors.all[0].busy)
    r.skip += 3000  # the retry comes 2 s later
    r.until(lambda: b"a=7" in r.got)
    assert r.sensors.why() == "All sensors work."


def test_one_that_ignores_the_cancel_is_not_read_again_before_it_ends():
    reads = []
    obey = []

    async def read():
        reads.append(1)
        while True:
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                if obey:
                    raise

    r = Run(Sensor("a", "", 0.1, read), Sensor("b", "", 0.1, lambda: 1))
    r.until(lambda: r.sensors.all[0].busy)
    r.skip = 10001
    r.until(lambda: r.sensors.errors)
    r.skip += 1001
    r.until(lambda: "does not end" in r.sensors.why())
    r.skip += 50000
    n = len(r.got)
    assert r.until(lambda: len(r.got) > n + 2) > 20  # the loop sleeps meanwhile
    assert reads == [1] and r.sensors.all[0].busy
    obey.append(1)
    r.skip += 20000
    r.until(lambda: len(reads) > 1)
    r.skip += 10001
    r.until(lambda: r.sensors.errors > 1)


def test_everything_of_asyncio_works_in_a_read():
    lock = asyncio.Lock()
    seen = []

    async def one(k):
        async with lock:
            seen.append(k)
            await asyncio.sleep(0.01)
            seen.append(k)

    async def wait():
        await asyncio.sleep(30)

    async def read():
        await asyncio.gather(one(1), one(2))
        try:
            await asyncio.wait_for(wait(), 0.02)
        except Exception:  # TimeoutError, which has two names
            return "late"

    r = Run(Sensor("a", "", 60, read))
    r.until(lambda: r.got)
    assert r.got == [b"a=late"] and seen == [1, 1, 2, 2]
