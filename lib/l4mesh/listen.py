# floor 5: machines
# Events that the upstream pushes to this node. RAM: loaded when the application subscribes.
"""EventListening: `topics` are subscribed at the nearest tier, again every five minutes and when
another tier is the nearest; an event comes once, however often it was sent.

    l = Listen(node, [b"alarm"], tell, rng)    tell(topic, data): bytes both
    l.on_event(slot, buf, addr, now)       an EVENT that passed the gate
    wait = l.poll(now)                     ms

SUB (docs/protocol.md type 29): what 1 (0 subscribe, 1 got it), number 4 (the event's id), count 1,
topics, each with its length. EVENT (type 30): id 4, length 1, topic, data; id 0 says that the
subscription holds, for the seconds in the data. Both are sealed by the node key.
"""

from . import ticks
from .backoff import Backoff
from .compat import const
from .counters import C_BAD_PARSE
from .seal import seal
from .wire import T_EVENT, T_SUB, put30, u16, u30

_MOST = const(8)  # topics
_RENEW_MS = const(300000)
_REPLY_MS = const(1500)
_KNOWN = const(16)  # ids of events that came


class Listen:
    def __init__(self, node, topics, tell, rng):
        if not 0 < len(topics) <= _MOST:
            raise ValueError("subscribe to 1 to 8 topics; fewer, or a shorter common one")
        for t in topics:
            if not 0 < len(t) <= 32:
                raise ValueError("topic %r must have 1 to 32 bytes" % t)
        self._node = node
        self._topics = topics
        self._tell = tell
        self._rng = rng
        self._backoff = Backoff(_REPLY_MS, 60000)
        self._tier = None  # where it is subscribed
        self._due = None
        self._seen = [0] * _KNOWN
        self._at = 0
        self.came = 0
        node.inbox.handle(T_EVENT, self.on_event)

    def poll(self, now: int) -> int:
        node = self._node
        tier = node.tiers.first_up()
        if tier is None or tier.peer is None or not node.member.joined:
            self._tier = None
            return 1000
        if tier is not self._tier:
            self._tier = tier
            self._backoff.reset()
            self._due = now
        left = ticks.diff(self._due, now)
        if left > 0:
            return min(left, 1000)
        self._send(0, 0, tier)
        wait = self._backoff.next(self._rng)
        self._due = ticks.add(now, wait)
        return min(wait, 1000)

    def _send(self, what, number, tier):
        tx = self._node.tx
        o = tx.begin(T_SUB, tier.peer, link=True, sealed=True)
        b = tx.buf
        b[o] = what
        put30(b, o + 1, number)
        topics = () if what else self._topics
        b[o + 5] = len(topics)
        o += 6
        for t in topics:
            b[o] = len(t)
            b[o + 1 : o + 1 + len(t)] = t
            o += 1 + len(t)
        tx.send(o, tier.addr)

    def on_event(self, slot: int, buf, addr: bytes, now: int) -> None:
        node = self._node
        g = node.gate
        key = node.keys.link_seal(None)
        tier = node.tiers.of_addr(addr)
        if not g.sealed or key is None or tier is None:
            return node.counters.inc(C_BAD_PARSE)
        b = bytearray(buf[: g.end])
        seal(key, b, 0, g.off, g.end)
        number = u30(b, g.off)
        data = g.off + 5 + b[g.off + 4]
        if number < 0 or data > g.end:
            return node.counters.inc(C_BAD_PARSE)
        if number == 0:
            if tier is self._tier and g.end - data >= 2:
                self._backoff.reset()
                hold = max(u16(b, data), 10) * 500  # half of it
                self._due = ticks.add(now, min(hold, _RENEW_MS) - self._rng.getrandbits(11))
            return None
        self._send(1, number, tier)
        topic = bytes(b[g.off + 5 : data])
        if number in self._seen or topic not in self._topics:
            return None
        self._seen[self._at] = number
        self._at = (self._at + 1) % _KNOWN
        self.came += 1
        self._tell(topic, bytes(b[data : g.end]))
        return None
