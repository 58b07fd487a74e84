# floor 6: pipeline
# Direct ways to nodes behind NATs: asks assistants, punches. RAM: 16 kB loaded, 1 kB each.
"""Meets others (docs/protocol.md 9). Loaded when a way is wanted, or to be reachable.

    meet = Meet(node)                   from now on registered with assistants, and can be called
    meet.set_nat(summary, now)          8 bytes of nat_type.py; default: nothing is known
    meet.connect(id16, now, told)       -> False: too much under way, ask again later
    meet.drop(sid, now)                 no more wanted: ends what is under way with this peer
    meet.moved(now)                     our own address changed
    meet.on_incoming = f                the same arguments as told: somebody else asked for us
    meet.close(now)

    told(sid, addr, sock, ms, why)      exactly once for an attempt that was asked for here, and
                                        once more with another addr if the two sides disagreed

`addr` is the first endpoint of the peer with a tagged round trip, over `sock` (of node.sockets;
its owner is who was told: set sock.take, close it) or over the node's own socket (None); `ms` is
since connect(). No way: addr None, and `why` says why. Of a way it says how: "direct" or "on this
network". It can take 10 s where ports have to be guessed: begin with a relay at the same time.
"""

from . import ticks
from .compat import const
from .counters import C_BAD_PARSE
from .endpoint import same_lan, usable
from .meet_ask import Asks
from .prng import XorShift
from .punch import Punch
from .standing import Standing
from .wire import ASK, SPRAYED, T_COOKIE, T_PROBE, T_PUNCH, T_PUNCHED, T_REGISTERED, u16, u30

_MOST = const(4)
_WAIT_MS = const(300)
_SAME = const(1)
_ASKED = const(2)
_NEWS = const(4)
_SYMMETRIC = const(5)


class Meet:
    def __init__(self, node, most: int = _MOST):
        self.node = node
        self.nat = bytes(8)
        self.rng = XorShift(u16(node.id, 0) << 14 | u16(node.id, 2))
        self.on_incoming = None
        self.standing = Standing(node, self)
        self.all = []
        self.sprays = []  # (short id, minute): with whom ports were guessed
        self._most = most
        self._sock = None  # where the frame came from that is being looked at
        handle = node.inbox.handle
        self._next = handle(T_COOKIE, self._cookie)
        handle(T_REGISTERED, self._registered)
        handle(T_PUNCH, self._punch)
        handle(T_PROBE, self._probe)
        node.late.append(self)

    def close(self, now: int) -> None:
        for p in list(self.all):
            self._end(p)
        node = self.node
        node.inbox.handle(T_COOKIE, self._next)
        for kind in (T_REGISTERED, T_PUNCH, T_PROBE):
            node.inbox.handle(kind, None)
        node.late.remove(self)

    def set_nat(self, summary: bytes, now: int) -> None:
        if summary != self.nat:
            self.nat = summary
            self.standing.changed(now)

    def moved(self, now: int) -> None:
        self.standing.changed(now)

    def connect(self, peer_id: bytes, now: int, told) -> bool:
        sid = peer_id[:8]
        if len(peer_id) != 16 or sid == self.node.short_id:
            raise ValueError("connect() takes the 16-byte id of another node.")
        if len(self.all) >= self._most and not self._spare():
            return False
        p = Punch(self, self.node.entropy(8), sid, True, now)
        p.told = told
        p.asks = Asks(self, p, peer_id, now)
        self.all.append(p)
        p.asks.poll(now)
        return True

    def drop(self, sid: bytes, now: int) -> None:
        for p in list(self.all):
            if p.peer == sid and p.way is None:
                self._end(p)

    def _spare(self):
        """Forget one that only lingers."""
        for p in self.all:
            if p.way is not None:
                self._end(p)
                return True
        return False

    def _end(self, p):
        p.end()
        self.all.remove(p)

    def found(self, p):
        """By a Punch: it has a way, or another one than before."""
        told = p.told if p.asked else self.on_incoming
        if told is not None:
            why = "on this network" if same_lan(p.way[0], self.node.own.lan) else "direct"
            told(p.peer, p.way[0], p.way[1], p.ms, why)
        elif p.way[1] is not None:
            p.way[1].close()  # nobody is there for it

    def lost(self, p, why):
        if p.asked and p.told is not None:
            p.told(p.peer, None, None, ticks.diff(p.now, p.born), why)

    def can_be(self, addr):
        """May packets go there before anything came from it? Mapped ports can be below 1024."""
        return addr[4] > 1 and usable(addr[:4] + b"\x10\x08", self.node.loopback)

    def take(self, buf, n, addr, now, sock):
        """What comes by a socket of ours: frames pass the gate as all others do."""
        self._sock = sock
        self.node.receive(buf, n, addr, now)
        self._sock = None

    def find(self, attempt):
        for p in self.all:
            if p.attempt == attempt:
                return p
        return None

    # frames

    def _cookie(self, slot, buf, addr, now):
        g = self.node.gate
        o = g.off
        if not g.linked:
            counter = u30(buf, o)
            cookie = bytes(buf[o + 4 : o + 12])
            if self.standing.on_cookie(counter, cookie, now):
                return None
            for p in self.all:
                if p.asks is not None and p.asks.on_cookie(counter, cookie, now):
                    return None
                if p.on_cookie(counter, cookie, now):
                    return None
        return self._next(slot, buf, addr, now)

    def _bad(self):
        self.node.counters.inc(C_BAD_PARSE)

    def _registered(self, slot, buf, addr, now):
        g = self.node.gate
        if g.linked or not self.standing.on_registered(g.sid, buf, g.off, addr, now):
            self._bad()

    def _punch(self, slot, buf, addr, now):
        """An assistant's word: the peer is there, and it begins as well."""
        g = self.node.gate
        o = g.off
        sid, flags = g.sid, buf[o + 9]
        p = self.find(bytes(buf[o : o + 8]))
        peer = bytes(buf[o + 10 : o + 18])
        if g.linked or peer == self.node.short_id or flags & _ASKED and p is None:
            return self._bad()
        if p is None or not p.asked:
            if flags & _ASKED or self.standing.of(sid, addr) is None:
                return self._bad()  # anybody may say anything
            if p is None:
                if buf[o + 8] or flags & _NEWS:
                    return None
                if len(self.all) >= self._most and not self._spare():
                    return self.punched(buf[o : o + 8], sid, addr, 1)
                p = Punch(self, bytes(buf[o : o + 8]), peer, False, now)
                self.all.append(p)
            self.punched(p.attempt, sid, addr, 0)
        elif not p.asks.heard(sid, addr, buf[o + 8]):
            return self._bad()
        if p.peer != peer or p.way is not None or p.over:
            return None
        if buf[o + 8] == 0:
            self._go(p, sid, addr, buf, o, now)
        return None

    def punched(self, attempt, sid, addr, status, nat=None):
        tx = self.node.tx
        o = tx.begin(T_PUNCHED, sid)
        b = tx.buf
        b[o : o + 8] = attempt
        b[o + 8] = status
        b[o + 9] = 0 if nat is None else 1
        b[o + 10 : o + 18] = nat or self.nat
        tx.send(o + 18, addr)

    def _go(self, p, sid, by, buf, o, now):
        """Begin with what this assistant knows of the peer."""
        end = bytes(buf[o + 18 : o + 24])
        lan = bytes(buf[o + 32 : o + 38])
        news = buf[o + 9] & _NEWS
        if news or not p.news:  # else this assistant has the older word
            p.nat = bytes(buf[o + 24 : o + 32])
        p.news = p.news or news > 0
        p.by[sid] = end[:4]
        p.at[sid] = by
        own = self.node.own.lan  # every other home has our addresses, too
        if buf[o + 9] & _SAME and same_lan(lan, own) and lan[:4] != own[:4]:
            p.reach(lan)
        p.reach(end)
        p.begin(now, min(u16(buf, o + 38), _WAIT_MS))
        hard = self.nat[0] == _SYMMETRIC or p.nat[0] == _SYMMETRIC
        if p.sweep is not None:
            p.sweep.news(news)
        elif hard:
            from .punch_sweep import sweep_of

            sweep_of(self, p, now)

    def _probe(self, slot, buf, addr, now):
        g = self.node.gate
        o = g.off
        what = buf[o + 8]
        if g.linked or bytes(buf[o + 9 : o + 17]) != self.node.short_id or not what & 3:
            return self._bad()
        p = self.find(bytes(buf[o : o + 8]))
        if p is not None:
            return p.take(what, buf[o + 17], addr, self._sock, now) if p.peer == g.sid else None
        # Nobody announced it: a neighbour, or we have an address of our own. Proof first.
        if what != ASK or buf[o + 17] == SPRAYED or not self.can_be(addr):
            return None
        if self.node.inbox.allowed(slot, buf, addr, now):
            if len(self.all) < self._most or self._spare():
                p = Punch(self, bytes(buf[o : o + 8]), g.sid, False, now)
                p.begin(now)
                self.all.append(p)
                p.take(what, buf[o + 17], addr, self._sock, now)
        return None

    def poll(self, now: int) -> int:
        wait = self.standing.poll(now)
        for p in list(self.all):
            p.now = now
            if p.asks is not None and p.way is None and not p.over:
                w = p.asks.poll(now)
                wait = w if w < wait else wait
            w = p.poll(now) if not p.over else 0
            wait = w if w < wait else wait
        self.all = [p for p in self.all if not p.over]
        return wait
