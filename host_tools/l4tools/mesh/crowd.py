"""Members without a board each: host nodes in one thread, on a LAN of their own.

They join like everybody and answer for themselves, so they are what boards look up: a network of
more than a dozen members on one machine. The same Node class as on the boards, OpenSSL for keys.
"""

import asyncio
import os
import random
import threading

from l4mesh.config import Config
from l4mesh.identity import Identity
from l4mesh.node import Node

from l4tools import fastsig
from l4tools.link import CableLink, now_ms
from l4tools.mesh.tiers import UPSTREAM
from l4tools.network import Network, public_key

_SIGNALS = {"mains": True, "battery": None, "wifi": True, "metered": False, "mem_free_mib": 500}


class _Member:
    def __init__(self, network: Network, hub: str, vaddr: str, loop):
        self._loop = loop
        self._timer = None
        seed = os.urandom(32)
        keys = network.provision(public_key(seed))
        ident = Identity(
            seed,
            public_key(seed),
            bytes.fromhex(keys["network"]),
            bytes.fromhex(keys["nodekey"]),
            bytes([keys["group"][0]]) + bytes.fromhex(keys["group"][1]),
        )
        self.link = CableLink(hub, vaddr, self._receive, group="239.76.52.1", loop=loop)
        # Passive: they answer for themselves only, so what boards find is the boards' own doing.
        config = Config({"upstream": UPSTREAM, "mode": "passive", "hello_max_s": 600, "p2p": 0})
        self.node = Node(
            config, ident, self.link, random.Random(seed[0]), os.urandom, now_ms(),
            lambda name, data: True, fastsig, True,
        )  # fmt: skip
        self.node.start(now_ms())
        self.node.sample(now_ms(), dict(_SIGNALS))
        self._poll()

    def _receive(self, data, addr):
        if self.node.receive(data, len(data), addr, now_ms()):
            self._poll()

    def _poll(self):
        if self._timer is not None:
            self._timer.cancel()
        wait = self.node.poll(now_ms())
        while self.node.next_event() is not None:
            pass
        self._timer = self._loop.call_later(max(wait, 1) / 1000, self._poll)

    def close(self):
        if self._timer is not None:
            self._timer.cancel()
        self.link.close()


class Crowd:
    """`Crowd(network, hub_address, n)`: n members on LAN `lan`; `ids` are their node ids."""

    def __init__(self, network: Network, hub: tuple[str, int], n: int, lan: int = 9):
        self._loop = asyncio.new_event_loop()
        self._members: list[_Member] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        address = "%s:%d" % hub
        for k in range(n):
            vaddr = "10.77.%d.%d:4104" % (lan, 10 + k)
            self._call(self._add, network, address, vaddr)
        self.ids = [m.node.id for m in self._members]

    def _call(self, f, *args):
        done = threading.Event()
        failed = []

        def run():
            try:
                f(*args)
            except Exception as e:  # handed to the caller's thread
                failed.append(e)
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait()
        if failed:
            raise failed[0]

    def _add(self, network, hub, vaddr):
        self._members.append(_Member(network, hub, vaddr, self._loop))

    def joined(self) -> int:
        return sum(1 for m in self._members if m.node.member.joined)

    def close(self) -> None:
        self._call(lambda: [m.close() for m in self._members])
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
