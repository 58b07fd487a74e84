# floor 9: links
# Tiers that UDP does not reach are reached by TCP. RAM: 8 kB with tcp_link.py, loaded then.
"""Where UDP is blocked, all that a node asks of its tiers goes by TCP: their endpoint becomes that
of a connection, and JOIN, QUERY, readings and relays work as ever.

    detour = Detour(node, where, make, remember)   where: [(level, 6-byte endpoint)]
    make(level, endpoint) -> TcpLink               not connected yet
    detour.silence(now)       nobody answers by UDP (also what ways.on_silence is for)
    detour.poll(now) -> ms    on its own it begins after 3 s without a word from any tier
    detour.on_change          f(now): a tier has another endpoint (ways.rerouted)
    detour.blocked            UDP does not pass; remember(True or False) is told when that changes

At most two connections, to the nearest and the farthest tier. Every 5 min a ping goes by UDP: an
answer, and that tier is asked by UDP again.
"""

from l4mesh import ticks
from l4mesh.backoff import Backoff
from l4mesh.compat import const
from l4mesh.links import TCP, of
from l4mesh.prng import XorShift
from l4mesh.wire import T_PING, put30, u16

_FIRST_MS = const(3000)
_LOOK_MS = const(1000)
_UDP_MS = const(300000)
_KEEP_MS = const(50000)


class _Side:
    def __init__(self, tier, link):
        self.tier = tier
        self.link = link
        self.udp = tier.addr
        self.pause = Backoff(1000, 60000)
        self.due = None  # when it is connected again
        self.test = None  # when UDP is tried


class Detour:
    def __init__(self, node, where, make, remember=None):
        self.node = node
        self.blocked = False
        self.on_change = None  # f(now): a tier has another endpoint
        self._remember = remember
        self._rng = XorShift(u16(node.id, 2) << 14 | u16(node.id, 8))
        self._since = None
        self.sides = []
        for t in node.tiers.list:
            for level, addr in where:
                if level == t.level and not any(s.tier is t for s in self.sides):
                    self.sides.append(_Side(t, make(level, addr)))
        if len(self.sides) > 2:
            self.sides = [self.sides[0], self.sides[-1]]
        of(node).serve(TCP, self.send)
        self._spoke = node.reach.spoke
        node.reach.spoke = self._heard

    def send(self, buf, n: int, addr: bytes) -> bool:
        for s in self.sides:
            if s.link.addr == addr:
                return s.link.send(buf, n)
        return False

    def silence(self, now: int) -> None:
        if not self.blocked:
            self._set(True)
            for s in self.sides:
                if not s.link.up:
                    s.due = now
            self.poll(now)

    def _set(self, blocked):
        if blocked != self.blocked:
            self.blocked = blocked
            if self._remember is not None:
                self._remember(blocked)

    def _heard(self, slot, addr, now):
        """Any frame of an upper tier, in place of reach.spoke."""
        for s in self.sides:
            if addr == s.udp and (self.blocked or s.tier.addr != s.udp):
                self._by_udp(s, now)
                self._set(False)
                for other in self.sides:
                    other.test = now
        self._spoke(slot, addr, now)

    def _by_udp(self, s, now):
        s.tier.addr = s.udp
        s.tier.due = now
        s.due = None
        s.link.close()
        self._changed(now)

    def _changed(self, now):
        if self.on_change is not None:
            self.on_change(now)

    def _by_tcp(self, s, now):
        t = s.tier
        t.addr = s.link.addr
        t.up = True
        t.missed = t.pending = 0
        t.pause.reset()
        t.due = now
        s.pause.reset()
        s.test = ticks.add(now, _UDP_MS + self._rng.getrandbits(16))
        if not self.node.member.joined:
            self.node.member.register(now)
        self._changed(now)

    def poll(self, now: int) -> int:
        node = self.node
        if node.reach.up or self._since is None:
            self._since = now
        elif not self.blocked and ticks.diff(now, self._since) >= _FIRST_MS:
            self.silence(now)
        wait = _LOOK_MS
        for s in self.sides:
            wait = min(wait, self._side(s, now))
        return max(0, wait)

    def _side(self, s, now):
        up = s.link.up
        left = s.link.poll(now)
        if s.link.up:
            if s.tier.addr != s.link.addr:
                self._by_tcp(s, now)
                return 0
            if ticks.diff(now, s.link.last) > _KEEP_MS and not s.tier.pending:
                s.tier.due = now  # the other end closes what is silent
            if ticks.diff(s.test, now) <= 0:
                s.test = ticks.add(now, _UDP_MS)
                self._test(s)
        elif up or s.tier.addr == s.link.addr:  # it broke
            s.tier.addr = s.udp
            self._changed(now)
            s.due = ticks.add(now, s.pause.next(self._rng))
        elif s.due is not None and s.link.real is None and ticks.diff(s.due, now) <= 0:
            s.due = ticks.add(now, s.pause.next(self._rng) + 8000)
            s.link.open(now)
            left = 0
        elif not self.blocked and s.link.real is not None:
            s.link.close()
        return left

    def _test(self, s):
        """Does UDP pass by now? The tier's COOKIE would be word enough."""
        if s.tier.peer is None:
            return
        tx = self.node.tx
        o = tx.begin(T_PING, s.tier.peer, link=True)
        put30(tx.buf, o, tx.counter)
        tx.buf[o + 4 : o + 17] = bytes(13)
        tx.send(o + 17, s.udp)

    def note(self) -> str:
        """A sentence for status."""
        ups = [s.link.level for s in self.sides if s.link.up]
        if ups:
            return "UDP does not pass; TCP to " + ", ".join("L%d" % u for u in ups)
        if self.blocked:
            return "no answer by UDP; " + "; ".join(s.link.why or "connecting" for s in self.sides)
        return "UDP"
