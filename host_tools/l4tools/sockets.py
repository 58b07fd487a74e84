"""More datagram sockets for a HostNode, on asyncio (boards: lib/l4mesh_io/sockets.py).

    sockets = HostSockets(link, now, wake)     given to the node as node.sockets
    s = sockets.open(port, take)               port 0: any. None: refused, in use, or too many
    s.port   s.send(buf, n, addr)   s.close()
    take(buf, n, addr, now, s)                 a datagram

They are on the address of the node's own link, real or on the virtual LAN. `wake()` is called
after each datagram, since deadlines may have changed. As many as a board may have, so that what
works here works there.
"""

import asyncio
import random
from collections.abc import Callable

from l4mesh.endpoint import format_endpoint
from l4mesh_io.sockets import PLACES

from .errors import ToolError
from .link import CableLink, UdpLink


class HostSocket:
    def __init__(self, home, port, take):
        self._home, self.take = home, take
        self._link = home.link_at(port, self._receive)
        self.port = int.from_bytes(self._link.local[4:], "big")

    def _receive(self, data, addr):
        if data:  # an empty one is nothing, as on a board
            self.take(bytearray(data), len(data), addr, self._home.now(), self)
            self._home.wake()

    def send(self, buf, n: int, addr: bytes) -> bool:
        return self._link is not None and self._link.send(buf, n, addr)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
            self._home.all.remove(self)


class HostSockets:
    def __init__(self, link, now: Callable[[], int], wake: Callable[[], None]):
        self._link, self.now, self.wake = link, now, wake
        self.all = []

    def link_at(self, port, receive):
        """A link like the node's own on another port; ToolError if it can't be had."""
        host = format_endpoint(self._link.local).rpartition(":")[0]
        if isinstance(self._link, CableLink):
            port = port or random.randrange(32768, 65536)
            return CableLink(self._link.hub, "%s:%d" % (host, port), receive)
        return UdpLink("%s:%d" % (host, port), receive)

    def open(self, port: int, take) -> HostSocket | None:
        if len(self.all) >= PLACES:
            return None
        try:
            s = HostSocket(self, port, take)
        except ToolError:
            return None
        self.all.append(s)
        return s

    def adopt(self, s) -> None:
        """One that was made elsewhere, with `real`, receive(now) and close() (tcp_link.py)."""
        self.all.append(s)
        asyncio.get_running_loop().add_reader(s.real.fileno(), self._readable, s)

    def _readable(self, s):
        s.receive(self.now())
        self.wake()

    def forget(self, s) -> None:
        """Before an adopted one is closed."""
        if s in self.all:
            self.all.remove(s)
            asyncio.get_running_loop().remove_reader(s.real.fileno())

    def close(self) -> None:
        for s in list(self.all):
            s.close()
