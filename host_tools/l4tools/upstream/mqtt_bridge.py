"""The bridge on our own NATS: its MQTT topics are subjects here (`l4/<id>/up`: `l4.<id>.up`).

That broker lets a node use its own topics only (access.py).
"""

import asyncio
import logging

from .access import UP_ALL, down_subject
from .bridge import Bridge

log = logging.getLogger("l4tools.upstream")

_WAITING = 2000


class MqttBridge(Bridge):
    def __init__(self, tier, nc):
        super().__init__(tier)
        self._nc = nc
        self._out = asyncio.Queue(_WAITING)
        self._task = self._sub = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._sub = await self._nc.subscribe(UP_ALL, cb=self._arrive)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _arrive(self, msg):
        self.arrive(msg.subject.split(".")[1], msg.data)

    def _publish(self, node, frame):
        if self._out.full():
            return False
        self._out.put_nowait((down_subject(node), frame))
        return True

    async def _run(self):
        while True:
            subject, frame = await self._out.get()
            try:
                await self._nc.publish(subject, frame)
            except Exception as e:  # the connection is being made again; the node asks again
                log.debug("MQTT: %s", e)
