import kit
from kit import Person, bare_node, count, give
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.record import SIZE
from l4mesh.wire import u16


class Bed:
    """A standard node that knows Person(5), verified, and a proven asker, `p`."""

    def __init__(self, **config):
        config.setdefault("quota_per_s", 100)
        self.n = bare_node(1, **config)
        self.p = Person(2)
        self.target = Person(5)
        self.rec = self.target.record()
        self.n.routes.put(self.rec, 0, 20, True, 0)
        kit.prove(self.n, self.p, 10)
        self.now = 20

    def ask(self, target, **more):
        """The payload of the ANSWER; the frame's length in self.size."""
        q = self.p.query(self.n.id, target, **more)
        give(self.n, self.p, q, self.now)
        got = self.n.link.take()
        assert len(got) == 1 and got[0][1] == self.p.addr and got[0][0][1] == wire.T_ANSWER
        f = got[0][0]
        assert f == kit.frame(5, self.n.id, self.p.id, wire.u30(f, 24), f[28:-16])
        self.size, self.asked = len(f), len(q)
        return f[28:-16]


def test_found():
    b = Bed()
    a = b.ask(b.target.id, token=77)
    assert a == b"\0\0\0\x4d" + bytes((0, 4, 2, 255, 0, 0, 0, 19, 0, 0)) + b.rec
    assert count(b.n, C.C_SERVED) == 1 == count(b.n, C.C_SERVED_HIT)
    assert (b.n.serve.requests, b.n.serve.hits) == (1, 1)


def test_a_miss_is_told():
    b = Bed()
    a = b.ask(b"z" * 16)
    assert len(a) == 14 and a[4] == wire.MISS and u16(a, 10) == 0
    assert count(b.n, C.C_SERVED_MISS) == 1
    assert (b.n.serve.requests, b.n.serve.hits) == (1, 0)


def test_its_own_record_in_every_mode_and_without_quota():
    for config in ({"mode": "passive"}, {"mode": "standard", "quota_per_s": 0}):
        b = Bed(**config)
        for _ in range(20):
            for target in (b.n.id, b.n.id[:8] + bytes(8)):
                a = b.ask(target)
                assert a[4] == wire.FOUND and a[14:] == bytes(b.n.own.record)
                assert u16(a, 10) == 30
        assert b.n.serve.requests == 0  # no demand that would be a reason to serve more


def test_no_record_yet():
    b = Bed()
    b.n.own.ready = False
    assert b.ask(b.n.id)[4] == wire.MISS


def test_unverified_is_never_passed_on():
    b = Bed()
    other = Person(6)
    b.n.routes.put(other.record(), 0, 20, False, 0)
    a = b.ask(other.id)
    assert a[4] == wire.MISS and len(a) == 14
    b.n.routes.put(other.record(), 0, 20, True, 0)
    assert b.ask(other.id)[4] == wire.FOUND


def test_the_last_minute_is_not_passed_on():
    b = Bed()
    b.n.minutes.minute = 18
    assert u16(b.ask(b.target.id), 10) == 1
    b.n.minutes.minute = 19
    assert b.ask(b.target.id)[4] == wire.MISS
    b.n.minutes.minute = 20
    assert b.ask(b.target.id)[4] == wire.MISS and b.n.routes.peek(b.target.id) < 0


def test_passive_sends_askers_upstream_and_counts_the_demand():
    b = Bed(mode="passive")
    a = b.ask(b.target.id)
    assert a[4] == wire.BUSY and len(a) == 14
    b.ask(b"z" * 16)
    assert (b.n.serve.requests, b.n.serve.hits) == (2, 1)


def test_the_quota():
    b = Bed(quota_per_s=2)
    n = 0
    while b.ask(b.target.id)[4] == wire.FOUND:
        n += 1
    assert n == 10  # a burst of five seconds
    b.now += 499
    assert b.ask(b.target.id)[4] == wire.BUSY
    b.now += 1
    assert b.ask(b.target.id)[4] == wire.FOUND
    assert b.ask(b.target.id)[4] == wire.BUSY
    assert b.n.serve.requests == 14 and b.n.serve.hits == 14
    b.n.serve.full = True
    for _ in range(50):
        assert b.ask(b.target.id)[4] == wire.FOUND


def test_the_quota_comes_back_after_a_week_too():
    b = Bed(quota_per_s=1)
    s = b.n.serve
    while s._quota(1000):
        pass
    assert s._quota(1000 + (1 << 29) + 5)


def test_never_more_than_three_times():
    b = Bed()
    for more in ({}, {"flags": 2}, {"flags": 2, "pad": 1}, {"flags": 2, "pad": 31},
                 {"flags": 2, "pad": 32}, {"pad": 32}):  # fmt: skip
        b.ask(b.target.id, **more)
        assert b.size <= 3 * b.asked, more


def test_a_trace_has_us_as_its_hop():
    b = Bed()
    a = b.ask(b.target.id, flags=2, pad=32)
    assert a[14 + SIZE :] == b"\x01\x04" + b.n.id[:4] + b"\0\0"
    assert len(b.ask(b.target.id, flags=1, pad=32)) == 14 + SIZE
