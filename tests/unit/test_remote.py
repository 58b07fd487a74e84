from kit import Person, answer, bare_node, frame, give
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.events import EV_ANSWER
from l4mesh.peers import O_MODE, O_RTT, P_LAN, P_REMOTE

FAR = "203.0.113.9:4104"


class Bed:
    def __init__(self, **config):
        self.n = bare_node(1, **config)
        self.p = Person(2, FAR)
        self.now = 100

    def meet(self, p=None, lan="192.168.7.5:4104", public=FAR, tier=4):
        p = p or self.p
        public = parse_endpoint(public) if public else bytes(6)
        r = p.record(lan=parse_endpoint(lan), public=public, tier=tier)
        self.n.remote.consider(r, p.id, self.now)

    def pings(self, ms=1):
        out = []
        for _ in range(ms):
            self.now += 1
            self.n.poll(self.now)
            out += [(f, to, self.now) for f, to in self.n.link.take(wire.T_PING)]
        return out

    def pong(self, ping, p=None, addr=None):
        p = p or self.p
        f = p.frame(wire.T_PONG, self.n.id, ping[28:32] + bytes((2, 80, 9)) + self.n.link.local)
        self.n.receive(f, len(f), addr or p.addr, self.now)
        return self.n.peers.find(p.id[:8])


def test_a_far_node_is_pinged_and_then_a_peer():
    b = Bed()
    b.meet()
    f, to, _ = b.pings()[0]
    assert to == b.p.addr and f[16:20] == b.p.id[:4] and f[2] == 0 and len(f) == 61
    b.now += 8
    i = b.pong(f)
    assert b.n.peers.flags(i) & P_REMOTE and not b.n.peers.flags(i) & P_LAN
    assert b.n.peers.get(i, O_MODE) == 2 and b.n.peers.get16(i, O_RTT) == 80


def test_every_thirty_seconds():
    b = Bed()
    b.meet()
    times = []
    for _ in range(100000):
        for f, _, t in b.pings():
            times.append(t)
            b.pong(f)
    assert times == [101, 30101, 60101, 90101]


def test_a_cookie_is_brought_back():
    b = Bed()
    b.meet()
    f, _, _ = b.pings()[0]
    give(b.n, b.p, b.p.frame(wire.T_COOKIE, b.n.id, f[24:28] + b"cookie88"), b.now)
    again = b.n.link.take(wire.T_PING)
    assert len(again) == 1 and again[0][0][28:36] == b"cookie88"
    assert again[0][0][36:40] == f[28:32]
    assert b.n.peers.flags(b.pong(f)) & P_REMOTE


def test_three_silent_pings_and_it_is_dropped():
    b = Bed()
    b.meet()
    i = b.pong(b.pings()[0][0])
    assert len(b.pings(40000)) == 3
    assert not b.n.peers.flags(i) & P_REMOTE
    assert b.pings(60000) == []


def test_who_is_not_worth_it():
    b = Bed()
    b.meet(public=None)  # no way to get there
    b.meet(tier=3)  # a tier is asked as such
    b.meet(lan="10.77.1.99:4104")  # on our own LAN
    b.n.remote.consider(bytes(b.n.own.record), b.n.id, b.now)
    q = Person(3, FAR)
    give(b.n, q, q.hello(), b.now)
    b.meet(q)
    assert b.pings(100) == []


def test_another_home_with_the_same_private_addresses_is_far():
    b = Bed()
    b.n.own.public = parse_endpoint("198.51.100.7:4104")
    b.meet(lan="10.77.1.99:4104")
    assert len(b.pings()) == 1
    b.n.own.public = parse_endpoint("203.0.113.9:999")  # behind the same router
    b.meet(Person(4), lan="10.77.1.99:4104")
    assert b.pings(100) == []


def test_a_few_and_no_more():
    b = Bed(p2p=3)
    for k in range(10):
        b.meet(Person(10 + k), public="203.0.113.%d:4104" % (20 + k))
    assert len(set(to for _, to, _ in b.pings(100))) == 3
    assert len(Bed(p2p=0).n.remote._all) == 0


def test_only_the_pong_we_wait_for():
    b = Bed()
    b.meet()
    f, _, _ = b.pings()[0]
    liar = Person(3, FAR)
    assert not b.n.peers.flags(b.pong(f, liar)) & P_REMOTE  # somebody else at that address
    i = b.pong(f, addr=parse_endpoint("203.0.113.10:4104"))
    assert not b.n.peers.flags(i) & P_REMOTE
    i = b.pong(f[:28] + b"\0\0\x09\x09")
    assert not b.n.peers.flags(i) & P_REMOTE
    assert b.n.peers.flags(b.pong(f)) & P_REMOTE


def test_it_is_met_through_a_look_up():
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]])
    key = Person(1).key
    tier = parse_endpoint("10.77.0.3:4104")
    p = Person(2, FAR)
    n.resolve(p.id, 10)
    q = n.link.take(wire.T_QUERY)[0][0]
    r = p.record(lan=parse_endpoint("192.168.7.5:4104"), public=p.addr)
    f = frame(wire.T_ANSWER, b"tier3" + bytes(11), n.id, 1,
              q[28:32] + answer(0, 0, 20, r, 3)[4:], key=key, link=True)  # fmt: skip
    n.receive(f, len(f), tier, 15)
    n.poll(16)
    assert n.link.take(wire.T_PING) != [] and n.next_event()[0] != EV_ANSWER
    while n.next_event() is not None:
        pass
    n.poll(20)
    assert [to for _, to in n.link.take(wire.T_PING)] == [p.addr]
