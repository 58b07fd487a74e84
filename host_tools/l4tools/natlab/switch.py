"""The Internet of the lab: a switch in user space that delays, jitters and loses frames.

`python -m l4tools.natlab.switch SEED` in the namespace that is to be the Internet; the ports come
as JSON on stdin, {name: [delay s, jitter s, loss]}, and the end of stdin ends it. It says `ready`.
A frame passes two ports: delays add, jitter is uniform up to the sum, losses add. ARP is exempt.
(No tc netem: that is a kernel module that few machines have.)
"""

import heapq
import json
import os
import random
import select
import socket
import sys
import time

_ALL = 3  # ETH_P_ALL
_OUTGOING = 4
_ARP = b"\x08\x06"
_TURN = 64


class Switch:
    def __init__(self, ports: dict, seed: int):
        self._chance = random.Random(seed).random
        self._socks, self._figures = {}, {}
        self._poll = select.epoll()
        for name, figures in ports.items():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
            s.bind((name, 0))
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self._socks[s.fileno()] = s
            self._figures[s.fileno()] = figures
            self._poll.register(s.fileno(), select.EPOLLIN)
        self._who = {}  # MAC: port
        self._late = []  # (when, number, port, frame)
        self._count = 0

    def run(self, end: int) -> None:
        """Until file descriptor `end` has something, or its other side is closed."""
        late = self._late
        while True:
            now = time.monotonic()
            while late and late[0][0] <= now:
                self._send(*heapq.heappop(late)[2:])
            wait = max(0.0, late[0][0] - time.monotonic()) if late else None
            # epoll alone counts in ms.
            ready, _, _ = select.select([self._poll, end], [], [], wait)
            if end in ready:
                return
            if ready:
                for fd, _ in self._poll.poll(0):
                    self._drain(fd)

    def _drain(self, fd):
        sock = self._socks[fd]
        for _ in range(_TURN):
            try:
                frame, origin = sock.recvfrom(2048)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return
            if origin[2] != _OUTGOING:
                self._take(fd, frame)

    def _take(self, fd, frame):
        to = frame[:6]
        self._who[frame[6:12]] = fd
        arp = frame[12:14] == _ARP
        if to[0] & 1:
            outs = self._socks if arp else ()  # no multicast out here
        else:
            out = self._who.get(to)
            outs = () if out is None else (out,)
        for out in outs:
            if out != fd:
                self._pass(fd, out, frame, arp)

    def _pass(self, fd, out, frame, arp):
        if arp:
            return self._send(out, frame)
        d0, j0, l0 = self._figures[fd]
        d1, j1, l1 = self._figures[out]
        chance = self._chance
        if l0 + l1 and chance() < l0 + l1:
            return
        delay = d0 + d1 + (chance() * (j0 + j1) if j0 + j1 else 0)
        if delay <= 0:
            return self._send(out, frame)
        self._count += 1
        heapq.heappush(self._late, (time.monotonic() + delay, self._count, out, frame))

    def _send(self, out, frame):
        try:
            self._socks[out].send(frame)
        except OSError:
            pass  # a full buffer is a loss


def main() -> None:
    ports = json.loads(sys.stdin.buffer.raw.readline())
    switch = Switch(ports, int(sys.argv[1]))
    os.write(1, b"ready\n")
    switch.run(0)


if __name__ == "__main__":
    main()
