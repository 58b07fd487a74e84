"""The record cache of an L3 or L2 tier: bounded, in memory, written behind to its own bucket.

A record comes with the whole minutes it has left and is never kept longer than that, nor than the
lifetime it was signed with; `get` rounds down. `now_s` is time.time(): it goes into the bucket
(8 bytes after the record), so that a restart goes on with what was left.

Writing behind is best effort: it costs a look-up nothing, and a cache that loses half a second
asks once more. The bucket is a ring of twice the size, oldest out; what expires goes by itself.
"""

import asyncio
import time
from collections import OrderedDict

from nats.js import api

from .connect import Conflict, StoreAway, ensure_bucket, log, write
from .follow import read_all
from .registry import RECORD_LEN, order

_WRITE_EVERY_S = 0.5
_AT_ONCE = 200


class Cache:
    """`js` None = memory only. `await start()` reads the bucket, `stop()` writes the rest."""

    def __init__(self, js=None, bucket="l4_cache", size=10_000, negative_s=10, replicas=1):
        self._js, self._bucket, self._replicas = js, bucket, replicas
        self._size, self._negative_s = size, negative_s
        self._records = (
            OrderedDict()
        )  # node id -> (record, until_s, minutes told); oldest use first
        self._unknown = OrderedDict()  # node id -> until_s
        self._dirty = {}
        self._task = None

    def __len__(self) -> int:
        return len(self._records)

    async def start(self) -> int:
        """Returns how many records were read back. StoreAway if the store can't be read."""
        if self._js is None:
            return 0
        stream = await ensure_bucket(
            self._js,
            self._bucket,
            None,
            self._replicas,
            max_msgs=2 * self._size,
            discard=api.DiscardPolicy.OLD,
        )
        now_s = time.time()
        async for item in read_all(self._js, stream, "$KV.%s.>" % self._bucket, newest_only=True):
            self._read_back(item, now_s)
        self._task = asyncio.create_task(self._run())
        return len(self._records)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._write_dirty()

    def get(self, node_id: bytes, now_s=None):
        """(record, whole minutes left) or None. Counts as a use."""
        now_s = time.time() if now_s is None else now_s
        found = self._records.get(node_id)
        if found is None:
            return None
        record, until_s, told_min = found
        if until_s <= now_s:
            del self._records[node_id]
            return None
        self._records.move_to_end(node_id)
        # `told_min` caps it, should this machine's clock be set back.
        return record, min(told_min, int((until_s - now_s) // 60))

    def put(self, node_id: bytes, record: bytes, remaining_min: int, now_s=None) -> bool:
        """Keep a checked record. False if it is older than the one here, or has no time left."""
        now_s = time.time() if now_s is None else now_s
        remaining_min = min(remaining_min, int.from_bytes(record[69:71], "big"))
        if len(record) != RECORD_LEN or remaining_min <= 0:
            return False
        until_s = now_s + 60 * remaining_min
        found = self._records.get(node_id)
        if found is not None and found[1] > now_s:
            if order(record) < order(found[0]):
                return False
            if record == found[0] and until_s <= found[1]:
                return True
        self._keep(node_id, bytes(record), until_s, remaining_min)
        self._dirty[node_id] = self._records[node_id]
        return True

    def refresh_if_present(self, node_id, record, remaining_min, now_s=None) -> bool:
        """`put` for a node that is here: what only passes by must not wash out what is used."""
        present = node_id in self._records
        return present and self.put(node_id, record, remaining_min, now_s)

    def drop(self, node_id: bytes) -> bool:
        """Forget a node (revoked), here and in the store. False if it was not here."""
        found = self._records.pop(node_id, None)
        self.put_unknown(node_id)
        if found is not None:
            # Written over by one that ends at once: the bucket allows no deletes.
            self._dirty[node_id] = (found[0], time.time() + 2, 0)
        return found is not None

    def put_unknown(self, node_id: bytes, seconds=None, now_s=None) -> None:
        """The authority says there is no such node; believed for some seconds, in memory only."""
        now_s = time.time() if now_s is None else now_s
        self._unknown[node_id] = now_s + min(seconds or self._negative_s, 300)
        self._unknown.move_to_end(node_id)
        if len(self._unknown) > self._size:
            self._unknown.popitem(last=False)

    def unknown_s(self, node_id: bytes, now_s=None) -> int:
        """Seconds (rounded up) for which the node still counts as unknown, 0 if it doesn't."""
        now_s = time.time() if now_s is None else now_s
        left_s = self._unknown.get(node_id, 0) - now_s
        if left_s <= 0:
            self._unknown.pop(node_id, None)
            return 0
        return int(left_s) + 1

    def forget_unknown(self, node_id: bytes) -> None:
        """The node has just registered."""
        self._unknown.pop(node_id, None)

    # -- inside ------------------------------------------------------------------------------

    def _keep(self, node_id, record, until_s, told_min) -> None:
        self._unknown.pop(node_id, None)
        self._records[node_id] = (record, until_s, told_min)
        self._records.move_to_end(node_id)
        if len(self._records) > self._size:
            gone, _ = self._records.popitem(last=False)
            self._dirty.pop(gone, None)

    def _read_back(self, item, now_s) -> None:
        try:
            node_id = bytes.fromhex(item.subject.rpartition(".")[2])
        except ValueError:
            return
        if len(item.data) == RECORD_LEN + 8:
            record, until_s = item.data[:RECORD_LEN], int.from_bytes(item.data[RECORD_LEN:], "big")
            if until_s > now_s:
                lifetime_min = int.from_bytes(record[69:71], "big")
                until_s = min(until_s, now_s + 60 * lifetime_min)
                self._keep(node_id, record, until_s, lifetime_min)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            try:
                await self._write_dirty()
            except Exception:
                log.exception("cache: writing behind failed; trying again")

    async def _write_dirty(self) -> None:
        """Write what changed; what fails stays dirty, and the rest waits for the next turn."""
        while self._dirty:
            some = list(self._dirty.items())[:_AT_ONCE]
            done = await asyncio.gather(*(self._write_one(n, r) for n, r in some))
            for (node_id, record), good in zip(some, done, strict=True):
                if good and self._dirty.get(node_id) is record:
                    del self._dirty[node_id]
            if not all(done):
                return

    async def _write_one(self, node_id, kept) -> bool:
        record, until_s, _ = kept
        ttl_s = int(until_s - time.time())
        if ttl_s < 1:
            return True
        subject = "$KV.%s.%s" % (self._bucket, node_id.hex())
        try:
            data = record + int(until_s).to_bytes(8, "big")
            await write(self._js, subject, data, ttl_s=ttl_s)
        except (StoreAway, Conflict):
            return False
        return True
