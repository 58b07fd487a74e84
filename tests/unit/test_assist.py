from kit import Person, b2, bare_node, count, give
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.peers import P_PROVEN
from l4mesh.prng import XorShift
from world import SIGNALS

LAN_A = parse_endpoint("192.168.1.10:4104")
NAT_A = b"\x04\x06\x00\x00\x10\x08\x00\x00"
NAT_B = b"\x05\x01\x01\x00\x9c\x40\x00\x00"
TRY = b"attempt1"


class Bed:
    """An assistant, and two who want to meet."""

    def __init__(self, limits=None, prove=True):
        self.n = bare_node(1, limits=limits)
        self.now = 5000
        self.a = Person(2, "203.0.113.5:40001")
        self.b = Person(3, "198.51.100.9:40002")
        if prove:
            for p in (self.a, self.b):
                self.prove(p)

    def prove(self, p):
        give(self.n, p, p.ping(self.n.id), self.now)
        cookie = self.n.link.take(wire.T_COOKIE)[-1][0][32:40]
        give(self.n, p, p.ping(self.n.id, cookie=cookie), self.now)
        self.n.link.take()

    def say(self, p, kind, payload, **more):
        give(self.n, p, p.frame(kind, self.n.id, payload, **more), self.now)

    def register(self, p, nat=NAT_A, lan=LAN_A, rtt=0, flags=0, **more):
        payload = b"tokn" + nat + lan + b2(rtt) + bytes((flags,))
        self.say(p, wire.T_REGISTER, payload, **more)
        return self.n.link.take()

    def connect(self, p=None, peer=None, attempt=TRY, nat=NAT_A, lan=LAN_A, rtt=0):
        peer = (peer or self.b.id)[:8]
        self.say(p or self.a, wire.T_CONNECT, attempt + peer + nat + lan + b2(rtt))
        return self.punches()

    def punched(self, p, status=0, fresh=0, nat=bytes(8), attempt=TRY):
        self.say(p, wire.T_PUNCHED, attempt + bytes((status, fresh)) + nat)
        return self.punches()

    def punches(self):
        """{who: (status, flags, peer, endpoint, nat, lan, wait)} of those just sent."""
        out = {}
        for f, to in self.n.link.take(wire.T_PUNCH):
            who = "a" if to == self.a.addr else "b" if to == self.b.addr else "?"
            p = f[28:-16]
            assert len(p) == 40
            out[who] = (p[8], p[9], p[10:18], p[18:24], p[24:32], p[32:38], p[38] << 8 | p[39])
        return out

    def run(self, ms):
        n = 0
        for _ in range(ms):
            self.now += 1
            self.n.poll(self.now)
            n += len(self.punches())
        return n


def test_nothing_before_the_address_is_proven():
    b = Bed(prove=False)
    for kind, payload in (
        (wire.T_REGISTER, bytes(21)), (wire.T_CONNECT, TRY + bytes(24)),
    ):  # fmt: skip
        f = b.a.frame(kind, b.n.id, payload)
        give(b.n, b.a, f, b.now)
        ((answer, to),) = b.n.link.take()
        assert answer[1] == wire.T_COOKIE and to == b.a.addr and len(answer) <= len(f)
    cookie = answer[32:40]
    ((f, to),) = b.register(b.a, cookie=cookie)
    assert f[1] == wire.T_REGISTERED and f[32] == 0
    assert b.connect(peer=b.a.id)["a"][0] == 1


def test_registered_where_the_frame_came_from():
    b = Bed()
    ((f, to),) = b.register(b.a)
    assert f[28:-16] == b"tokn\x00" + b.a.addr + b2(60) and to == b.a.addr
    b.register(b.b, NAT_B)
    said = b.connect()
    assert said["a"] == (0, 2, b.b.id[:8], b.b.addr, NAT_B, LAN_A, 0)
    assert said["b"] == (0, 0, b.a.id[:8], b.a.addr, NAT_A, LAN_A, 0)


def test_a_foreign_address_for_the_lan_is_left_out():
    b = Bed()
    b.register(b.b, lan=parse_endpoint("8.8.8.8:4104"))
    said = b.connect(lan=parse_endpoint("9.9.9.9:4104"))
    assert said["a"][5] == bytes(6) == said["b"][5]


def test_both_at_one_address_are_told_so():
    b = Bed(prove=False)
    b.b = Person(3, "203.0.113.5:40777")
    b.prove(b.a)
    b.prove(b.b)
    b.register(b.b)
    said = b.connect()
    assert said["a"][1] == 3 and said["b"][1] == 1


def test_the_nearer_one_is_to_wait():
    for mine, theirs, wait in ((20, 120, (50, 0)), (120, 20, (0, 50)), (0, 90, (0, 0)),
                               (5, 2000, (300, 0)), (70, 70, (0, 0))):  # fmt: skip
        b = Bed()
        b.register(b.b, rtt=theirs)
        said = b.connect(rtt=mine)
        assert (said["a"][6], said["b"][6]) == wait
    b = Bed()
    b.register(b.b, rtt=20)
    b.connect(rtt=220)
    b.now += 60
    b.n.poll(b.now)
    assert b.punches()["b"][6] == 40  # of 100, so much is left


def test_the_peer_is_told_until_it_says_so():
    b = Bed()
    b.register(b.b)
    b.connect()
    assert b.run(59) == 0 and b.run(2) == 1
    assert b.punched(b.b) == {}
    assert b.run(5000) == 0
    assert b.n.late[-1].met == 1


def test_six_times_at_most_and_then_the_asker_hears_of_it():
    b = Bed()
    b.register(b.b)
    b.connect()
    assert b.run(1459) == 5
    b.now += 2
    b.n.poll(b.now)
    assert b.punches() == {"a": (5, 2, b.b.id[:8], b.b.addr, NAT_A, LAN_A, 0)}
    assert b.run(5000) == 0


def test_repeats_wait_for_the_round_trip():
    b = Bed()
    b.register(b.b, rtt=200)
    b.connect(rtt=200)
    assert b.run(219) == 0 and b.run(2) == 1


def test_asked_again_only_the_asker_gets_it_again():
    b = Bed()
    b.register(b.b)
    b.connect()
    assert list(b.connect()) == ["a"]
    b.punched(b.b)
    assert b.connect()["a"][0] == 0


def test_a_peer_that_cannot_or_will_not():
    for word, status in ((1, 3), (2, 4), (77, 4)):
        b = Bed()
        b.register(b.b)
        b.connect()
        assert b.punched(b.b, word)["a"][:2] == (status, 2)
        assert b.connect()["a"][0] == status and b.run(3000) == 0


def test_the_newest_port_is_passed_on():
    b = Bed()
    b.register(b.b, NAT_B)
    b.connect()
    news = NAT_B[:4] + b"\xaa\xbb" + bytes(2)
    assert b.punched(b.b, 0, 1, news)["a"] == (0, 6, b.b.id[:8], b.b.addr, news, LAN_A, 0)
    assert b.punched(b.a, 0, 1, news)["b"][:5] == (0, 4, b.a.id[:8], b.a.addr, news)


def test_who_is_not_here():
    b = Bed()
    assert b.connect() == {"a": (1, 2, b.b.id[:8], bytes(6), bytes(8), bytes(6), 0)}
    b.register(b.b)
    b.now += 60001
    assert b.connect()["a"][0] == 1
    b.register(b.b)
    b.register(b.b, flags=1)  # it takes its leave
    assert b.connect()["a"][0] == 1


def test_nobody_but_the_two_has_a_say():
    b = Bed()
    c = Person(4, "192.0.2.4:4104")
    b.prove(c)
    b.register(b.b)
    b.connect()
    bad = count(b.n, C.C_BAD_PARSE)
    assert b.punched(c, 2) == {} == b.punched(c, 0, 1, NAT_B)
    assert b.connect(c) == {}  # the same attempt by another
    assert b.punched(b.b, attempt=b"attempt2") == {}
    b.b.addr = parse_endpoint("198.51.100.10:40002")  # the right name, somewhere else
    b.prove(b.b)
    assert b.punched(b.b, 2) == {}
    assert count(b.n, C.C_BAD_PARSE) == bad + 5


def test_two_attempts_of_one_node_and_eight_in_all():
    b = Bed()
    b.register(b.b)
    words = [b.connect(attempt=b"attempt%d" % i)["a"][0] for i in range(4)]
    assert words == [0, 0, 2, 2]
    for i in range(6):
        p = Person(10 + i, "203.0.113.%d:4104" % (100 + i))
        b.prove(p)
        b.say(p, wire.T_CONNECT, b"other-%d-" % i + b.b.id[:8] + bytes(16))
        ((f, to),) = [x for x in b.n.link.take(wire.T_PUNCH) if x[1] == p.addr]
        assert f[36] == 0
    p = Person(30, "203.0.113.200:4104")
    b.prove(p)
    b.say(p, wire.T_CONNECT, b"ninth-- " + b.b.id[:8] + bytes(16))
    assert b.n.link.take(wire.T_PUNCH)[0][0][36] == 2
    b.run(6001)
    assert b.connect(attempt=b"attempt9")["a"][0] == 0  # there is room again


def test_a_flood_of_members_fills_the_table_and_no_more():
    b = Bed()
    for i in range(45):
        p = Person(100 + i, "203.0.%d.7:4104" % i)
        b.prove(p)
        word = b.register(p)[0][0][32]
        assert word == (0 if i < 32 else 1)


def test_a_passive_node_helps_nobody():
    b = Bed()
    b.n.sample(b.now, dict(SIGNALS, heap_free=1000))
    assert b.register(b.a) == [] and b.connect() == {}


def test_a_third_address_never_gets_a_byte():
    """Reflection: whatever a liar writes, only proven addresses of the two are sent anything."""
    b = Bed()
    victim = parse_endpoint("192.0.2.99:4104")
    b.register(b.b, lan=victim)
    b.connect(lan=victim)
    liar = Person(9, "192.0.2.99:4104")
    sent = got = 0
    for _ in range(100):
        f = liar.frame(wire.T_REGISTER, b.n.id, bytes(21))
        give(b.n, liar, f, b.now)
        sent += len(f)
        b.now += 150
        b.n.poll(b.now)
    for f, to in b.n.link.take():
        got += len(f) if to == victim else 0
    assert b.connect(attempt=b"attempt2", peer=liar.id)["a"][0] == 1
    assert 0 < got <= sent and b.n.late[-1].book.where(liar.id[:8], b.now) is None


def test_a_thousand_frames_of_junk():
    b = Bed(limits={"addr_s": 100000, "addr_burst": 100000, "id_s": 100000, "id_burst": 100000,
                    "global_s": 100000, "global_burst": 100000})  # fmt: skip
    b.register(b.b)
    rng = XorShift(77)
    before = bytes(b.n.late[-1].book.where(b.b.id[:8], b.now))
    for i in range(1000):
        kind = (wire.T_REGISTER, wire.T_CONNECT, wire.T_PUNCHED)[i % 3]
        n = wire.min_payload(kind) + rng.getrandbits(5)
        b.say(b.a, kind, bytes(rng.getrandbits(8) for _ in range(n)))
        b.n.link.take()
    assert bytes(b.n.late[-1].book.where(b.b.id[:8], b.now)) == before
    assert len(b.n.late[-1].book) <= 2
    assert b.n.peers.flags(b.n.peers.find(b.a.id[:8])) & P_PROVEN
