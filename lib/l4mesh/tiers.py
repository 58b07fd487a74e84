# floor 4: tables
# The upstream tiers a node may ask: address, state, round trip. RAM: 150 B a tier.
"""Upstream tiers, nearest first. A tier is up until it missed `_SILENT` questions in a row, then
it is probed with growing pauses. `slot` is its peer-table slot once it was heard, -1 before.
"""

from . import ticks
from .backoff import Backoff
from .compat import const

_SILENT = const(2)
_PROBE_MS = const(1000)
_PROBE_CAP_MS = const(16000)


class Tier:
    def __init__(self, level: int, addr: bytes):
        self.level = level
        self.addr = addr
        self.slot = -1
        self.peer = None  # its short id
        self.up = True  # until proven silent: the first question decides
        self.heard = False
        self.missed = 0
        self.rtt = 0
        self.due = 0  # tick of the next ping
        self.pending = 0  # token of the ping on its way, 0 none
        self.frame = 0  # counter of the frame that carries it
        self.sent = 0
        self.pause = Backoff(_PROBE_MS, _PROBE_CAP_MS)


class Tiers:
    def __init__(self, upstream, now: int):
        """`upstream`: list of (level, 6-byte endpoint), any order."""
        self.list = [Tier(level, addr) for level, addr in sorted(upstream, reverse=True)]
        for t in self.list:
            t.due = now

    def first_up(self):
        """The nearest tier that is not known to be silent, or None."""
        for t in self.list:
            if t.up:
                return t
        return None

    def after(self, tier):
        """The next tier up the ladder that is not silent, or None."""
        found = tier is None
        for t in self.list:
            if found and t.up:
                return t
            if t is tier:
                found = True
        return None

    def of_addr(self, addr: bytes):
        for t in self.list:
            if t.addr == addr:
                return t
        return None

    def answered(self, t, now: int, sent: int = -1) -> bool:
        """A word from a tier. True when it had been silent (or never heard)."""
        back = not t.up or not t.heard
        t.up = True
        t.heard = True
        t.missed = 0
        t.pause.reset()
        if sent >= 0:
            d = ticks.diff(now, sent)
            if d >= 0:
                t.rtt = d if not t.rtt else (t.rtt * 7 + d) >> 3
        return back

    def missed(self, t, now: int, rng) -> bool:
        """A question got no word. True when this makes the tier silent."""
        t.missed += 1
        if t.missed < _SILENT:
            t.due = now
            return False
        was = t.up
        t.up = False
        t.due = ticks.add(now, t.pause.next(rng))
        return was
