# floor 9: links
# A connection to a tier where UDP does not pass. RAM: 6 kB; TLS 30 kB on top.
"""One TCP connection that carries datagrams: length 2, then that many bytes (docs/protocol.md 10).

    link = TcpLink(node, level, where, sockets, tls)   where: 6 bytes; sockets: node.sockets
    link.open(now)       begins to connect; nothing here ever waits
    link.poll(now) -> ms
    link.up              connected; link.addr is then an endpoint like any other (links.py)
    link.send(buf, n)    False: not connected, or what came before has not left yet
    link.close()

`tls`: mqtt_tls.Tls or None. Sockets are used by write() and readinto(), which say None for "not
now"; CPython's get that by _Plain. What fails closes it; who owns it opens it again.
"""

import errno
import select
import socket

from l4mesh import ticks
from l4mesh.compat import const
from l4mesh.endpoint import format_endpoint
from l4mesh.links import TCP

from .address import Addresses

_LEAST = const(20)
_ROOM = const(1212)
_CONNECT_MS = const(8000)
_LOOK_MS = const(20)
_IDLE_MS = const(1000)
_PACKETS = const(8)  # taken in at a time


class _Plain:
    """CPython's socket in MicroPython's clothes."""

    def __init__(self, sock):
        self._sock = sock
        import ssl

        self._later = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

    def write(self, data):
        try:
            return self._sock.send(data)
        except self._later:
            return None

    def readinto(self, view):
        try:
            return self._sock.recv_into(view)
        except self._later:
            return None

    def close(self):
        self._sock.close()


class TcpLink:
    def __init__(self, node, level: int, where: bytes, sockets=None, tls=None):
        self.addr = bytes((0, TCP, 0, level, 0, 1))
        self.where = where
        self.level = level
        self.real = None  # what can be polled
        self.up = False
        self.last = 0  # when something was sent
        self.why = ""
        self._node = node
        self._sockets = sockets
        self._tls = tls
        self._s = self._wait = None
        self._began = self._now = 0
        self._in = bytearray(2 + _ROOM)
        self._inv = memoryview(self._in)
        self._have = 0
        self._out = bytearray(2 * (2 + _ROOM))
        self._outv = memoryview(self._out)
        self._left = 0  # bytes that wait in _out
        self._stuck = 0  # TLS: so many were offered, and must be offered again

    def open(self, now: int) -> None:
        self.close()
        self._began = self._now = now
        try:
            self.real = s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            s.setblocking(False)
            s.connect(Addresses().native(self.where))
        except OSError as e:
            if e.args[0] not in (errno.EINPROGRESS, 119, 11):  # 119, 11: lwIP's words for it
                self._fail(e)
                return
        self._wait = select.poll()
        self._wait.register(s, select.POLLOUT)

    def close(self) -> None:
        if self._s is not None and self._sockets is not None:
            self._sockets.forget(self)
        if self.real is not None:
            self.real.close()
        self.real = self._s = self._wait = None
        self.up = False
        self._have = self._left = self._stuck = 0

    def _fail(self, e):
        code = e.args[0] if e.args else e
        self.why = "TCP to %s: %s" % (format_endpoint(self.where), code)
        self.close()

    def _connected(self, now):
        s = self.real
        try:
            s.setsockopt(6, 1, 1)  # TCP_NODELAY
        except OSError as e:
            self.why = "slow: %s" % e
        if self._tls is not None:
            try:
                s = self._tls.wrap(s, format_endpoint(self.where).split(":")[0])
            except MemoryError:  # of this connection: three in a minute end the node (runner.py)
                raise OSError(errno.ENOMEM)
        self.real = s
        self._s = s if hasattr(s, "readinto") else _Plain(s)
        self._wait = None
        self.up = True
        self.last = now
        self.why = ""
        if self._sockets is not None:
            self._sockets.adopt(self)

    def poll(self, now: int) -> int:
        self._now = now
        if self.real is None:
            return _IDLE_MS
        try:
            if self._wait is not None:
                ready = self._wait.poll(0)
                if ready and ready[0][1] == select.POLLOUT:
                    self._connected(now)
                elif ready or ticks.diff(now, self._began) > _CONNECT_MS:
                    raise OSError(errno.ECONNREFUSED if ready else errno.ETIMEDOUT)
                return _LOOK_MS
            self._flush()
            self._read(now)
        except (OSError, ValueError) as e:
            self._fail(e)
            return 0
        return _LOOK_MS if self._left or self._sockets is None else _IDLE_MS

    def receive(self, now: int) -> None:
        """It can be read (sockets.py)."""
        self._now = now
        try:
            self._flush()
            self._read(now)
        except (OSError, ValueError) as e:
            self._fail(e)

    # frames

    def send(self, buf, n: int, addr=None) -> bool:
        if not self.up or n > _ROOM or self._left + 2 + n > len(self._out):
            return False
        a = self._left
        self._out[a] = n >> 8
        self._out[a + 1] = n & 255
        self._outv[a + 2 : a + 2 + n] = memoryview(buf)[:n]
        self._left = a + 2 + n
        self.last = self._now
        try:
            self._flush()
        except (OSError, ValueError) as e:
            self._fail(e)
            return False
        return True

    def _flush(self):
        while self._left and self._s is not None:
            n = self._stuck or self._left
            k = self._s.write(self._outv[:n])
            if not k:
                self._stuck = n if self._tls is not None else 0
                return
            self._stuck = 0
            self._left -= k
            if self._left:
                self._outv[: self._left] = bytes(self._outv[k : k + self._left])

    def _read(self, now):
        """Whole datagrams go to the node, a few at a time."""
        for _ in range(_PACKETS):
            while self._s is not None:
                end = 2 if self._have < 2 else 2 + (self._in[0] << 8 | self._in[1])
                if self._have == end:
                    break
                k = self._s.readinto(self._inv[self._have : end])
                if k is None:
                    return
                if not k:
                    raise OSError(errno.ECONNRESET)
                self._have += k
                if self._have == 2 and not _LEAST <= self._in[0] << 8 | self._in[1] <= _ROOM:
                    raise ValueError("no datagram")
            if self._s is None:
                return
            n = self._have - 2
            self._have = 0
            self._node.receive(bytes(self._inv[2 : 2 + n]), n, self.addr, now)
