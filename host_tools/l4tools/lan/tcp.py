"""TCP of the virtual network: connections to a virtual endpoint go to a real loopback port.

A client connects to the hub's TCP port and sends 12 bytes: its own virtual address, then the
destination. It gets one byte back: 0 connected, 1 refused (nothing forwarded there), 2 no way
(cut). After that the bytes of both directions pass, delayed like datagrams. A cut resets them.
"""

import socket
import struct
import time
from collections import Counter

from l4tools.errors import ToolError
from l4tools.lan import addr as A

OK, REFUSED, NO_WAY = b"\0", b"\1", b"\2"
_IN_FLIGHT = 1 << 18  # bytes on the way in one direction before the sender has to wait


def loopback(real: str) -> tuple[str, int]:
    """("127.0.0.1", port) of text; anything but loopback is refused."""
    host, _, port = real.rpartition(":")
    if not host.startswith("127.") or not port.isdigit():
        raise ToolError("%r is not on loopback. Forward to 127.0.0.1:PORT only." % real)
    return host, int(port)


class _Conn:
    """One client with its preamble, then a pair of delayed pipes."""

    def __init__(self, fwd, sock):
        self.fwd, self.a, self.b = fwd, sock, None
        self.loop = fwd.hub.loop
        self.src = self.dst = A.NOBODY
        self._head = b""
        self._out = {}  # socket -> bytes that wait for it to be writable
        self._way = {}  # socket -> bytes on their way to it
        self._due = {}  # socket -> when the last of them arrives
        self._eof = set()
        self.loop.add_reader(sock.fileno(), self._preamble)

    def _preamble(self):
        data = _recv(self.a, 12 - len(self._head))
        if data is None:
            return
        self._head += data
        if not data:
            self.close()
        elif len(self._head) == 12:
            self.src, self.dst = self._head[:6], self._head[6:]
            self.fwd.counts["opened"] += 1
            ms = self.fwd.hub.delays[A.delay_class(self.src, self.dst)]
            self.loop.remove_reader(self.a.fileno())
            self.loop.call_later(2 * ms / 1000, self._connect)  # SYN and its answer

    def _connect(self):
        if self.a is None:
            return
        real = self.fwd.routes.get(self.dst)
        if self.fwd.hub.is_cut(self.src, self.dst) or real is None:
            cut = self.fwd.hub.is_cut(self.src, self.dst)
            self.fwd.counts["cut" if cut else "refused"] += 1
            self._refuse(NO_WAY if cut else REFUSED)
            return
        self.b = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.b.settimeout(1.0)
        try:
            self.b.connect(real)  # loopback: answers at once
        except OSError:
            self.b.close()
            self.b = None
            self.fwd.counts["refused"] += 1
            self._refuse(REFUSED)
            return
        for sock, other in ((self.a, self.b), (self.b, self.a)):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._out[sock], self._way[sock] = b"", 0
            self.loop.add_reader(sock.fileno(), self._reader(sock, other))
        self._write(self.a, OK)

    def _refuse(self, why):
        try:
            self.a.send(why)
        except OSError:
            pass
        self.close()

    def _reader(self, sock, other):
        def readable():
            data = _recv(sock, 16384)
            if data is None:
                return
            if not data:
                self.loop.remove_reader(sock.fileno())
            ms = self.fwd.hub.delays[A.delay_class(self.src, self.dst)]
            self._way[other] += len(data)
            if self._way[other] > _IN_FLIGHT:
                self.loop.remove_reader(sock.fileno())
            due = max(self._due.get(other, 0.0), time.monotonic() + ms / 1000)
            self._due[other] = due
            self.loop.call_at(due, self._arrive, other, data, sock, readable)

        return readable

    def _arrive(self, sock, data, sender, readable):
        if self.a is None:
            return
        if not data:
            self._eof.add(sock)
        self._write(sock, data)
        if self.a is None or not data:
            return
        full = self._way[sock] > _IN_FLIGHT
        self._way[sock] -= len(data)
        if full and self._way[sock] <= _IN_FLIGHT:
            self.loop.add_reader(sender.fileno(), readable)

    def _write(self, sock, data):
        self._out[sock] += data
        try:
            sent = sock.send(self._out[sock]) if self._out[sock] else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._out[sock] = self._out[sock][sent:]
        if self._out[sock]:
            self.loop.add_writer(sock.fileno(), lambda: self._write(sock, b""))
            return
        self.loop.remove_writer(sock.fileno())
        if sock in self._eof:
            try:
                if len(self._eof) < 2:
                    sock.shutdown(socket.SHUT_WR)
                    return
            except OSError:  # it was reset meanwhile
                pass
            self.close()

    def close(self, reset=False):
        for sock in (self.a, self.b):
            if sock is None:
                continue
            self.loop.remove_reader(sock.fileno())
            self.loop.remove_writer(sock.fileno())
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.a = self.b = None
        self.fwd.conns.discard(self)


def _recv(sock, n):
    """Bytes, b"" at the end or on a reset, None when there is nothing yet."""
    try:
        return sock.recv(n)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class Forwarder:
    def __init__(self, hub, listener: socket.socket):
        self.hub, self._listener = hub, listener
        self.routes: dict[bytes, tuple[str, int]] = {}
        self.conns: set[_Conn] = set()
        self.counts: Counter = Counter()
        hub.loop.add_reader(listener.fileno(), self._accept)

    def route(self, virtual: str, real: str | None) -> None:
        if real is None:
            self.routes.pop(A.pack(virtual), None)
        else:
            self.routes[A.pack(virtual)] = loopback(real)

    def _accept(self):
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        self.conns.add(_Conn(self, sock))

    def drop_cut(self):
        """Reset the connections that a cut just took the way from."""
        for conn in list(self.conns):
            if conn.b is not None and self.hub.is_cut(conn.src, conn.dst):
                self.counts["reset"] += 1
                conn.close(reset=True)

    def drop_ip(self, ip4: bytes):
        for conn in list(self.conns):
            if conn.src[:4] == ip4:
                conn.close(reset=True)

    def close(self):
        self.hub.loop.remove_reader(self._listener.fileno())
        for conn in list(self.conns):
            conn.close()
        self._listener.close()
