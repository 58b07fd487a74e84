"""Neighbours without multicast: who is greeted, how often, and who never."""

import json

from kit import Person, b4, bare_node, events, gaps, give
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.events import EV_NEIGHBOUR
from l4mesh.info import Info
from l4mesh.peers import P_LAN
from l4mesh.scout import Scout
from world import GROUP, World


class Filter:
    """A World whose access point carries no multicast, and maybe nothing between two stations."""

    def __init__(self, nodes=3, isolate=False, **config):
        self.world = w = World(5)
        self.isolate = isolate
        self.broadcast = False
        self.greets = []
        config.setdefault("hello_max_s", 10)
        self.nodes = [w.add(1, config) for _ in range(nodes)]
        self._send = w.send
        w.send = self.send
        self.scouts = []

    def send(self, src, data, dst):
        if self.isolate or dst[0] >= 224 and not (dst[0] == 255 and self.broadcast):
            return
        if data[1] == wire.T_HELLO:
            self.greets.append((self.world.now, src, dst, len(data), data[28] & 1))
        self._send(src, data, dst)

    def scout(self, *nodes):
        self.scouts += [Scout(n) for n in nodes or self.nodes]

    def neighbours(self, n):
        return sum(1 for i in range(n.peers.slots) if n.peers.flags(i) & P_LAN)


def know(n, other):
    """`n` has the record of the node `other` in its cache."""
    n.learner.learn(bytearray(other.own.record), 0, 30, 0)


def test_nodes_that_know_each_others_records_meet_without_multicast():
    f = Filter(3)
    f.world.run(5000)
    assert [f.neighbours(n) for n in f.nodes] == [0, 0, 0]
    a, b, c = f.nodes
    know(a, b)
    know(a, c)
    f.scout(a)
    f.world.run(60000)
    assert f.neighbours(a) == 2 and f.neighbours(b) == f.neighbours(c) == 1
    # Kept present by greetings of one side only, an answer for each.
    f.greets.clear()
    f.world.run(300000)
    assert f.neighbours(a) == 2 and f.neighbours(b) == f.neighbours(c) == 1
    asks = [g for g in f.greets if g[4]]
    answers = [g for g in f.greets if not g[4]]
    assert len(asks) == len(answers) and 2 * 25 <= len(asks) <= 2 * 31
    assert all(g[1] == a.link.local for g in asks)
    assert len(set(g[3] for g in f.greets)) == 1  # nothing is amplified


def test_where_the_broadcast_passes_nobody_needs_a_scout():
    f = Filter(4)
    f.broadcast = True
    f.scout()
    f.world.run(600000)
    assert [f.neighbours(n) for n in f.nodes] == [3] * 4
    assert all(dst[0] == 255 for _, _, dst, _, _ in f.greets)
    rows = Info(f.nodes[0]).document(3, f.world.tick())
    assert [r[2] for r in rows] == ["broadcast"] * 3


def test_both_sides_scouting_do_not_double_it():
    f = Filter(2)
    f.world.run(3000)
    know(f.nodes[0], f.nodes[1])
    f.scout()
    f.world.run(30000)
    f.greets.clear()
    f.world.run(300000)
    assert [f.neighbours(n) for n in f.nodes] == [1, 1]
    assert 25 <= len([g for g in f.greets if g[4]]) <= 40


def test_one_that_goes_is_found_again_when_it_is_back():
    f = Filter(2)
    f.world.run(3000)
    a, b = f.nodes
    know(a, b)
    f.scout(a)
    f.world.run(30000)
    f.isolate = True
    f.world.run(100000)
    assert f.neighbours(a) == f.neighbours(b) == 0
    f.isolate = False
    f.world.run(3700000)
    assert f.neighbours(a) == f.neighbours(b) == 1


def test_isolated_clients_get_little_traffic_and_then_rest():
    f = Filter(2, isolate=True)
    f.world.run(3000)
    a, b = f.nodes
    know(a, b)
    sent = []
    send = f.world.send
    f.world.send = lambda src, data, dst: sent.append((f.world.now, dst)) or send(src, data, dst)
    f.scout(a)
    f.world.run(1800000)
    tries = [t for t, dst in sent if dst == b.link.local]
    assert len(tries) == 3 and min(gaps(tries)) >= 10000
    assert f.scouts[0].idle


def polls(n, s, start, ms, step=1000):
    """(ms, to) of each unicast HELLO."""
    out = []
    for now in range(start, start + ms, step):
        s.poll(now)
        out += [(now, to) for f, to in n.link.take(wire.T_HELLO) if to != GROUP]
    return out


def test_addresses_elsewhere_and_our_own_are_never_greeted():
    n = bare_node(1)
    s = Scout(n)
    for addr in ("10.77.2.9:4104", "8.8.8.8:4104", "10.77.1.255:4104", "10.77.1.7:80",
                 "10.77.1.2:4104", "239.76.52.1:4104"):  # fmt: skip
        s._add(parse_endpoint(addr))
    assert polls(n, s, 0, 100000) == []


def test_many_addresses_are_tried_slowly_and_no_more_than_sixteen():
    n = bare_node(1)
    s = Scout(n)
    for k in range(3, 250):
        s._add(parse_endpoint("10.77.1.%d:4104" % k))
    sent = polls(n, s, 0, 1200000)
    assert len(sent) == 48 and len(set(to for _, to in sent)) == 16
    assert min(gaps([t for t, _ in sent])) >= 10000


def test_not_while_neighbours_are_heard_by_the_group():
    n = bare_node(1)
    s = Scout(n)
    p = Person(2)
    give(n, p, p.hello(interval=1000), 10)
    s._add(parse_endpoint("10.77.1.9:4104"))
    assert polls(n, s, 0, 60000) == [] and not s.idle


def test_a_passive_node_scouts_nobody():
    n = bare_node(1, mode="passive")
    s = Scout(n)
    s._add(parse_endpoint("10.77.1.9:4104"))
    assert polls(n, s, 0, 60000) == []


def test_a_greeting_is_answered_alone_and_an_answer_is_not():
    n = bare_node(1)
    p = Person(2)
    body = p.hello()[29:-16]
    for flags, answers in ((1, 1), (0, 0)):
        for to in (n.id, wire.ANYONE):
            n.link.take()
            give(n, p, p.frame(wire.T_HELLO, to, bytes((flags,)) + body), 10)
            got = n.link.take(wire.T_HELLO)
            assert len(got) == answers
            for f, addr in got:
                assert addr == p.addr and f[16:20] == p.id[:4] and not f[28] & 1
    assert [e[0] for e in events(n)].count(EV_NEIGHBOUR) == 1


def test_greetings_are_answered_within_the_limit_of_the_id():
    n = bare_node(1, limits={})
    p = Person(2)
    body = p.hello()[28:-16]
    answers = 0
    for k in range(100):
        give(n, p, p.frame(wire.T_HELLO, n.id, b"\x01" + body[1:]), 10 + k)
        answers += len(n.link.take(wire.T_HELLO))
    assert 10 <= answers <= 20


def lone(seed=7):
    n = bare_node(seed, linked=True, upstream=[[3, "10.77.0.3:4104"]])
    t = Person(99, "10.77.0.3:4104")
    tier = n.tiers.list[0]
    give(n, t, t.frame(wire.T_PONG, n.id, b4(1) + bytes(9), link=True, key=Person(seed).key), 1)
    assert tier.peer == t.id[:8]
    n.member.joined = True
    return n, t, Person(seed).key


def test_the_tier_is_asked_who_else_is_here():
    n, t, key = lone()
    s = Scout(n)
    s.poll(1000)
    f, to = n.link.take(wire.T_INFO_REQ)[0]
    assert to == t.addr and f[2] & 1 and f[32] == 9 and len(f) == 444
    said = json.dumps(["10.77.1.50:4104", "10.77.3.1:4104"]).encode()
    give(
        n, t, t.frame(wire.T_INFO, n.id, f[28:32] + b"\x09\x00\x01" + said, link=True, key=key), 9
    )
    assert set(to for _, to in polls(n, s, 2000, 60000)) == set(
        [parse_endpoint("10.77.1.50:4104")]
    )


def test_whatever_a_tier_answers():
    for said in (b"", b"{", b"[", b"\xff\xfe", b"7", b"null", b'{"a":1}', b"[null, 1, [], {}]",
                 b'["x", "1.2.3", "10.77.1.50", "10.77.1.50:99999", "10.77.1.\xc3\xa9:1"]',
                 b"[" * 400, b'"10.77.1.50:4104"'):  # fmt: skip
        n, t, key = lone()
        s = Scout(n)
        s.poll(1000)
        f = n.link.take(wire.T_INFO_REQ)[0][0]
        frame = t.frame(wire.T_INFO, n.id, f[28:32] + b"\x09\x00\x01" + said, link=True, key=key)
        give(n, t, frame, 9)
        assert polls(n, s, 2000, 30000) == []


def test_a_word_that_nobody_asked_for_is_no_answer():
    n, t, key = lone()
    s = Scout(n)
    s.poll(1000)
    f = n.link.take(wire.T_INFO_REQ)[0][0]
    said = b'["10.77.1.50:4104"]'
    p = Person(50)
    give(n, p, p.frame(wire.T_INFO, n.id, f[28:32] + b"\x09\x00\x01" + said), 5)
    give(n, t, t.frame(wire.T_INFO, n.id, b4(77) + b"\x09\x00\x01" + said, link=True, key=key), 6)
    assert polls(n, s, 2000, 30000) == []


def test_forgotten_without_a_trace():
    n = bare_node(1)
    s = Scout(n)
    s.close()
    assert n.late == [] and n.inbox.handle(wire.T_INFO, None) is None


def test_a_silent_tier_is_asked_three_times_in_five_minutes():
    n, t, key = lone()
    s = Scout(n)
    asked = []
    for now in range(1000, 601000, 500):
        s.poll(now)
        asked += [now for _ in n.link.take(wire.T_INFO_REQ)]
    assert len(asked) == 6 and asked[3] - asked[2] > 290000 and asked[2] - asked[0] < 10000
