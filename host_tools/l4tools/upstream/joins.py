"""JOIN and JOINED: L3 and L2 pass a registration up, L1 makes it.

A tier that passes a JOIN on wraps what the node sent under its own node key: the same payload with
flag 1 (relayed), the node's full id in clear, and 6 bytes behind the record: the endpoint as the
first tier saw it. Only tiers may relay. L1 answers after the store has it on disk.
"""

import time

from l4mesh.counters import C_BAD_PARSE, C_BAD_RECORD, C_BAD_SIG
from l4mesh.keys import mqtt_password
from l4mesh.record import (
    BODY,
    O_KEY,
    O_LAN,
    O_LIFE,
    O_PUBLIC,
    O_TIER,
    SIZE,
    check_form,
    id_of,
    signed_text,
)
from l4mesh.wire import T_JOIN, T_JOINED, u16

from .. import fastsig
from ..errors import ToolError
from .connect import StoreAway, log
from .near import Near

_REGISTERED, _OLDER, _REFUSED, _UNAVAILABLE = range(4)
_RELAYED = 1
_LEN = 16 + 6 + SIZE
_AGAIN_S = 10


class Joins:
    def __init__(self, tier):
        self._tier = tier
        self._busy = set()  # (node id, token, record's counter) under way
        self.refused = 0
        self.near = Near()

    def on_join(self, slot, sid, buf, addr, started_ns):
        tier = self._tier
        if not tier.gate.linked or not tier.allowed(slot, buf, addr):
            return
        p = tier.opened(buf, sid)
        if p is None:
            return
        node_id, relayed = p[:16], p[21] & _RELAYED
        seen = p[_LEN:] if relayed else addr
        known = tier.keys.node(sid)
        right = sid in tier.below if relayed else known is not None and known[0] == node_id
        if len(p) != _LEN + (6 if relayed else 0) or not right:
            tier.counters.inc(C_BAD_PARSE)
            return
        if seen[0] == 0:  # it came over MQTT: the address is not known
            seen = bytes(6)
        lan = None if relayed else p[22 + O_LAN : 22 + O_PUBLIC]
        work = (sid, addr, p[16:20], lan)
        key = (sid, work[2], node_id, p[28:36])
        if key in self._busy:
            return
        self._busy.add(key)
        go = self._register if tier.level == 1 else self._pass_up
        if not tier.spawn(self._run(key, go(node_id, p, seen, known), work)):
            self._busy.discard(key)

    async def _run(self, key, work, to):
        try:
            answer = await work
        finally:
            self._busy.discard(key)
        sid, addr, token, lan = to
        if lan is not None and answer[0] == _REGISTERED:
            self.near.joined(sid, lan, addr)
        self._tier.reply(T_JOINED, sid, addr, token + answer, sealed=True)

    # -- L1 ----------------------------------------------------------------------------------

    async def _register(self, node_id, p, seen, known):
        """The JOINED payload behind its token."""
        tier = self._tier
        record = p[22 : 22 + SIZE]
        if not self._right(node_id, record):
            self.refused += 1
            return self._joined(_REFUSED, seen, p[20])
        minutes = u16(record, O_LIFE)
        registry = tier.stores.registry
        try:
            result = await registry.put(node_id, record, seen, 60 * minutes)
        except StoreAway:
            return self._joined(_UNAVAILABLE, seen, p[20])
        if result == "older":
            return self._joined(_OLDER, seen, p[20], newest=registry.newest(node_id))
        if known is not None and known[0] == node_id:
            self._grant(node_id, known[1])
        return self._joined(_REGISTERED, seen, p[20], minutes)

    def _right(self, node_id, record):
        """Is this a record that this node may have: form, id, tier, signature?"""
        tier = self._tier
        if not check_form(record, 0, SIZE, tier.net, True) or id_of(record, 0) != node_id:
            tier.counters.inc(C_BAD_RECORD)
            return False
        if tier.stores.revoked is not None and node_id in tier.stores.revoked:
            return False
        level = next((k for k, i in tier.tier_ids.items() if i == node_id), 4)
        if record[O_TIER] != level:  # who is a tier is the owner's word, not the record's
            tier.counters.inc(C_BAD_RECORD)
            return False
        if not fastsig.verify(record[O_KEY:O_TIER], signed_text(record, 0), record[BODY:]):
            tier.counters.inc(C_BAD_SIG)
            return False
        return True

    def _joined(self, status, seen, held, minutes=0, newest=None):
        keys = self._tier.keys
        again_s = max(_AGAIN_S, minutes * 30) if status == _REGISTERED else _AGAIN_S
        out = bytes((status, 1)) + seen + minutes.to_bytes(2, "big")
        out += min(again_s, 65535).to_bytes(2, "big")
        out += int(time.time() * 1000).to_bytes(6, "big") + bytes((keys.number,))
        if status == _REGISTERED and held != keys.number:
            out += keys.key
        return out + (newest or b"")

    # -- L3 and L2 ---------------------------------------------------------------------------

    async def _pass_up(self, node_id, p, seen, known):
        tier = self._tier
        body = p[:21] + bytes((p[21] | _RELAYED,)) + p[22 : 22 + SIZE] + seen
        answer = await tier.uplinks.ask(
            T_JOIN, body, lambda a: a[4] != _UNAVAILABLE, sealed=True, grace=2.0
        )
        if answer is None:
            out = bytes((_UNAVAILABLE, tier.level)) + seen + bytes(4)
            return out + int(time.time() * 1000).to_bytes(6, "big") + bytes((p[20],))
        if answer[4] == _REGISTERED:
            self._passed(node_id, p[22 : 22 + SIZE], u16(answer, 12), known)
        return answer[4:]

    def _passed(self, node_id, record, minutes, known):
        """A registration went through: what is cached of this node must not be older."""
        tier = self._tier
        tier.stores.cache.refresh_if_present(node_id, record, minutes)
        tier.stores.cache.forget_unknown(node_id)
        keys = tier.keyserve.keys
        if keys.peek(node_id[:8]) is None:  # it may have been asked for in vain before
            keys.forget(node_id[:8])
        if known is not None and known[0] == node_id:
            self._grant(node_id, known[1])

    def _grant(self, node_id, key):
        """Let the node in at this tier's MQTT listener, if it has one."""
        access = self._tier.stores.access
        if access is not None and access.grant(node_id.hex(), mqtt_password(key)):
            self._tier.spawn(self._flush(access))

    async def _flush(self, access):
        try:
            await access.flush()
        except ToolError as e:
            log.warning("%s: %s", self._tier.name, e)
