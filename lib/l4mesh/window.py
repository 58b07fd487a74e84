# floor 4: tables
# A sliding window over look-ups that others asked for. RAM: 100 B.
"""Window counts requests and hits of the last span, in six parts; traffic costs no memory.

What is over falls out part by part, so the window covers five to six sixths of its span.
"""

from array import array

from .compat import const
from .ticks import add, diff

_PARTS = const(6)
_TOP = const(1000000)  # of a part; keeps percentages in small ints


class Window:
    def __init__(self, span_ms: int, now: int):
        self._part_ms = span_ms // _PARTS
        self._at = now  # when the current part began
        self._i = 0
        self._asked = array("I", bytes(4 * _PARTS))
        self._hits = array("I", bytes(4 * _PARTS))

    def slide(self, now: int):
        """Forget the parts that are over. A gap of over 6 days reads as the past: forget all."""
        past = diff(now, self._at)
        if -1000 < past < self._part_ms:
            return
        n = past // self._part_ms
        if 0 < n < _PARTS:
            self._at = add(self._at, n * self._part_ms)
        else:
            n = _PARTS
            self._at = now
        for _ in range(n):
            self._i = (self._i + 1) % _PARTS
            self._asked[self._i] = self._hits[self._i] = 0

    def count(self, asked: int, hits: int):
        """Count into the current part; slide first."""
        i = self._i
        self._asked[i] = min(self._asked[i] + asked, _TOP)
        self._hits[i] = min(self._hits[i] + hits, _TOP)

    def requests(self) -> int:
        return sum(self._asked)

    def hits_pct(self):
        """Hits in percent of the requests; None without requests."""
        asked = sum(self._asked)
        return sum(self._hits) * 100 // asked if asked else None
