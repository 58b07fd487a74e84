# floor 4: tables
# One channel of a relay: its two ends, and what it may still carry. RAM: 250 B each.
"""c.within(n, now) takes n bytes of what the channel may carry: True, False (too fast: dropped),
or None (its quota or its time is over).

Bandwidth and packets are buckets, so a burst passes: 4 s of the one, 2 s of the other.
"""

from . import ticks
from .compat import const

_BURST_MS = const(4000)


class Channel:
    def __init__(self, figures, name, a, at_a, b, at_b, ip, now):
        self.name = name
        self.a = a  # who opened it
        self.at_a = at_a
        self.b = b
        self.at_b = at_b
        self.ip = ip
        self._f = figures
        self.last = self._filled = now
        self._level = figures["kbit_s"] // 8 * _BURST_MS
        self._packets = figures["packets_s"] * 2000
        self.fill(now)

    def fill(self, now: int) -> None:
        """The whole quota anew."""
        self.born = now
        self.left = self._f["kib"] << 10

    def good_s(self, now: int) -> int:
        return max(0, self._f["life_s"] - ticks.diff(now, self.born) // 1000)

    def over(self, now: int) -> bool:
        return ticks.diff(now, self.born) >= self._f["life_s"] * 1000

    def other(self, sid: bytes) -> bytes:
        return self.b if sid == self.a else self.a

    def at(self, sid: bytes) -> bytes:
        return self.at_a if sid == self.a else self.at_b

    def place(self, sid: bytes, addr: bytes) -> None:
        """Its end moved; never to where the other one is."""
        if self.a == sid and addr != self.at_b:
            self.at_a = addr
        elif self.b == sid and addr != self.at_a:
            self.at_b = addr

    def within(self, n: int, now: int):
        f = self._f
        ms = ticks.diff(now, self._filled)
        if ms < 0 or ms > _BURST_MS:
            ms = _BURST_MS
        self._filled = now
        rate = f["kbit_s"] // 8  # bytes a ms
        self._level = min(self._level + ms * rate, _BURST_MS * rate)
        self._packets = min(self._packets + ms * f["packets_s"], 2000 * f["packets_s"])
        if self._level < n or self._packets < 1000:
            return False
        if self.left < n or self.over(now):
            return None
        self._level -= n
        self._packets -= 1000
        self.left -= n
        self.last = now
        return True


def pair_of(a: bytes, b: bytes) -> bytes:
    """One name for both ways round."""
    return a + b if a < b else b + a
