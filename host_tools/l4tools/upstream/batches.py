"""BATCH and ACK: readings on their way up, acknowledgements on their way back.

L1 stores and answers after the store's own acknowledgement. L3 and L2 pass a batch on under
their own node key; the origin's id stays in it. They remember for some seconds which way a batch
of (origin, queue) came, and send the ACK back there, over MQTT if it came over MQTT.
"""

from bisect import bisect_right

from l4mesh import ticks
from l4mesh.counters import C_BAD_PARSE, C_NO_KEY
from l4mesh.wire import HEAD, T_ACK, T_BATCH, TAG, u30

from ..link import now_ms
from .connect import StoreAway
from .readings import split_readings

_HEAD = 29
_RANGES = 32
_ACK_HEAD = 26  # origin 16, queue 8, status 1, count 1
_ROUTE_MS = 8000
_ROUTES = 20_000
_STORED, _NOT_NOW = 0, 1


def most_ranges(n: int) -> int:
    """Ranges an ACK to a BATCH payload of `n` bytes may have: 3 times as long at most."""
    frame = HEAD + TAG
    return min(_RANGES, (3 * (n + frame) - frame - _ACK_HEAD) // 8)


def around(ranges: list, first: int, most: int) -> list:
    """At most so many of the ranges: those around `first`, if a queue has more holes than fit."""
    ranges = [r for r in ranges if r[1] < 1 << 30]
    middle = bisect_right(ranges, (first, 1 << 31)) + most // 2
    return ranges[max(0, min(middle, len(ranges)) - most) :][:most]


class Batches:
    def __init__(self, tier):
        self._tier = tier
        self._routes = {}  # (origin, queue id) -> (until, short id, address)

    def on_batch(self, slot, sid, buf, addr, started_ns):
        tier = self._tier
        if not tier.gate.linked or not tier.allowed(slot, buf, addr):
            return
        p = tier.opened(buf, sid)
        if p is None:
            return
        known = tier.keys.node(sid)
        first, readings = u30(p, 24), split_readings(p[_HEAD:])
        # A node speaks for itself; only a tier passes on what others said.
        right = sid in tier.below or (known is not None and known[0] == p[:16])
        if not right or first < 0 or not readings or len(readings) != p[28]:
            tier.counters.inc(C_BAD_PARSE)
            return
        if any(len(r) < 10 for r in readings):
            tier.counters.inc(C_BAD_PARSE)
        elif tier.level == 1 and p[:16] in tier.stores.revoked:
            tier.counters.inc(C_NO_KEY)  # a tier below still had its key
        elif tier.level == 1:
            most = most_ranges(len(p))
            tier.spawn(self._store(sid, addr, p[:16], p[16:24], first, readings, most))
        else:
            self._pass_up(sid, addr, p)

    async def _store(self, sid, addr, origin, queue_id, first, readings, most):
        """L1: answer when it is on disk, or when it is clear that it will not be now."""
        store = self._tier.stores.readings
        try:
            ranges, status = await store.add(origin, queue_id, first, readings), _STORED
        except StoreAway:
            ranges, status = store.ranges(origin, queue_id), _NOT_NOW
        self._ack(sid, addr, origin + queue_id, status, around(ranges, first, most))

    def _ack(self, sid, addr, of, status, ranges):
        body = b"".join(a.to_bytes(4, "big") + b.to_bytes(4, "big") for a, b in ranges)
        payload = of + bytes((status, len(ranges))) + body
        self._tier.reply(T_ACK, sid, addr, payload, sealed=True)

    # -- L3 and L2 ---------------------------------------------------------------------------

    def _pass_up(self, sid, addr, p):
        tier, of = self._tier, p[:24]
        if len(self._routes) >= _ROUTES and of not in self._routes:
            return
        self._routes[of] = (ticks.add(now_ms(), _ROUTE_MS), sid, addr)
        if not tier.uplinks.post(T_BATCH, p, sealed=True):
            self._ack(sid, addr, of, _NOT_NOW, [])

    def on_ack(self, slot, sid, buf, addr, started_ns):
        """From above: back the way the batch came."""
        tier = self._tier
        if sid not in tier.above:
            tier.counters.inc(C_BAD_PARSE)
            return
        p = tier.opened(buf, sid)
        route = self._routes.get(p[:24]) if p is not None else None
        if route is not None and not tier.reply(T_ACK, route[1], route[2], p, sealed=True):
            tier.counters.inc(C_NO_KEY)

    def expire(self, now) -> None:
        """Forget ways that were not needed."""
        gone = [k for k, r in self._routes.items() if ticks.diff(r[0], now) <= 0]
        for k in gone:
            del self._routes[k]
