# floor 5: machines
# Registered with a few assistants, so that others can meet this node. RAM: 0.2 kB each.
"""Standing registrations (docs/protocol.md 9): at three assistants at most. The nearest tier and
the farthest (whoever wants us has that one, too), peers beyond the LAN, then neighbours.

    s = Standing(node, meet)     meet.nat is what it says of this node's NAT
    s.list                       places; .ok: registered, .seen: our endpoint as it sees it
    s.of(sid, addr)              the place, if we are (or want to be) registered there
    s.changed(now)               our NAT or address is another: tell all
    s.poll(now) -> ms

Each is told again every 20 to 25 s, which keeps the router's mapping open; the nearest tier is
pinged by reach.py anyway, so it is told only when half of the time it holds is over.
"""

from . import ticks
from .compat import const
from .peers import O_MODE, P_LAN, P_REMOTE
from .wire import STANDARD, T_REGISTER, put16, put30, u16, u30

_PLACES = const(3)
_LOOK_MS = const(2000)
_SOON_MS = const(300)
_KEEP_MS = const(20000)
_SPREAD_MS = const(5000)
_LEAST_MS = const(5000)
_SHUN_MS = const(60000)
_AGAIN_MS = const(15000)
# Ms from each REGISTER to the next, from the last to a pause.
_GAPS = (150, 250, 500, 1000, 2000)


class Place:
    def __init__(self, sid, addr, now):
        self.sid = sid
        self.addr = addr
        self.ok = False
        self.seen = None
        self.rtt = 0
        self.pinged = False  # somebody else keeps the mapping open
        self.due = now
        self.sent = 0
        self.asked = []  # [token, when] of those since it was last answered
        self.frame = 0


class Standing:
    def __init__(self, node, meet):
        self._node = node
        self._meet = meet
        self.list = []
        self._shun = {}
        self._look = None

    def of(self, sid, addr):
        for p in self.list:
            if p.sid == sid and p.addr == addr:
                return p
        return None

    def changed(self, now: int) -> None:
        for p in self.list:
            p.due = now
            p.sent = 0
        self._look = None

    def _wanted(self, now):
        """[(sid, addr, pinged)], the best first."""
        node = self._node
        out = []
        ups = [t for t in node.tiers.list if t.up and t.heard and t.peer and t.addr[0]]
        if ups:
            out.append((ups[0].peer, ups[0].addr, True))
            if len(ups) > 1:
                out.append((ups[-1].peer, ups[-1].addr, False))
        peers = node.peers
        for flag in (P_REMOTE, P_LAN):
            here = []
            for i in range(peers.slots):
                if peers.flags(i) & flag and peers.get(i, O_MODE) >= STANDARD:
                    addr = peers.addr(i)
                    sid = peers.short_id(i)
                    if addr[0] and ticks.diff(self._shun.get(sid, now), now) <= 0:
                        # Who has us already stays: a new place means a new mapping, maybe.
                        here.insert(0 if self.of(sid, addr) else len(here), (sid, addr, False))
            out += here
        return out[:_PLACES]

    def _choose(self, now):
        wanted = self._wanted(now)
        self.list = [p for p in self.list if (p.sid, p.addr) in [w[:2] for w in wanted]]
        for sid, addr, pinged in wanted:
            p = self.of(sid, addr)
            if p is None:
                p = Place(sid, addr, now)
                self.list.append(p)
            p.pinged = pinged

    def _register(self, p, now, cookie=None):
        node = self._node
        tx = node.tx
        o = tx.begin(T_REGISTER, p.sid, cookie=cookie)
        if cookie is None:
            if not p.sent:
                p.asked = []
            p.asked.append([tx.counter, now])
            p.due = ticks.add(now, _GAPS[p.sent])
            p.sent += 1
        p.asked[-1][1] = now
        b = tx.buf
        put30(b, o, p.asked[-1][0])
        b[o + 4 : o + 12] = self._meet.nat
        b[o + 12 : o + 18] = node.own.lan
        put16(b, o + 18, p.rtt)
        b[o + 20] = 0
        tx.send(o + 21, p.addr)
        p.frame = tx.counter

    def on_cookie(self, counter, cookie, now) -> bool:
        for p in self.list:
            if p.sent and p.frame == counter:
                self._register(p, now, cookie)
                return True
        return False

    def on_registered(self, sid, buf, o, addr, now) -> bool:
        """False: nobody asked for this."""
        p = self.of(sid, addr)
        if p is None or not p.sent:
            return False
        token = u30(buf, o)
        when = [x[1] for x in p.asked if x[0] == token]
        if not when:
            return False
        p.rtt = max(1, min(ticks.diff(now, when[0]), 2000))
        p.sent = 0
        p.ok = buf[o + 4] == 0
        if not p.ok:
            self.list.remove(p)
            if len(self._shun) >= 8:
                self._shun.clear()
            self._shun[sid] = ticks.add(now, _SHUN_MS)
            return True
        p.seen = bytes(buf[o + 5 : o + 11])
        keep = _KEEP_MS + self._meet.rng.getrandbits(20) % _SPREAD_MS
        hold = max(_LEAST_MS, u16(buf, o + 11) * 500)
        p.due = ticks.add(now, hold if p.pinged or hold < keep else keep)
        return True

    def poll(self, now: int) -> int:
        if self._look is None or ticks.diff(self._look, now) <= 0:
            self._choose(now)
            # Two are needed before ports are guessed: look often until there are.
            self._look = ticks.add(now, _LOOK_MS if len(self.list) > 1 else _SOON_MS)
        wait = ticks.diff(self._look, now)
        for p in self.list:
            left = ticks.diff(p.due, now)
            if left <= 0:
                if p.sent == len(_GAPS):  # silent: the others may do
                    p.ok = False
                    p.sent = 0
                    p.due = ticks.add(now, _AGAIN_MS)
                else:
                    self._register(p, now)
                left = ticks.diff(p.due, now)
            wait = left if left < wait else wait
        return wait
