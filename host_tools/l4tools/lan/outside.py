"""The way out of a virtual LAN to this machine's loopback, for chips that somebody tries by hand.

As behind a router: each virtual address has one real UDP socket on 127.0.0.1 for all its peers,
and what comes in there goes to it. Nothing but 127.0.0.0/8 is reached, so nothing leaves the
machine. A hub has none of this unless it is asked for (`Hub(outside=True)`).
"""

import socket
from collections.abc import Callable

from l4tools.lan import addr as A
from l4tools.lan.loop import Loop

_MOST = 256


class Outside:
    """All of it in the hub's loop. `deliver(source6, virtual6, payload)`."""

    def __init__(self, loop: Loop, deliver: Callable[[bytes, bytes, bytes], None]):
        self._loop, self._deliver = loop, deliver
        self._socks: dict[bytes, socket.socket] = {}

    def send(self, src: bytes, dst: bytes, payload: bytes) -> bool:
        """False: no such place, or it takes nothing now."""
        if dst[0] != 127:
            return False
        sock = self._socks.get(src) or self._open(src)
        try:
            return sock is not None and sock.sendto(payload, _real(dst)) >= 0
        except OSError:
            return False

    def way_in(self, virtual: bytes) -> str:
        """The real address at which `virtual` is to be reached: its own port, if that is free."""
        sock = self._socks.get(virtual) or self._open(virtual)
        return "%s:%d" % sock.getsockname() if sock else ""

    def _open(self, src: bytes) -> socket.socket | None:
        if len(self._socks) >= _MOST:
            return None
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind(("127.0.0.1", _real(src)[1]))
        except OSError:
            sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        self._socks[src] = sock
        self._loop.add_reader(sock.fileno(), lambda: self._readable(sock, src))
        return sock

    def _readable(self, sock: socket.socket, src: bytes):
        try:
            payload, sender = sock.recvfrom(2048)
        except OSError:  # nothing, or an ICMP answer to something that was sent
            return
        self._deliver(A.pack(sender), src, payload)

    def close(self) -> None:
        for sock in self._socks.values():
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._socks.clear()


def _real(addr: bytes) -> tuple[str, int]:
    return A.text_ip(addr), addr[4] << 8 | addr[5]
