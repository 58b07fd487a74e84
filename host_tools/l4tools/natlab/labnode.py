"""Nodes of the lab in this process, on asyncio: the same Node and driver, many at once.

    node = LabNode(lab, "a", world.settings("a", 1), say)     inside a running loop
    node.tell(do="stun", at=..)                               answers come by say(node, doc)
    node.close()

Limits and sockets are those of a board. Only the signature is OpenSSL's.
"""

import asyncio
import os
import random

from l4mesh.config import Config
from l4mesh.identity import Identity
from l4mesh.node import Node

from .. import fastsig
from ..link import UdpLink, now_ms
from ..sockets import HostSockets
from .device.driven import Driven, sampling

_SAMPLE_S = 0.5


class _Sockets(HostSockets):
    """Sockets that are opened in the node's namespace."""

    def __init__(self, space, *args):
        super().__init__(*args)
        self._space = space

    def link_at(self, port, receive):
        with self._space:
            return super().link_at(port, receive)


class LabNode:
    def __init__(self, lab, host: str, settings: dict, say):
        self.host, self.id = host, bytes.fromhex(settings["id"])
        self._loop = asyncio.get_running_loop()
        self._alarm = None
        self._say = say
        space = lab.spaces[host]
        doc = {k: bytes.fromhex(settings[k]) for k in
               ("seed", "public", "network", "nodekey", "group")}  # fmt: skip
        ident = Identity(
            doc["seed"], doc["public"], doc["network"], doc["nodekey"], doc["group"], 1
        )
        with space:
            self.link = UdpLink("%s:%d" % (settings["ip"], settings["port"]), self._receive)
        rng = random.Random()
        self.node = node = Node(
            Config(settings["config"]), ident, self.link, rng, os.urandom, now_ms(),
            lambda name, data: True, fastsig,
        )  # fmt: skip
        node.sockets = self._sockets = _Sockets(space, self.link, now_ms, self.wake)
        self.driver = Driven(node, lambda d: self._say(self, d), rng)
        self._sample = sampling(node, 0)
        self._sample(now_ms())
        self._sampled = self._loop.time()
        node.start(now_ms())
        self.driver.begin(now_ms())
        self.wake()

    def tell(self, **command) -> None:
        self.driver.do(command, now_ms())
        self.wake()

    def _receive(self, data, addr):
        if self.node.receive(bytearray(data), len(data), addr, now_ms()):
            self.wake()

    def wake(self) -> None:
        """Have the machines polled soon."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_soon(self._turn)

    def _turn(self):
        now = now_ms()
        if self._loop.time() - self._sampled > _SAMPLE_S:
            self._sampled = self._loop.time()
            self._sample(now)
        wait = self.node.poll(now)
        while (event := self.node.next_event()) is not None:
            self.driver.event(event)
            wait = 0
        wait = min(wait, self.driver.poll(now), 500)
        self._alarm = self._loop.call_later(max(wait, 0.5) / 1000, self._turn)

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._sockets.close()
        self.link.close()
