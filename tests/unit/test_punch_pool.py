from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.punch_pool import Pool
from meetkit import PEER, Bed

RTT = 60


def made(low=False):
    """A pool for a punch whose peer is at PEER."""
    b = Bed()
    b.punch(b"attempt1")
    b.sent()
    return b, Pool(b.meet, b.meet.all[0], low, RTT)


def roll(b, pool, ms, some=lambda p: p.opened < 10, more=False):
    end = b.now + ms
    while b.now < end:
        wait = pool.roll(b.now, some(pool), more)
        if wait == 0:
            break
        b.now += wait


def test_six_at_a_time_and_each_for_its_time():
    b, pool = made()
    opened = {}
    closed = {}
    while True:
        b.now += 5
        left = pool.roll(b.now, pool.opened < 10, False)
        assert len(pool.list) <= 6
        for s in b.n.sockets.ever:
            opened.setdefault(s.port, b.now)
            if not s.open:
                closed.setdefault(s.port, b.now)
        if left == 0:
            break
    assert len(opened) == 10 and b.n.sockets.all == []
    assert all(closed[p] - opened[p] >= RTT + 100 for p in opened)
    for s in b.n.sockets.ever:
        assert {(f[1], f[45], to) for f, to in s.sent} == {
            (wire.T_PROBE, 255, parse_endpoint(PEER))
        }
    assert pool.left == 1024 - sum(len(s.sent) for s in b.n.sockets.ever)


def test_more_of_them_slowly():
    b, pool = made()
    roll(b, pool, 1000, more=True)
    quick = pool.opened
    roll(b, pool, 1600, more=True)
    assert 10 <= quick <= 16 and 8 <= pool.opened - quick <= 12, (quick, pool.opened)


def test_one_that_heard_the_peer_lives_longer():
    b, pool = made()
    b.now += 5
    pool.roll(b.now, True, False)
    (s,) = b.n.sockets.all
    b.probe(b"attempt1", 1, sock=s)
    roll(b, pool, 200, some=lambda p: p.opened < 6)
    assert s.open
    roll(b, pool, 200, some=lambda p: False)
    assert not s.open


def test_ports_that_stay_low():
    b, pool = made(True)
    for _ in range(6):
        assert 600 <= pool.open(b.now).port < 1024
    assert pool.open(b.now) is None and pool.opened == 6
    pool.close()
    assert b.n.sockets.all == [] == pool.list


def test_what_was_found_is_its_owners():
    b, pool = made()
    s, t, u = (pool.open(b.now) for _ in range(3))
    b.probe(b"attempt1", 1, sock=t)
    pool.settle(s, False)
    assert s.open and t.open and not u.open
    pool.settle(None, True)
    assert s.open and not t.open


def test_a_budget_is_a_budget():
    b, pool = made()
    pool.left = 5
    roll(b, pool, 2000, some=lambda p: True)
    assert pool.left == 0 and sum(len(s.sent) for s in b.n.sockets.ever) == 5
