# floor 9: links
# The one UDP socket of a node: unicast, broadcast, the LAN's group. RAM: 4 kB, mostly addresses.
"""Link over UDP, for ESP32, the unix port and CPython.

`recv()` takes one datagram without waiting: its length, with `data` and `addr` (6 bytes), or -1.
On ESP32 an empty datagram leaves the socket answering b"" for ever (micropython-lib #736); bind()
on the same address puts it right, so `recv` does that and returns -1.
A full send buffer (ENOMEM, ENOBUFS, ETIMEDOUT) is tried twice more, then counted as loss: the
protocol repeats what matters. `group_if` (4 bytes) is the interface of the group; boards have one.
"""

import socket
import time

from l4mesh.compat import const
from l4mesh.wire import MAX_FRAME

from .address import Addresses

_SOL_IP = const(0)
_ADD_MEMBERSHIP_LWIP = const(3)
_ADD_MEMBERSHIP = const(35)
_MULTICAST_IF = const(32)
_SOL_SOCKET = const(1)
_BROADCAST = const(6)
_RETRY = (12, 105, 116, 110, 11)
_TRIES = const(2)
_ROOM = MAX_FRAME + 13  # a frame in a relay's wrapping (12), and a longer datagram shows


class Udp:
    def __init__(
        self, ip: bytes, port: int, group: bytes, lwip: bool, mask: bytes = b"\xff\xff\xff\x00"
    ):
        """`ip`, `mask` 4 bytes; `group` 6; `lwip`: the sockets of an ESP32 or a virtual board."""
        self.mtu = MAX_FRAME
        self._lwip = lwip
        self._addresses = Addresses()
        self._port = bytes((port >> 8, port & 255))
        self.group = group
        self._place(ip, mask)
        self.data = b""
        self._to = self._sent = self._view = None
        self.addr = bytes(6)
        self.empty = 0
        self.errors = 0
        self._bind = self._addresses.native(bytes(4) + self._port if lwip else self.local)
        self._open()

    def _place(self, ip, mask):
        self.local = ip + self._port
        self.broadcast = bytes([ip[i] | (~mask[i] & 255) for i in range(4)]) + self._port

    def moved(self, ip: bytes, mask: bytes) -> None:
        """A new address from DHCP, or the network is back: group membership is gone on lwIP."""
        self._place(ip, mask)
        self.join()

    def _open(self):
        self.sock = s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        s.bind(self._bind)
        self.join()

    def join(self) -> None:
        """Join the group; again after each reconnect of the WiFi."""
        member = self.group[:4] + (bytes(4) if self._lwip else self.local[:4])
        try:
            if self._lwip:
                self.sock.setsockopt(_SOL_IP, _ADD_MEMBERSHIP_LWIP, member)
                self.sock.setsockopt(0xFFF, 0x20, 1)
            else:
                self.sock.setsockopt(_SOL_IP, _MULTICAST_IF, self.local[:4])
                self.sock.setsockopt(_SOL_IP, _ADD_MEMBERSHIP, member)
                self.sock.setsockopt(_SOL_SOCKET, _BROADCAST, 1)
        except OSError:
            self.errors += 1  # no multicast here: broadcast and unicast still work

    def recv(self) -> int:
        try:
            self.data, native = self.sock.recvfrom(_ROOM)
        except OSError:
            self.errors += 1  # nothing there, or what came back of a datagram we sent
            return -1
        if not self.data:
            self.empty += 1
            if self._lwip:
                self._unstick()
            return -1
        self.addr = self._addresses.six(native)
        # 0.x stands for links, which count as proven (links.py): lwIP lets such a source in.
        return len(self.data) if self.addr[0] else -1

    def _unstick(self):
        try:
            self.sock.bind(self._bind)
        except OSError:
            self.errors += 1
            self.sock.close()
            self._open()

    def send(self, buf, n: int, addr: bytes) -> bool:
        self._to = self._addresses.native(addr)
        if buf is not self._sent:  # nearly always the node's one transmit buffer
            self._sent = buf
            self._view = memoryview(buf)
        return self._send(self._view[:n])

    def _send(self, data):
        try:
            self.sock.sendto(data, self._to)
            return True
        except OSError:
            return self._again(data, self._to)

    def _again(self, data, native):
        """It was refused once: twice more, if that may help."""
        self.errors += 1
        for k in range(_TRIES):
            time.sleep(0.002 * k)
            try:
                self.sock.sendto(data, native)
                return True
            except OSError as e:
                self.errors += 1
                if e.args[0] not in _RETRY:
                    break
        return False

    def close(self) -> None:
        self.sock.close()
