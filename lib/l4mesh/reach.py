# floor 5: machines
# Knows which upstream tiers are there, by what they say and by pings. RAM: 60 B.
"""PING the nearest tier every 20 to 25 s (its answer keeps a NAT mapping alive), the farther ones
every 5 minutes; a silent tier with growing pauses (tiers.py). `up` is true while any tier that was
heard is not silent; each change is an EV_UPSTREAM. The first ping also brings the tier's cookie,
so that a later question costs one round trip.
"""

from . import ticks
from .compat import const
from .counters import C_UPSTREAM_TX
from .events import EV_UPSTREAM
from .peers import P_TIER
from .wire import T_PING, put30, u30

_PING_MS = const(20000)
_PING_SPREAD = const(5000)
_FAR_PING_MS = const(300000)
_REPLY_MS = const(500)


class Reach:
    def __init__(self, tiers, tx, peers, counters, events, rng):
        self._tiers = tiers
        self._tx = tx
        self._peers = peers
        self._count = counters
        self._events = events
        self._rng = rng
        self.up = False
        self.every_ms = _PING_MS  # longer where routers keep what rests (nat_life.py)

    def start(self, now: int) -> None:
        for t in self._tiers.list:
            t.due = now

    def _ping(self, t, cookie, now):
        self._count.inc(C_UPSTREAM_TX)
        tx = self._tx
        o = tx.begin(T_PING, t.peer, link=True, cookie=cookie)
        if cookie is None:
            t.pending = tx.counter
        put30(tx.buf, o, t.pending)
        tx.buf[o + 4 : o + 17] = bytes(13)
        tx.send(o + 17, t.addr)
        t.frame = tx.counter
        t.sent = now
        t.due = ticks.add(now, _REPLY_MS + 3 * t.rtt)

    def on_cookie(self, slot: int, counter: int, cookie: bytes, now: int) -> bool:
        """A tier wants proof of our address: at once for a ping, else by the next ping, now.

        The latter is for readings: a tier that was restarted asks for it at the next batch.
        """
        for t in self._tiers.list:
            if t.pending and t.frame == counter:
                self._ping(t, cookie, now)
                return True
        for t in self._tiers.list:
            if t.slot == slot and not t.pending:
                t.due = now
        return False

    def spoke(self, slot: int, addr: bytes, now: int) -> None:
        """Any frame with the node key from a tier's address shows that it is there."""
        t = self._tiers.of_addr(addr)
        if t is None:
            return
        if t.slot != slot or t.peer is None:
            t.slot = slot
            t.peer = self._peers.short_id(slot)
            self._peers.set_flag(slot, P_TIER)
        if self._tiers.answered(t, now):
            self.look()

    def missed(self, t, now: int) -> None:
        """A question to tier `t` got no word in time."""
        if self._tiers.missed(t, now, self._rng):
            self.look()

    def look(self) -> None:
        """Tell when the upstream as a whole came or went."""
        up = False
        for t in self._tiers.list:
            up = up or (t.up and t.heard)
        if up != self.up:
            self.up = up
            first = self._tiers.first_up()
            self._events.put((EV_UPSTREAM, up, first.level if up else 0))

    def on_pong(self, buf, off: int, now: int) -> bool:
        token = u30(buf, off)
        for t in self._tiers.list:
            if t.pending and t.pending == token:
                t.pending = 0
                self._tiers.answered(t, now, t.sent)
                every = self.every_ms + self._rng.getrandbits(20) % _PING_SPREAD
                t.due = ticks.add(now, every if t is self._tiers.first_up() else _FAR_PING_MS)
                self.look()
                return True
        return False

    def poll(self, now: int) -> int:
        wait = 60000
        for t in self._tiers.list:
            left = ticks.diff(t.due, now)
            if left <= 0:
                if t.pending:
                    t.pending = 0
                    self.missed(t, now)
                if ticks.diff(t.due, now) <= 0:
                    self._ping(t, None, now)
                left = ticks.diff(t.due, now)
            wait = left if left < wait else wait
        return wait if wait > 0 else 0
