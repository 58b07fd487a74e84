# floor 5: machines
# Signature checks, one at a time, in slices, each record once. RAM: 1.7 kB.
"""The queue of records whose Ed25519 signature is to be checked: 8 places, one check started a
second on a board (a check costs it 0.3 to 0.6 s), results kept by 16 bytes of the record's SHA-256
(with the 8 of a HELLO, a member could look for a good record of its own that has a forgery's
hash).

`add` takes a well-formed record; `poll` works one slice and calls `done(buf, off, life, good)`
when a result is there: `life` is what is left of the remaining lifetime in minutes.
"""

from array import array
from hashlib import sha256

from . import ticks
from .compat import const
from .counters import C_BAD_SIG, C_MEM_ERROR, C_SIG_OK, C_SIG_QUEUE_FULL
from .record import BODY, O_KEY, O_TIER, SIZE, signed_text

_PLACES = const(8)
_RESULTS = const(32)
_KEEP = const(17)  # hash 16, result 1


class Checker:
    def __init__(self, crypto, counters, done, every_ms: int = 1000):
        self._crypto = crypto
        self._count = counters
        self._done = done
        self._every = every_ms
        self._buf = bytearray(_PLACES * SIZE)
        self._life = array("H", [0] * _PLACES)
        self._since = array("I", [0] * _PLACES)
        self._hash = [None] * _PLACES
        self._n = 0  # first place to work on is 0; the queue is short
        self._job = None
        self._last = 0
        self._started = False
        self._known = bytearray(_RESULTS * _KEEP)
        self._at = 0

    def __len__(self):
        return self._n

    def result(self, h: bytes) -> int:
        """1 good, 0 bad, -1 not known, of a record with the 16-byte hash `h`."""
        k = self._known
        for i in range(0, _RESULTS * _KEEP, _KEEP):
            if k[i] == h[0] and k[i + 16] and k[i : i + 16] == h:
                return k[i + 16] - 1
        return -1

    def add(self, buf, off: int, life: int, now_min: int) -> bool:
        """Queue a record, or use the result that is known. False when the queue is full."""
        h = sha256(bytes(buf[off : off + SIZE])).digest()[:16]
        r = self.result(h)
        if r >= 0:
            self._done(buf, off, life, r == 1)
            return True
        for i in range(self._n):
            if self._hash[i] == h:
                if life < self._life[i]:
                    self._life[i] = life
                return True
        i = self._n
        if i >= _PLACES:
            self._count.inc(C_SIG_QUEUE_FULL)
            return False
        self._buf[i * SIZE : (i + 1) * SIZE] = buf[off : off + SIZE]
        self._life[i] = life
        self._since[i] = now_min
        self._hash[i] = h
        self._n = i + 1
        return True

    def poll(self, now: int, now_min: int) -> int:
        if self._job is not None:
            try:
                good = self._job.step()
            except MemoryError:  # the whole check once more, when there may be room
                self._job = None
                self._count.inc(C_MEM_ERROR)
                return self._every
            if good is None:
                return 0
            self._finish(good, now_min)
            return 0 if self._n else 60000
        if not self._n:
            return 60000
        if self._started:
            left = self._every - ticks.diff(now, self._last)
            if 0 < left <= self._every:
                return left
        self._started = True
        self._last = now
        b = self._buf
        self._job = self._crypto.Verify(
            bytes(b[O_KEY:O_TIER]), signed_text(b, 0), bytes(b[BODY:SIZE])
        )
        return 0

    def _finish(self, good, now_min):
        self._job = None
        self._count.inc(C_SIG_OK if good else C_BAD_SIG)
        o = self._at * _KEEP
        self._known[o : o + 16] = self._hash[0]
        self._known[o + 16] = 2 if good else 1
        self._at = (self._at + 1) % _RESULTS
        spent = now_min - self._since[0]
        life = self._life[0] - spent
        rec = bytes(self._buf[:SIZE])
        n = self._n - 1
        self._n = n
        self._buf[: n * SIZE] = self._buf[SIZE : (n + 1) * SIZE]
        for i in range(n):
            self._life[i] = self._life[i + 1]
            self._since[i] = self._since[i + 1]
            self._hash[i] = self._hash[i + 1]
        self._hash[n] = None
        self._done(rec, 0, life if life > 0 else 0, good)
