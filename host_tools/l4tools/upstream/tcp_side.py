"""Nodes that UDP does not reach come by TCP, over TLS if the tier has a certificate.

Both ways: length 2, then a datagram of 20 to 1212 bytes, as it would be by UDP. Each connection is
an endpoint of its own, 0.3.x.x:n (lib/l4mesh/links.py), so all that a tier does works over it.
Who brings no frame with a good tag within 10 s, or none for 90 s, is cut off; so is who sends a
length that no datagram has. What a slow reader does not take is dropped, as a router would.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
import ssl

from l4mesh.calls import ROOM
from l4mesh.links import TCP

from ..errors import ToolError

log = logging.getLogger("l4tools.upstream")

_LEAST = 20
_FIRST_S = 10.0
_IDLE_S = 90.0
_LOOK_S = 1.0
_BACKLOG = 1 << 16
CONNECTIONS = 4096
FROM_IP = 16


class _Peer:
    __slots__ = ("writer", "ip", "addr", "good", "began_s", "last_s")

    def __init__(self, writer, ip, addr, now_s):
        self.writer, self.ip, self.addr = writer, ip, addr
        self.good = False
        self.began_s = self.last_s = now_s


class TcpSide:
    """`async start()` listens; `send(buf, n, addr)` is for the tier's answers."""

    def __init__(self, tier, connections=CONNECTIONS, from_ip=FROM_IP, first_s=_FIRST_S):
        self._tier = tier
        self._most, self._from_ip, self._first_s = connections, from_ip, first_s
        self._peers = {}  # addr -> _Peer
        self._ips = {}  # ip -> connections
        self._numbers = itertools.count(1)
        self._server = self._watch = None
        self._tasks = set()
        self.port = None
        self.refused = self.dropped = 0

    async def start(self, host: str, port: int, cert: str | None = None, key: str | None = None):
        """ToolError says what is wrong with the address or the certificate."""
        context = _context(cert, key) if cert else None
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, ssl=context, limit=4 * ROOM,
                ssl_handshake_timeout=self._first_s if context else None,
            )  # fmt: skip
        except OSError as e:
            raise ToolError(
                "TCP %s:%d cannot be used (%s). Stop what listens there, or choose another port."
                % (host, port, e.strerror or e)
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._watch = asyncio.create_task(self._look())

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [t for t in (self._watch, *self._tasks) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __len__(self):
        return len(self._peers)

    def ip_of(self, addr: bytes) -> bytes:
        peer = self._peers.get(addr)
        return peer.ip if peer is not None else addr[:4]

    def good(self, addr: bytes) -> None:
        """A frame with a good tag came by this connection."""
        peer = self._peers.get(addr)
        if peer is not None:
            peer.good = True
            peer.last_s = asyncio.get_running_loop().time()

    def send(self, buf, n: int, addr: bytes) -> bool:
        peer = self._peers.get(addr)
        if peer is None:
            return False
        transport = peer.writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > _BACKLOG:
            self.dropped += 1
            return False
        peer.writer.write(n.to_bytes(2, "big") + bytes(buf[:n]))
        return True

    def has(self, addr: bytes) -> bool:
        return addr in self._peers

    async def _serve(self, reader, writer):
        name = writer.get_extra_info("peername")
        ip = socket.inet_aton(name[0]) if name else bytes(4)
        if len(self._peers) >= self._most or self._ips.get(ip, 0) >= self._from_ip:
            self.refused += 1
            writer.transport.abort()
            return
        number = next(self._numbers) % (1 << 32)
        addr = bytes((0, TCP)) + number.to_bytes(4, "big")
        peer = _Peer(writer, ip, addr, asyncio.get_running_loop().time())
        self._peers[addr] = peer
        self._ips[ip] = self._ips.get(ip, 0) + 1
        task = asyncio.current_task()
        self._tasks.add(task)
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._read(reader, addr)
        except (OSError, asyncio.IncompleteReadError):  # ssl.SSLError is an OSError
            pass
        finally:
            self._tasks.discard(task)
            del self._peers[addr]
            self._ips[ip] -= 1
            if not self._ips[ip]:
                del self._ips[ip]
            writer.transport.abort()

    async def _read(self, reader, addr):
        while True:
            n = int.from_bytes(await reader.readexactly(2), "big")
            if not _LEAST <= n <= ROOM:
                return
            self._tier.receive(await reader.readexactly(n), addr)
            if reader.at_eof():
                return

    async def _look(self):
        """Cut off who has nothing to say here."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = asyncio.get_running_loop().time()
            for peer in list(self._peers.values()):
                late = now_s - peer.began_s > self._first_s and not peer.good
                if late or now_s - peer.last_s > _IDLE_S:
                    peer.writer.transport.abort()


def _context(cert, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except OSError as e:
        raise ToolError(
            "The certificate %s (key %s) can't be used (%s). Give PEM files that fit together."
            % (cert, key or cert, e)
        ) from None
    return context
