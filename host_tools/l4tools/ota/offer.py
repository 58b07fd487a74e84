"""Offers a bundle to nodes through a HostNode, and gives the pieces that they ask for.

    async with Offers(host, bundle) as offers:
        code = await offers.give(node_id, addr, on_progress=f)      a code of REASONS

The nodes pull, so nothing is kept here but how far each has come; a node that restarts, or a
second `l4`, goes on where it was. A node is offered the bundle again when it says nothing.
"""

import asyncio
from collections.abc import Callable

from l4mesh import ota_manifest as manifest
from l4mesh.wire import HEAD, T_CHUNK, T_COOKIE, T_OFFER, T_WANT, TAG, put16, put30, u16, u30

from ..errors import Unavailable
from .bundle import Bundle

OFFER_LEN = 100
PIECE = 1024
CHUNK_HEAD = 10
_AGAIN_S = 2.0
_SILENT_S = 20.0
_PARTS = (0, 1)  # manifest, files; 2: nothing, and why

# {code: why a node wants nothing (more), and what to do}
REASONS = {
    manifest.N_HAVE: "It runs this version.",
    manifest.N_SOON: "It has all of it and starts it.",
    manifest.N_OLD: "It has seen version counter %d. Build again with --counter %d or above.",
    manifest.N_BUSY: "It is busy with another update. Try again in some minutes.",
    manifest.N_OWNER: "It does not know the owner's key. Provision it again: l4 provision",
    manifest.N_FORM: "It finds the manifest malformed. Use an l4 that fits its firmware.",
    manifest.N_SIGNATURE: "The bundle is not signed by its owner. Use that owner's network.",
    manifest.N_TARGET: "The bundle is for another chip or a newer MicroPython. Build for it.",
    manifest.N_ROOM: "Its flash is too full. Remove files from it, or make the update smaller.",
    manifest.N_HASH: "Files came damaged, 3 times. Build the bundle anew.",
    manifest.N_FLASH: "Its flash fails. Look at the board: l4 doctor",
    manifest.N_EXTRA: "Somebody else wrote into its update folder. Try again.",
    manifest.N_LATER: "It refused an update a moment ago. Try again in a minute.",
}


def reason(code: int, seen: int = 0) -> str:
    text = REASONS.get(code, "It refuses for a reason that this l4 does not know (%d)." % code)
    return text % (seen, seen + 1) if "%d" in text else text


class _Given:
    """One node: how far it is, and what ends it."""

    def __init__(self, addr, source):
        self.addr, self.source = addr, source
        self.frame = 0
        self.done = 0
        self.heard_s = 0.0
        self.future = asyncio.get_running_loop().create_future()


class Offers:
    def __init__(self, host, bundle: Bundle):
        self._host, self._node, self.bundle = host, host.node, bundle
        self._given: dict[bytes, _Given] = {}  # by short id
        self._before: tuple = ()

    async def __aenter__(self) -> "Offers":
        do = self._node.inbox._do
        cookie = do[T_COOKIE]
        self._before = cookie, do[T_WANT]
        do[T_COOKIE] = lambda *a: self._on_cookie(*a) or cookie(*a)
        do[T_WANT] = self._on_want
        return self

    async def __aexit__(self, *_) -> None:
        do = self._node.inbox._do
        do[T_COOKIE], do[T_WANT] = self._before

    async def give(
        self,
        node_id: bytes,
        addr: bytes | None = None,
        on_progress: Callable[[int], None] | None = None,
        source: bytes = bytes(8),
    ) -> tuple[int, int]:
        """(code, highest counter it has seen) when the node says that it wants nothing more.

        `source`: short id of a neighbour of it that has the bundle. Unavailable: it is silent.
        """
        if addr is None:
            addr = (await self._host.where(node_id, 5.0))[0]
        loop = asyncio.get_running_loop()
        g = self._given[node_id[:8]] = _Given(addr, source)
        g.heard_s = loop.time()
        said = -1
        sent_s = 0.0
        try:
            while True:
                now_s = loop.time()
                if now_s - g.heard_s > _SILENT_S:
                    raise Unavailable(
                        "%s does not take the offer: it is gone, refuses updates (ota in its "
                        "config), or its firmware knows none." % node_id.hex()
                    )
                if now_s - max(g.heard_s, sent_s) > _AGAIN_S or not sent_s:
                    sent_s = now_s
                    self._offer(node_id[:8], g)
                if on_progress is not None and g.done != said:
                    said = g.done
                    on_progress(said)
                try:
                    return await asyncio.wait_for(asyncio.shield(g.future), 0.1)
                except TimeoutError:
                    continue
        finally:
            del self._given[node_id[:8]]

    def _offer(self, peer, g, cookie=None):
        b = self.bundle
        tx = self._node.tx
        o = tx.begin(T_OFFER, peer, cookie=cookie)
        tx.buf[o : o + OFFER_LEN] = bytes(OFFER_LEN)
        put30(tx.buf, o, tx.counter)
        tx.buf[o + 4 : o + 20] = b.id
        put30(tx.buf, o + 20, b.counter)
        put16(tx.buf, o + 24, len(b.manifest))
        put30(tx.buf, o + 26, len(b.data))
        tx.buf[o + 30 : o + 38] = g.source
        tx.send(o + OFFER_LEN, g.addr)
        g.frame = tx.counter

    def _on_cookie(self, slot, buf, addr, now):
        o = self._node.gate.off
        for peer, g in self._given.items():
            if g.frame == u30(buf, o) and g.addr == addr:
                self._offer(peer, g, bytes(buf[o + 4 : o + 12]))
                return True
        return False

    def _on_want(self, slot, buf, addr, now):
        gate, b = self._node.gate, self.bundle
        o = gate.off
        sid = bytes(gate.sid)
        g = self._given.get(sid)
        if gate.linked or buf[o + 4 : o + 20] != b.id:
            return
        part, off, n = buf[o + 20], u30(buf, o + 22), u16(buf, o + 26)
        # What is asked for goes to a proven address only; a no is no work.
        if part in _PARTS and not self._node.inbox.allowed(slot, buf, addr, now):
            return
        if g is not None:
            g.heard_s = asyncio.get_running_loop().time()
        if part not in _PARTS:
            if g is not None and buf[o + 21] == manifest.N_WORK:
                g.done = max(off, 0)
            elif g is not None and not g.future.done():
                g.future.set_result((buf[o + 21], off))
            return
        if g is not None and part:
            g.done = max(off, 0)
        n = min(n, PIECE, 3 * (gate.end - o + HEAD + TAG) - HEAD - TAG - CHUNK_HEAD)
        piece = (b.data if part else b.manifest)[off : off + n] if off >= 0 and n > 0 else b""
        if piece:
            self._chunk(sid, addr, bytes(buf[o : o + 4]), part, off, piece)

    def _chunk(self, sid, addr, token, part, off, piece):
        tx = self._node.tx
        o = tx.begin(T_CHUNK, sid)
        tx.buf[o : o + 4] = token
        tx.buf[o + 4], tx.buf[o + 5] = part, 0
        put30(tx.buf, o + 6, off)
        o += CHUNK_HEAD
        tx.buf[o : o + len(piece)] = piece
        tx.send(o + len(piece), addr)
