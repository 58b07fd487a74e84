"""Round trips to neighbours: one at a time, for a minute, and into the same mean as look-ups'."""

from kit import Person, b4, bare_node, give
from l4mesh import wire
from l4mesh.gauge import Gauge
from l4mesh.peers import O_RTT


def meet(n, k, now=0, **more):
    p = Person(k, "10.77.1.%d:4104" % (100 + k))
    give(n, p, p.hello(interval=200, **more), now)
    return p


def run(n, g, ms, people=(), start=0, trip=0, cookies=False):
    """Poll; whoever of `people` is pinged answers after `trip` ms. -> [(ms, address)]"""
    asked = []
    later = []
    for now in range(start, start + ms, 5):
        for at, p, f in [x for x in later if x[0] <= now]:
            give(n, p, f, now)
            later.remove((at, p, f))
        g.poll(now)
        for f, to in n.link.take(wire.T_PING):
            asked.append((now, to))
            for p in people:
                if p.addr == to:
                    if cookies and not f[2] & 4:
                        reply = p.frame(wire.T_COOKIE, n.id, f[24:28] + b"cookie88")
                    else:
                        o = 36 if f[2] & 4 else 28
                        reply = p.frame(wire.T_PONG, n.id, f[o : o + 4] + bytes(9))
                    later.append((now + trip, p, reply))
    return asked


def test_neighbours_are_measured_in_turn_for_a_minute():
    n = bare_node(1)
    a, b = meet(n, 2), meet(n, 3)
    g = Gauge(n)
    assert g in n.late and run(n, g, 3000, (a, b)) == []
    g.look(3000)
    asked = run(n, g, 70000, (a, b), 3000, 20)
    assert 118 <= len(asked) <= 122 and asked[-1][0] <= 64000
    assert all(asked[i][1] != asked[i + 1][1] for i in range(20))
    for p in (a, b):
        assert n.peers.get16(n.peers.find(p.id[:8]), O_RTT) == 200
    assert run(n, g, 5000, (a, b), 73000) == []
    g.look(78000)
    assert run(n, g, 1000, (a, b), 78000)


def test_a_cookie_is_shown_and_counts_not_into_the_round_trip():
    n = bare_node(1)
    p = meet(n, 2)
    g = Gauge(n)
    g.look(0)
    assert len(run(n, g, 450, (p,), 0, 30, cookies=True)) == 2
    assert n.peers.get16(n.peers.find(p.id[:8]), O_RTT) == 300


def test_who_sleeps_is_not_asked():
    n = bare_node(1)
    meet(n, 2, flags=4)
    g = Gauge(n)
    g.look(0)
    assert run(n, g, 3000) == []


def test_foreign_and_late_answers_are_left_to_others():
    n = bare_node(1)
    p, other = meet(n, 2), meet(n, 3)
    i = n.peers.find(p.id[:8])
    passed = []
    n.inbox.handle(wire.T_PONG, lambda *a: passed.append(a[0]))
    g = Gauge(n)
    give(n, p, p.frame(wire.T_PONG, n.id, b4(0) + bytes(9)), 1)
    assert passed == [i]
    g.look(1)
    g.poll(1)
    f, to = n.link.take(wire.T_PING)[0]
    asked = p if to == p.addr else other
    liar = other if asked is p else p
    give(n, liar, liar.frame(wire.T_PONG, n.id, f[28:32] + bytes(9)), 3)
    for k in (p, other):
        assert n.peers.get16(n.peers.find(k.id[:8]), O_RTT) == 0
    run(n, g, 2000, (), 3)
    give(n, asked, asked.frame(wire.T_PONG, n.id, f[28:32] + bytes(9)), 2100)
    assert n.peers.get16(n.peers.find(asked.id[:8]), O_RTT) == 0


def test_a_flood_of_cookies_makes_no_flood_of_pings():
    n = bare_node(1)
    p = meet(n, 2)
    g = Gauge(n)
    g.look(0)
    g.poll(0)
    f = n.link.take(wire.T_PING)[0][0]
    for _ in range(20):
        give(n, p, p.frame(wire.T_COOKIE, n.id, f[24:28] + b"cookie88"), 5)
    assert len(n.link.take(wire.T_PING)) == 1


def test_nobody_there():
    n = bare_node(1)
    g = Gauge(n)
    g.look(0)
    assert run(n, g, 2000) == [] and g.poll(70000) <= 60000
