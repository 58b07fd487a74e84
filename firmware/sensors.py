# floor 9: firmware
# Reads the sensors that app.py names. RAM: 0.2 kB a sensor.
"""Sensor   a name, a unit, how often, and a function that reads it; with a `band` (in its unit)
         only values are sent that its line misses by more (l4mesh/predict.py). `kind` (a device
         class) and `total` (the value only grows) are for Home Assistant (l4mesh/ha.py)
Sensors  a list of them: reads what is due, one a poll, hands `name=value unit` to the queue

`read` may be a coroutine: awaiting.py runs it then. What is wrong in a declaration is found before
(sensor_check.py). A sensor that raises is alone in it: told once, counted, tried again after 2 s,
doubling up to its own interval or a minute. One that hangs: hangs.py. why() says all of that.

A reading counts as taken when submit() says so; then, and only then, the LED blinks once. A
reading that the queue refuses is counted, and the next one comes when it is due. None means
"nothing to say now".
"""

from l4mesh import ticks
from l4mesh.compat import const
from l4mesh_io import clock

_MAX = const(100)  # bytes of a reading
_RETRY_MS = const(2000)
_MINUTE_MS = const(60000)
_SLOW_MS = const(50)
_STEP_MS = const(20)  # until a coroutine that has begun gets its next turn


class Sensor:
    """`read()` gives a number, a short text, or None. `every_s`: 0.1 to 86400."""

    def __init__(self, name, unit, every_s, read, kind=None, band=None, total=False):
        self.name = name
        self.unit = unit
        self.every_s = every_s
        self.read = read
        self.kind = kind
        self.band = band
        self.total = total
        self.value = None  # the newest
        self.news = False
        self.due = None  # at once
        self.fails = 0  # in a row
        self.said = ""  # the last error
        self.slow = 0  # ms, once it was
        self.busy = False  # a coroutine of it is under way
        self.line = None

    def data(self, v):
        """The value `v` as a reading, or None: nothing to say, or what the sink expects anyway."""
        line = self.line
        if v is None:
            if line:
                line.gap()
            return None
        number = v
        if isinstance(v, float):
            if v - v != 0:
                raise ValueError("not a finite number")
            v = "%.6g" % v
        text = ("%s=%s %s" % (self.name, v, self.unit)).strip()
        if "\t" in text or "\n" in text:
            raise ValueError("text with a tab or a new line")
        self.value = number
        self.news = True
        if line:
            if not line.due(number):
                return None
            text += line.suffix(number)
        text = text.encode()
        if len(text) > _MAX:
            raise ValueError("text too long")
        return text


class Sensors:
    """`sensors`: a list of Sensor. `led`: a Pin (or None), blinks for each reading taken.
    `call(f)`: calls the user's code (serial.py's, so that Ctrl-C reaches it). `say(text)` and
    `fault(text, exception)`: tell it to people, once. `hangs`: hangs.Hangs, or None.
    """

    def __init__(
        self, sensors, led=None, call=None, say=None, fault=None, hangs=None, now=clock.now
    ):
        self.all = sensors
        self._call = call or _call
        self._led = led
        self._say = say or _silent
        self._fault = fault or _silent
        self._hangs = hangs
        self._now = now
        self._awaiting = None  # from the first coroutine on
        self.taken = self.refused = self.errors = 0
        for s in sensors:
            s.every_ms = int(s.every_s * 1000)
            if s.band:
                from l4mesh.predict import Predictor

                s.line = Predictor(s.band, s.every_s)

    def poll(self, now, submit):
        """Read at most one sensor that is due; `submit(data, n) -> bool`. ms until the next."""
        wait = _MINUTE_MS
        if self._awaiting is not None:
            wait = self._awaiting.poll(now, self, submit)
        busy = False
        for i in range(len(self.all)):
            s = self.all[i]
            left = 0 if s.due is None else ticks.diff(s.due, now)
            if left <= 0:
                if busy:
                    return 0
                busy = True
                # On the beat; beats that were missed are not made up for.
                s.due = ticks.add(now if s.due is None else s.due, s.every_ms)
                if ticks.diff(s.due, now) <= 0:
                    s.due = ticks.add(now, s.every_ms)
                left = 0
                if not s.busy:
                    self._read(i, s, now, submit)
                    left = s.busy and _STEP_MS
                left = left or ticks.diff(s.due, now)
            wait = min(wait, left)
        return wait

    def _read(self, i, s, now, submit):
        hangs = self._hangs
        if hangs is not None:
            left = hangs.begin(i, now)
            if left:
                s.due = ticks.add(now, left)
                return
        t = self._now()
        try:
            v = self._call(s.read)
            if hasattr(v, "send"):
                if self._awaiting is None:
                    import turns
                    from awaiting import Awaiting

                    self._awaiting = Awaiting(self._call, turns.start, turns.turn)
                self._awaiting.start(s, v, now)
                v = s  # not yet there
        except Exception as e:
            self.failed(s, e, now)
            v = s
        if hangs is not None and hangs.end(i):
            self._hangs = None
        self._timed(s, ticks.diff(self._now(), t))
        if v is not s:
            self.took(s, v, now, submit)

    def _timed(self, s, ms):
        """The first slow read may be one that loads code; the second in a row is told."""
        if s.slow < 2 and ms <= _SLOW_MS:
            s.slow = 0
        elif s.slow == 1:
            s.slow = ms
            self._say("sensor %s: a read takes %d ms; up to %d keep the node lively" % (
                s.name, ms, _SLOW_MS))  # fmt: skip
        elif s.slow < ms:
            s.slow = ms if s.slow else 1

    def failed(self, s, e, now):
        """It raised `e`."""
        if s.line:
            s.line.gap()
        plain = len(e.args) == 1 and isinstance(e.args[0], str) and isinstance(e, OSError)
        s.said = e.args[0].rstrip(".") if plain else repr(e)
        s.fails += 1
        self.errors += 1
        ms = min(_RETRY_MS << min(s.fails - 1, 10), max(s.every_ms, _MINUTE_MS))
        s.due = ticks.add(now, ms)
        if s.fails == 1:
            self._fault("sensor %s: %s" % (s.name, s.said), e)

    def took(self, s, v, now, submit):
        """It said `v`."""
        first = s.value is None
        try:
            data = s.data(v)
        except Exception as e:
            self.failed(s, e, now)
            return
        s.fails = 0
        if not data:
            return
        if not submit(data, len(data)):
            self.refused += 1
            return
        self.taken += 1
        if first:  # in no log: the queue has it
            print("L4 first reading: " + data.decode().split("\t")[0])
        if s.line:
            s.line.sent()
        if self._led:
            self._led.value(1)
            self._led.value(0)

    def hurry(self):
        """Somebody wants all readings now."""
        for s in self.all:
            s.due = None

    def why(self):
        """One sentence: all well, or which sensor fails with what."""
        bad = ["%s fails: %s" % (s.name, s.said) for s in self.all if s.fails]
        bad += ["a read of %s takes %d ms" % (s.name, s.slow) for s in self.all if s.slow > 1]
        if self._hangs is not None:
            bad += self._hangs.why()
        return ("; ".join(bad) or "All sensors work") + "."


def _call(f):
    return f()


def _silent(*args):
    pass
