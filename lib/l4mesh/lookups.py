# floor 5: machines
# Look-ups under way, and the answers "no such node" that are still good. RAM: 120 B a look-up.
"""Fixed places for look-ups, so that nothing grows with demand, and a small negative cache."""

from . import ticks
from .compat import const
from .counters import (
    C_LOOKUP_FAILED,
    C_LOOKUP_L1,
    C_LOOKUP_L2,
    C_LOOKUP_L3,
    C_LOOKUP_LAN,
    C_LOOKUP_OWN,
    C_LOOKUP_P2P,
    C_LOOKUP_UNAVAILABLE,
    C_LOOKUP_UNKNOWN,
)
from .wire import FOUND, UNAVAILABLE, UNKNOWN

FAN = const(4)  # peers asked at once: three neighbours, one beyond the LAN
_NEGATIVE = const(8)
# By source: the order of resolve.SOURCES.
_FOUND = (0, C_LOOKUP_L1, C_LOOKUP_L2, C_LOOKUP_L3, C_LOOKUP_P2P, C_LOOKUP_LAN, C_LOOKUP_OWN)


def tally(counters, status: int, source: int) -> None:
    """Count how a look-up ended."""
    if status == FOUND:
        counters.inc(_FOUND[source])
    elif status == UNKNOWN:
        counters.inc(C_LOOKUP_UNKNOWN)
    else:
        counters.inc(C_LOOKUP_UNAVAILABLE if status == UNAVAILABLE else C_LOOKUP_FAILED)


class Lookup:
    def __init__(self):
        self.stage = 0  # 0 free, else what resolve.py is doing
        self.target = None
        self.token = 0
        self.flags = 0
        self.started = 0
        self.due = 0
        self.waiting = 0  # peers asked that gave no word yet
        self.tries = 0
        self.alive = False  # some tier gave a word
        self.tier = None
        self.slots = [0] * FAN  # peers asked
        self.frames = [0] * FAN  # counter of the frame sent to each; 0: it gave its word


class Lookups:
    def __init__(self, places: int):
        self.all = [Lookup() for _ in range(places)]
        self._no = [None] * _NEGATIVE
        self._no_end = [0] * _NEGATIVE
        self._no_at = 0

    def same(self, target: bytes, flags: int):
        """The look-up under way for the same question, or None."""
        for q in self.all:
            if q.stage and q.target == target and q.flags == flags:
                return q
        return None

    def begin(self, target: bytes, flags: int, token: int, now: int):
        """A place for a new look-up, or None."""
        for q in self.all:
            if not q.stage:
                q.target = target
                q.flags = flags
                q.token = token
                q.started = now
                q.alive = False
                q.tries = 0
                q.tier = None
                return q
        return None

    def of_token(self, token: int):
        for q in self.all:
            if q.stage and q.token == token:
                return q
        return None

    def of_frame(self, counter: int):
        """(look-up, place) of the frame with this counter, or (None, 0)."""
        for q in self.all:
            if q.stage and counter > 0:
                for k in range(FAN):
                    if q.frames[k] == counter:
                        return q, k
        return None, 0

    def refused(self, target: bytes, now: int) -> bool:
        """Did the authority say lately that there is no such node?"""
        for k in range(_NEGATIVE):
            if self._no[k] == target and ticks.diff(self._no_end[k], now) > 0:
                return True
        return False

    def expire(self, now: int) -> None:
        """Forget what is over, before its tick wraps round to be in the future again."""
        for k in range(_NEGATIVE):
            if self._no[k] is not None and ticks.diff(self._no_end[k], now) <= 0:
                self._no[k] = None

    def refuse(self, target: bytes, seconds: int, now: int) -> None:
        self._no[self._no_at] = target
        self._no_end[self._no_at] = ticks.add(now, seconds * 1000)
        self._no_at = (self._no_at + 1) % _NEGATIVE
