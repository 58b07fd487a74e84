"""The upstream's stream as it grows, and as it is, read by a consumer of its own.

It survives a nats-server that is killed, and starts where it was: nothing is seen twice that is
stored once.
"""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from pathlib import Path

from l4tools.readings.clocks import CONTROL
from l4tools.upstream.connect import connect
from l4tools.upstream.readings import Readings, readings_of


def value_of(text: str) -> int:
    """Of `n=17`; -1 for anything else."""
    name, _, value = text.partition("=")
    return int(value) if name == "n" and value.isdigit() else -1


class Stream:
    """Follows the stream of the L1 whose folder is `folder`, which has run before."""

    def __init__(self, folder: Path):
        self._folder = Path(folder)
        self.values: Counter = Counter()  # value -> how often it was stored
        self.strange: list[str] = []  # readings that no board of ours makes
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._nc, self._follower = self._run(self._begin())

    def _run(self, what, seconds=60):
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(seconds)

    async def _connect(self):
        state = json.loads((self._folder / "nats" / "state.json").read_text())
        where = "nats://127.0.0.1:%d" % state["client"]
        return await connect(where, state["user"], state["password"], name="l4-chaos")

    async def _begin(self):
        nc = await self._connect()
        follower = Readings(nc.jetstream()).follower(self._item)
        await follower.start()
        return nc, follower

    def _item(self, item):
        with self._lock:
            for r in readings_of(item):
                _count(r, self.values, self.strange)

    def seen(self) -> Counter:
        with self._lock:
            return Counter(self.values)

    def read(self) -> tuple[Counter, list[str]]:
        """The whole stream anew, by a connection that knows nothing yet."""
        return self._run(self._read())

    async def _read(self):
        values, strange = Counter(), []
        nc = await self._connect()
        try:
            items = Readings(nc.jetstream()).iter_all()
            async with contextlib.aclosing(items):
                async for r in items:
                    _count(r, values, strange)
        finally:
            await nc.close()
        return values, strange

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self):
        await self._follower.stop()
        await self._nc.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def _count(reading, values, strange):
    node, queue, sequence, flags = reading[:4]
    text = reading[6]
    if flags & CONTROL:
        return
    value = value_of(text)
    if value < 0:
        strange.append("%s %s %d: %s" % (node.hex(), queue.hex(), sequence, text))
    else:
        values[value] += 1
