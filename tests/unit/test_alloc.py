"""Garbage on the hot path: a served look-up on the unix port (64 bit; a board needs half)."""

import gc

from kit import Person, bare_node, give, prove
from skip import Skip

LOOKUPS = 1000
BOUND = 1376  # 1,600 B a served look-up in all, less the tuple and bytes of one recvfrom


class Sink:
    """A link that keeps the last frame's length and allocates nothing."""

    def __init__(self, link):
        self.local = link.local
        self.group = link.group
        self.broadcast = link.broadcast
        self.n = 0
        self.kind = 0

    def send(self, buf, n, addr):
        self.n = n
        self.kind = buf[1]
        return True


def make():
    if not hasattr(gc, "mem_alloc"):
        raise Skip("only MicroPython says what was allocated")
    n = bare_node(1, quota_per_s=1000)
    p = Person(2)
    target = Person(5)
    n.routes.put(target.record(), 0, 20, True, 0)
    give(n, p, p.hello(), 0)
    prove(n, p, 5)
    n.link = n.tx._link = Sink(n.link)
    return n, p, target


def garbage(n, p, target, expect):
    """Bytes allocated in Node.receive for each of LOOKUPS served look-ups."""
    spent = 0
    addr = p.addr
    n.serve.full = True
    gc.collect()
    gc.disable()
    try:
        for k in range(LOOKUPS):
            f = p.query(n.id, target)
            size = len(f)  # bytes, as they come from recvfrom
            now = 100 + k
            n.link.n = 0
            a = gc.mem_alloc()
            n.receive(f, size, addr, now)
            spent += gc.mem_alloc() - a
            assert n.link.n == expect
            if k % 50 == 49:
                gc.collect()
    finally:
        gc.enable()
    return spent // LOOKUPS


def test_a_served_hit():
    n, p, target = make()
    got = garbage(n, p, target.id, 194)
    assert 0 < got <= BOUND, got


def test_a_served_miss():
    n, p, target = make()
    assert 0 < garbage(n, p, b"x" * 16, 58) <= BOUND


def test_a_refused_frame_costs_little():
    n, p, target = make()
    f = bytearray(p.query(n.id, target.id))
    f[30] ^= 1
    f = bytes(f)
    gc.collect()
    gc.disable()
    try:
        a = gc.mem_alloc()
        for k in range(100):
            n.receive(f, len(f), p.addr, 100 + k)
        spent = gc.mem_alloc() - a
    finally:
        gc.enable()
    assert n.link.n == 0
    assert spent // 100 <= 900


def test_nothing_is_kept():
    n, p, target = make()
    garbage(n, p, target.id, 194)
    gc.collect()
    a = gc.mem_alloc()
    garbage(n, p, target.id, 194)
    gc.collect()
    assert gc.mem_alloc() - a < 2048
