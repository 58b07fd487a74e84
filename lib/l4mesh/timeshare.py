# floor 5: machines
# Time from neighbours, for a node that nobody else tells it. RAM: loaded when asked or asking.
"""TIME both ways (docs/protocol.md type 24): a question and its answer have the same 13 bytes, so
no proof of the address is needed.

    share = TimeShare(node, wall, told)
    wall() -> (6 bytes, error s) or None      told(ms6, bound_s): somebody said the time
    share.on_time(slot, buf, addr, now)       a TIME frame that passed the gate
    share.poll(now) -> ms                     only while this node needs the time

A node without the time asks one neighbour after the other. With one neighbour only, its word
counts; with more, two that agree within what they claim: one with a wrong clock sets nobody's.
The bound grows by half the round trip and a second at each hand, so the nearest source wins.
"""

from . import ticks
from .compat import const
from .counters import C_BAD_PARSE, C_LIMITED
from .peers import P_LAN
from .wire import STANDARD, T_TIME, put16, u16

_ASK = const(0)
_TELL = const(1)
_REPLY_MS = const(1000)
_NEXT_MS = const(2000)
_ROUND_MS = const(30000)
_WORST_S = const(3600)  # a time that may be an hour wrong helps nobody
_HEARD = const(4)  # answers of a round that are compared


class TimeShare:
    def __init__(self, node, wall, told):
        self._node = node
        self._wall = wall
        self._told = told
        self._slot = -1  # the neighbour asked
        self._token = 0
        self._sent = 0
        self._at = 0  # where the round goes on
        self._heard = []  # (ms at `ref`, bound in ms)
        self._ref = 0

    def on_time(self, slot: int, buf, addr: bytes, now: int) -> None:
        g = self._node.gate
        o = g.off
        if buf[o] == _ASK:
            self._answer(slot, buf, o, addr, now)
        elif buf[o] != _TELL or slot != self._slot or u16(buf, o + 1) != self._token:
            self._node.counters.inc(C_BAD_PARSE)
        else:
            self._slot = -1
            self._take(buf, o, now)

    def _answer(self, slot, buf, o, addr, now):
        node = self._node
        if not node.limits.allow_id(slot, now):
            node.counters.inc(C_LIMITED)
            return
        t = self._wall() if node.serve.mode >= STANDARD else None
        if t is not None and t[1] < _WORST_S:
            self._send(_TELL, u16(buf, o + 1), t[0], t[1], bytes(buf[8:16]), addr)

    def _send(self, what, token, ms6, error_s, peer, addr):
        tx = self._node.tx
        o = tx.begin(T_TIME, peer)
        b = tx.buf
        b[o] = what
        put16(b, o + 1, token)
        b[o + 3 : o + 9] = ms6
        put16(b, o + 9, error_s)
        put16(b, o + 11, 0)
        tx.send(o + 13, addr)

    def _take(self, buf, o, now):
        """An answer: believed at once from an only neighbour, else when a second agrees."""
        bound = u16(buf, o + 9)
        if bound >= _WORST_S:
            return
        trip = ticks.diff(now, self._sent)
        ms = int.from_bytes(buf[o + 3 : o + 9], "big") + trip // 2
        if buf[o + 3] > 127:  # no date: what is added to it would not fit into 6 bytes
            return
        bound = bound * 1000 + trip // 2 + 1000
        if not self._heard:
            self._ref = now
        age = ticks.diff(now, self._ref)
        for other, error in self._heard:
            if abs(ms - age - other) <= bound + error:
                return self._agreed(min((bound, ms), (error, other + age)))
        self._heard.append((ms - age, bound))
        if self._neighbours() == 1:
            self._agreed((bound, ms))

    def _agreed(self, best):
        self._heard.clear()
        self._told(best[1].to_bytes(6, "big"), (best[0] + 999) // 1000)

    def _neighbours(self):
        p = self._node.peers
        return sum(1 for i in range(p.slots) if p.flags(i) & P_LAN)

    def poll(self, now: int) -> int:
        p = self._node.peers
        if self._slot >= 0:
            left = ticks.diff(ticks.add(self._sent, _REPLY_MS), now)
            if left > 0:
                return left
            self._slot = -1
        while self._at < p.slots:
            i = self._at
            self._at += 1
            if p.flags(i) & P_LAN and p.addr(i) != bytes(6):
                self._slot = i
                self._token = (self._token + 1) & 0xFFFF
                self._sent = now
                self._send(_ASK, self._token, bytes(6), 0, p.short_id(i), p.addr(i))
                return _REPLY_MS if len(self._heard) < _HEARD else _NEXT_MS
        self._at = 0
        self._heard.clear()  # a round in which no two agreed
        return _ROUND_MS if self._neighbours() else _NEXT_MS
