"""Readings, stored once each, in one JetStream stream.

A message is one run of readings without a gap: subject
`l4r.<node id hex>.<queue id hex>.<first sequence>`, header `L4-Last` the last sequence, `L4-Via`
the neighbour that had them in custody, if one had; body the readings as in a BATCH
(docs/protocol.md 5), each with its length byte.

Once-only, with two locks on the door:

- In memory, the stored ranges of every (node, queue), read back from the stream at start. A batch
  that comes again, hours later, cut otherwise, after a restart, is reduced to what is missing.
- In the store, every message names the last sequence its (node, queue) must have (compare and set
  over `l4r.<node>.<queue>.*`). So a second writer, or an own write that came late after a
  time-out, is refused; then the new part of the stream is read and the rest tried again. The
  stream also takes one message a subject only (max_msgs_per_subject 1, discard new), which holds
  for writers that know nothing of this.

`add` returns after the JetStream acknowledgement, which the private server gives after the
fsync. What fails raises StoreAway ("not now") and is never acknowledged.
"""

import asyncio
import contextlib

from nats.js import api

from . import ranges as runs
from .connect import AWAY, Conflict, StoreAway, ensure_stream, write
from .follow import Follower, read_all

_LAST, _VIA = "L4-Last", "L4-Via"
_TRIES = 8
_SEQ_END = 1 << 32


class _Queue:
    __slots__ = ("ranges", "seq", "lock")

    def __init__(self):
        self.ranges = []
        self.seq = 0  # newest message of this queue in the stream
        self.lock = asyncio.Lock()


class Readings:
    """`await start()` first. Node ids are 16 bytes, queue ids 8, sequences below 2**32."""

    def __init__(self, js, stream="L4_READINGS", prefix="l4r", replicas=1, max_bytes=-1):
        self._js, self._stream, self._prefix = js, stream, prefix
        self._replicas, self._max_bytes = replicas, max_bytes
        self._queues = {}  # (node id, queue id) -> _Queue
        self._stored = self._again = self._refused = self._conflicts = 0

    async def start(self) -> None:
        """Make the stream if need be and read which ranges it holds. StoreAway if it can't."""
        config = api.StreamConfig(
            name=self._stream,
            subjects=[self._prefix + ".*.*.*"],
            max_msgs_per_subject=1,
            discard=api.DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_bytes=self._max_bytes,
            storage=api.StorageType.FILE,
            num_replicas=self._replicas,
            allow_direct=True,
        )
        await ensure_stream(self._js, config)
        self._queues.clear()
        self._stored = 0
        await self._read_ranges(self._prefix + ".>", 0)

    async def add(self, node_id: bytes, queue_id: bytes, first: int, readings, via=None) -> list:
        """Store a batch; each reading without its length byte. Returns `ranges()` of the queue.

        `via`: the node id of the custodian that brought it, 16 bytes.

        What is stored already is left out. StoreAway: not all of it is stored now.
        """
        if len(node_id) != 16 or len(queue_id) != 8:
            raise ValueError("a node id has 16 bytes and a queue id 8")
        if first < 0 or first + len(readings) > _SEQ_END:
            raise ValueError("reading sequences are from 0 to 2**32 - 1")
        if any(not 0 < len(r) < 256 for r in readings):
            raise ValueError("a reading has 1 to 255 bytes")
        key = (bytes(node_id), bytes(queue_id))
        queue = self._queues.get(key) or self._queues.setdefault(key, _Queue())
        async with queue.lock:
            try:
                fresh = await self._add(key, queue, first, readings, via)
            except StoreAway:
                self._refused += 1
                raise
            self._again += len(readings) - fresh
            return list(queue.ranges)

    async def _add(self, key, queue, first, readings, via) -> int:
        last, fresh, conflicts = first + len(readings) - 1, 0, 0
        while parts := runs.missing(queue.ranges, first, last):
            a, b = parts[0]
            try:
                queue.seq = await self._write(
                    key, a, readings[a - first : b - first + 1], queue.seq, via
                )
            except Conflict as e:
                # Somebody wrote to this queue, or the stream is full (the same error code).
                conflicts += 1
                self._conflicts += 1
                known = queue.seq
                await self._read_ranges(self._subject(key, "*"), known)
                if queue.seq == known or conflicts == _TRIES:
                    raise StoreAway(str(e)) from None
                continue
            runs.add(queue.ranges, a, b)
            self._stored += b - a + 1
            fresh += b - a + 1
        return fresh

    async def _write(self, key, first, readings, expect, via) -> int:
        body = b"".join(bytes((len(r),)) + r for r in readings)
        headers = {_LAST: str(first + len(readings) - 1)}
        if via is not None:
            headers[_VIA] = via.hex()
        return await write(
            self._js,
            self._subject(key, first),
            body,
            expect=expect,
            within=self._subject(key, "*"),
            headers=headers,
        )

    def ranges(self, node_id: bytes, queue_id: bytes) -> list:
        """Stored for good: [(first, last), ..] ascending."""
        queue = self._queues.get((node_id, queue_id))
        return list(queue.ranges) if queue else []

    async def senders(self) -> set:
        """Ids of the nodes that have readings in the stream; needs no start()."""
        found = set()
        items = read_all(self._js, self._stream, self._prefix + ".>", headers_only=True)
        async with contextlib.aclosing(items):
            async for item in items:
                where = _parse_subject(item.subject)
                if where is not None:
                    found.add(where[0])
        return found

    def stats(self) -> dict:
        """`stored`: readings in the stream; `again`: given again; the rest counts events."""
        return {
            "queues": len(self._queues),
            "stored": self._stored,
            "again": self._again,
            "refused": self._refused,
            "conflicts": self._conflicts,
        }

    async def iter_all(self, node_id=None):
        """Yield (node id, queue id, sequence, flags, time ms, error s, text, via), as stored."""
        subject = self._prefix + (".%s.*.*" % node_id.hex() if node_id else ".>")
        async with contextlib.aclosing(read_all(self._js, self._stream, subject)) as items:
            async for item in items:
                for reading in readings_of(item):
                    yield reading

    async def delete(self, node_id: bytes) -> int:
        """Delete all that a node ever delivered; how many readings. StoreAway if it can't now."""
        gone = [key for key in self._queues if key[0] == node_id]
        try:
            await self._js.purge_stream(
                self._stream, subject="%s.%s.*.*" % (self._prefix, node_id.hex())
            )
        except AWAY as e:
            raise StoreAway(str(e) or type(e).__name__) from None
        n = sum(runs.total(self._queues.pop(key).ranges) for key in gone)
        self._stored -= n
        return n

    def follower(self, on_item, node_id=None) -> Follower:
        """Give `on_item` every message there is, then each new one; `await .start()` it."""
        subject = self._prefix + (".%s.*.*" % node_id.hex() if node_id else ".>")
        return Follower(self._js, self._stream, subject, on_item)

    # -- inside ------------------------------------------------------------------------------

    def _subject(self, key, last) -> str:
        return "%s.%s.%s.%s" % (self._prefix, key[0].hex(), key[1].hex(), last)

    async def _read_ranges(self, subject, after) -> None:
        items = read_all(self._js, self._stream, subject, after, headers_only=True)
        async with contextlib.aclosing(items):
            async for item in items:
                where = _parse_subject(item.subject)
                last = item.headers.get(_LAST, "")
                if where is None or not last.isdigit() or int(last) < where[2]:
                    continue
                key = where[:2]
                queue = self._queues.get(key) or self._queues.setdefault(key, _Queue())
                before = runs.total(queue.ranges)
                runs.add(queue.ranges, where[2], int(last))
                self._stored += runs.total(queue.ranges) - before
                queue.seq = max(queue.seq, item.seq)


def readings_of(item):
    """What iter_all yields, of one message of the stream (follow.Item)."""
    where = _parse_subject(item.subject)
    if where is not None:
        node, queue, sequence = where
        via = _parse_via((item.headers or {}).get(_VIA))
        for reading in split_readings(item.data):
            yield (node, queue, sequence, *parse_reading(reading), via)
            sequence += 1


def _parse_subject(subject: str):
    """(node id, queue id, first sequence) of a stored message, or None if it isn't ours."""
    try:
        node, queue, first = subject.split(".")[-3:]
        return bytes.fromhex(node), bytes.fromhex(queue), int(first)
    except ValueError:
        return None


def _parse_via(text: str | None) -> bytes | None:
    try:
        return bytes.fromhex(text) if text else None
    except ValueError:
        return None


def split_readings(body: bytes) -> list:
    """The readings of a BATCH body or a stored message; [] if the lengths don't add up."""
    readings, at = [], 0
    while at < len(body):
        end = at + 1 + body[at]
        if end > len(body) or end == at + 1:
            return []
        readings.append(bytes(body[at + 1 : end]))
        at = end
    return readings


def parse_reading(reading: bytes) -> tuple:
    """(flags, time ms, error s or None if unknown, text); bad UTF-8 is replaced, never raised."""
    error_s = int.from_bytes(reading[7:9], "big")
    return (
        reading[0] if reading else 0,
        int.from_bytes(reading[1:7], "big"),
        None if error_s == 0xFFFF or len(reading) < 9 else error_s,
        reading[9:].decode("utf-8", "replace"),
    )
