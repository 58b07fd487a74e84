"""DO and DONE at a tier: the owner takes a node out of the network, lets it in again, publishes
an event, or has a new group key taken.

Any member may send such a frame, so it counts only with the owner's signature over this tier's id,
the cookie of the moment and the order (docs/protocol.md 4). L1 writes the node down as revoked;
every tier forgets its key and record and takes its MQTT user away.
"""

import collections

from l4mesh import orders as do
from l4mesh.counters import C_BAD_PARSE, C_BAD_SIG
from l4mesh.orders import ORDER_HEAD, signed_text
from l4mesh.wire import F_COOKIE, HEAD, T_DONE, u30

from .. import fastsig
from ..errors import ToolError
from .connect import StoreAway, log
from .pushed import TIERS

_SIG = 64
_ID = 16
_GROUP = 33
ALSO_READINGS = 1  # in the argument of DO_REVOKE
# In the argument of DONE: what this tier had of the node.
HAD_REGISTRATION, HAD_RECORD, HAD_USER, HAD_READINGS = 1, 2, 4, 8


class TierOrders:
    def __init__(self, tier):
        self._tier = tier
        self._published = collections.deque(maxlen=64)  # ids of orders

    def on_do(self, slot, sid, buf, addr, started_ns):
        tier = self._tier
        if not tier.gate.linked or addr[0] == 0:
            tier.counters.inc(C_BAD_PARSE)
            return
        # Not only a proven address: the cookie in the frame shows that the order is no old one.
        if not buf[2] & F_COOKIE or not tier.cookies.good(addr, sid, buf, HEAD):
            tier.challenge(slot, buf, addr)
            return
        p = tier.opened(buf, sid) if tier.within(slot) else None
        if p is None:
            return
        status = self._check(p, bytes(buf[HEAD : HEAD + 8]))
        if status != do.DONE:
            self._reply(sid, addr, p, status)
        elif p[8] == do.DO_PUBLISH:
            self._reply(sid, addr, p, *self._publish(p))
        elif p[8] == do.DO_GROUP:
            self._reply(sid, addr, p, self._group(bytes(p[ORDER_HEAD : ORDER_HEAD + _GROUP])))
        else:
            tier.spawn(self._do(sid, addr, p))

    def _publish(self, p):
        """An event, its topic with its length before it: (status, subscribers of this tier)."""
        at = ORDER_HEAD + 1
        end = at + p[ORDER_HEAD]
        if self._tier.level != 1:
            return do.NOT_HERE, 0
        if p[:8] not in self._published:  # an order that comes again is the same event
            topic = bytes(p[at:end])
            if topic.startswith(TIERS) or not self._tier.pushed.publish(
                topic, bytes(p[end:-_SIG])
            ):
                return do.NOT_HERE, 0
            self._published.append(p[:8])
        return do.DONE, self._tier.pushed.asked_for_by(bytes(p[at:end]))

    def _group(self, group):
        """A newer group key: number 1, key 32. On disk before it is in use."""
        tier = self._tier
        keys = tier.keys
        if not 0 <= (group[0] - keys.number) & 255 <= 8:
            return do.NOT_HERE
        if group[0] != keys.number and not tier.save("group", group):
            return do.BUSY
        if not keys.rotate(group[0], group[1:], tier.minutes.minute):
            return do.NOT_HERE  # another key of the same number
        log.info("%s: the group key is number %d", tier.name, group[0])
        return do.DONE

    def _check(self, p, cookie):
        tier = self._tier
        if p[8] == do.DO_PUBLISH:
            if len(p) < ORDER_HEAD + 2 + _SIG or len(p) < ORDER_HEAD + 1 + p[ORDER_HEAD] + _SIG:
                return do.NOT_HERE
        elif p[8] == do.DO_GROUP:
            if len(p) != ORDER_HEAD + _GROUP + _SIG:
                return do.NOT_HERE
        elif p[8] not in (do.DO_REVOKE, do.DO_READMIT) or len(p) != ORDER_HEAD + _ID + _SIG:
            return do.NOT_HERE
        owner = tier.cfg.owner
        if owner is None:
            return do.NOT_HERE
        text = signed_text(tier.id, cookie, p[:-_SIG])
        if not fastsig.verify(owner, text, p[-_SIG:]):
            tier.counters.inc(C_BAD_SIG)
            return do.REFUSED
        node_id = p[ORDER_HEAD : ORDER_HEAD + _ID]
        if p[8] in (do.DO_REVOKE, do.DO_READMIT) and node_id in tier.tier_ids.values():
            return do.REFUSED  # it would cut off all that is below
        return do.DONE

    async def _do(self, sid, addr, p):
        node_id = p[ORDER_HEAD : ORDER_HEAD + _ID]
        out = p[8] == do.DO_REVOKE
        try:
            readings = u30(p, 10) == ALSO_READINGS
            had = await self._out(node_id, readings) if out else await self._back(node_id)
        except (StoreAway, ToolError) as e:
            log.warning("%s: the owner's order waits: %s", self._tier.name, e)
            self._reply(sid, addr, p, do.BUSY)
            return
        log.info("%s: %s %s", self._tier.name, node_id.hex(), "is revoked" if out else "is back")
        self._reply(sid, addr, p, do.DONE, had)

    async def _out(self, node_id, readings):
        tier, had = self._tier, 0
        stores = tier.stores
        if stores.revoked is not None:
            await stores.revoked.set(node_id, True)
        if stores.registry is not None and await stores.registry.delete(node_id):
            had |= HAD_REGISTRATION
        if stores.cache is not None and stores.cache.drop(node_id):
            had |= HAD_RECORD
        self._forget(node_id)
        if stores.access is not None and stores.access.revoke(node_id.hex()):
            had |= HAD_USER
            await stores.access.flush()
        if readings and stores.readings is not None and await stores.readings.delete(node_id):
            had |= HAD_READINGS
        return had

    async def _back(self, node_id):
        if self._tier.stores.revoked is not None:
            await self._tier.stores.revoked.set(node_id, False)
        self._forget(node_id)
        if self._tier.stores.cache is not None:
            self._tier.stores.cache.forget_unknown(node_id)
        return 0

    def _forget(self, node_id):
        self._tier.keyserve.keys.forget(node_id[:8])
        self._tier.keys.forget(node_id[:8])

    def _reply(self, sid, addr, p, status, had=0):
        payload = p[:9] + bytes((status,)) + had.to_bytes(4, "big")
        self._tier.reply(T_DONE, sid, addr, payload, sealed=True)
