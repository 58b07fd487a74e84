"""This machine as a node of the mesh: the Node of lib/l4mesh on asyncio.

    async with HostNode(network, upstream={3: "127.0.0.1:4113"}, ephemeral=True) as n:
        await n.join()
        found = await n.lookup(node_id, trace=True)     LookupResult
        ms = await n.ping(node_id)
        doc = await n.info(node_id, "status")

`ephemeral`: for one question of a command line. It borrows one of a few identities kept for that
(a free one, under a lock), so that asking often does not fill the registry with new names.
Identity and epoch are in `$L4_HOME/nodes/`. Multicast only with `interface`, the IPv4 address of
the interface to use; on a hub, on the virtual LAN of `vaddr`.
"""

import asyncio
import fcntl
import os
import random
from pathlib import Path
from typing import NamedTuple

from l4mesh.config import BadConfig, Config
from l4mesh.endpoint import format_endpoint
from l4mesh.events import EV_ANSWER, EV_JOINED, EV_WAY
from l4mesh.identity import Identity
from l4mesh.modes_table import cache_size
from l4mesh.node import Node
from l4mesh.post import Post
from l4mesh.record import NO_ENDPOINT, O_LAN, O_PUBLIC
from l4mesh.resolve import Q_AUTHORITY, Q_TRACE, SOURCES
from l4mesh.scout import Scout
from l4mesh.wire import STATUS_NAMES, u16

from . import fastsig
from .asking import TOPICS, Asking
from .beyond import Beyond
from .counting import Counting
from .errors import ToolError, Unavailable
from .link import GROUP, NOWHERE, CableLink, UdpLink, now_ms
from .memory import memory_mib
from .network import home
from .sockets import HostSockets

_BORROWED = 16


class Hop(NamedTuple):
    """A tier on the way of a traced look-up, the farthest first; `ms` with all above it."""

    tier: int
    id_prefix: str
    ms: float


class LookupResult(NamedTuple):
    """`status`: found, unknown, unavailable or failed. `source`: own, lan, p2p, l3, l2 or l1.

    `own_ms` is what the tier that we asked took for itself; None if another kind of node answered.
    """

    status: str
    source: str
    ms: int
    record: bytes | None
    hops: tuple[Hop, ...]
    own_ms: float | None = None

    @property
    def endpoints(self) -> dict:
        """{"lan": "ip:port", "public": ..}, without those that the record does not have."""
        if self.record is None:
            return {}
        found = {"lan": self.record[O_LAN : O_LAN + 6], "public": self.record[O_PUBLIC:][:6]}
        return {k: format_endpoint(v) for k, v in found.items() if v != NO_ENDPOINT}


def _last_used(folder):
    try:
        return (folder / "lock").stat().st_mtime_ns
    except OSError:
        return 0  # never


class HostNode(Asking):
    """`upstream`: {tier: "ip:port"}, default that of the network. See the top."""

    def __init__(
        self,
        network,
        hub=None,
        vaddr=None,
        upstream=None,
        ephemeral=False,
        interface=None,
        listen="127.0.0.1:0",
        config=None,
        folder=None,
    ):
        self.network = network
        super().__init__()
        self._hub, self._vaddr, self._interface = hub, vaddr, interface
        self._listen, self._ephemeral = listen, ephemeral
        if upstream is None:
            upstream = {t: a[0] for t, a in network.upstream.items() if a}
        self._config = {
            # By memory alone, fixed at start; a question on the command line needs no large one.
            "cache": 50 if ephemeral else cache_size(memory_mib()[0]),
            "name": "host",
            "upstream": sorted([t, a] for t, a in upstream.items()),
            "lifetime_min": 2 if ephemeral else 30,
            **(config or {}),
        }
        self._folder = Path(folder) if folder is not None else None
        self._lock = self._task = self._counting = None
        self.node = self.link = self.ident = self.beyond = None
        self.on_event = None  # called with every event of the node
        self._wake = asyncio.Event()
        self._lookups = {}  # node id -> futures
        self._joined = None

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self) -> "HostNode":
        store = self._open_store()
        try:
            self.ident = self._identity(store)
            self.link = self._open_link()
            self.node = self._make_node(store)
            self.beyond = Beyond(self.node, self._ephemeral, self._wake.set)
        except BaseException:
            self._close()
            raise
        self._joined = asyncio.get_running_loop().create_future()
        self._sample()
        self.node.start(now_ms())
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.beyond.close()
        self.node.stop(now_ms())
        self._close()

    def _close(self):
        if self.node is not None:
            self.node.sockets.close()
        if self.link is not None:
            self.link.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open_store(self):
        """The store of an identity that no other process uses."""
        from l4mesh_io.store_fs import FileStore

        base = home() / "nodes" / self.network.network_id.hex()
        if self._folder is not None:
            folders = [self._folder]
        elif self._ephemeral:
            # The one that rested longest: a tier takes so many frames a second from each.
            folders = [base / ("cli-%d" % i) for i in range(_BORROWED)]
            folders.sort(key=_last_used)
        else:
            folders = [base / "host"]
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as e:
                raise ToolError(
                    "%s can't be written (%s). Set L4_HOME to a folder of yours."
                    % (folder, e.strerror or e)
                ) from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self._lock = lock
            os.utime(folder / "lock")
            return FileStore(str(folder))
        raise ToolError(
            "The identity in %s is in use by another process. Stop that one first." % folders[0]
        )

    def _identity(self, store):
        counting = Counting(store) if self._ephemeral else None
        ident = Identity.load(store, lambda: os.urandom(32), fastsig.public_key)
        if counting is not None:
            counting.resume(ident)
            self._counting = counting
        net = self.network
        number, key = net.group
        for name, value in (
            ("network", net.network_id),
            ("nodekey", net.node_key(ident.id)),
            ("group", bytes((number,)) + key),
        ):
            if store.load(name) != value:
                store.save(name, value)
        return Identity(
            ident.seed, ident.public, net.network_id, net.node_key(ident.id),
            bytes((number,)) + key, ident.epoch,
        )  # fmt: skip

    def _open_link(self):
        if self._hub is None:
            return UdpLink(self._listen, self._receive, self._interface)
        vaddr = self._vaddr
        if vaddr is None:  # a host on the virtual Internet, somewhere no tier is
            vaddr = "10.77.0.%d:%d" % (100 + os.getpid() % 150, random.randrange(20000, 60000))
        return CableLink(self._hub, vaddr, self._receive, GROUP)

    def _make_node(self, store):
        try:
            cfg = Config(self._config)
        except BadConfig as e:
            raise ToolError("%s Check the node's config." % e) from None
        node = Node(
            cfg, self.ident, self.link, random.Random(), os.urandom, now_ms(), store.save,
            fastsig, True,
        )  # fmt: skip
        node.loopback = node.resolver.loopback = self.link.local[0] == 127
        node.sockets = HostSockets(self.link, now_ms, self._wake.set)
        if self._counting is not None:
            node.tx.counter = node.own._counter = self._counting.first
        self.hear(node)
        if self.link.group != NOWHERE:
            Scout(node)  # rests while somebody is heard by the group
            Post(node)  # keeps mail for neighbours that sleep
        return node

    def _sample(self):
        self.node.sample(
            now_ms(),
            {
                "mains": True,
                "battery": None,
                "heap_free": None,
                "heap_largest": None,
                "wifi": True,
                "metered": False,
                "mem_free_mib": memory_mib()[1],
            },
        )

    def _receive(self, data, addr):
        node = self.node
        if node is not None:
            node.receive(bytearray(data), len(data), addr, now_ms())
            self._wake.set()

    async def _run(self):
        loop = asyncio.get_running_loop()
        sampled_s = loop.time()
        while True:
            self.beyond.poll(now_ms())
            wait_ms = self.node.poll(now_ms())
            while (event := self.node.next_event()) is not None:
                self._on_event(event)
            if self._counting is not None:
                self._counting.cover(self.node.tx.epoch, self.node.tx.counter)
            if loop.time() - sampled_s > 5:
                sampled_s = loop.time()
                self._sample()
            # Not wait_for: in Python 3.11 it may swallow the cancellation that is to end this.
            alarm = loop.call_later(min(max(wait_ms, 1), 1000) / 1000, self._wake.set)
            await self._wake.wait()
            alarm.cancel()
            self._wake.clear()

    def _on_event(self, e):
        if e[0] == EV_JOINED and not self._joined.done():
            self._joined.set_result(e[1])
        elif e[0] == EV_ANSWER:
            result = LookupResult(
                STATUS_NAMES[e[2]], SOURCES[e[3]], e[4], e[5], _hops(e[6]), self.tier_ms
            )
            for future in self._lookups.pop(e[1], []):
                if not future.done():
                    future.set_result(result)
        elif e[0] == EV_WAY:
            self.beyond.changed()
        if self.on_event is not None:
            self.on_event(e)

    # -- questions ---------------------------------------------------------------------------

    async def join(self, timeout_s=5.0) -> int:
        """Register upstream; returns the level of the tier that answered. Unavailable if none."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._joined), timeout_s)
        except TimeoutError:
            tiers = ", ".join("L%d at %s" % (t, a) for t, a in self._config["upstream"])
            raise Unavailable(
                "No upstream let us join within %g s (asked: %s). Start one with `l4 upstream`."
                % (timeout_s, tiers or "nobody, no address is known")
            ) from None

    async def lookup(self, node_id, trace=False, authority=False, timeout_s=5.0) -> LookupResult:
        """Ask the mesh; every outcome is a result (status), only a full table is an error."""
        future = asyncio.get_running_loop().create_future()
        flags = (Q_TRACE if trace else 0) | (Q_AUTHORITY if authority else 0)
        self._lookups.setdefault(node_id, []).append(future)
        if not self.node.resolve(node_id, now_ms(), flags):
            self._lookups[node_id].remove(future)
            raise ToolError("Too many look-ups are under way. Wait for some to end.")
        self._wake.set()
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return LookupResult("failed", "", int(timeout_s * 1000), None, ())

    def mail(self, node_id, data, minutes=1440) -> int:
        """At most 128 bytes for a node that may be asleep; EV_MAIL says what became of it."""
        from l4mesh.mail import of

        self._wake.set()
        return of(self.node).send(node_id[:8], data, now_ms(), minutes)


def _hops(raw):
    """The trace of an ANSWER; () when there is none or it is cut."""
    if not raw or len(raw) < 1 + 7 * raw[0]:
        return ()
    at = range(1, 1 + 7 * raw[0], 7)
    return tuple(Hop(raw[i], raw[i + 1 : i + 5].hex(), u16(raw, i + 5) / 10) for i in at)


__all__ = ["Hop", "HostNode", "LookupResult", "TOPICS"]
