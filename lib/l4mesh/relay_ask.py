# floor 5: machines
# The asking side of relays: places kept at one or two, channels asked for. RAM: 0.2 kB a relay.
"""Which relays: the nearest tier that is up, and the farthest (whoever wants us has that, too);
without any tier, members that say that they relay (relaying.py) and are no way themselves.

    asks = RelayAsk(node, opened)
    opened(place, token or 0, status, peer, channel, good_s, now)    a CALLED about a channel
    asks.ladder(now) -> [Place]          best first
    asks.call(place, what, peer) -> token
    asks.on_called(slot, buf, addr, now)    asks.on_cookie(counter, cookie) -> bool
    asks.poll(now) -> ms

Places are kept while `keep` (others are to find us) or `busy` (a peer may want to come back).
"""

from . import ticks
from .calls import O_CHANNEL, O_PEER, OPEN, RESERVE, put_call
from .compat import const
from .counters import C_BAD_PARSE
from .peers import P_LAN, P_REMOTE
from .prng import XorShift
from .record import CAP_RELAYS, O_CAPS, SIZE
from .wire import T_CALL, put30, u16, u30

_KEEP_MS = const(20000)
_SPREAD_MS = const(5000)
_LOOK_MS = const(1000)
_PLACES = const(2)
# Ms from each CALL to the next, from the last to a pause.
_GAPS = (150, 300, 600, 1200, 5000)


class Place:
    def __init__(self, sid, addr, linked, level, now):
        self.sid = sid
        self.addr = addr
        self.linked = linked  # a tier: under our node key
        self.level = level  # 4: a node
        self.ok = False  # we have a place there
        self.status = -1
        self.due = now
        self.sent = 0
        self.token = 0
        self.asked = None  # (counter, what, peer) of the newest frame


class RelayAsk:
    def __init__(self, node, opened):
        self._node = node
        self._opened = opened
        self.rng = XorShift(u16(node.id, 4) << 14 | u16(node.id, 6))
        self.keep = self.busy = False
        self.list = []
        self._look = None

    def ladder(self, now: int) -> list:
        if not self.list or self._look is None:
            self._choose(now)
        return list(self.list)

    def _wanted(self):
        """[(sid, addr, linked, level)]"""
        node = self._node
        ups = [t for t in node.tiers.list if t.up and t.heard and t.peer]
        out = [(t.peer, t.addr, True, t.level) for t in ups if t.level != 2]
        if len(out) > _PLACES:
            out = [out[0], out[-1]]
        return out or self._members()

    def _members(self):
        node = self._node
        out = []
        for i in range(node.routes.slots):
            node_id = node.routes.node_id(i)
            if node_id is None or not node.routes.slab[i * SIZE + O_CAPS + 1] & CAP_RELAYS:
                continue
            sid = node_id[:8]
            k = node.peers.find(sid)
            if k >= 0 and node.peers.flags(k) & (P_LAN | P_REMOTE):
                addr = node.peers.addr(k)
                if addr[0] and len(out) < _PLACES:
                    out.append((sid, addr, False, 4))
        return out

    def _choose(self, now):
        wanted = self._wanted()
        kept = [p for p in self.list if (p.sid, p.addr, p.linked, p.level) in wanted]
        for sid, addr, linked, level in wanted:
            if not any(p.sid == sid and p.addr == addr for p in kept):
                kept.append(Place(sid, addr, linked, level, now))
        kept.sort(key=lambda p: 9 - p.level if p.linked else 20)
        self.list = kept

    def changed(self, now: int) -> None:
        """Our address is another, or a tier's."""
        self._look = None
        for p in self.list:
            p.due = now
            p.sent = 0

    # frames

    def call(self, p, what: int, peer: bytes, cookie=None, token: int = 0) -> int:
        tx = self._node.tx
        o = tx.begin(T_CALL, p.sid, link=p.linked, cookie=cookie)
        token = token or tx.counter
        raw = bytearray(4)
        put30(raw, 0, token)
        p.asked = (tx.counter, what, peer, token)
        tx.send(put_call(tx.buf, o, raw, what, peer), p.addr)
        return token

    def on_cookie(self, counter: int, cookie: bytes) -> bool:
        for p in self.list:
            if p.asked is not None and p.asked[0] == counter:
                _, what, peer, token = p.asked
                self.call(p, what, peer, cookie, token)
                return True
        return False

    def on_called(self, slot: int, buf, addr: bytes, now: int) -> None:
        node = self._node
        g = node.gate
        o = g.off
        for p in self.list:
            if p.sid == g.sid and p.addr == addr and p.linked == g.linked:
                break
        else:  # nobody whom we asked for anything
            node.counters.inc(C_BAD_PARSE)
            return
        token = u30(buf, o)
        if buf[o + 4] == RESERVE:
            if token == p.token and p.sent:
                self._reserved(p, buf[o + 5], now)
            return
        if buf[o + 4] != OPEN:
            return
        peer = bytes(buf[o + O_PEER : o + O_PEER + 8])
        channel = bytes(buf[o + O_CHANNEL : o + O_CHANNEL + 8])
        self._opened(p, token, buf[o + 5], peer, channel, u16(buf, o + 22), now)

    def _reserved(self, p, status, now):
        p.status = status
        p.ok = status == 0
        p.sent = 0
        wait = _KEEP_MS + self.rng.getrandbits(20) % _SPREAD_MS
        p.due = ticks.add(now, wait if p.ok else 2 * wait)

    def poll(self, now: int) -> int:
        if self._look is None or ticks.diff(self._look, now) <= 0:
            self._choose(now)
            self._look = ticks.add(now, _LOOK_MS)
        wait = max(0, ticks.diff(self._look, now))
        if not self.keep and not self.busy:
            return wait
        for p in self.list:
            left = ticks.diff(p.due, now)
            if left <= 0:
                if p.sent == len(_GAPS):
                    p.ok = False
                    p.sent = 0
                p.token = self.call(p, RESERVE, bytes(8))
                left = _GAPS[p.sent]
                p.sent += 1
                p.due = ticks.add(now, left)
            wait = left if left < wait else wait
        return wait
