"""Datagram links for hosts: real UDP, or a cable of the virtual LAN's hub.

Both are the `link` of lib/l4mesh/ports.py (local, group, broadcast, mtu, send) and call
`receive(data, addr6)` for each datagram on the running asyncio loop, at most 64 in a turn, so
that a flood cannot keep timers from running.

UdpLink sends unicast only, unless `multicast` names the address of one interface: nothing goes
out to a group of a real network that nobody asked for.
"""

import asyncio
import socket
import time

from l4mesh.endpoint import format_endpoint, parse_endpoint
from l4mesh.ticks import MASK

from .errors import ToolError

_BATCH = 64
_KEEP = 4096
_RCVBUF = 1 << 21
GROUP = "239.76.52.1"  # with the link's own port, as boards have one socket for both
NOWHERE = bytes(6)


def now_ms() -> int:
    """The tick of this moment: ms modulo 2**30."""
    return time.monotonic_ns() // 1_000_000 & MASK


class UdpLink:
    """A UDP socket on `listen` ("ip:port", port 0 = any). `close()` ends it."""

    mtu = 1200

    def __init__(self, listen, receive, multicast=None, group=GROUP, loop=None):
        host, _, port = listen.rpartition(":")
        self._receive = receive
        self._loop = loop or asyncio.get_running_loop()
        self._names = {}
        self.group = self.broadcast = NOWHERE
        self._socks = []
        self._sock = self._open(host, int(port), listen)
        host, port = self._sock.getsockname()
        self.local = parse_endpoint("%s:%d" % (host, port))
        if multicast is not None:
            self._join(multicast, group, port)

    def _open(self, host, port, listen):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socks.append(sock)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RCVBUF)
            sock.bind((host, port))
        except (OSError, OverflowError) as e:
            self.close()
            raise ToolError(
                "UDP %s cannot be used (%s). Stop what listens there, or choose another port."
                % (listen, getattr(e, "strerror", None) or e)
            ) from None
        self._watch(sock)
        return sock

    def _watch(self, sock):
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable, sock)

    def _join(self, interface, ip, port):
        """Send to and hear the group on the interface with this address, and no other."""
        own = socket.inet_aton(interface)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socks.append(sock)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((ip, port))
            sock.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(ip) + own
            )
            self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        except OSError as e:
            self.close()
            raise ToolError(
                "Multicast on %s cannot be used (%s). Give the IPv4 address of an interface of "
                "this machine." % (interface, e.strerror or e)
            ) from None
        self.group = parse_endpoint("%s:%d" % (ip, port))
        self._watch(sock)

    def _readable(self, sock):
        for _ in range(_BATCH):
            try:
                data, (host, port) = sock.recvfrom(2048)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP answer to something we sent
                continue
            addr = socket.inet_aton(host) + port.to_bytes(2, "big")
            if addr[0]:  # 0.x.x.x is no sender, and stands for MQTT inside the tiers
                self._receive(data, addr)

    def send(self, buf, n: int, addr: bytes) -> bool:
        if addr == NOWHERE:
            return False
        name = self._names.get(addr)
        if name is None:
            if len(self._names) >= _KEEP:
                self._names.clear()
            host, _, port = format_endpoint(addr).rpartition(":")
            name = self._names[addr] = (host, int(port))
        try:
            self._sock.sendto(memoryview(buf)[:n], name)
        except OSError:
            return False
        return True

    def close(self) -> None:
        for sock in self._socks:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock.fileno())
                sock.close()


class CableLink:
    """A virtual endpoint `vaddr` ("10.77.k.h:port") on the hub at `hub` ("127.0.0.1:port")."""

    mtu = 1200

    def __init__(self, hub, vaddr, receive, group=None, loop=None):
        from .lan.cable import CableSocket

        self.hub = hub
        self._cable = CableSocket(hub, vaddr, receive, loop)
        self.local = self._cable.vaddr
        self.group = self.broadcast = NOWHERE
        if group is not None and self.local[2]:  # LAN 0 is the Internet: no multicast there
            self.group = socket.inet_aton(group) + self.local[4:]
            self.broadcast = self.local[:3] + b"\xff" + self.local[4:]
            self._cable.join(self.group)

    def send(self, buf, n: int, addr: bytes) -> bool:
        return addr != NOWHERE and self._cable.send(buf, n, addr)

    def close(self) -> None:
        self._cable.close()
