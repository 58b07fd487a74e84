"""What the tests of the tiers share: real tier processes on loopback, nodes to talk to them.

Every wait is for a condition, with a generous end; nothing is judged by how long it took.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from pathlib import Path

from l4mesh.queue import Queue
from l4mesh_io.store_ram import RamSegments
from l4tools.errors import ToolError
from l4tools.hostnode import HostNode
from l4tools.network import Network
from l4tools.upstream.config import tier_config
from l4tools.upstream.connect import connect
from l4tools.upstream.process import TierProcess
from l4tools.upstream.readings import Readings

WAIT_S = 20.0


class Bed:
    """`with Bed(tmp_path) as bed:` L1, L2, L3 run; `bed.up` has their endpoints."""

    def __init__(self, folder, mqtt=False, tiers=(1, 2, 3), **options):
        self.folder = Path(folder)
        self.network = Network.create("test")
        self.up, self.tiers = {}, {}
        self._mqtt, self._wanted, self._options = mqtt, tiers, options

    def __enter__(self):
        os.environ["L4_HOME"] = str(self.folder / "home")
        try:
            for level in sorted(self._wanted):
                mqtt_port = 0 if self._mqtt and level == 3 else None
                config = tier_config(
                    self.network, level, self.folder / ("l%d" % level), up=self.up,
                    mqtt_port=mqtt_port, **self._options,
                )  # fmt: skip
                self.tiers[level] = tier = TierProcess(config).start()
                self.up[level] = tier.ready["udp"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for tier in self.tiers.values():
            tier.stop()

    def node(self, name, up=None, network=None, cls=HostNode, **options):
        """A node with a folder of its own; the same name is the same node."""
        return cls(
            network or self.network,
            upstream=self.up if up is None else up,
            folder=self.folder / ("node-" + name),
            **options,
        )

    def cut_power(self, level) -> None:
        """SIGKILL for the tier and its nats-server, the latter first."""
        kill(self.nats_pid(level))
        self.tiers[level].kill()

    def nats_pid(self, level) -> int:
        return int((self.folder / ("l%d/nats/nats.pid" % level)).read_text())

    def restart(self, level) -> None:
        before = self.tiers[level].ready["udp"]
        self.tiers[level].start()
        assert self.tiers[level].ready["udp"] == before, "a tier must come back where it was"

    async def stored(self, level=1):
        """All readings in the tier's store, as (node id, sequence, text), read from outside."""
        state = json.loads((self.folder / ("l%d" % level) / "nats/state.json").read_text())
        nc = await connect(self.tiers[level].ready["nats"], state["user"], state["password"])
        try:
            store = Readings(nc.jetstream())
            return [(r[0], r[2], r[6]) async for r in store.iter_all()]
        finally:
            await nc.close()


def kill(pid) -> None:
    """SIGKILL, and wait until the process is gone or a zombie that its parent will fetch."""
    os.kill(pid, signal.SIGKILL)
    while True:
        try:
            state = Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return


def run(main) -> None:
    """Run an async test with an end that only a hang reaches."""

    async def bounded():
        async with asyncio.timeout(90):
            await main

    asyncio.run(bounded())


async def until(condition, what, wait_s=WAIT_S):
    """Wait until `condition()` (may be async) is true; returns its value."""
    end_s = asyncio.get_running_loop().time() + wait_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            try:
                value = await value
            except ToolError:
                value = None
        if value:
            return value
        if asyncio.get_running_loop().time() > end_s:
            raise AssertionError("never happened: " + what)
        await asyncio.sleep(0.02)


def give_queue(node) -> Queue:
    """A queue of readings for a HostNode, in RAM."""
    queue = Queue(RamSegments(5), os.urandom, node.node.counters, 4)
    assert queue.open()
    node.node.attach_queue(queue, random.Random(1))
    return queue


def submit(node, texts) -> None:
    """Take readings; True of each."""
    for text in texts:
        data = text.encode()
        assert node.node.submit(data, len(data), (1_800_000_000_000).to_bytes(6, "big"), True, 1)
    node._wake.set()


@contextlib.contextmanager
def events_of(node):
    """A list that fills with the node's events."""
    seen = []
    node.on_event = seen.append
    yield seen
    node.on_event = None
