"""CARRY and CARRIED: readings that come by a neighbour of their owner (docs/protocol.md 7).

A custodian sends what the owner sealed for L1. L3 and L2 pass it on as they do a BATCH; the
custodian's id stays in front. L1 opens it with the owner's key, stores the readings exactly as if
they had come in a BATCH, notes by whom they came, and answers with a word that only it and the
owner can make: the custodian takes it home.
"""

from l4mesh import blob, ticks
from l4mesh.counters import C_BAD_PARSE, C_BAD_TAG, C_NO_KEY
from l4mesh.keys import seal_key
from l4mesh.wire import HEAD, T_CARRIED, T_CARRY, TAG, u30

from ..link import now_ms
from .batches import around
from .connect import StoreAway
from .readings import split_readings
from .shown import CARRIED, event

_VIA = 16
_MOST = _VIA + blob.BLOB_MOST
_WORD_HEAD = 26  # origin 16, queue 8, status 1, count 1
_RANGES = 8
_ROUTE_MS = 8000
_ROUTES = 20_000
_STORED, _NOT_NOW, _REFUSED = 0, 1, 2


def most_ranges(n: int) -> int:
    """Ranges a CARRIED for a CARRY payload of `n` bytes may have: 3 times as long at most."""
    frame = HEAD + TAG
    return min(_RANGES, (3 * (n + frame) - frame - _VIA - _WORD_HEAD - blob.BLOB_TAG) // 8)


def _within(ranges, n) -> bool:
    return any(a <= n <= b for a, b in ranges)


class Carries:
    def __init__(self, tier):
        self._tier = tier
        self._routes = {}  # (custodian, origin, queue id) -> (until, short id, address)

    def on_carry(self, slot, sid, buf, addr, started_ns):
        tier, g = self._tier, self._tier.gate
        if not g.linked or not tier.allowed(slot, buf, addr):
            return
        p = bytes(buf[g.off : g.end])
        known = tier.keys.node(sid)
        # A custodian speaks for itself; only a tier passes on what others brought.
        right = sid in tier.below or (known is not None and known[0] == p[:_VIA])
        if not right or g.sealed or len(p) > _MOST or u30(p, _VIA + 24) < 0:
            tier.counters.inc(C_BAD_PARSE)
        elif tier.level > 1:
            self._pass_up(sid, addr, p)
        elif p[:_VIA] in tier.stores.revoked:
            tier.counters.inc(C_NO_KEY)  # a tier below still had its key
        else:
            self._open(sid, addr, p)

    # -- L1 ----------------------------------------------------------------------------------

    def _open(self, sid, addr, p):
        tier = self._tier
        via, origin, queue_id = p[:16], p[16:32], p[32:40]
        if origin in tier.stores.revoked:
            tier.counters.inc(C_NO_KEY)
            self._refuse(sid, addr, p)
            return
        keys = blob.keys_of(seal_key(tier.keyserve.keys.derive(origin)))
        b = bytearray(p[_VIA:])
        end = blob.unclose(keys, b, 0, len(b))
        readings = split_readings(bytes(b[blob.BLOB_HEAD : end])) if end > 0 else []
        if not readings:
            tier.counters.inc(C_BAD_TAG)
            self._refuse(sid, addr, p)
        elif len(readings) != b[28] or any(len(r) < 10 for r in readings):
            tier.counters.inc(C_BAD_PARSE)  # its owner's own mistake: it will not get better
            self._refuse(sid, addr, p)
        else:
            what = (origin, queue_id, u30(b, 24), readings, via)
            tier.spawn(self._store(sid, addr, keys, what, most_ranges(len(p))))

    async def _store(self, sid, addr, keys, what, most):
        """Answer when it is on disk, or when it is clear that it will not be now."""
        store = self._tier.stores.readings
        origin, queue_id, first, readings, via = what
        known = store.ranges(origin, queue_id)
        try:
            ranges, status = await store.add(origin, queue_id, first, readings, via), _STORED
            new = [r for i, r in enumerate(readings) if not _within(known, first + i)]
            if new:
                self._tier.pushed.publish(CARRIED, event(origin, via, new))
        except StoreAway:
            ranges, status = store.ranges(origin, queue_id), _NOT_NOW
        some = around(ranges, first, most)
        body = b"".join(a.to_bytes(4, "big") + b.to_bytes(4, "big") for a, b in some)
        word = origin + queue_id + bytes((status, len(some))) + body
        self._reply(sid, addr, via + word + blob.ack_tag(keys, word))

    def _refuse(self, sid, addr, p):
        """For the custodian only, so with no tag: this will never be stored."""
        self._reply(sid, addr, p[:40] + bytes((_REFUSED, 0)) + bytes(blob.BLOB_TAG))

    def _reply(self, sid, addr, payload) -> bool:
        return self._tier.reply(T_CARRIED, sid, addr, payload)

    # -- L3 and L2 ---------------------------------------------------------------------------

    def _pass_up(self, sid, addr, p):
        of = p[:40]
        if len(self._routes) >= _ROUTES and of not in self._routes:
            return
        self._routes[of] = (ticks.add(now_ms(), _ROUTE_MS), sid, addr)
        if not self._tier.uplinks.post(T_CARRY, p):
            self._reply(sid, addr, of + bytes((_NOT_NOW, 0)) + bytes(blob.BLOB_TAG))

    def on_carried(self, slot, sid, buf, addr, started_ns):
        """From above: back the way the blob came."""
        tier, g = self._tier, self._tier.gate
        if not g.linked or sid not in tier.above:
            tier.counters.inc(C_BAD_PARSE)
            return
        p = bytes(buf[g.off : g.end])
        route = self._routes.get(p[:40])
        if route is not None and not self._reply(route[1], route[2], p):
            tier.counters.inc(C_NO_KEY)

    def expire(self, now) -> None:
        """Forget ways that were not needed."""
        gone = [k for k, r in self._routes.items() if ticks.diff(r[0], now) <= 0]
        for k in gone:
            del self._routes[k]
