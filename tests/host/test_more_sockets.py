"""Extra sockets of a HostNode: real UDP on loopback, and on the virtual LAN of a hub."""

import asyncio

import pytest
from l4tools.lan.hub import Hub
from l4tools.link import CableLink, UdpLink, now_ms
from l4tools.sockets import HostSockets


@pytest.fixture(params=["udp", "hub"])
def make(request):
    """make(receive, number) -> a link, both of one kind."""
    if request.param == "udp":
        yield lambda receive, k: UdpLink("127.0.0.1:0", receive)
        return
    hub = Hub(seed=3).start()
    try:
        yield lambda receive, k: CableLink(hub.address, "10.77.1.%d:4104" % (20 + k), receive)
    finally:
        hub.close()


class Bed:
    def __init__(self, make):
        self.got = asyncio.Queue()
        self.woken = 0
        self.near = make(lambda data, addr: None, 1)
        self.far = make(lambda data, addr: self.got.put_nowait((data, addr)), 2)
        self.sockets = HostSockets(self.near, now_ms, self.wake)

    def wake(self):
        self.woken += 1

    def take(self, buf, n, addr, now, s):
        self.got.put_nowait((bytes(buf[:n]), addr, s, now))

    async def next(self):
        return await asyncio.wait_for(self.got.get(), 10)

    def close(self):
        self.sockets.close()
        self.near.close()
        self.far.close()


def test_they_send_from_a_port_of_their_own_and_hear_there(make):
    async def go():
        b = Bed(make)
        try:
            s = b.sockets.open(0, b.take)
            at = b.near.local[:4] + s.port.to_bytes(2, "big")
            assert at != b.near.local
            assert s.send(b"hello there", 5, b.far.local)
            assert await b.next() == (b"hello", at)
            assert b.far.send(b"", 0, at)  # which is nothing
            assert b.far.send(b"back", 4, at)
            data, addr, sock, now = await b.next()
            assert (data, addr, sock) == (b"back", b.far.local, s) and 0 <= now < 1 << 30
            assert b.woken == 1
        finally:
            b.close()

    asyncio.run(go())


def test_six_at_most_and_a_port_only_once(make):
    async def go():
        b = Bed(make)
        try:
            one = b.sockets.open(0, b.take)
            if isinstance(b.near, UdpLink):  # a hub moves an address to who asked last
                assert b.sockets.open(one.port, b.take) is None
            more = [b.sockets.open(0, b.take) for _ in range(5)]
            assert None not in more and b.sockets.open(0, b.take) is None
            one.close()
            one.close()
            assert not one.send(b"x", 1, b.far.local)
            assert b.sockets.open(one.port, b.take).port == one.port
        finally:
            b.close()

    asyncio.run(go())
