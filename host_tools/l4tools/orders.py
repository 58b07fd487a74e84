"""The owner's orders to nodes and tiers, through a HostNode (docs/protocol.md 4, DO and DONE).

    async with Orders(host_node) as orders:
        answer = await orders.give(node_id, DO_LOG, 65536, room=1100)       Answer
        await orders.give(tier_id, DO_REVOKE, body=node_id)

A board's frames carry its node key, which the owner derives from the master key; a tier is spoken
to under the host's own. The node answers the first frame with a cookie, and takes an order only
with it: so an order is sent at least twice, or with the cookie of the one before.
"""

import asyncio
import os
from typing import NamedTuple

from l4mesh.keys import mac_key, seal_key
from l4mesh.mac import Mac
from l4mesh.orders import BUSY, DONE, NOT_HERE, ORDER_HEAD, REFUSED, SIGNED, signed_text
from l4mesh.seal import seal
from l4mesh.wire import HEAD, MAX_PAYLOAD, T_COOKIE, T_DO, T_DONE, TAG, put30, u30

from . import fastsig
from .errors import Refused, ToolError, Unavailable

_TRY_S = 0.6
_TRIES = 6
_BUSY_S = 1.0
_SIG = 64
_COOKIE_S = 45.0  # a node takes a cookie for 60 s at least


class Answer(NamedTuple):
    arg: int
    data: bytes


class _Order:
    """One under way: `future` gets (status, argument, data)."""

    def __init__(self, peer, addr, head, body, room):
        self.peer, self.addr = peer, addr
        self.payload = head + body
        self.room = room  # bytes of data wanted back
        self.frame = 0
        self.future = asyncio.get_running_loop().create_future()


class Orders:
    def __init__(self, host):
        self._host, self._node, self._network = host, host.node, host.network
        self._under_way = {}  # order id -> _Order
        self._keys = {}  # short id -> (Mac, seal key, node id)
        self._cookies = {}  # (short id, address) -> (cookie, until)
        self._before = None

    async def __aenter__(self) -> "Orders":
        node = self._node
        do, keys = node.inbox._do, node.keys
        self._before = do.get(T_COOKIE), keys.link, keys.link_seal
        cookie, link, link_seal = self._before
        do[T_COOKIE] = lambda *a: self._on_cookie(*a) or cookie(*a)
        do[T_DONE] = self._on_done
        keys.link = lambda sid: self._keys[sid][0] if sid in self._keys else link(sid)
        keys.link_seal = lambda sid: self._keys[sid][1] if sid in self._keys else link_seal(sid)
        return self

    async def __aexit__(self, *_) -> None:
        do, keys = self._node.inbox._do, self._node.keys
        do[T_COOKIE], keys.link, keys.link_seal = self._before
        do.pop(T_DONE, None)

    async def give(
        self, target: bytes, kind: int, arg=0, body=b"", addr=None, room=0, timeout_s=8.0
    ) -> Answer:
        """Have an order carried out. Refused, Unavailable or ToolError say why it was not."""
        if target not in [self._network.tier_id(t) for t in (1, 2, 3)]:
            key = self._network.node_key(target)
            self._keys[target[:8]] = Mac(mac_key(key)), seal_key(key), target
        else:
            self._keys.pop(target[:8], None)
        head = bytearray(os.urandom(8) + bytes((kind, 1 if kind in SIGNED else 0)) + bytes(4))
        put30(head, 10, arg)
        addrs = [addr] if addr is not None else await self._host.where(target, timeout_s)
        end_s = asyncio.get_running_loop().time() + timeout_s
        for k in range(_TRIES * len(addrs)):
            order = _Order(target, addrs[k % len(addrs)], bytes(head), bytes(body), room)
            status, arg, data = await self._try(order, end_s)
            if status == DONE:
                return Answer(arg, data)
            if status == REFUSED:
                raise Refused(
                    "%s refuses: the order is not signed by the owner that it knows, or it is "
                    "about a tier. Provision the board again if it came from another network."
                    % target.hex()
                )
            if status == NOT_HERE:
                raise ToolError(
                    "%s cannot do that%s."
                    % (target.hex(), ": " + data.decode("utf-8", "replace") if data else "")
                    + " Look at its firmware and config.json."
                )
            if status == BUSY:
                await asyncio.sleep(_BUSY_S)
        raise Unavailable(
            "%s gives no answer. It may be asleep, switched off or behind a NAT, or its firmware "
            "knows no orders yet." % target.hex()
        )

    async def _try(self, order, end_s):
        oid = order.payload[:8]
        self._under_way[oid] = order
        loop = asyncio.get_running_loop()
        cookie, until_s = self._cookies.get((order.peer[:8], order.addr), (None, 0))
        self._send(order, cookie if loop.time() < until_s else None)
        try:
            left_s = max(0.05, min(_TRY_S, end_s - loop.time()))
            return await asyncio.wait_for(order.future, left_s)
        except TimeoutError:
            self._cookies.pop((order.peer[:8], order.addr), None)
            return None, 0, b""
        finally:
            self._under_way.pop(oid, None)

    def _send(self, order, cookie):
        tx = self._node.tx
        payload = order.payload
        if payload[9]:
            text = signed_text(order.peer, cookie or bytes(8), payload)
            payload += fastsig.sign(self._network.owner_seed, text) if cookie else bytes(_SIG)
        elif order.room:
            # An answer is at most three times as long as what asked for it.
            want = (order.room + ORDER_HEAD + HEAD + TAG + 2) // 3 - HEAD - TAG
            payload += bytes(max(0, min(want, MAX_PAYLOAD - 8) - len(payload)))
        o = tx.begin(T_DO, order.peer[:8], link=True, sealed=True, cookie=cookie)
        tx.buf[o : o + len(payload)] = payload
        tx.send(o + len(payload), order.addr)
        order.frame = tx.counter

    def _on_cookie(self, slot, buf, addr, now):
        g = self._node.gate
        counter = u30(buf, g.off)
        for order in self._under_way.values():
            if order.frame == counter and order.addr == addr and g.linked:
                cookie = bytes(buf[g.off + 4 : g.off + 12])
                until_s = asyncio.get_running_loop().time() + _COOKIE_S
                self._cookies[order.peer[:8], addr] = cookie, until_s
                self._send(order, cookie)
                return True
        return False

    def _on_done(self, slot, buf, addr, now):
        g = self._node.gate
        sid = bytes(buf[8:16])
        key = self._node.keys.link_seal(sid)
        if not (g.linked and g.sealed) or key is None:
            return
        b = bytearray(buf[: g.end])
        seal(key, b, 0, g.off, g.end)
        order = self._under_way.get(bytes(b[g.off : g.off + 8]))
        if order is None or order.peer[:8] != sid or b[g.off + 8] != order.payload[8]:
            return
        if not order.future.done():
            data = bytes(b[g.off + ORDER_HEAD : g.end])
            order.future.set_result((b[g.off + 9], u30(b, g.off + 10), data))
