"""The nodes that the owner took out of the network: a bucket of L1, kept for ever.

`l4_revoked`, key: node id in hex, value JSON {"at": s}. A node that is in it gets no key, no
registration and nothing stored, whatever it holds; `readmit` writes {"at": s, "back": true}.
All of it is in memory, too: it is asked at every join.
"""

import json
import time

from .connect import ensure_bucket, write
from .follow import Follower

_BUCKET = "l4_revoked"


class Revoked:
    """`await start()` first, `await stop()` last. Node ids are 16 bytes."""

    def __init__(self, js, bucket=_BUCKET, replicas=1):
        self._js, self._bucket, self._replicas = js, bucket, replicas
        self._ids = set()
        self._follower = None

    def __contains__(self, node_id: bytes) -> bool:
        return node_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    async def start(self) -> None:
        await ensure_bucket(self._js, self._bucket, None, self._replicas)
        subject = "$KV.%s.>" % self._bucket
        self._follower = Follower(self._js, "KV_" + self._bucket, subject, self._on_item)
        await self._follower.start()

    async def stop(self) -> None:
        if self._follower is not None:
            await self._follower.stop()

    async def set(self, node_id: bytes, out: bool) -> None:
        """Keep a node out, or let it in again; returns when it is on disk. StoreAway if not."""
        doc = {"at": int(time.time())} if out else {"at": int(time.time()), "back": True}
        subject = "$KV.%s.%s" % (self._bucket, node_id.hex())
        await write(self._js, subject, json.dumps(doc).encode())
        self._note(node_id, out)

    def _note(self, node_id, out):
        (self._ids.add if out else self._ids.discard)(node_id)

    def _on_item(self, item) -> None:
        try:
            node_id = bytes.fromhex(item.subject.rpartition(".")[2])
            out = "back" not in json.loads(item.data)
        except (ValueError, TypeError):
            return
        self._note(node_id, out)
