"""The Internet of the lab: a router in user space that delays, jitters and loses packets.

`python -m l4tools.natlab.switch SEED` in the namespace that is to be the Internet; the ports come
as JSON on stdin, {name: [delay s, jitter s, loss, MAC, [address or "a.b.c.", ..]]}, and the end of
stdin ends it. It says `ready`. A packet passes two ports: delays add, jitter is uniform up to the
sum, losses add. All ports send to one MAC: nobody asks by ARP, as the kernel's table of
neighbours is one for all namespaces and soon full. (No tc netem: few machines have that module.)
"""

import heapq
import json
import os
import random
import select
import socket
import sys
import time

from .space import GATE_MAC

_ALL = 3  # ETH_P_ALL
_OUTGOING = 4
_IP = b"\x08\x00"
_TURN = 64


class Switch:
    def __init__(self, ports: dict, seed: int):
        self._chance = random.Random(seed).random
        self._socks, self._figures = {}, {}
        self._poll = select.epoll()
        self._heads, self._to, self._nets = {}, {}, {}
        for name, (*figures, mac, places) in ports.items():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
            s.bind((name, 0))
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            fd = s.fileno()
            self._socks[fd] = s
            self._figures[fd] = figures
            self._heads[fd] = _mac(mac) + _mac(GATE_MAC)
            self._poll.register(fd, select.EPOLLIN)
            for place in places:
                net = place.endswith(".")
                key = bytes(int(x) for x in place.strip(".").split("."))
                (self._nets if net else self._to)[key] = fd
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
        if frame[12:14] != _IP:
            return
        to = frame[30:34]
        out = self._to.get(to) or self._nets.get(to[:3])
        if out is None or out == fd:
            return
        d0, j0, l0 = self._figures[fd]
        d1, j1, l1 = self._figures[out]
        chance = self._chance
        if l0 + l1 and chance() < l0 + l1:
            return
        frame = self._heads[out] + frame[12:]
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


def _mac(text):
    return bytes.fromhex(text.replace(":", ""))


def main() -> None:
    ports = json.loads(sys.stdin.buffer.raw.readline())
    try:
        os.nice(-10)  # it is what time is measured by
    except OSError:
        pass
    switch = Switch(ports, int(sys.argv[1]))
    os.write(1, b"ready\n")
    switch.run(0)


if __name__ == "__main__":
    main()
