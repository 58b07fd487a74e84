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
from l4mesh_io.tcp_link import TcpLink

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


class _Tcp(TcpLink):
    """A connection that is made in the node's namespace and wakes the node by itself."""

    def __init__(self, owner, space, level, where):
        super().__init__(owner.node, level, where, self)
        self._owner, self._space = owner, space
        self._fd = -1

    def open(self, now):
        with self._space:
            super().open(now)

    def adopt(self, link):
        self._fd = self.real.fileno()
        self._owner.loop.add_reader(self._fd, self._readable)

    def forget(self, link):
        self._owner.loop.remove_reader(self._fd)

    def _readable(self):
        self.receive(now_ms())
        self._owner.wake()


class LabNode:
    def __init__(self, lab, host: str, settings: dict, say):
        self.host, self.id = host, bytes.fromhex(settings["id"])
        self.loop = asyncio.get_running_loop()
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
        self._sampled = self.loop.time()
        node.start(now_ms())
        self.tcp = []

        def make(level, where):
            self.tcp.append(_Tcp(self, space, level, where))
            return self.tcp[-1]

        self.driver.begin(now_ms(), make)
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
        self._alarm = self.loop.call_soon(self._turn)

    def _turn(self):
        now = now_ms()
        if self.loop.time() - self._sampled > _SAMPLE_S:
            self._sampled = self.loop.time()
            self._sample(now)
        wait = self.node.poll(now)
        while (event := self.node.next_event()) is not None:
            self.driver.event(event)
            wait = 0
        wait = min(wait, self.driver.poll(now), 500)
        self._alarm = self.loop.call_later(max(wait, 0.5) / 1000, self._turn)

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        for link in self.tcp:
            link.close()
        self._sockets.close()
        self.link.close()
