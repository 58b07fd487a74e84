# floor 4: tables
# Round trips to neighbours, measured while somebody looks at them. RAM: loaded by that question.
"""PING (docs/protocol.md 4) to one neighbour of this LAN after the other, one every half second,
for a minute after each `look`: their answers go into the running mean of the peer table, as the
answers to look-ups do. Nobody who sleeps is asked.

    g = Gauge(node)      takes PONG and COOKIE before others do
    g.look(now)          g.poll(now) -> ms, by node.late
"""

from . import ticks
from .compat import const
from .wire import COOKIE_LEN, T_COOKIE, T_PING, T_PONG, put30, u30

_EVERY_MS = const(500)
_FOR_MS = const(60000)
_SLEEPS = const(4)
_P_LAN = const(2)  # peers.py, on the same floor: info.py loads this one
_O_SAID = const(60)


class Gauge:
    def __init__(self, node):
        self._node = node
        self._until = self._due = self._sent = 0
        self._at = -1  # the slot asked
        self._peer = None
        self._token = self._frame = 0  # 0: no answer is due
        self._on = False
        self._cookie = node.inbox.handle(T_COOKIE, self._on_cookie)
        self._pong = node.inbox.handle(T_PONG, self._on_pong)
        node.late.append(self)

    def look(self, now: int) -> None:
        if not self._on:
            self._due = now
        self._on = True
        self._until = ticks.add(now, _FOR_MS)

    def poll(self, now: int) -> int:
        if not self._on:
            return 60000
        left = ticks.diff(self._due, now)
        if 0 < left <= _EVERY_MS:
            return left
        self._on = ticks.diff(self._until, now) > 0
        self._due = ticks.add(now, _EVERY_MS)
        self._token = self._frame = 0
        p = self._node.peers
        for _ in range(p.slots):
            self._at = (self._at + 1) % p.slots
            if p.flags(self._at) & _P_LAN and not p.get(self._at, _O_SAID) & _SLEEPS:
                self._peer = p.short_id(self._at)
                self._ask(None, now)
                break
        return _EVERY_MS

    def _ask(self, cookie, now):
        tx = self._node.tx
        o = tx.begin(T_PING, self._peer, cookie=cookie)
        if cookie is None:
            self._token = tx.counter
        put30(tx.buf, o, self._token)
        tx.buf[o + 4 : o + 17] = bytes(13)
        tx.send(o + 17, self._node.peers.addr(self._at))
        self._frame = 0 if cookie else tx.counter
        self._sent = now

    def _on_cookie(self, slot, buf, addr, now):
        o = self._node.gate.off
        if self._node.gate.linked or not self._frame or u30(buf, o) != self._frame:
            return self._cookie(slot, buf, addr, now)
        if slot == self._at:
            self._ask(bytes(buf[o + 4 : o + 4 + COOKIE_LEN]), now)

    def _on_pong(self, slot, buf, addr, now):
        g = self._node.gate
        if g.linked or not self._token or u30(buf, g.off) != self._token:
            return self._pong(slot, buf, addr, now)
        if slot == self._at and self._node.peers.short_id(slot) == self._peer:
            self._token = self._frame = 0
            self._node.peers.timed(slot, ticks.diff(now, self._sent))
