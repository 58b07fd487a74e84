"""The CPython end of a virtual cable: what tiers and host nodes use instead of a UDP socket.

`CableSocket` calls `receive(data, addr6)` from an asyncio loop; `BlockingCable` is for tests and
scripts; `connect_tcp` opens a TCP connection over the virtual network.
"""

import asyncio
import socket
import time
from collections.abc import Callable

from l4tools.errors import ToolError, Unavailable
from l4tools.lan import addr as A
from l4tools.lan.tcp import NO_WAY, OK, loopback

Address = bytes | str | tuple[str, int]


def _real(hub: str | tuple[str, int]) -> tuple[str, int]:
    return loopback(hub if isinstance(hub, str) else "%s:%d" % hub)


class _Cable:
    def __init__(self, hub: str | tuple[str, int], vaddr: Address):
        self.vaddr = A.pack(vaddr)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.connect(_real(hub))  # the kernel now drops whatever is not from the hub
        self._bind(hub)

    def _bind(self, hub):
        """Announce the virtual address until the hub says it knows."""
        self._sock.settimeout(0.1)
        for _ in range(20):
            try:
                self._sock.send(b"B" + self.vaddr)
                reply = self._sock.recv(2048)
            except OSError:  # not up yet: refused, or no answer
                time.sleep(0.02)
                continue
            if reply == A.NOBODY + b"B":
                return
            if reply == A.NOBODY + b"E":
                self._sock.close()
                raise ToolError(
                    "%s is not on the virtual network. Use 10.77.LAN.HOST:PORT."
                    % A.text(self.vaddr)
                )
        self._sock.close()
        raise Unavailable("No hub answers at %s. Start it with `l4 mesh up`." % (hub,))

    def send(self, buf, n: int | None = None, addr: Address | None = None) -> bool:
        """Send `buf[:n]`; False when the hub's queue is full or it is gone."""
        head = b"D" + (addr if isinstance(addr, bytes) and len(addr) == 6 else A.pack(addr))
        try:
            self._sock.send(head + (buf if n is None else bytes(memoryview(buf)[:n])))
        except OSError:
            return False
        return True

    def join(self, group: Address) -> None:
        """Hear a multicast group (an IP, or an address whose port does not matter)."""
        text = isinstance(group, str) and ":" not in group
        self._sock.send(b"G" + A.pack((group, 0) if text else group))

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            try:
                self._sock.send(b"U")
            except OSError:
                pass
            self._sock.close()


class BlockingCable(_Cable):
    """For tests and scripts: `recv` waits."""

    def recv(self, timeout: float = 2.0) -> tuple[bytes, bytes] | None:
        """(payload, source6), or None after `timeout` seconds."""
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            self._sock.settimeout(max(left, 0.0))
            try:
                frame = self._sock.recv(2048)
            except ConnectionRefusedError:
                continue
            except (TimeoutError, BlockingIOError):
                return None
            if frame[:6] != A.NOBODY:
                return frame[6:], frame[:6]


class CableSocket(_Cable):
    """For asyncio: `receive(data, addr6)` is called for each datagram, up to 64 a turn."""

    def __init__(
        self,
        hub: str | tuple[str, int],
        vaddr: Address,
        receive: Callable[[bytes, bytes], None],
        loop: asyncio.AbstractEventLoop | None = None,
        batch: int = 64,
    ):
        super().__init__(hub, vaddr)
        self._receive, self._batch = receive, batch
        self._sock.setblocking(False)
        self._loop = loop or asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), self._readable)

    def _readable(self):
        for _ in range(self._batch):
            try:
                frame = self._sock.recv(2048)
            except ConnectionRefusedError:  # the hub is gone for now
                continue
            except OSError:
                return
            if frame[:6] != A.NOBODY:
                self._receive(frame[6:], frame[:6])

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
        super().close()


def connect_tcp(hub, src: Address, dst: Address, timeout: float = 5.0) -> socket.socket:
    """A connected TCP socket to a virtual endpoint; OSError as a real one would raise."""
    sock = socket.create_connection(_real(hub), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(A.pack(src) + A.pack(dst))
    reply = sock.recv(1)
    if reply == OK:
        return sock
    sock.close()
    if reply == NO_WAY:
        raise OSError(113, "No route to host")
    raise ConnectionRefusedError(111, "Connection refused")
