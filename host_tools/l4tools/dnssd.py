"""DNS-SD on one interface: what this host hears is published, what others publish is found.

    async with Publisher("192.168.1.2", network_id) as p:
        await p.update([Shown(short_id, "standard", endpoint), ..])     as often as it changes
    found = await browse("192.168.1.2", mode="passive")

A node is `L4 ID._l4mesh._udp.local` (12 digits of its id), with a subtype for its mode:
`_standard._sub._l4mesh._udp.local`. TXT: txtvers=1, id (16 digits), net (the network id, which
each frame has in clear), mode, ver (of the wire); nothing that lets anybody in. Stock boards
cannot publish, since their firmware's own mDNS has port 5353, so a host does it for those it
hears. Two hosts that hear the same board say the same of it, which RFC 6762 allows (6.6, 9).

Publishing is the zeroconf library's; browsing is the core's one-shot query (l4mesh/browse.py).
"""

import asyncio
import os
import socket
from typing import Any, NamedTuple

from l4mesh.browse import Browse
from l4mesh.endpoint import format_endpoint

from .errors import ToolError
from .link import now_ms

TYPE = "_l4mesh._udp.local."
_TTL_S = 120  # also of the pointers: what is gone is forgotten soon
_MOST = 64


class Shown(NamedTuple):
    """What is said of a node."""

    short_id: bytes
    mode: str
    endpoint: bytes


class Publisher:
    def __init__(self, interface: str, network_id: bytes):
        self._interface, self._net = interface, network_id.hex()
        self._zc: Any = None
        self._said: dict[bytes, tuple[Shown, Any, Any]] = {}  # by short id: with both infos

    async def __aenter__(self) -> "Publisher":
        from zeroconf import IPVersion
        from zeroconf.asyncio import AsyncZeroconf

        try:
            self._zc = AsyncZeroconf(interfaces=[self._interface], ip_version=IPVersion.V4Only)
        except OSError as e:
            raise ToolError(
                "DNS-SD on %s is not possible (%s). Give the address of an interface of this "
                "machine, or use --no-dns-sd." % (self._interface, e.strerror or e)
            ) from None
        return self

    async def __aexit__(self, *_) -> None:
        """Everything published says goodbye."""
        for sid in list(self._said):
            await self._forget(sid)
        await self._zc.async_close()

    async def update(self, nodes: list[Shown]) -> None:
        """Publish these and no others."""
        wanted = {n.short_id: n for n in nodes[:_MOST]}
        for sid in [s for s, (n, _, _) in self._said.items() if wanted.get(s) != n]:
            await self._forget(sid)
        new = [n for n in wanted.values() if n.short_id not in self._said]
        await asyncio.gather(*(self._tell(n) for n in new))

    async def _tell(self, n: Shown):
        info, sub = self._info(n, TYPE), self._info(n, "_%s._sub.%s" % (n.mode, TYPE))
        self._said[n.short_id] = n, info, sub
        # Others may say the same of a board: nothing is probed for, nobody is asked to rename.
        await (await self._zc.async_register_service(info, cooperating_responders=True))
        # The library knows one type for each name; pointers of the subtype come from here.
        index = self._zc.zeroconf.registry.types
        index.setdefault(sub.type.lower(), {})[sub.key] = sub

    def _info(self, n: Shown, kind: str):
        from zeroconf import ServiceInfo

        short = n.short_id.hex()
        texts = {"txtvers": "1", "id": short, "net": self._net, "mode": n.mode, "ver": "1"}
        return ServiceInfo(
            kind, "L4 %s.%s" % (short[:12], TYPE), int.from_bytes(n.endpoint[4:], "big"),
            properties=texts, server="l4-%s.local." % short[:12], addresses=[n.endpoint[:4]],
            host_ttl=_TTL_S, other_ttl=_TTL_S,
        )  # fmt: skip

    async def _forget(self, sid: bytes):
        _, info, sub = self._said.pop(sid)
        index = self._zc.zeroconf.registry.types
        named = index.get(sub.type.lower(), {})
        named.pop(sub.key, None)
        if not named:
            index.pop(sub.type.lower(), None)
        await (await self._zc.async_unregister_service(info))


class _One:
    """The one socket of a query, on a named interface."""

    def __init__(self, interface: str):
        self._interface = interface
        self._sock: socket.socket | None = None

    def open(self, port, take):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self._interface)
            )
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            sock.bind((self._interface, port))
        except OSError as e:
            sock.close()
            raise ToolError(
                "Nothing can be sent from %s (%s). Give the IPv4 address of an interface of this "
                "machine." % (self._interface, e.strerror or e)
            ) from None
        sock.setblocking(False)
        self._sock, self._take = sock, take
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)
        return self

    def _readable(self):
        try:
            data, (host, port) = self._sock.recvfrom(9000)
        except OSError:
            return
        addr = socket.inet_aton(host) + port.to_bytes(2, "big")
        self._take(bytearray(data), len(data), addr, now_ms(), self)

    def send(self, buf, n, addr):
        host, _, port = format_endpoint(addr).rpartition(":")
        try:
            return self._sock.sendto(bytes(buf[:n]), (host, int(port))) == n
        except OSError:
            return False

    def close(self):
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None


async def browse(interface: str, mode: str = "", seconds: float = 4.5) -> list[dict]:
    """What answers meanwhile: anybody's word, checked by nothing."""
    found: list[dict] = []

    def tell(label, at, texts):
        said = {
            k.decode("ascii", "replace"): v.decode("utf-8", "replace") for k, v in texts.items()
        }
        found.append(
            {
                "name": label.decode("utf-8", "replace"),
                "node": said.get("id"),
                "network": said.get("net"),
                "mode": said.get("mode"),
                "address": format_endpoint(at),
                "version": said.get("ver"),
            }
        )

    b = Browse(_One(interface), os.urandom, tell, mode.encode())
    b.start(now_ms())
    end = asyncio.get_running_loop().time() + seconds
    try:
        while not b.done and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(min(b.poll(now_ms()), 200) / 1000)
    finally:
        b.close()
    return found
