"""The way from a command to the nodes: through the hub of the running mesh, else over real UDP.

    way = Way.of(session, upstream=["L3=192.0.2.7:4104"])
    target = way.find("lan1-1")                     Target(id, name, addr)
    way.run(lambda n: n.ping(target.id, addr=target.addr))

Commands ask as a member of the network for the moment (HostNode, ephemeral). Over real UDP only
datagrams to the addresses asked for leave this machine; there is no multicast.
"""

import asyncio
import contextlib
import os
import random
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from l4mesh.endpoint import parse_endpoint

from l4tools import known as boards
from l4tools import network as networks
from l4tools.errors import NotFound, ToolError, Unavailable
from l4tools.hostnode import HostNode
from l4tools.link import CableLink, UdpLink
from l4tools.mesh import client, place
from l4tools.mesh.asleep import asleep
from l4tools.network import TIERS, Network

_HEX = re.compile(r"[0-9a-f]{4,32}")
_JOIN_S = 5.0


class Target(NamedTuple):
    """A node; `addr` (6 bytes) is None when the mesh has to be asked where it is."""

    id: bytes
    name: str
    addr: bytes | None
    tier: int = 4

    @property
    def label(self) -> str:
        return self.name or self.id.hex()


class Way:
    """`mesh`: the state of the running mesh (daemon.py), or None."""

    def __init__(self, network: Network, mesh: dict | None, upstream: dict[int, str], toward=()):
        self.network, self.mesh, self.upstream = network, mesh, upstream
        self.toward = toward  # other addresses that have to be reached from here

    @classmethod
    def of(cls, session, upstream: list[str] | None = None, via: str | None = None) -> "Way":
        """The network of the session and how to reach it; `upstream` and `via` are real UDP."""
        here = None if upstream or via else _mesh(session.network_name)
        network = session.load_network(here.name if here and not session.network_name else None)
        if here is not None:
            return cls(network, *_of_mesh(client.state(here)))
        given = networks.parse_upstream(upstream or []) or network.upstream
        if not given and not via:
            raise Unavailable(
                "The mesh %s does not run and the network has no upstream address. Start it with "
                "`l4 mesh up %s`, or pass --upstream L3=IP:PORT." % (network.name, network.name)
            )
        return cls(network, None, {t: a[0] for t, a in given.items()}, (via,) if via else ())

    # who is meant

    def find(self, text: str, via: str | None = None) -> Target:
        """A node by full id, unique prefix (4 digits or more), board's name, or l1, l2, l3."""
        addr = parse_endpoint(via) if via else None
        word = text.lower()
        known = self.known()
        for t in known:
            if word in (t.name.lower(), t.id.hex()):
                return t._replace(addr=addr or t.addr)
        if not _HEX.fullmatch(word):
            self._nobody(text, known)
        if len(word) == 32:
            return Target(bytes.fromhex(word), "", addr)
        found = [t for t in known if t.id.hex().startswith(word)]
        if len(found) > 1:
            names = ", ".join("%s (%s)" % (t.name, t.id.hex()) for t in found)
            raise NotFound("Several nodes begin with %s: %s. Give more digits." % (text, names))
        if not found:
            self._nobody(text, known)
        return found[0]._replace(addr=addr or found[0].addr)

    def known(self) -> list[Target]:
        known = []
        for level in TIERS:
            addr = self.upstream.get(level)
            packed = parse_endpoint(addr) if addr else None
            known.append(Target(self.network.tier_id(level), "l%d" % level, packed, level))
        for b in self.mesh["boards"] if self.mesh else []:
            if b["node"]:
                known.append(
                    Target(bytes.fromhex(b["node"]), b["name"], parse_endpoint(b["address"]))
                )
        there = {t.id for t in known}
        flashed = boards.boards(self.network.name)
        more = [Target(bytes.fromhex(node), name, None) for node, name in flashed.items()]
        return known + [t for t in more if t.id not in there]

    def _nobody(self, text, known):
        names = ", ".join(t.name or t.id.hex()[:8] for t in known)
        more = "" if self.mesh else ", or any other node by its full id of 32 hex digits"
        waiting = [b["name"] for b in self.mesh["boards"] if not b["node"]] if self.mesh else []
        if text.lower() in waiting:
            raise Unavailable(
                "%s has not said its id yet. Switch it on with `l4 mesh power %s on`, or look at "
                "`l4 mesh console %s`." % (text, text, text)
            )
        raise NotFound("There is no node %r here. There are: %s%s." % (text, names, more))

    # asking

    def run(self, ask: Callable[[HostNode], Awaitable[Any]], config: dict | None = None) -> Any:
        """`await ask(host_node)` in a loop of its own; `config` goes over the node's."""

        async def go():
            async with self._host(config) as n:
                return await ask(n)

        return asyncio.run(go())

    def _host(self, config):
        common = {"upstream": self.upstream, "ephemeral": True, "config": config}
        if self.mesh is not None:
            return HostNode(self.network, hub=self.mesh["hub"], **common)
        return HostNode(self.network, listen=self._listen() + ":0", **common)

    def _listen(self):
        """The address of this machine that the upstream sees; connect() of UDP sends nothing."""
        for addr in (*self.toward, *self.upstream.values()):
            if not addr.startswith("127."):
                host, _, port = addr.rpartition(":")
                with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
                    try:
                        s.connect((host, int(port)))
                        return s.getsockname()[0]
                    except OSError as e:
                        raise Unavailable(
                            "There is no way to %s from here (%s). Connect to its network first."
                            % (addr, e.strerror or e)
                        ) from None
        return "127.0.0.1"

    def link(self, receive: Callable[[bytes, bytes], None]):
        """A link of its own for frames that no node sends (link.py)."""
        if self.mesh is not None:
            vaddr = "10.77.0.%d:%d" % (100 + os.getpid() % 150, random.randrange(20000, 60000))
            return CableLink(self.mesh["hub"], vaddr, receive)
        return UdpLink(self._listen() + ":0", receive)

    async def join(self, n: HostNode) -> int:
        """Register, so that tiers answer us; Unavailable says why that was not possible."""
        try:
            return await n.join(_JOIN_S)
        except Unavailable:
            raise self.no_upstream() from None

    async def located(self, n: HostNode, target: Target) -> None:
        """Before a question to `target`: join if its address has to be asked for first."""
        if target.addr is None:
            await self.join(n)

    def no_upstream(self):
        asked = ", ".join("L%d at %s" % x for x in sorted(self.upstream.items(), reverse=True))
        if self.mesh is None:
            return Unavailable(
                "No upstream answers (asked: %s). Start one with `l4 upstream`, or check "
                "--upstream." % (asked or "nobody")
            )
        if self.mesh["cuts"]:
            return Unavailable(
                "No upstream answers; cut are: %s. Undo it with: l4 mesh heal"
                % ", ".join(self.mesh["cuts"])
            )
        ended = [t["name"] for t in self.mesh["tiers"] if t["state"] != "running"]
        return Unavailable(
            "No upstream answers (asked: %s; ended: %s). Read their logs: %s"
            % (asked, ", ".join(ended) or "none", self.mesh["tiers"][0]["log"])
        )

    def silent(self, target: Target) -> Unavailable:
        """Why `target` may not answer, as far as it can be seen from here."""
        for b in self.mesh["boards"] if self.mesh else []:
            if b["name"] == target.name and b["state"] != "running":
                return Unavailable(
                    "%s is %s. Switch it on with: l4 mesh power %s on"
                    % (b["name"], b["state"], b["name"])
                )
            if b["name"] == target.name and not b["wifi"]:
                return Unavailable(
                    "%s has no WiFi; only neighbours with Bluetooth can hear it. Ask one of them "
                    "with --nearby, or: l4 mesh wifi %s on" % (b["name"], b["name"])
                )
        if self.mesh and self.mesh["cuts"]:
            return Unavailable(
                "%s does not answer; cut are: %s. Undo it with: l4 mesh heal"
                % (target.label, ", ".join(self.mesh["cuts"]))
            )
        if self.mesh:
            return Unavailable(
                "%s does not answer although it runs. Look at `l4 mesh ps` and its console."
                % target.label
            )
        return Unavailable(
            "%s does not answer: it may be asleep, switched off or behind a NAT. Try again, or "
            "give its address with --via IP:PORT." % target.label
        )

    @contextlib.asynccontextmanager
    async def asking(self, n: HostNode, target: Target):
        """Around a question to `target`: what is raised for silence says more."""
        await self.located(n, target)
        try:
            yield
        except NotFound:
            raise
        except (Unavailable, TimeoutError):
            raise await asleep(self, n, target) or self.silent(target) from None


def _mesh(name: str | None) -> place.Place | None:
    """The running mesh to ask through: of the network `name`, or the only one."""
    if name is not None:
        stem = name.rpartition("/")[2].removesuffix(networks.SUFFIX)
        try:
            here = place.Place(stem)
        except ValueError:
            return None
        return here if here.runs() else None
    up = place.running()
    if len(up) > 1:
        names = ", ".join(p.name for p in up)
        raise ToolError("Several meshes run: %s. Say which with --network NAME." % names)
    return up[0] if up else None


def _of_mesh(state: dict) -> tuple[dict, dict[int, str]]:
    return state, {int(t): a for t, a in state["upstream"].items()}
