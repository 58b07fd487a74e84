"""The authority's registry: who exists, where, and until when.

Two key-value buckets, keyed by the node id in hex:

- `l4_registry`: record (136 B) + endpoint seen (6 B), with per-key expiry. A key that expires
  leaves a marker for a minute, so other programs that watch the bucket see nodes go.
- `l4_epochs`: the newest record (136 B) ever taken, without expiry. A registration ends with its
  lifetime, but what was newest must not be forgotten with it: else an old record, kept by anyone,
  would be taken again. It is the whole record, not only its (epoch, counter), because a node that
  lost its epoch is shown its own signed record, also after the registration has expired.

Both are written with "expected last sequence of this key" (compare and set), epochs first. So of
two writers one wins, in this process or in another, and a crash between the two leaves a state
from which the node's next try of the same record goes on.

Look-ups are answered from memory: both buckets are followed from the start. With `shared=True`
(other processes write to the same cluster) a miss asks the bucket; alone, memory is the truth.
An expired key still has a message, the marker: that is why kv.get and kv.create of nats-py are
not used here (the first returns None as value, the second refuses until the marker is gone).
"""

import asyncio
import time
import weakref

from .connect import Conflict, StoreAway, ensure_bucket, last_message, write
from .follow import Follower

RECORD_LEN = 136
_TRIES = 8


def order(record: bytes) -> bytes:
    """(epoch, counter) of a record as 8 bytes: the greater, the newer."""
    return bytes(record[6:14])


class _Entry:
    """One node in memory. Sequence numbers are those of the keys' newest messages, 0 none."""

    __slots__ = ("newest", "epoch_seq", "record", "endpoint", "until_s", "seq")

    def __init__(self):
        self.newest = None
        self.epoch_seq = 0
        self.gone(0)

    def gone(self, seq):
        self.record = self.endpoint = None
        self.until_s = 0.0
        self.seq = seq


class Registry:
    """`await start()` first, `await stop()` last. Node ids are 16 bytes, endpoints 6.

    `marker_s`: how long an expired or deleted key's marker stays for others to see.
    """

    def __init__(
        self, js, bucket="l4_registry", epochs="l4_epochs", shared=False, replicas=1, marker_s=60
    ):
        self._js = js
        self._bucket, self._epochs = bucket, epochs
        self._shared, self._replicas, self._marker_s = shared, replicas, marker_s
        self._entries = {}  # node id -> _Entry
        self._short = {}  # first 8 bytes -> node id; the first one known keeps it
        self._locks = weakref.WeakValueDictionary()
        self._watchers = []
        self._followers = []

    async def start(self) -> None:
        """Make the buckets if need be and read them into memory. StoreAway if it can't."""
        await ensure_bucket(self._js, self._bucket, self._marker_s, self._replicas)
        await ensure_bucket(self._js, self._epochs, None, self._replicas)
        for bucket, on_item in ((self._epochs, self._on_epoch), (self._bucket, self._on_item)):
            follower = Follower(self._js, "KV_" + bucket, "$KV.%s.>" % bucket, on_item)
            self._followers.append(follower)
            await follower.start()

    async def stop(self) -> None:
        while self._followers:
            await self._followers.pop().stop()

    # -- look-ups ----------------------------------------------------------------------------

    async def get(self, node_id: bytes):
        """(record, endpoint, remaining seconds) or None. StoreAway only if `shared`."""
        entry = self._entries.get(node_id)
        if entry is None or entry.until_s <= time.time():
            if not self._shared:
                return None
            entry = self._entry(node_id)
            await self._reread(node_id)
            if entry.newest is None and entry.record is None:
                self._entries.pop(node_id, None)  # what is asked for must not fill memory
        remaining_s = int(entry.until_s - time.time())
        return (entry.record, entry.endpoint, remaining_s) if remaining_s > 0 else None

    def newest(self, node_id: bytes):
        """The newest record ever taken of a node, registered or not; None if never seen."""
        entry = self._entries.get(node_id)
        return entry.newest if entry else None

    def full_id(self, short_id: bytes):
        """Node id of a short id (8 B), also of nodes whose registration expired, or None."""
        return self._short.get(short_id)

    async def count(self) -> int:
        """Nodes registered now."""
        now_s = time.time()
        return sum(1 for e in self._entries.values() if e.until_s > now_s)

    async def watch(self, callback):
        """Call `callback(node_id, record, endpoint)` for all that is there, then at changes.

        Record and endpoint are None when a node is gone. Of changes that follow each other at
        once in another process only the last may be told. Returns a function that ends it.
        """
        for node_id, entry in list(self._entries.items()):
            if entry.until_s > time.time():
                callback(node_id, entry.record, entry.endpoint)
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    # -- changes -----------------------------------------------------------------------------

    async def put(self, node_id: bytes, record: bytes, endpoint: bytes, ttl_s) -> str:
        """Register; returns when it is on disk. StoreAway if the store can't take it now.

        "stored": new, or newer than what was known. "refreshed": the same record, its time
        starts anew. "older": refused, a newer one is known (`newest` has it), or the node has
        signed two different records with one number.
        """
        if len(node_id) != 16 or len(record) != RECORD_LEN or len(endpoint) != 6:
            raise ValueError("put takes a node id of 16, a record of 136 and an endpoint of 6 B")
        lock = self._locks.get(node_id)
        if lock is None:
            lock = self._locks[node_id] = asyncio.Lock()
        async with lock:
            known = self.newest(node_id) == record
            for _ in range(_TRIES):
                try:
                    if not await self._put(node_id, bytes(record), bytes(endpoint), ttl_s):
                        return "older"
                    return "refreshed" if known else "stored"
                except Conflict:
                    await self._reread(node_id)
        raise StoreAway("another writer was faster %d times" % _TRIES)

    async def _put(self, node_id, record, endpoint, ttl_s) -> bool:
        key, entry = node_id.hex(), self._entry(node_id)
        newest = entry.newest
        known = newest is not None and newest == record
        if newest is not None and not known and order(newest) >= order(record):
            return False
        if not known:
            subject = "$KV.%s.%s" % (self._epochs, key)
            seq = await write(self._js, subject, record, expect=entry.epoch_seq)
            self._set_newest(node_id, record, seq)
        ttl_s = max(1, int(ttl_s))
        sent_s = time.time()  # before the server's own time: never promise too much
        subject = "$KV.%s.%s" % (self._bucket, key)
        seq = await write(self._js, subject, record + endpoint, expect=entry.seq, ttl_s=ttl_s)
        self._set(node_id, seq, record, endpoint, sent_s + ttl_s)
        return True

    async def delete(self, node_id: bytes) -> bool:
        """End a registration; its newest record stays known. False if there was none."""
        entry = self._entries.get(node_id)
        if entry is None or entry.record is None:
            return False
        seq = await write(
            self._js,
            "$KV.%s.%s" % (self._bucket, node_id.hex()),
            b"",
            ttl_s=self._marker_s,
            headers={"KV-Operation": "PURGE", "Nats-Rollup": "sub"},
        )
        if seq > entry.seq:
            self._set_gone(node_id, seq)
        return True

    # -- memory ------------------------------------------------------------------------------

    def _entry(self, node_id) -> _Entry:
        entry = self._entries.get(node_id)
        if entry is None:
            entry = self._entries[node_id] = _Entry()
        return entry

    def _set_newest(self, node_id, record, seq) -> None:
        entry = self._entry(node_id)
        if seq > entry.epoch_seq:
            entry.newest, entry.epoch_seq = record, seq
            self._short.setdefault(node_id[:8], node_id)

    def _set(self, node_id, seq, record, endpoint, until_s) -> None:
        entry = self._entry(node_id)
        if seq <= entry.seq:  # an echo of our own write, or overtaken
            return
        changed = (entry.record, entry.endpoint) != (record, endpoint)
        entry.record, entry.endpoint, entry.until_s, entry.seq = record, endpoint, until_s, seq
        if changed:
            self._tell(node_id, record, endpoint)

    def _set_gone(self, node_id, seq) -> None:
        entry = self._entry(node_id)
        was_there = entry.record is not None
        entry.gone(seq)
        if was_there:
            self._tell(node_id, None, None)

    def _tell(self, node_id, record, endpoint) -> None:
        for callback in list(self._watchers):
            callback(node_id, record, endpoint)

    def _on_epoch(self, item) -> None:
        node_id = _node_id(item.subject)
        if node_id and len(item.data) == RECORD_LEN:
            self._set_newest(node_id, item.data, item.seq)

    def _on_item(self, item) -> None:
        node_id = _node_id(item.subject)
        if not node_id:
            return
        if len(item.data) == RECORD_LEN + 6:
            ttl_s = _ttl_s(item.headers.get("Nats-TTL"))
            record, endpoint = item.data[:RECORD_LEN], item.data[RECORD_LEN:]
            self._set(node_id, item.seq, record, endpoint, item.time_s + ttl_s)
        elif item.seq > self._entry(node_id).seq:
            # A marker: expired (Nats-Marker-Reason) or deleted (KV-Operation).
            self._set_gone(node_id, item.seq)

    async def _reread(self, node_id) -> None:
        """What the store has of this node, the marker included, straight from it."""
        key, entry = node_id.hex(), self._entry(node_id)
        msg = await last_message(self._js, "KV_" + self._epochs, "$KV.%s.%s" % (self._epochs, key))
        if msg and len(msg.data or b"") == RECORD_LEN:
            self._set_newest(node_id, msg.data, msg.seq)
        msg = await last_message(self._js, "KV_" + self._bucket, "$KV.%s.%s" % (self._bucket, key))
        data = (msg.data or b"") if msg else b""
        if len(data) != RECORD_LEN + 6:
            # Nothing, or a marker. After a marker's own end the expected sequence is 0 again.
            self._set_gone(node_id, msg.seq if msg else 0)
        elif msg.seq != entry.seq:
            ttl_s = _ttl_s((msg.headers or {}).get("Nats-TTL"))
            until_s = msg.time.timestamp() + ttl_s
            self._set(node_id, msg.seq, data[:RECORD_LEN], data[RECORD_LEN:], until_s)


def _node_id(subject: str):
    try:
        node_id = bytes.fromhex(subject.rpartition(".")[2])
    except ValueError:
        return None
    return node_id if len(node_id) == 16 else None


def _ttl_s(text) -> float:
    """Nats-TTL as we write it: whole seconds. Anything else counts as expired."""
    return int(text) if text and text.isdigit() else 0.0
