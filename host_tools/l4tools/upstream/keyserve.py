"""Node keys for the tiers below (KEYREQ, KEY), and from the tiers above.

Only a tier is answered, sealed. A tier may have the keys of nodes and of tiers below itself, so a
stolen L3 cannot speak as L2.
"""

import asyncio

from l4mesh.counters import C_BAD_PARSE, C_LIMITED
from l4mesh.wire import T_KEY, T_KEYREQ, put16, u16

from .connect import log
from .nodekeys import NodeKeys

_GOOD_MIN = {1: 60, 2: 30}
_HERE, _NO_NODE, _UNAVAILABLE = 0, 1, 3
_FETCH_S = 400  # questions a second to the tiers above, for names that may all be invented
_FETCH_BURST = 400


class KeyServe:
    def __init__(self, tier):
        self._tier = tier
        cfg = tier.cfg
        if cfg.tier == 1:
            self.keys = NodeKeys(master=cfg.master, find=self.find, revoked=self._revoked)
        else:
            self.keys = NodeKeys(fetch=self._ask)
        self._tokens, self._last_s = float(_FETCH_BURST), 0.0

    def find(self, short_id):
        """Full id of a short one, as far as this tier knows; L1 knows all that ever joined."""
        for node_id in self._tier.tier_ids.values():
            if node_id[:8] == short_id:
                return node_id
        registry = self._tier.stores.registry
        return registry.full_id(short_id) if registry is not None else None

    def _revoked(self, node_id):
        revoked = self._tier.stores.revoked
        return revoked is not None and node_id in revoked

    async def fetch(self, short_id, node_id=None):
        """(node id, key), or None: there is no such node, or nobody can be asked now."""
        try:
            return await self.keys.get(short_id, node_id)
        except _Away:
            return None

    async def _ask(self, short_id, node_id):
        now_s = asyncio.get_running_loop().time()
        gained = (now_s - self._last_s) * _FETCH_S
        self._tokens, self._last_s = min(_FETCH_BURST, self._tokens + gained), now_s
        if self._tokens < 1:
            self._tier.counters.inc(C_LIMITED)
            raise _Away
        self._tokens -= 1
        body = bytes(4) + short_id + (node_id or b"")
        answer = lambda p: p[4] in (_HERE, _NO_NODE)
        p = await self._tier.uplinks.ask(T_KEYREQ, body, answer, sealed=True)
        if p is None or not answer(p):
            raise _Away
        if p[4] == _NO_NODE:
            return None
        return p[5:21], p[21:53], max(1, u16(p, 53))

    def on_keyreq(self, slot, sid, buf, addr, started_ns):
        tier = self._tier
        level = tier.below.get(sid)
        if level is None:  # not a tier: no key for you, and no word either
            tier.counters.inc(C_BAD_PARSE)
            return
        if not tier.allowed(slot, buf, addr):
            return
        p = tier.opened(buf, sid)
        if p is None or len(p) not in (12, 28):
            return
        short_id, node_id = p[4:12], p[12:28] or None
        if node_id is not None and node_id[:8] != short_id:
            node_id = None
        asked = next((k for k, i in tier.tier_ids.items() if i[:8] == short_id), 4)
        if asked <= level:
            log.warning("%s: L%d asked for the key of L%d: refused.", tier.name, level, asked)
            self._reply(sid, addr, p[:4], _NO_NODE, None)
        else:
            tier.spawn(self._serve(sid, addr, p[:4], short_id, node_id))

    async def _serve(self, sid, addr, token, short_id, node_id):
        try:
            found = await self.keys.get(short_id, node_id)
            status = _HERE if found else _NO_NODE
        except _Away:
            found, status = None, _UNAVAILABLE
        self._reply(sid, addr, token, status, found)

    def _reply(self, sid, addr, token, status, found):
        node_id, key = found or (bytes(16), bytes(32))
        good = bytearray(2)
        put16(good, 0, _GOOD_MIN[self._tier.level] if found else 0)
        payload = token + bytes((status,)) + node_id + key + good
        self._tier.reply(T_KEY, sid, addr, payload, sealed=True)


class _Away(Exception):
    """Nobody above can be asked now."""
