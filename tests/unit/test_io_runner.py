"""The loop and the UDP link, with real sockets on loopback; the node is a stand-in that counts."""

import os

from l4mesh.counters import C_MEM_ERROR, Counters
from l4mesh_io.address import Addresses
from l4mesh_io.runner import Runner
from l4mesh_io.udp import Udp

GROUP = bytes((239, 76, 52, 1, 0, 0))
HOST = bytes((127, 0, 0, 1))


def make_link():
    """A Udp on some free port of loopback."""
    for _ in range(50):
        r = os.urandom(2)
        port = 20000 + (r[0] << 8 | r[1]) % 20000
        group = GROUP[:4] + bytes((port >> 8, port & 255))
        try:
            return Udp(HOST, port, group, False)
        except OSError:
            continue
    raise OSError("no free port in 50 tries")


class Tx:
    counter = 0


class FakeNode:
    """What a runner wants of a node."""

    def __init__(self):
        self.tx = Tx()
        self.counters = Counters()
        self.got = []
        self.events = []
        self.polls = 0
        self.on_poll = None
        self.want = True

    def receive(self, data, n, addr, now):
        self.got.append((bytes(data[:n]), addr))
        self.tx.counter += 1
        return self.want

    def poll(self, now):
        self.polls += 1
        if self.on_poll is not None:
            return self.on_poll(now)
        return 5

    def next_event(self):
        return self.events.pop(0) if self.events else None


class Clock:
    """Runs by itself, 1 ms a look, from just before the wrap."""

    def __init__(self):
        self.t = (1 << 30) - 3

    def __call__(self):
        self.t = (self.t + 1) & 0x3FFFFFFF
        return self.t


def bed():
    node = FakeNode()
    link = make_link()
    return node, link, Runner(node, link, Clock())


def test_addresses_go_both_ways():
    a = Addresses()
    six = bytes((127, 0, 0, 1, 0x12, 0x34))
    native = a.native(six)
    key = native if isinstance(native, tuple) else bytes(native)
    assert a.six(key) == six and a.six(key) is a.six(key)
    for k in range(300):  # the cache is bounded and stays right
        b = bytes((10, 0, k >> 8, k & 255, 9, 9))
        assert a.six(a.native(b) if isinstance(native, tuple) else bytes(a.native(b))) == b


def test_a_datagram_reaches_the_node():
    node, link, r = bed()
    other = make_link()
    assert other.send(b"hello there", 5, link.local)
    r.add(lambda now: (r.stop() if node.got else None) or 1)
    r.run()
    assert node.got == [(b"hello", other.local)]
    assert r.answered == 1
    link.close()
    other.close()


def test_an_empty_datagram_is_no_frame():
    node, link, r = bed()
    other = make_link()
    other.send(b"", 0, link.local)
    other.send(b"x", 1, link.local)
    r.add(lambda now: (r.stop() if node.got else None) or 1)
    r.run()
    assert node.got == [(b"x", other.local)] and link.empty == 1
    link.close()
    other.close()


class Claims:
    """A socket by which a datagram came whose source address somebody made up."""

    def __init__(self, six):
        self.native = Addresses().native(six)

    def recvfrom(self, room):
        return b"x" * 60, self.native


def test_a_source_that_no_host_can_have_is_no_link():
    link = make_link()
    real = link.sock
    try:
        for six, n in (
            (bytes((0, 1, 0, 1, 0, 1)), -1),
            (bytes((0, 3, 0, 3, 0, 1)), -1),
            (bytes((10, 77, 1, 5, 16, 8)), 60),
        ):
            link.sock = Claims(six)
            assert link.recv() == n, six
    finally:
        real.close()


def test_events_are_passed_on_in_order():
    node, link, r = bed()
    seen = []
    node.events = [(1,), (2,), (3,)]
    r.on_event(seen.append)
    r.add(lambda now: r.stop() or 1)
    r.run()
    assert seen == [(1,), (2,), (3,)]
    link.close()


def test_jobs_run_when_they_are_due():
    node, link, r = bed()
    ran = []

    def job(now):
        ran.append(now)
        if len(ran) == 4:
            r.stop()
        return 3

    r.add(job)
    r.run()
    gaps = [(ran[i + 1] - ran[i]) & 0x3FFFFFFF for i in range(3)]
    assert len(ran) == 4 and min(gaps) >= 3
    link.close()


def test_too_little_memory_is_survived_twice_a_minute():
    node, link, r = bed()
    left = [2]

    def poll(now):
        if left[0]:
            left[0] -= 1
            raise MemoryError("none left")
        r.stop()
        return 5

    node.on_poll = poll
    r.run()
    assert node.counters.get(C_MEM_ERROR) == 2
    link.close()


def test_the_third_time_in_a_minute_is_raised():
    node, link, r = bed()

    def poll(now):
        raise MemoryError("none left")

    node.on_poll = poll
    try:
        r.run()
    except MemoryError:
        assert node.counters.get(C_MEM_ERROR) == 3
    else:
        raise AssertionError("it went on for ever")
    finally:
        link.close()
