# floor 4: tables
# Fresh sockets for one punch: each is a new mapping at our NAT. RAM: 1.5 kB, while it goes on.
"""At most six at a time, as a board has ten sockets in all.

    pool = Pool(meet, punch, low, rtt)    low: bound to ports 600 to 1023
    pool.open(now) -> socket or None      pool.list: [socket, opened, asked last], the oldest first
    pool.roll(now, some, more) -> ms      one after the other towards the peer's known endpoint:
                                          quickly, then (`more`) slowly; 0: the last one is gone
    pool.settle(keep, all_)     pool.close()

Each lives a round trip and 100 ms, else the answer comes when it is closed; twice that if the
peer was heard by it. `pool.left`: packets that may still be sent, in all of a sweep.
"""

from . import ticks
from .compat import const
from .wire import ASK, SPRAYED

SOCKETS = const(6)
_MOST = const(1024)
_TICK_MS = const(10)
_LIFE_MS = const(100)  # beyond the round trip


class Pool:
    def __init__(self, meet, p, low, rtt):
        self.list = []
        self.left = _MOST
        self.opened = 0
        self.failed = 0  # times one after the other that none was to be had
        self._meet = meet
        self._p = p
        self._low = low
        self._life = rtt + _LIFE_MS

    def open(self, now):
        meet = self._meet
        for _ in range(8 if self._low else 1):
            port = 600 + meet.rng.getrandbits(16) % 424 if self._low else 0
            s = meet.node.sockets.open(port, meet.take)
            if s is not None:
                self.opened += 1
                self.failed = 0
                self.list.append([s, now, now])
                return s
        self.failed += 1
        return None

    def roll(self, now: int, some: bool, more: bool) -> int:
        live = self.list
        life = self._life
        for x in live:
            if ticks.diff(now, x[2]) > life // 2:
                x[2] = ticks.add(now, life)
                self._ask(x[0])
        if live and (len(live) >= SOCKETS or not some):
            self._close_first(now)
        if (some or more) and len(live) < SOCKETS and self.left > 0:
            s = self.open(now)
            if s is None:
                return 50
            self._ask(s)
            if not some:
                return life
            return max(4, life // SOCKETS if self.opened > SOCKETS else 4)
        return _TICK_MS if (live or more) and self.left > 0 else 0

    def _close_first(self, now):
        sock, opened, _ = self.list[0]
        age = ticks.diff(now, opened)
        if age >= 2 * self._life or age >= self._life and not self._p.heard_by(sock):
            self._p.forget(sock)
            sock.close()
            self.list.pop(0)

    def _ask(self, sock):
        for e in self._p.ends:
            if e.sock is None and self.left > 0:
                self.left -= 1
                self._p.send(ASK, e.addr, sock, SPRAYED)

    def settle(self, keep, all_: bool) -> None:
        """A way was found by socket `keep`; unless `all_`, those that heard the peer stay, too."""
        rest = []
        for x in self.list:
            s = x[0]
            if s is keep:
                continue  # who is told of the way has it now
            if not all_ and self._p.heard_by(s):
                rest.append(x)
            else:
                self._p.forget(s)
                s.close()
        self.list = rest

    def close(self) -> None:
        self.settle(None, True)
