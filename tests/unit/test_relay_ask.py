from kit import Person, bare_node, frame, prove
from l4mesh import relaying, wire
from l4mesh.ways import Ways
from relaytier import L1, L3, node, tiers
from test_ways import Bed
from world import QuickCrypto, World


def test_places_at_the_nearest_and_the_farthest_tier_told_again():
    b = Bed()
    assert b.l3.relay.places == 1 and b.l1.relay.places == 1
    assert [(p.level, p.addr, p.ok) for p in b.b.ways.asks.list] == [(3, L3, True), (1, L1, True)]
    n = b.l3.seen.count(wire.T_CALL)
    b.run(230000)
    assert 9 <= b.l3.seen.count(wire.T_CALL) - n <= 12


def test_who_is_not_to_be_found_keeps_none():
    b = Bed(stand=(False, False))
    assert b.l3.relay.places == 0
    b.b.ways.stand(True, b.now)
    b.w.touch(b.b)
    b.run(300)
    assert b.l3.relay.places == 1 and b.l1.relay.places == 1
    b.b.ways.stand(False, b.now)
    b.run(60000)
    assert b.l3.seen.count(wire.T_CALL) <= 3


def test_a_cookie_is_brought_back():
    b = Bed()
    b.l3.proven.clear()
    b.b.ways.asks.changed(b.now)
    b.w.touch(b.b)
    b.run(200)
    assert b.l3.proven[b.b.short_id] == b.b.link.local


def test_a_tier_that_is_silent_is_left_and_found_again():
    b = Bed()
    b.l3.dead = True
    b.run(60000)
    assert [p.level for p in b.b.ways.asks.list] == [1]
    b.l3.start()
    b.run(40000)
    assert [p.level for p in b.b.ways.asks.list] == [3, 1] and b.l3.relay.places == 1


def test_words_nobody_asked_for():
    b = Bed()
    asks = b.b.ways.asks
    said = []
    asks._opened = lambda *a: said.append(a)
    place = asks.list[0]
    payload = bytes(4) + b"\x01\x00" + b.a.short_id + b"channel8" + b"\x00\x10\x00\x10"
    key = b.l3._key(b.b.short_id)

    b.l3._n += 100

    def give(addr, src, key):
        b.l3._n += 1
        f = frame(wire.T_CALLED, src, b.b.id, b.l3._n, payload, key=key, link=True)
        b.b.receive(f, len(f), addr, b.now)
        return len(said)

    stranger = Person(99)
    assert give(L1, b.l3.id, key) == 0  # the right tier, from elsewhere
    assert give(L3, stranger.id, key) == 0
    assert give(L3, b.l3.id, b"x" * 32) == 0
    assert give(L3, b.l3.id, key) == 1 and said[0][0] is place and said[0][3] == b.a.short_id


def test_without_a_tier_a_member_that_says_it_relays():
    w = World(seed=3)
    n = w.add(1, {}, None, QuickCrypto())
    r = w.add(1, {}, None, QuickCrypto())
    relaying.begin(r)
    Ways(n, None)
    n.ways.stand(True, w.tick())
    w.run(5000)
    assert [(p.level, p.sid, p.ok) for p in n.ways.asks.list] == [(4, r.short_id, True)]
    assert r.ways.relay.places == 1


def test_members_behind_an_access_point_that_isolates_them():
    w = World(seed=4)
    r = w.add(1, {}, None, QuickCrypto())
    relaying.begin(r)
    a, b = (w.add(1, {}, None, QuickCrypto()) for _ in range(2))
    for n in (a, b):
        Ways(n, None)
        n.ways.stand(True, w.tick())
    send = w.send
    ends = (a.link.local, b.link.local)

    def isolated(src, data, dst):
        if src in ends and dst in ends:
            return
        if src in ends and dst[0] >= 224:
            return send(src, data, r.link.local)
        return send(src, data, dst)

    w.send = isolated
    w.run(40000)
    assert r.ways.relay.places == 2
    a.ways.open(b.id, w.tick())
    w.touch(a)
    w.run(1000)
    way = a.ways.of(b.short_id)
    assert way.state == 2 and way.use.relay.sid == r.short_id
    assert b.ways.of(a.short_id).state == 2


def test_no_ladder_without_anybody():
    n = bare_node(1)
    ways = Ways(n, None)
    p = Person(2)
    prove(n, p, 10)
    assert ways.asks.ladder(20) == [] and ways.open(p.id, 20) is not None
    for now in range(20, 10000, 50):
        n.poll(now)
    assert ways.of(p.id[:8]).state == 0


def test_tiers_of_the_test_are_there():
    w = World(seed=1)
    l3, l1 = tiers(w)
    n = node(w, 1)
    w.run(2000)
    assert n.member.joined and l3.relay.places == 1 and l1.relay.places == 1
