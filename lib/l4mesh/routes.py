# floor 4: tables
# The routing cache: a slab of records, O(1) look-up and LRU. RAM: 152 B a slot, 50 slots 7.6 kB.
"""Least-recently-used cache of records, laid out once.

Slots 0..n-1; a slot has a 136-byte record in the slab, the minute it ends, flags, and LRU links.
Flags: VERIFIED (signature checked), PINNED (never evicted). A new unverified record never
displaces a verified one, and there are at most `spare` unverified ones (docs/protocol.md 3).
`now_min` is the coarse minute counter. Remaining lifetimes only ever fall: see `remaining`.
"""

from array import array

from .compat import const
from .record import O_LIFE, SIZE, id_of, newer
from .wire import u16

VERIFIED = const(1)
PINNED = const(2)
_USED = const(4)


class Routes:
    def __init__(self, slots: int = 50, spare: int = 8):
        self.slots = slots
        self._spare = spare
        self.slab = bytearray(slots * SIZE)
        self.view = memoryview(self.slab)
        self._end = array("I", [0] * slots)
        self.flags = bytearray(slots)
        # Ring of slots: _next[slots] is the most, _prev[slots] the least recently used.
        self._next = array("H", [0] * (slots + 1))
        self._prev = array("H", [0] * (slots + 1))
        for i in range(slots + 1):
            self._next[i] = (i + 1) % (slots + 1)
            self._prev[i] = (i - 1) % (slots + 1)
        self._ids = [None] * slots
        # Grown to full size now, so that it never grows while traffic runs.
        self._index = {i: i for i in range(slots)}
        self._index.clear()
        self.unverified = 0

    def __len__(self):
        return len(self._index)

    def _touch(self, i):
        nx = self._next
        pv = self._prev
        h = self.slots
        if nx[h] == i:
            return
        nx[pv[i]] = nx[i]
        pv[nx[i]] = pv[i]
        pv[i] = h
        nx[i] = nx[h]
        pv[nx[h]] = i
        nx[h] = i

    def find(self, node_id: bytes, now_min: int) -> int:
        """Slot of a live record, made most recent; -1 when absent or ended."""
        i = self._index.get(node_id, -1)
        if i < 0:
            return -1
        if self._end[i] <= now_min:
            self._free(i)
            return -1
        self._touch(i)
        return i

    def peek(self, node_id: bytes) -> int:
        """Slot of `node_id`, ended or not, without touching the order; -1 when absent."""
        return self._index.get(node_id, -1)

    def node_id(self, i: int):
        return self._ids[i]

    def remaining(self, i: int, now_min: int) -> int:
        """Whole minutes to pass on: rounded down, so a hop never lengthens a life. 0 = keep it."""
        r = self._end[i] - now_min - 1
        return r if r > 0 else 0

    def put(self, buf, off: int, remaining: int, verified: bool, now_min: int) -> int:
        """Take a well-formed record. Returns its slot, or -1: it is older, or there is no room.

        The same record again only shortens its life; a newer one replaces it. A newer record that
        is not yet verified does not replace a verified one that lives (checker.py brings it).
        """
        life = u16(buf, off + O_LIFE)
        if remaining < life:
            life = remaining
        if life <= 0:
            return -1
        node_id = id_of(buf, off)
        i = self._index.get(node_id, -1)
        if i >= 0 and self._end[i] <= now_min:
            self._free(i)
            i = -1
        if i >= 0:
            age = newer(buf, off, self.slab, i * SIZE)
            if age < 0:
                return -1
            if age == 0:
                return self._same(i, buf, off, life, verified, now_min)
            if not verified and self.flags[i] & VERIFIED:
                return -1
        else:
            i = self._room(verified, now_min)
            if i < 0:
                return -1
            self._index[node_id] = i
            self._ids[i] = node_id
            self.flags[i] = _USED
            self.unverified += 1
        self.slab[i * SIZE : (i + 1) * SIZE] = buf[off : off + SIZE]
        self._end[i] = now_min + life
        self._mark(i, verified)
        self._touch(i)
        return i

    def _same(self, i, buf, off, life, verified, now_min):
        # Equal age but another body: the first one stays, unless the new one is the checked one.
        if buf[off : off + SIZE] != self.view[i * SIZE : (i + 1) * SIZE]:
            if not verified or self.flags[i] & VERIFIED:
                return -1
            self.slab[i * SIZE : (i + 1) * SIZE] = buf[off : off + SIZE]
        if now_min + life < self._end[i]:
            self._end[i] = now_min + life
        if verified:
            self._mark(i, True)
        return i

    def _mark(self, i, verified):
        was = self.flags[i] & VERIFIED
        if verified and not was:
            self.flags[i] |= VERIFIED
            self.unverified -= 1
        elif was and not verified:
            self.flags[i] &= ~VERIFIED
            self.unverified += 1

    def pin(self, i: int, on: bool = True) -> None:
        if on:
            self.flags[i] |= PINNED
        else:
            self.flags[i] &= ~PINNED & 255

    def drop(self, node_id: bytes) -> bool:
        """Forget a node: its record was refused or its owner left. True when it was here."""
        i = self._index.get(node_id, -1)
        if i < 0:
            return False
        self._free(i)
        return True

    def _free(self, i):
        if not self.flags[i] & VERIFIED:
            self.unverified -= 1
        del self._index[self._ids[i]]
        self._ids[i] = None
        self.flags[i] = 0

    def _room(self, verified, now_min):
        """A free slot, making one by the rules; -1 when there is none to be had."""
        if verified or self.unverified < self._spare:
            if len(self._index) < self.slots:
                for i in range(self.slots):
                    if not self.flags[i]:
                        return i
            i = self._oldest(now_min, False)
            if i >= 0:
                self._free(i)
                return i
        # At the limit an ended slot is no help: it would make one unverified more.
        i = self._oldest(-1, True)
        if i < 0 and verified:
            i = self._lru()
        if i >= 0:
            self._free(i)
        return i

    def _oldest(self, now_min, unverified):
        """Least recent slot that has ended, or that is unverified."""
        i = self._prev[self.slots]
        while i != self.slots:
            f = self.flags[i]
            if f and (self._end[i] <= now_min or (unverified and not f & (VERIFIED | PINNED))):
                return i
            i = self._prev[i]
        return -1

    def _lru(self):
        i = self._prev[self.slots]
        while i != self.slots:
            if self.flags[i] and not self.flags[i] & PINNED:
                return i
            i = self._prev[i]
        return -1
