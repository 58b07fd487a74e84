"""Readings counted where they end up: by reading the upstream's stream itself."""

import asyncio
import json
import threading
from collections import Counter
from pathlib import Path

from l4tools.upstream.connect import connect
from l4tools.upstream.readings import split_readings

SUBJECT = "l4r.>"


class StoredReadings:
    """Follows the stream of the L1 whose folder is `folder` with a consumer of its own.

    `seen[(node hex, queue hex, sequence)]` counts how often a reading is in the stream: each more
    than once is a doubled one.
    """

    def __init__(self, folder: Path):
        state = json.loads((Path(folder) / "nats" / "state.json").read_text())
        self._login = ("nats://127.0.0.1:%d" % state["client"], state["user"], state["password"])
        self.seen: Counter = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._nc = self._run(self._subscribe())

    def _run(self, what):
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    async def _subscribe(self):
        nc = await connect(*self._login)
        self._sub = await nc.jetstream().subscribe(
            SUBJECT, ordered_consumer=True, cb=self._message
        )
        return nc

    async def _end(self):
        try:
            await self._sub.unsubscribe()
        except Exception:  # the server went first: nothing is left to unsubscribe from
            pass
        await self._nc.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _message(self, msg):
        _, node, queue, first = msg.subject.split(".")
        for k in range(len(split_readings(msg.data))):
            self.seen[(node, queue, int(first) + k)] += 1

    @property
    def stored(self) -> int:
        return len(self.seen)

    @property
    def doubled(self) -> int:
        return sum(n - 1 for n in self.seen.values())

    def by_node(self) -> Counter:
        return Counter(node for node, _, _ in self.seen)

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
