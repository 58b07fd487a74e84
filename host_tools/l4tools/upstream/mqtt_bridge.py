"""Mesh frames over MQTT: a tier takes what its nodes publish, and answers on their own topic.

A node publishes whole frames to `l4/<id>/up` and reads `l4/<id>/down` (NATS: `l4.<id>.up`). The
broker lets a node use its own topics only, so the topic names the sender; the frame must agree.
Such a frame needs no cookie. Inside the tier it has the made-up address 0 || id[:5], which no
datagram can come from.
"""

import asyncio
import logging
from collections import OrderedDict

from l4mesh.wire import HEAD, MAX_FRAME, MIN_FRAME

from .access import UP_ALL, down_subject

log = logging.getLogger("l4tools.upstream")

_KEPT = 20_000
_WAITING = 2000


class MqttBridge:
    """`await start()` subscribes; `send` is for the tier's answers."""

    def __init__(self, tier, nc):
        self._tier, self._nc = tier, nc
        self._names = OrderedDict()  # made-up address -> node id
        self._out = asyncio.Queue(_WAITING)
        self._task = self._sub = None
        self.received = self.refused = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._sub = await self._nc.subscribe(UP_ALL, cb=self._arrive)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _arrive(self, msg):
        node_id = _node_id(msg.subject)
        data = msg.data
        ok = node_id is not None and MIN_FRAME <= len(data) <= MAX_FRAME
        if not ok or data[8:16] != node_id[:8] or len(data) < HEAD:
            self.refused += 1
            return
        addr = b"\0" + node_id[:5]
        self._names[addr] = node_id
        self._names.move_to_end(addr)
        if len(self._names) > _KEPT:
            self._names.popitem(last=False)
        self.received += 1
        self._tier.receive(data, addr)

    def send(self, frame: bytes, addr: bytes) -> bool:
        node_id = self._names.get(addr)
        if node_id is None or self._out.full():
            return False
        self._out.put_nowait((down_subject(node_id.hex()), frame))
        return True

    async def _run(self):
        while True:
            subject, frame = await self._out.get()
            try:
                await self._nc.publish(subject, frame)
            except Exception as e:  # the connection is being made again; the node asks again
                log.debug("MQTT: %s", e)


def _node_id(subject):
    try:
        node_id = bytes.fromhex(subject.split(".")[1])
    except (ValueError, IndexError):
        return None
    return node_id if len(node_id) == 16 else None
