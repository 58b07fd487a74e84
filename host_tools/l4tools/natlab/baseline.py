"""Two ways of punching as others do it, for the same pairs: what ours has to be better than.

naive: both know the one address that a STUN server saw and send there, believing only what comes
from it. simultaneous: both are told at the same moment and answer to the address they see (what
ICE calls peer reflexive). Plain sockets, no mesh; all pairs at once, each with sockets of its own.
"""

import heapq
import os
import select
import socket
import time

from l4mesh.stun import ASK, SUCCESS, Message, ask

from .selfcheck import Helpers

NAIVE, SIMULTANEOUS = "naive", "simultaneous"
_SENDS = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2)
_PUNCH, _HEARD = b"\xc6", b"\xc7"


class _Side:
    def __init__(self, lab, host, pair):
        self.sock = lab.udp(host)
        self.pair = pair
        self.mark = os.urandom(12)
        self.mapped = self.peer = self.done_s = None

    def send(self, kind, to) -> None:
        try:
            self.sock.sendto(kind + self.pair.token, to)
        except OSError:
            pass


class _Pair:
    def __init__(self, lab, a, b, answer_observed):
        self.hosts = a, b
        self.token = os.urandom(8)
        self.observed = answer_observed
        self.told_s = None
        self.sides = _Side(lab, a, self), _Side(lab, b, self)

    @property
    def done(self) -> bool:
        return all(s.done_s is not None for s in self.sides)


class Baseline:
    """run(pairs, method) -> [(a, b, ms or None)]; the helpers' sockets are its own."""

    def __init__(self, lab, rtt_ms: float):
        self._lab, self._rtt_s = lab, rtt_ms / 1000
        self._helpers = Helpers(lab)
        self._message = Message()
        self._at, self._count = [], 0

    def close(self) -> None:
        for s in self._helpers.socks:
            s.close()

    def run(self, pairs, method: str, limit_s: float = 2.5):
        todo = [_Pair(self._lab, a, b, method == SIMULTANEOUS) for a, b in pairs]
        of = {s.sock: s for p in todo for s in p.sides}
        self._poll = select.epoll()
        self._by = {s.fileno(): s for s in [*of, *self._helpers.socks]}
        for fd in self._by:
            self._poll.register(fd, select.EPOLLIN)
        self._of = of
        try:
            self._gather(todo)
            for k, p in enumerate(todo):
                if all(s.mapped for s in p.sides):
                    self._later(0.003 * k, self._tell, p)
            end = limit_s + 0.003 * len(todo)
            self._turn(end, lambda: all(p.done for p in todo))
        finally:
            self._poll.close()
            for s in of:
                s.close()
            self._at.clear()
        return [(*p.hosts, _took(p)) for p in todo]

    def _gather(self, todo):
        sides = [s for p in todo for s in p.sides]
        for _ in range(4):
            for s in sides:
                if s.mapped is None:
                    out = bytearray(ASK)
                    ask(s.mark, out)
                    s.sock.sendto(out, self._helpers.at[0])
            self._turn(0.1 + 2 * self._rtt_s, lambda: all(s.mapped for s in sides))

    def _tell(self, pair):
        """As an assistant would: both get the other's address, in the same moment."""
        pair.told_s = time.monotonic() - self._rtt_s / 2  # who asked sent that long ago
        a, b = pair.sides
        for _ in range(2):  # this word must not be what fails
            self._helpers.socks[0].sendto(b"T" + _name(b.mapped), a.mapped)
            self._helpers.socks[0].sendto(b"T" + _name(a.mapped), b.mapped)

    def _later(self, after_s, f, *args):
        self._count += 1
        heapq.heappush(self._at, (time.monotonic() + after_s, self._count, f, args))

    def _turn(self, seconds, until):
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and not until():
            while self._at and self._at[0][0] <= now:
                _, _, f, args = heapq.heappop(self._at)
                f(*args)
            wait = min(end, self._at[0][0] if self._at else end) - time.monotonic()
            ready, _, _ = select.select([self._poll], [], [], max(0, wait))
            if ready:
                for fd, _ in self._poll.poll(0):
                    self._take(self._by[fd])

    def _take(self, sock):
        if sock not in self._of:
            return self._helpers.serve(sock)
        for _ in range(32):
            try:
                data, origin = sock.recvfrom(2048)
            except OSError:
                return
            self._heard(self._of[sock], data, origin)

    def _heard(self, side, data, origin):
        pair = side.pair
        m = self._message
        if len(data) >= 20 and m.read(data, len(data)) and m.kind == SUCCESS:
            if data[8:20] == side.mark and m.mapped:
                side.mapped = _address(m.mapped)
        elif data[:1] == b"T" and side.peer is None:
            side.peer = _address(data[1:])
            for after in _SENDS:
                self._later(after, self._punch, side)
        elif data[1:] == pair.token and side.peer is not None:
            if not pair.observed and origin != side.peer:
                return
            if data[:1] == _PUNCH:
                side.send(_HEARD, origin)
                if side.done_s is None:
                    side.send(_PUNCH, origin)
            elif data[:1] == _HEARD and side.done_s is None:
                side.done_s = time.monotonic()

    def _punch(self, side):
        if side.done_s is None:
            side.send(_PUNCH, side.peer)


def _took(pair):
    if not pair.done:
        return None
    return (max(s.done_s for s in pair.sides) - pair.told_s) * 1000


def _address(six):
    return socket.inet_ntoa(bytes(six[:4])), int.from_bytes(six[4:6], "big")


def _name(address):
    return socket.inet_aton(address[0]) + address[1].to_bytes(2, "big")
