"""Reading a JetStream stream in order: once to its end, or for ever.

A push consumer in the server's memory with heartbeats and flow control. nats-py's own ordered
consumer is not used: this one also survives a server that was killed and forgot the consumer. A
gap, silence (no message and no heartbeat for three seconds) or any error makes a new consumer
that starts after the last message seen, so nothing is skipped and nothing comes twice.
"""

import asyncio
import collections
import contextlib

from nats.js import api

from .connect import AWAY, StoreAway, log

_HEARTBEAT_S = 1.0
_SILENT_S = 3.0
_AGAIN_S = 0.1

# One message: sequence in the stream, its time (s since 1970), subject, data, headers (a dict).
Item = collections.namedtuple("Item", "seq time_s subject data headers")


class _Consumer:
    """One push consumer; `start` makes it, `take` gives what has arrived."""

    def __init__(self, js):
        self._js = js
        self._nc = js._nc
        self._arrived = []
        self._event = asyncio.Event()
        self._sub = None
        self._name = self._stream = None
        self._next = 1  # consumer sequence that must come next
        self._last_sent = None  # as the newest heartbeat says: the server is idle after it
        self.idle = False  # everything the server had has been taken

    async def start(self, stream, subject, after, newest_only, headers_only) -> int:
        """Returns how many messages are waiting."""
        inbox = self._nc.new_inbox()
        self._sub = await self._nc.subscribe(
            inbox, cb=self._arrive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        config = api.ConsumerConfig(
            deliver_subject=inbox,
            filter_subject=subject,
            ack_policy=api.AckPolicy.NONE,
            max_deliver=1,
            mem_storage=True,
            num_replicas=1,
            idle_heartbeat=_HEARTBEAT_S,
            flow_control=True,
            inactive_threshold=10.0,
            headers_only=headers_only or None,
        )
        if after:
            config = config.evolve(
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1
            )
        elif newest_only:
            config = config.evolve(deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT)
        info = await self._js.add_consumer(stream, config)
        self._stream, self._name = stream, info.name
        # What was pushed before this answer was written is no longer "pending".
        delivered = info.delivered.consumer_seq if info.delivered else 0
        return (info.num_pending or 0) + delivered

    async def _arrive(self, msg):
        if msg.headers and msg.headers.get("Status") == "100":
            if msg.reply:  # flow control: answer when everything before it has been taken
                await self._nc.publish(msg.reply)
            elif "Nats-Consumer-Stalled" not in msg.headers:
                self._last_sent = int(msg.headers.get("Nats-Last-Consumer", 0))
        else:
            self._arrived.append(msg)
            self._last_sent = None
        self._event.set()

    async def take(self) -> list:
        """[(message, metadata)] in order; [] at a heartbeat. Raises when the consumer is bad."""
        async with asyncio.timeout(_SILENT_S):  # wait_for of Python 3.11 can lose a cancel
            await self._event.wait()
        self._event.clear()
        messages, self._arrived = self._arrived, []
        taken = []
        for msg in messages:
            meta = msg.metadata
            if meta.sequence.consumer != self._next:
                raise TimeoutError("a gap in what the server sent")
            self._next += 1
            taken.append((msg, meta))
        if self._last_sent is not None and self._last_sent >= self._next:
            raise TimeoutError("the end of what the server sent is missing")
        # num_pending alone won't do: what waited may expire before it is sent.
        self.idle = self._last_sent is not None or bool(taken and not taken[-1][1].num_pending)
        return taken

    async def close(self) -> None:
        if self._sub is not None:
            with contextlib.suppress(Exception):
                await self._sub.unsubscribe()
        if self._name is not None and self._nc.is_connected:
            with contextlib.suppress(Exception):
                await self._js.delete_consumer(self._stream, self._name)


def _item(msg, meta) -> Item:
    return Item(
        meta.sequence.stream, meta.timestamp.timestamp(), msg.subject, msg.data, msg.headers or {}
    )


async def read_all(js, stream, subject, after=0, newest_only=False, headers_only=False):
    """Async generator of the Items that are in the stream now, with sequence > `after`.

    Raises StoreAway if the end was not reached. Use with contextlib.aclosing when breaking out.
    """
    consumer = _Consumer(js)
    try:
        if not await consumer.start(stream, subject, after, newest_only, headers_only):
            return
        while True:
            for msg, meta in await consumer.take():
                yield _item(msg, meta)
            if consumer.idle:
                return
    except AWAY as e:
        raise StoreAway(str(e) or type(e).__name__) from None
    finally:
        await consumer.close()


class Follower:
    """Calls `on_item(item)` for the newest of every subject, then for every new message.

    `await start()` returns when what was there has been given; a task keeps on from then.
    """

    def __init__(self, js, stream, subject, on_item):
        self._js, self._stream, self._subject = js, stream, subject
        self._on_item = on_item
        self._seen = 0
        self._stopping = False
        self._caught_up = asyncio.Event()
        self._task = None

    async def start(self, timeout_s=30.0) -> None:
        self._task = asyncio.create_task(self._run())
        waiter = asyncio.create_task(self._caught_up.wait())
        await asyncio.wait((waiter, self._task), timeout=timeout_s, return_when="FIRST_COMPLETED")
        waiter.cancel()
        if not self._caught_up.is_set():
            await self.stop()
            raise StoreAway("stream %s could not be read" % self._stream)

    async def stop(self) -> None:
        task, self._task = self._task, None
        self._stopping = True
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopping:
            consumer = _Consumer(self._js)
            try:
                if not await consumer.start(self._stream, self._subject, self._seen, True, False):
                    self._caught_up.set()
                while not self._stopping:
                    for msg, meta in await consumer.take():
                        self._give(_item(msg, meta))
                    if consumer.idle:
                        self._caught_up.set()
            except AWAY as e:
                log.debug("stream %s: reading again (%s)", self._stream, e)
            finally:
                await consumer.close()
            await asyncio.sleep(_AGAIN_S)

    def _give(self, item: Item) -> None:
        self._seen = max(self._seen, item.seq)
        try:
            self._on_item(item)
        except Exception:  # a bad message must not end the mirror
            log.exception("stream %s: message %d was skipped", self._stream, item.seq)
