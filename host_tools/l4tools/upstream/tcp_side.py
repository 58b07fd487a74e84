"""Nodes that UDP does not reach come by TCP, over TLS if the tier has a certificate.

Both ways: length 2, then a datagram of 20 to 1212 bytes, as it would be by UDP. Each connection is
an endpoint of its own, 0.3.x.x:n (lib/l4mesh/links.py), so all that a tier does works over it.
Who brings no frame with a good tag within 10 s, or none for 90 s, is cut off; so is who sends a
length that no datagram has. What a slow reader does not take is dropped, as a router would.
A connection counts from when it is accepted, so that a handshake that never ends is one, too.
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
_WAITING = 100
CONNECTIONS = 4096
FROM_IP = 16


class _Peer:
    __slots__ = ("transport", "ip", "addr", "good", "began_s", "last_s")

    def __init__(self, ip, addr, now_s):
        self.transport, self.ip, self.addr = None, ip, addr  # None: TLS begins
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
        self._listener = None
        self._tasks = set()
        self.port = None
        self.refused = self.dropped = 0

    async def start(self, host: str, port: int, cert: str | None = None, key: str | None = None):
        """ToolError says what is wrong with the address or the certificate."""
        context = _context(cert, key) if cert else None
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(_WAITING)
        except OSError as e:
            sock.close()
            raise ToolError(
                "TCP %s:%d cannot be used (%s). Stop what listens there, or choose another port."
                % (host, port, e.strerror or e)
            ) from None
        sock.setblocking(False)
        self._listener = sock
        self.port = sock.getsockname()[1]
        self._spawn(self._accept(context))
        self._spawn(self._look())

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    def _spawn(self, work):
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task):
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("TCP: a connection failed", exc_info=task.exception())

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
        if peer is None or peer.transport is None:
            return False
        transport = peer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > _BACKLOG:
            self.dropped += 1
            return False
        transport.write(n.to_bytes(2, "big") + bytes(buf[:n]))
        return True

    def has(self, addr: bytes) -> bool:
        return addr in self._peers

    async def _accept(self, context):
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, name = await loop.sock_accept(self._listener)
            except OSError as e:  # no files left, say: those who are here go on
                log.warning("TCP: nobody can be let in (%s)", e.strerror or e)
                await asyncio.sleep(_LOOK_S)
                continue
            ip = socket.inet_aton(name[0])
            if len(self._peers) >= self._most or self._ips.get(ip, 0) >= self._from_ip:
                self.refused += 1
                sock.close()
                continue
            number = next(self._numbers) % (1 << 32)
            peer = _Peer(ip, bytes((0, TCP)) + number.to_bytes(4, "big"), loop.time())
            self._peers[peer.addr] = peer
            self._ips[ip] = self._ips.get(ip, 0) + 1
            self._spawn(self._serve(peer, sock, context))

    async def _serve(self, peer, sock, context):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(4 * ROOM, loop)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            peer.transport, _ = await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader, loop=loop), sock, ssl=context,
                ssl_handshake_timeout=self._first_s if context else None,
            )  # fmt: skip
            await self._read(reader, peer.addr)
        except (OSError, asyncio.IncompleteReadError):  # ssl.SSLError is an OSError
            pass
        finally:
            del self._peers[peer.addr]
            self._ips[peer.ip] -= 1
            if not self._ips[peer.ip]:
                del self._ips[peer.ip]
            if peer.transport is not None:
                peer.transport.abort()

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
                if peer.transport is not None and (late or now_s - peer.last_s > _IDLE_S):
                    peer.transport.abort()


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
