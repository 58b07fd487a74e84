# floor 6: pipeline
# Gives the update that this node runs to neighbours that ask for it. RAM: its manifest.
"""Serve: answers WANT with CHUNK, at most three times as long as what asked (docs/protocol.md 4).
Only a version that was judged good is given on, and only as it came: the receiver checks it all.
"""

from . import ota_manifest as manifest
from .compat import const
from .wire import HEAD, T_CHUNK, TAG, put30, u16, u30

CHUNK_HEAD = const(10)
PIECE = const(1024)


class Serve:
    def __init__(self, tx, store):
        self._tx = tx
        self._store = store
        self._id = b""
        self._m = b""

    def on_want(self, peer: bytes, addr: bytes, buf, o: int, end: int) -> None:
        if self._store.pending():
            self._store.refresh()
        slot = self._store.active()
        if not slot or self._store.pending():
            return
        if not self._id:
            self._m = self._store.manifest(slot)
            self._id = manifest.bundle_id(self._m)
        if buf[o + 4 : o + 20] != self._id:
            return
        part = buf[o + 20]
        off = u30(buf, o + 22)
        n = min(u16(buf, o + 26), PIECE, 3 * (end - o + HEAD + TAG) - HEAD - TAG - CHUNK_HEAD)
        tx = self._tx
        at = tx.begin(T_CHUNK, peer)
        b = tx.buf
        b[at : at + 4] = buf[o : o + 4]
        b[at + 4] = part
        b[at + 5] = 0
        put30(b, at + 6, off)
        at += CHUNK_HEAD
        n = self._piece(slot, part, off, tx.view[at : at + n]) if n > 0 and off >= 0 else 0
        if n > 0:
            tx.send(at + n, addr)

    def _piece(self, slot, part, off, into):
        if part == 0:
            piece = self._m[off : off + len(into)]
            into[: len(piece)] = piece
            return len(piece)
        if part == 1:
            for path, size, _ in manifest.files(self._m):
                if off < size:
                    return self._store.read(slot, path, off, into)
                off -= size
        return 0
