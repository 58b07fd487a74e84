# floor 5: machines
# Asks neighbours for the records that their hellos name, one at a time. RAM: 60 B.
"""A neighbour whose record was neither checked nor is being checked (P_LAN without P_SIGNED and
P_FETCHED) is asked for its own record: a QUERY for its short id and eight zero bytes. One question
at a time, three tries each, the next neighbour by chance, so that twenty nodes that start together
do not ask in step.
"""

from . import ticks
from .compat import const
from .peers import P_FETCHED, P_LAN, P_SIGNED
from .wire import QUERY_LEN, T_QUERY, put30, u30

_REPLY_MS = const(250)
_TRIES = const(3)
_PAUSE_MS = const(1000)
_NEXT_MS = const(100)
_IDLE_MS = const(1000)
_STATE = P_LAN | P_SIGNED | P_FETCHED


class Fetch:
    def __init__(self, tx, peers, rng):
        self._tx = tx
        self._peers = peers
        self._rng = rng
        self._slot = -1
        self._peer = None
        self._token = 0
        self._frame = 0
        self._due = 0
        self._tries = 0
        self._sent = 0

    def poll(self, now: int) -> int:
        left = ticks.diff(self._due, now)
        if 0 < left <= _PAUSE_MS:
            return left
        if self._slot >= 0:
            self._tries += 1
            if self._tries < _TRIES and self._peers.find(self._peer) == self._slot:
                return self._ask(None, now)
            return self._stop(now, _PAUSE_MS)
        self._slot = self._next()
        if self._slot < 0:
            return self._stop(now, _IDLE_MS) if len(self._peers) else 60000
        self._peer = self._peers.short_id(self._slot)
        self._tries = 0
        return self._ask(None, now)

    def _next(self):
        n = self._peers.slots
        at = self._rng.getrandbits(16) % n
        for k in range(n):
            i = (at + k) % n
            if self._peers.flags(i) & _STATE == P_LAN:
                return i
        return -1

    def _stop(self, now, pause):
        self._slot = -1
        self._due = ticks.add(now, pause)
        return pause

    def _ask(self, cookie, now):
        tx = self._tx
        o = tx.begin(T_QUERY, self._peer, cookie=cookie)
        if cookie is None:
            self._token = tx.counter
        put30(tx.buf, o, self._token)
        tx.buf[o + 4 : o + 12] = self._peer
        tx.buf[o + 12 : o + QUERY_LEN] = bytes(10)
        tx.send(o + QUERY_LEN, self._peers.addr(self._slot))
        self._frame = tx.counter
        self._sent = now
        wait = _REPLY_MS + self._rng.getrandbits(7)
        self._due = ticks.add(now, wait)
        return wait

    def on_cookie(self, counter: int, cookie: bytes, now: int) -> bool:
        if self._slot < 0 or counter != self._frame:
            return False
        self._ask(cookie, now)
        return True

    def on_answer(self, slot: int, buf, off: int, now: int) -> bool:
        """True when this ANSWER is to our question for a neighbour's own record."""
        if self._slot < 0 or slot != self._slot or u30(buf, off) != self._token:
            return False
        self._peers.set_flag(slot, P_FETCHED)
        self._peers.timed(slot, ticks.diff(now, self._sent))
        self._stop(now, _NEXT_MS)
        return True
