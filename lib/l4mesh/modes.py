# floor 5: machines
# Decides how much this node takes part, and can say why. RAM: 0.5 KiB, with the window.
"""Modes walks the rungs of modes_table.py, at most one up at a time.

sample(now, s) takes the signals, a dict; call it every few seconds, before poll:
    mains, metered, wifi, lonely   bool; lonely = a neighbour hears only this node
    battery                        percent or None
    heap_free, heap_largest        bytes or None; measured after gc.collect(): garbage is no load
    mem_free_mib                   on hosts
    requests, hits                 look-ups others asked for since the last sample, and how many
                                   could be answered (would-be hits count, in passive mode too)
poll(now) -> ms until the next deadline, 1 to 60000.

Judged every judge_s, on a window of the last window_s. A change needs `confirm` judgements in a
row, with no sample between them that says otherwise, then waits 1 to jitter_s seconds and is
dropped if it is no longer wanted then. At once: critical values; passive to standard for a lonely
neighbour (the dead band counts as good for it); the first judgement, made when the link is up.
`mode` and `relay: never` of the config win over everything. Each change is an event
    (EV_MODE, from, to, signal, value, threshold, ms until the next judgement)
with names of RUNGS. From equal to to = refused: `mode: active` on a board.
"""

from . import ticks
from .compat import const
from .events import EV_MODE
from .minutes import Minutes
from .modes_table import RUNGS, rules
from .window import Window
from .wire import ACTIVE, PASSIVE, STANDARD

_MAX_WAIT = const(60000)


class Modes:
    def __init__(self, cfg, host: bool, rng, events):
        self.cfg = cfg
        self.host = host
        self._rng = rng
        self._events = events
        self.rules = rules(cfg)
        self.values = [None] * len(self.rules)
        self.values[7] = 1 if host else 0
        self.bound(cfg.mode)
        self.minutes = Minutes()
        self._window = None  # until the first sample, as are the ticks here
        self.judge_at = -1
        self.since = self.since_min = 0
        self.rung = 0
        self.wish = 0  # the rung that the last look found right
        self.streak = 0  # judgements in a row that found so
        self.due = -1  # when a confirmed change is made
        self._row = -1  # the rule that asks for a fall
        self._block = -1  # the rule that was in the way of a rise last
        self._sampled = self._lonely = False
        self.last = (None, None, None, "start")  # signal, value, threshold, direction
        self.mode = PASSIVE
        self.relay_full = False

    def bound(self, mode):
        """The rungs the user allows, lowest and highest; taken at once with the next sample."""
        self._floor = {"standard": 1, "active": 3 if self.host else 0}.get(mode, 0)
        self.ceil = {"passive": 0, "standard": 2}.get(mode, 3)
        if self.cfg.relay == "never" and self._floor < 3:
            self.ceil = min(self.ceil, 1)
        self._start = True

    def sample(self, now: int, s):
        """Take the signals of this moment (see the top)."""
        if self.judge_at < 0:
            self._begin(now)
        self._window.slide(now)
        self._window.count(s.get("requests") or 0, s.get("hits") or 0)
        self._take(s)
        self._sampled = True
        if self.rung and not self._floor and self._critical(now):
            return
        self._look(now)
        if self._start and (self._floor or self.values[0] != 0):
            self._start = False
            if self.wish != self.rung:
                self._go(self.wish, now)
        elif self._lonely and self.wish > self.rung == 0:
            self._go(1, now)

    def _begin(self, now):
        self.judge_at = ticks.add(now, self.cfg.judge_s * 1000)
        self._window = Window(self.cfg.window_s * 1000, now)
        self.since = now
        self.since_min = self.minutes.advance(now)
        if self.cfg.mode == "active" and not self.host:
            self._tell(0, "host", 0, 1)

    def _take(self, s):
        """Signals into the order of the rules."""
        v = self.values
        wifi = s.get("wifi")
        v[0] = None if wifi is None else 1 if wifi else 0
        v[1] = 0 if self.cfg.metered or s.get("metered") else 1
        v[2] = v[8] = None if s.get("mains") else s.get("battery")
        b = s.get("heap_free")
        v[3] = None if b is None else b >> 10
        b = s.get("heap_largest")
        v[4] = None if b is None else b >> 10
        v[9] = s.get("mem_free_mib")
        self._lonely = bool(s.get("lonely"))

    def _critical(self, now):
        for i in range(len(self.rules)):
            v = self.values[i]
            if v is not None and v <= self.rules[i][4]:
                self._row = i
                self._go(0, now, self.rules[i][4])
                return True
        return False

    def _look(self, now):
        """Which rung is right by the last sample and the window. A new opinion counts from 0."""
        self._window.slide(now)
        self.values[5] = self._window.requests()
        self.values[6] = self._window.hits_pct()
        wish = min(max(self._want(), self._floor), self.ceil)
        if wish != self.wish:
            self.wish = wish
            self.streak = 0
            self.due = -1

    def band(self, rule):
        """(rise, fall) of a rule as they are now."""
        if self._lonely and rule[1] == 1 and rule[4] >= 0:
            return rule[3] + 1, rule[4]
        return rule[2], rule[3]

    def _want(self):
        """The rung the rules ask for: one up, the same, or any below."""
        rung = to = self.rung
        block = -1
        for i in range(len(self.rules)):
            v = self.values[i]
            rule = self.rules[i]
            if v is None or rule[1] > rung + 1:
                continue
            rise, fall = self.band(rule)
            if rule[1] <= to and v <= fall:
                to = rule[1] - 1
                self._row = i
            elif rule[1] > rung and v < rise:
                block = i
        if to < rung or rung == 3:
            return to
        if block >= 0:
            self._block = block
            return rung
        return rung + 1

    def poll(self, now: int) -> int:
        self.minutes.advance(now)
        if self.judge_at < 0:
            return _MAX_WAIT
        if ticks.diff(now, self.judge_at) >= 0:
            self._judge(now)
        if self.due >= 0 and ticks.diff(now, self.due) >= 0:
            self._look(now)  # the re-check: clears `due` if the change is no longer wanted
            if self.due >= 0:
                self._go(self.wish, now)
        wait = ticks.diff(self.judge_at, now)
        if self.due >= 0:
            wait = min(wait, ticks.diff(self.due, now))
        return max(1, min(wait, _MAX_WAIT))

    def _judge(self, now):
        self.judge_at = ticks.add(now, self.cfg.judge_s * 1000)
        self._look(now)
        if self._sampled and self.wish != self.rung:  # an old sample confirms nothing
            self.streak += 1
            if self.streak >= self.cfg.confirm and self.due < 0:
                wait = self._rng.getrandbits(30) % (self.cfg.jitter_s * 1000 - 999)
                self.due = ticks.add(now, 1000 + wait)
        self._sampled = False

    def _go(self, to, now, threshold=None):
        """Change to rung `to`; `threshold` is given when it is a critical one."""
        up = to > self.rung
        if up and to <= self._floor:
            signal, value, threshold = "mode", to, self._floor
        elif not up and to == self.ceil:  # bound() was called since
            signal, value, threshold = "mode", to, to
        elif up and self._lonely and to == 1:
            signal, value, threshold = "lonely", 1, 1
        else:
            i = self._row
            if up:  # if no rule was ever in the way, name the first of the rung
                i = self._block
                if i < 0:
                    i = (0, 1 if self.values[0] is None else 0, 5, 7)[to]
            rule = self.rules[i]
            signal, value = rule[0], self.values[i]
            if threshold is None:
                threshold = self.band(rule)[0 if up else 1]
        self.judge_at = ticks.add(now, self.cfg.judge_s * 1000)
        self._tell(to, signal, value, threshold)
        self.last = (signal, value, threshold, "up" if up else "down")
        self.since = now
        self.since_min = self.minutes.advance(now)
        self.rung = self.wish = to
        self._row = self._block = self.due = -1
        self.streak = 0
        self.mode = (PASSIVE, STANDARD, STANDARD, ACTIVE)[to]
        self.relay_full = to > 1 and self.cfg.relay != "never"

    def _tell(self, to, signal, value, threshold):
        wait = self.cfg.judge_s * 1000
        self._events.put((EV_MODE, RUNGS[self.rung], RUNGS[to], signal, value, threshold, wait))

    def why(self, now=None) -> dict:
        """What it is, since when, which signal decided, and what would have to change."""
        from .modes_text import why

        return why(self, self.since if now is None else now)
