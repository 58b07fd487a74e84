# floor 9: links
# More UDP sockets beside the node's one, for a while: filter tests, punching. RAM: 2.5 kB, 4 kB.
"""Throw-away sockets, drained by the runner as long as one is open.

    sockets = Sockets(runner, lwip)          given to the node as node.sockets
    s = sockets.open(port, take)             port 0: any. None: refused, in use, or too many
    s.port                                   our side's, as bound
    s.send(buf, n, addr) -> bool
    s.close()                                twice does no harm; sockets.close() closes all
    take(buf, n, addr, now, s)               a datagram; `buf` is the callee's from then on

An ESP32 has 10 sockets in all (LWIP_MAX_SOCKETS), so at most 6 are given out. MicroPython has no
getsockname(): the port is chosen here, by entropy, since a port that can be guessed invites forged
packets. `lwip`: the sockets of an ESP32 or a virtual board, as in udp.py. No retries: who sprays
has more to send anyway. An empty datagram is dropped (udp.py says what it does to an ESP32).
"""

import os
import socket

from l4mesh.compat import const

from .address import Addresses

PLACES = const(6)
_BATCH = const(8)
_ROOM = const(1213)
_TRIES = const(8)
_POLLIN = const(1)


class Sock:
    def __init__(self, home, real, port, take):
        self._home = home
        self.real = real  # None: closed
        self.port = port
        self.take = take

    def send(self, buf, n: int, addr: bytes) -> bool:
        if self.real is None:
            return False
        try:
            self.real.sendto(memoryview(buf)[:n], self._home.names.native(addr))
            return True
        except OSError:
            self._home.errors += 1
            return False

    def receive(self, now: int) -> None:
        home = self._home
        try:
            data, native = self.real.recvfrom(_ROOM)
            if not data:
                self.real.bind(home.place(self.port))
                return
        except OSError:
            home.errors += 1  # nothing there, or what came back of a datagram we sent
            return
        addr = home.names.six(native)
        if addr[0]:  # 0.x is no sender (udp.py)
            self.take(data, len(data), addr, now, self)

    def close(self) -> None:
        if self.real is not None:
            self._home.forget(self)
            self.real.close()
            self.real = None


class Sockets:
    def __init__(self, runner, lwip: bool):
        self._runner = runner
        self._lwip = lwip
        self._objects = hasattr(runner.poller, "ipoll")  # MicroPython tells objects, CPython fds
        self.all = []
        self.names = Addresses()
        self.errors = 0

    def place(self, port):
        """What bind() wants. Linux has several addresses: that of the node's own socket."""
        ip = bytes(4) if self._lwip else self._runner.link.local[:4]
        return self.names.native(ip + bytes((port >> 8, port & 255)))

    def open(self, port: int, take):
        if len(self.all) >= PLACES:
            return None
        try:
            real = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        except OSError:
            self.errors += 1
            return None
        real.setblocking(False)
        port = self._bind(real, port)
        if not port:
            real.close()
            return None
        s = Sock(self, real, port, take)
        self.all.append(s)
        self._runner.poller.register(real, _POLLIN)
        self._runner.take = self._drain
        return s

    def _bind(self, real, port):
        """The port it was bound to; 0: none."""
        for _ in range(1 if port else _TRIES):
            r = os.urandom(2)
            p = port or 0x8000 | (r[0] << 8 | r[1]) >> 1
            try:
                real.bind(self.place(p))
                return p
            except OSError:
                self.errors += 1
        return 0

    def adopt(self, s) -> None:
        """One that was made elsewhere, with `real`, receive(now) and close() (tcp_link.py)."""
        self.all.append(s)
        self._runner.poller.register(s.real, _POLLIN)
        self._runner.take = self._drain

    def forget(self, s) -> None:
        """Before it is closed."""
        if s not in self.all:
            return
        self.all.remove(s)
        self._runner.poller.unregister(s.real)
        if not self.all:
            self._runner.take = self._runner.drain  # back to the loop of one socket

    def close(self) -> None:
        while self.all:
            self.all[-1].close()

    def _of(self, ready):
        for s in self.all:
            if s.real is ready or not self._objects and s.real.fileno() == ready:
                return s
        return None

    def _drain(self):
        """In place of Runner.drain(): take what has come by any socket, a bounded batch."""
        r = self._runner
        want = False
        for _ in range(_BATCH):
            idle = True
            for e in r.wait(0):
                idle = False
                s = self._of(e[0])
                if s is not None:
                    s.receive(r.now())
                    want = True
                elif r.one():
                    want = True
            if idle:
                break
        return want
