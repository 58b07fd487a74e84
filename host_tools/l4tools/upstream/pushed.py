"""SUB and EVENT: what happens upstream is pushed to the nodes that asked for it.

An event enters at L1: by the owner's order (`l4 event`), or on NATS as `l4e.TOPIC` from whatever
else runs there. L1 gives it to its subscribers, L2 and L3 to theirs: a tier subscribes above to
what its own subscribers want. It is sent until it is acknowledged, four times at most, so it comes
once or more; nodes leave out what they have. It is not kept: who is not there then, misses it.
"""

import itertools
import logging
import os

from l4mesh import ticks
from l4mesh.counters import C_BAD_PARSE, C_LIMITED
from l4mesh.wire import MAX_PAYLOAD, T_EVENT, T_SUB, u16, u30

from ..link import now_ms

log = logging.getLogger("l4tools.upstream")

SUBJECT = "l4e."
TIERS = b"l4/"  # topics that begin so are for tiers only
HOLD_S = 600
MOST_DATA = MAX_PAYLOAD - 5 - 32
_TRIES = 4
_AGAIN_MS = 800
_SUBSCRIBERS = 20_000
_TOPICS = 8  # of a node; a tier below has more
_UNDER_WAY = 4000
_SEEN = 4096
_RENEW_MS = 120_000


class _Push:
    """One event on its way to one subscriber."""

    __slots__ = ("sid", "payload", "due", "tries")

    def __init__(self, sid, payload, now):
        self.sid, self.payload, self.due, self.tries = sid, payload, now, 0


class Pushed:
    """The subscriptions of a tier. `came` and `sent` are counted for status."""

    def __init__(self, tier):
        self._tier = tier
        self._subs = {}  # short id -> (until, address, set of topics)
        self._under_way = {}  # (short id, event id) -> _Push
        self._seen = dict.fromkeys(())  # ids of events, oldest first
        first = int.from_bytes(os.urandom(4), "big") >> 3
        self._numbers = itertools.count(first)
        self._asked = None  # (topics, when) of the subscription above
        self._own = {}  # topic -> f(data): what this tier itself wants to hear
        self.came = self.sent = self.given_up = 0
        self._nats = None

    async def start(self, nc) -> None:
        """L1 only: take events from NATS too."""

        async def arrived(msg):
            topic = msg.subject[len(SUBJECT) :].encode()
            if topic.startswith(TIERS) or not self.publish(topic, bytes(msg.data)):
                log.warning(
                    "An event on %s was left out: its topic is the tiers' own, or topic or data "
                    "are too long",
                    msg.subject,
                )

        self._nats = await nc.subscribe(SUBJECT + ">", cb=arrived)

    async def stop(self) -> None:
        sub, self._nats = self._nats, None
        if sub is not None:
            await sub.unsubscribe()

    # -- in ------------------------------------------------------------------------------------

    def publish(self, topic: bytes, data: bytes) -> bool:
        """A new event, at L1; False when it cannot be one."""
        if not 0 < len(topic) <= 32 or len(data) > MOST_DATA:
            return False
        number = next(self._numbers) % ((1 << 30) - 1) + 1
        self._give(number, topic, data)
        return True

    def listen(self, topic: bytes, told) -> None:
        """This tier itself wants to hear `topic`: told(data)."""
        self._own[topic] = told

    def asked_for_by(self, topic: bytes) -> int:
        """How many of this tier's own subscribers (nodes, tiers below) want it."""
        return sum(topic in sub[2] for sub in self._subs.values())

    def on_event(self, slot, sid, buf, addr, started_ns) -> None:
        """From the tier above."""
        tier = self._tier
        p = tier.opened(buf, sid) if sid in tier.above else None
        number = u30(p, 0) if p else -1
        if number < 0 or len(p) < 5 + p[4]:
            tier.counters.inc(C_BAD_PARSE)
        elif number == 0:
            if len(p) >= 7 and self._asked:
                hold_ms = min(u16(p, 5) * 500, _RENEW_MS)
                self._asked = self._asked[0], ticks.add(now_ms(), hold_ms)
        else:
            got = bytes((1,)) + p[:4] + b"\0"
            tier.reply(T_SUB, sid, addr, got, sealed=True)
            self._give(number, p[5 : 5 + p[4]], p[5 + p[4] :])

    def on_sub(self, slot, sid, buf, addr, started_ns) -> None:
        """From below: a subscription, or that an event has come."""
        tier = self._tier
        if not tier.gate.linked or not tier.allowed(slot, buf, addr):
            return
        p = tier.opened(buf, sid)
        if p is None:
            return
        if p[0] == 1:
            self._under_way.pop((sid, u30(p, 1)), None)
            return
        topics = _topics(p, None if sid in tier.below else _TOPICS)
        if topics and sid not in tier.below and any(t.startswith(TIERS) for t in topics):
            topics = None  # a node's business it is not
        if p[0] != 0 or topics is None:
            tier.counters.inc(C_BAD_PARSE)
            return
        if sid not in self._subs and len(self._subs) >= _SUBSCRIBERS:
            tier.counters.inc(C_LIMITED)
            return
        before = self._wanted()
        self._subs[sid] = ticks.add(now_ms(), HOLD_S * 1000), addr, topics
        tier.reply(T_EVENT, sid, addr, bytes(5) + HOLD_S.to_bytes(2, "big"), sealed=True)
        if self._wanted() != before:
            self._ask(now_ms())

    # -- out -----------------------------------------------------------------------------------

    def _give(self, number, topic, data):
        if number in self._seen:
            return
        self._seen[number] = None
        if len(self._seen) > _SEEN:
            del self._seen[next(iter(self._seen))]
        self.came += 1
        if topic in self._own:
            self._own[topic](data)
        payload = number.to_bytes(4, "big") + bytes((len(topic),)) + topic + data
        now = now_ms()
        for sid, (_, _, topics) in list(self._subs.items()):
            if topic in topics and len(self._under_way) < _UNDER_WAY:
                self._under_way[sid, number] = push = _Push(sid, payload, now)
                self._send(push, now)

    def _send(self, push, now):
        sub = self._subs.get(push.sid)
        if sub is None:
            return False
        push.tries += 1
        push.due = ticks.add(now, _AGAIN_MS * push.tries)
        if self._tier.reply(T_EVENT, push.sid, sub[1], push.payload, sealed=True):
            self.sent += 1
        return True

    def _wanted(self) -> frozenset:
        return frozenset(self._own).union(*(s[2] for s in self._subs.values()))

    def _ask(self, now):
        """Subscribe above to all that is wanted below."""
        tier, topics = self._tier, sorted(self._wanted())
        if tier.level == 1 or not topics:
            return
        body = bytearray(b"\0" + bytes(4) + bytes((min(len(topics), 255),)))
        for t in topics[:255]:
            if len(body) + len(t) >= MAX_PAYLOAD:
                log.warning("%s: too many topics; not all are subscribed above", tier.name)
                break
            body += bytes((len(t),)) + t
        self._asked = tuple(topics), ticks.add(now, 3000)
        tier.uplinks.post(T_SUB, bytes(body), sealed=True)

    def tick(self, now) -> None:
        """Send again what was not acknowledged; forget who does not renew."""
        for key, push in list(self._under_way.items()):
            if ticks.diff(push.due, now) > 0:
                continue
            if push.tries >= _TRIES or not self._send(push, now):
                del self._under_way[key]
                self.given_up += 1
        for sid in [s for s, sub in self._subs.items() if ticks.diff(sub[0], now) <= 0]:
            del self._subs[sid]
        if self._wanted_by_any and (self._asked is None or ticks.diff(self._asked[1], now) <= 0):
            self._ask(now)

    @property
    def _wanted_by_any(self) -> bool:
        return bool(self._subs or self._own)

    def stats(self) -> dict:
        return {"subscribers": len(self._subs), "events": self.came, "sent": self.sent,
                "given_up": self.given_up}  # fmt: skip


def _topics(p, most):
    """The topics of a SUB as a set, None when they are not well formed."""
    at, topics = 6, set()
    for _ in range(p[5]):
        if at >= len(p) or not 0 < p[at] <= 32 or at + 1 + p[at] > len(p):
            return None
        topics.add(bytes(p[at + 1 : at + 1 + p[at]]))
        at += 1 + p[at]
    if at != len(p) or not topics or (most is not None and len(topics) > most):
        return None
    return topics
