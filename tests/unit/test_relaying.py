from kit import Person, bare_node, count, frame, prove
from l4mesh import relaying, wire
from l4mesh.counters import C_BAD_PARSE
from l4mesh.endpoint import parse_endpoint

OPEN, RESERVE = 1, 0


class Bed:
    def __init__(self, prove_them=True, **config):
        self.n = bare_node(1, **config)
        self.r = relaying.begin(self.n)
        self.a = Person(2, "192.168.1.10:4104")  # behind an access point that isolates them
        self.b = Person(3, "192.168.1.11:4104")
        self.now = 100
        if prove_them:
            for p in (self.a, self.b):
                prove(self.n, p, self.now)

    def give(self, p, data, addr=None):
        self.now += 1
        self.n.receive(data, len(data), addr or p.addr, self.now)
        return self.n.link.take()

    def call(self, p, what, peer=None, addr=None, **more):
        payload = b"tokn" + bytes((what, 0)) + (peer.id[:8] if peer else bytes(8))
        return self.give(p, p.frame(wire.T_CALL, self.n.id, payload, **more), addr)

    def channel(self):
        self.call(self.b, RESERVE)
        said = self.call(self.a, OPEN, self.b)
        assert [(f[1], to) for f, to in said] == [(38, self.a.addr), (38, self.b.addr)]
        assert said[0][0][33] == said[1][0][33] == 0
        assert said[0][0][28:32] == b"tokn" and said[1][0][28:32] == bytes(4)
        assert said[0][0][42:50] == said[1][0][42:50]
        return said[0][0][42:50]

    def carried(self, channel, p, to):
        return b"\xc5\0\0\0" + channel + p.ping(to.id)


def test_a_channel_between_two_members_of_one_lan():
    b = Bed()
    channel = b.channel()
    data = b.carried(channel, b.a, b.b)
    assert b.give(b.a, data) == [(data, b.b.addr)]
    data = b.carried(channel, b.b, b.a)
    assert b.give(b.b, data) == [(data, b.a.addr)]
    assert b.give(b.a, data, parse_endpoint("192.168.1.12:4104")) == []


def test_an_address_is_proven_first():
    b = Bed(False)
    said = b.call(b.a, RESERVE)
    assert [f[1] for f, _ in said] == [wire.T_COOKIE] and b.r.relay.places == 0
    assert len(said[0][0]) <= 44 + 14
    cookie = said[0][0][32:40]
    # Somebody else cannot use it for an address of his choice.
    other = parse_endpoint("203.0.113.5:4104")
    said = b.call(b.a, RESERVE, addr=other, cookie=cookie)
    assert [f[1] for f, _ in said] == [wire.T_COOKIE] and b.r.relay.places == 0
    assert [f[1] for f, _ in b.call(b.a, RESERVE, cookie=cookie)] == [wire.T_CALLED]
    assert b.r.relay.places == 1


def test_strangers_get_no_word():
    b = Bed()
    bad = frame(wire.T_CALL, b.a.id, b.n.id, 50, b"tokn\x01\x00" + b.b.id[:8], key=b"x" * 32)
    assert b.give(b.a, bad) == []
    short = b.a.frame(wire.T_CALL, b.n.id, b"tokn\x01\x00" + bytes(7))
    assert b.give(b.a, short) == [] and b.r.relay.places == 0


def test_a_call_with_a_node_key_is_not_for_a_node():
    n = bare_node(1, linked=True)
    relaying.begin(n)
    p = Person(1)  # the same key
    data = frame(37, b"upstream", n.id, 3, b"tokn\x00\x00" + bytes(8), key=p.key, link=True)
    n.receive(data, len(data), p.addr, 5)
    assert count(n, C_BAD_PARSE) == 1 and n.link.take() == []


def test_no_relay_over_a_relay():
    b = Bed()
    over = []
    from l4mesh.links import of

    of(b.n).serve(1, lambda buf, n, addr: over.append(bytes(buf[:n])) or True)
    b.call(b.b, RESERVE)
    assert b.call(b.a, OPEN, b.b, addr=b"\0\x01\0\0\0\x07") == []
    assert [(f[1], f[33]) for f in over] == [(38, 8)]
    assert b.call(b.a, RESERVE, addr=b"\0\x01\0\0\0\x07") == [] and over[1][33] == 8


def test_a_passive_node_relays_nothing():
    b = Bed()
    b.n.serve.mode = 1
    said = b.call(b.a, RESERVE)
    assert [(f[1], f[33]) for f, _ in said] == [(38, 7)]


def test_its_record_says_so_and_its_limits_hold():
    b = Bed(limits={"relay_sessions": 2})
    assert b.n.own.caps & 4 and b.n.own.caps & 1
    people = [Person(i, "198.51.100.%d:4104" % i) for i in range(10, 16)]
    for p in people:
        prove(b.n, p, b.now)
        b.call(p, RESERVE)
    assert b.r.relay.places == 4
    assert b.n.ways is b.r and b.r in b.n.late
    assert b.n.poll(b.now) <= 1000


def test_other_bytes_are_nobodys():
    b = Bed()
    for n in (20, 43, 60, 1212):
        assert b.give(b.a, b"\xc5" + bytes(n - 1)) == []
        assert b.give(b.a, b"\xc5" * n) == []
