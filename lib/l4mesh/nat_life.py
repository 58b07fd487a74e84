# floor 6: pipeline
# How long the router keeps a mapping that rests, for nodes on battery. RAM: 2 kB, when wanted.
"""life = NatLife(check)     for node.late; `check` is node.nat (natcheck.py)

    life.keep_ms             a mapping may rest for so long; 20 s until it was measured
    life.life_s              what it is known to have survived; 0: not measured
    life.on_change           called as f(keep_ms, now) when it is known, if set

A packet every 20 to 25 s is safe with all routers (RFC 4787 wants 2 minutes, some have 30 s), but
each wakes the radio. So a socket of its own rests for 25 s, then 55, then 110; then the assistant
that it last sent to sends to it (FILTER): does that still come in? 80 % of the longest that did is
what own port may rest. Nothing is risked by it: own port's mapping is another one. Two exchanges
first, 3 s apart, since routers keep what goes both ways for longer. Measured once a day, and again
when the NAT is another.
"""

from . import ticks
from .compat import const
from .nat_filter import FROM_HERE

_SAFE_MS = const(20000)
_SHORT_MS = const(15000)  # not even 25 s: as often as RFC 8445 allows
_RESTS_S = (25, 55, 110)
_WARM_MS = const(3000)
_DAY_MS = const(86400000)
_HOUR_MS = const(3600000)
_LOOK_MS = const(1000)
_FULL_CONE = const(2)
_SYMMETRIC = const(5)


class NatLife:
    def __init__(self, check):
        self._check = check
        self.keep_ms = _SAFE_MS
        self.life_s = 0
        self.on_change = None
        self._run = None
        self._now = self._due = 0
        self._of = None  # summary that it was measured with

    def poll(self, now: int) -> int:
        self._now = now
        check = self._check
        if self._run is None:
            s = check.summary
            if s[0] < _FULL_CONE or s[0] > _SYMMETRIC or check.busy:
                return _LOOK_MS
            if self._of is not None and s[:2] == self._of and ticks.diff(self._due, now) > 0:
                return _LOOK_MS
            self._of = s[:2]
            self._due = ticks.add(now, _HOUR_MS)
            self._run = self._steps()
        try:
            next(self._run)
        except StopIteration:
            self._run = None
            self._end()
        return 20 if check.held else _LOOK_MS

    def _end(self):
        check = self._check
        check.held = False
        ears = check.ears
        if ears.kept is not None:
            ears.kept = None
            if not check.busy:
                ears.close()

    def _helper(self):
        seen = self._check.seen
        for h in self._check.helpers():
            if h[0] in [m[2] for m in seen.mapped]:
                return h
        return None

    def _rest(self, ms):
        end = ticks.add(self._now, ms)
        while ticks.diff(end, self._now) > 0:
            yield

    def _turn(self):
        """Until the check is not asking itself; it waits for us then."""
        while self._check.busy:
            yield
        self._check.held = True

    def _steps(self):
        check = self._check
        ears = check.ears
        helper = self._helper()
        if helper is None:
            return
        yield from self._turn()
        ear = ears.kept = ears.open(0)
        if ear is None:
            return
        target = None
        for pause in (_WARM_MS, 0):
            yield from ears.ask(ear, [helper])
            check.held = False
            target = ear.got.get(helper[0])
            if target is None:
                return
            if pause:
                yield from self._rest(pause)
                yield from self._turn()
        best = -1
        for rest_s in _RESTS_S:
            yield from self._rest(rest_s * 1000)
            yield from self._turn()
            came = yield from ears.filter(ear, FROM_HERE, helper, target, ear.ms)
            if came is None:
                check.held = False
                break  # it could not be tried: what is known so far stays
            best = rest_s if came else max(best, 0)
            if came:
                yield from ears.ask(ear, [helper])
            check.held = False
            if not came or ear.got.get(helper[0]) != target:
                break
        if best >= 0:
            self._known(best)

    def _known(self, life_s):
        self._due = ticks.add(self._now, _DAY_MS)
        self.life_s = life_s
        keep_ms = life_s * 800 if life_s else _SHORT_MS
        if keep_ms != self.keep_ms:
            self.keep_ms = keep_ms
            if self.on_change is not None:
                self.on_change(keep_ms, self._now)
