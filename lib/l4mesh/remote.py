# floor 5: machines
# Peers beyond this LAN that answer look-ups: a few, met through look-ups. RAM: 100 B each.
"""A look-up that ends at another L4 node gives its record. With a public endpoint that is not on
our LAN it may help us later, faster than L3: we ping it (and prove our address), and from its PONG
on it is a *remote* peer that resolve.py may ask. Pinged every 30 s, dropped after three silent
pings.
"""

from . import ticks
from .compat import const
from .endpoint import same_lan
from .peers import O_BATTERY, O_INTERVAL, O_LOAD, O_MODE, O_RTT, P_LAN, P_REMOTE
from .record import NO_ENDPOINT, O_LAN, O_PUBLIC, O_TIER
from .wire import STANDARD, T_PING, put30, u30

_EVERY_MS = const(30000)
_REPLY_MS = const(500)
_TRIES = const(3)


class _Place:
    def __init__(self):
        self.peer = None
        self.addr = None
        self.token = 0
        self.frame = 0
        self.sent = 0
        self.due = 0
        self.tries = 0


class Remote:
    def __init__(self, places: int, own, tx, peers):
        self._own = own
        self._tx = tx
        self._peers = peers
        self._all = [_Place() for _ in range(places)]

    def consider(self, rec, node_id: bytes, now: int) -> None:
        """A look-up gave this record: is it worth knowing better?"""
        if rec[O_TIER] != 4 or node_id == self._own.id:
            return
        addr = bytes(rec[O_PUBLIC : O_PUBLIC + 6])
        own = self._own
        if addr == NO_ENDPOINT:
            return
        # Every other home is 192.168.1.x too: on our LAN it has our public address as well.
        near = own.public == NO_ENDPOINT or own.public[:4] == addr[:4]
        if near and same_lan(rec[O_LAN : O_LAN + 6], own.lan):
            return
        sid = node_id[:8]
        i = self._peers.find(sid)
        if i >= 0 and self._peers.flags(i) & P_LAN:
            return
        free = None
        for p in self._all:
            if p.peer == sid:
                p.addr = addr
                return
            if p.peer is None:
                free = p
        if free is not None:
            free.peer = sid
            free.addr = addr
            free.tries = 0
            free.token = 0
            free.due = now

    def _ping(self, p, cookie, now):
        tx = self._tx
        o = tx.begin(T_PING, p.peer, cookie=cookie)
        if cookie is None:
            p.token = tx.counter
            p.tries += 1
        put30(tx.buf, o, p.token)
        tx.buf[o + 4 : o + 17] = bytes(13)
        tx.send(o + 17, p.addr)
        p.frame = tx.counter
        p.sent = now
        p.due = ticks.add(now, _REPLY_MS)

    def on_cookie(self, counter: int, cookie: bytes, now: int) -> bool:
        for p in self._all:
            if p.peer is not None and p.token and p.frame == counter:
                self._ping(p, cookie, now)
                return True
        return False

    def on_pong(self, slot: int, buf, off: int, addr: bytes, now: int) -> bool:
        token = u30(buf, off)
        sid = self._peers.short_id(slot)
        for p in self._all:
            if p.token and p.token == token and p.addr == addr and p.peer == sid:
                p.token = 0
                p.tries = 0
                if buf[off + 4] < STANDARD:  # it answers nobody: leave the place to another
                    p.peer = None
                    return True
                p.due = ticks.add(now, _EVERY_MS)
                peers = self._peers
                peers.set_addr(slot, addr)
                peers.set_flag(slot, P_REMOTE)
                peers.set(slot, O_MODE, buf[off + 4])
                peers.set(slot, O_BATTERY, buf[off + 5])
                peers.set(slot, O_LOAD, buf[off + 6])
                peers.set16(slot, O_INTERVAL, _EVERY_MS // 1000)
                peers.set16(slot, O_RTT, max(1, ticks.diff(now, p.sent) * 10))
                return True
        return False

    def poll(self, now: int) -> int:
        wait = 60000
        for p in self._all:
            if p.peer is None:
                continue
            left = ticks.diff(p.due, now)
            if left <= 0:
                if p.tries >= _TRIES:
                    i = self._peers.find(p.peer)
                    if i >= 0:
                        self._peers.set_flag(i, P_REMOTE, False)
                    p.peer = None
                    continue
                self._ping(p, None, now)
                left = _REPLY_MS
            wait = left if left < wait else wait
        return wait
