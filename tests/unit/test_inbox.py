from kit import Person, b4, bare_node, count, events, frame, give, prove
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.events import EV_ACKED
from l4mesh.peers import P_PROVEN

ASKS = (wire.T_QUERY, wire.T_PING, wire.T_INFO_REQ)


def request(p, n, kind, **more):
    if kind == wire.T_QUERY:
        return p.query(n.id, n.id, **more)
    if kind == wire.T_PING:
        return p.ping(n.id, **more)
    return p.frame(kind, n.id, b4(5) + b"\x01\0" + bytes(394), **more)


def test_first_a_cookie_then_the_work():
    for kind in ASKS:
        n = bare_node(1)
        p = Person(2)
        f = request(p, n, kind)
        give(n, p, f, 10)
        got = n.link.take()
        assert [(g[1], to) for g, to in got] == [(wire.T_COOKIE, p.addr)]
        c = got[0][0]
        assert c[28:32] == f[24:28] and c[16:20] == p.id[:4] and len(c) == 56
        assert c == frame(wire.T_COOKIE, n.id, p.id, 1, c[28:-16])
        assert len(c) <= len(f)
        assert not n.peers.flags(n.peers.find(p.id[:8])) & P_PROVEN
        g = request(p, n, kind, cookie=c[32:40])
        give(n, p, g, 20)
        got = n.link.take()
        assert len(got) == 1 and got[0][0][1] == kind + 1
        assert len(got[0][0]) <= 3 * len(f)
        give(n, p, request(p, n, kind), 30)  # proven now
        assert [x[1] for x, _ in n.link.take()] == [kind + 1]


def test_short_requests_are_no_way_round_the_bound():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.frame(wire.T_INFO_REQ, n.id, b4(5) + b"\x01\0"), 10)
    assert n.link.take() == [] and count(n, C.C_BAD_LEN) == 1
    cookie = prove(n, p, 10)
    for pad in (6, 50, 394):
        for c in (b"", cookie):
            f = p.frame(wire.T_INFO_REQ, n.id, b4(5) + b"\x01\0" + bytes(pad), cookie=c)
            give(n, p, f, 20)
            assert len(n.link.take(wire.T_INFO)[0][0]) <= 3 * (len(f) - len(c))


def test_a_cookie_from_another_address_or_too_late():
    n = bare_node(1)
    p, thief = Person(2), Person(3, "10.77.1.77:4104")
    give(n, p, p.ping(n.id), 10)
    cookie = n.link.take()[0][0][32:40]
    give(n, thief, p.ping(n.id, cookie=cookie), 20)
    assert [f[1] for f, _ in n.link.take()] == [wire.T_COOKIE]
    assert count(n, C.C_COOKIE_BAD) == 1
    n.poll(60010)
    n.poll(120020)
    give(n, p, p.ping(n.id, cookie=cookie), 120030)
    assert [f[1] for f, _ in n.link.take(wire.T_COOKIE)] == [wire.T_COOKIE]
    assert count(n, C.C_COOKIE_BAD) == 2


def test_the_same_cookie_twice_is_no_harm():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.ping(n.id), 10)
    cookie = n.link.take()[0][0][32:40]
    f = p.ping(n.id, cookie=cookie)
    for data in (f, p.ping(n.id, cookie=cookie)):
        give(n, p, data, 20)
        assert len(n.link.take(wire.T_PONG)) == 1
    give(n, p, f, 20)
    assert n.link.take() == []  # the same frame is a replay


def test_a_pong_says_how_we_look():
    n = bare_node(1)
    p = Person(2)
    prove(n, p, 10)
    give(n, p, p.ping(n.id, token=0x01020304), 20)
    f = n.link.take()[0][0]
    assert f[28:-16] == b"\x01\x02\x03\x04\x02\xff\x00" + p.addr


def test_linked_questions_get_linked_answers():
    n = bare_node(1, linked=True)
    p = Person(3)
    key = Person(1).key
    give(n, p, p.ping(n.id, link=True, key=key), 10)
    c = n.link.take()[0][0]
    assert c[1] == wire.T_COOKIE and c[2] == 1
    give(n, p, p.ping(n.id, link=True, key=key, cookie=c[32:40]), 10)
    f = n.link.take()[0][0]
    assert f[1] == wire.T_PONG and f == frame(
        wire.T_PONG, n.id, p.id, wire.u30(f, 24), f[28:-16], key=key, link=True
    )


def test_a_flood_of_questions_is_limited_and_others_are_served():
    n = bare_node(1, limits={"unverified": 8}, quota_per_s=1000)
    p, other = Person(2), Person(3, "10.77.1.77:4104")
    prove(n, p, 0)
    prove(n, other, 0)
    served = mine = 0
    for ms in range(0, 10000, 5):
        give(n, p, p.query(n.id, b"x" * 16), ms)
        mine += len(n.link.take(wire.T_ANSWER))
        if ms % 500 == 0:
            give(n, other, other.query(n.id, b"x" * 16), ms)
            served += len(n.link.take(wire.T_ANSWER))
    assert served == 20
    assert 70 <= mine <= 100  # eight a second and the burst
    assert count(n, C.C_LIMITED) > 1800


def test_bytes_to_a_spoofed_victim():
    """Ten seconds of questions in the name of somebody else: not a byte more than came in."""
    n = bare_node(1)
    victim = Person(2)
    came = went = 0
    for ms in range(0, 10000, 3):
        for f in (
            victim.query(n.id, n.id),
            victim.ping(n.id),
            request(victim, n, wire.T_INFO_REQ),
        ):
            came += len(f)
            give(n, victim, f, ms)
        for f, to in n.link.take():
            assert to == victim.addr and f[1] == wire.T_COOKIE
            went += len(f)
    assert 0 < went <= came


def test_a_thousand_spoofed_addresses_leave_nothing():
    n = bare_node(1)
    p = Person(2)
    size = len(n.peers.buf)
    for k in range(1000):
        p.addr = bytes((203, 0, k >> 8, k & 255, 16, 8))
        give(n, p, p.ping(n.id), k)
        assert len(n.link.take()) == 1
    assert count(n, C.C_COOKIE_SENT) == 1000
    assert len(n.peers) == 1 and len(n.peers.buf) == size


def test_one_ip_with_five_hundred_names():
    n = bare_node(1)
    p = Person(2)
    prove(n, p, 0)
    for k in range(500):
        f = frame(wire.T_HELLO, b"sybil" + bytes((0, k >> 8, k & 255)), wire.ALL, 1,
                  bytes((0, 2, 255, 0, 0, 60)) + bytes(9))  # fmt: skip
        n.receive(f, len(f), bytes((10, 77, 1, 66, 16, k & 255)), k)
    assert len(n.peers) == 17 and n.peers.find(p.id[:8]) >= 0


def test_a_wrong_kind_is_counted():
    n = bare_node(1, linked=True)
    p = Person(2)
    for kind in (wire.T_BATCH, wire.T_KEYREQ, wire.T_KEY, wire.T_INFO):
        give(n, p, p.frame(kind, n.id, bytes(60)), 10)
    assert count(n, C.C_BAD_PARSE) == 4
    give(n, p, p.frame(wire.T_NACK, n.id, bytes(6)), 10)
    assert count(n, C.C_NACK_RX) == 1 and n.link.take() == []


def test_sealed_answers_that_are_not_sealed():
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]])
    key = Person(1).key
    n.poll(1)
    n.link.take()
    tok = b4(n.member._token)
    body = tok + bytes((0, 3)) + bytes((203, 0, 113, 9, 16, 8)) + bytes(11)
    tier = Person(3, "10.77.0.3:4104")
    for more in ({}, {"link": True, "key": key}):
        give(n, tier, tier.frame(wire.T_JOINED, n.id, body, **more), 5)
        give(n, tier, tier.frame(wire.T_ACK, n.id, bytes(30), **more), 5)
        assert not n.member.joined
    assert count(n, C.C_BAD_PARSE) == 4
    give(n, tier, tier.frame(wire.T_JOINED, n.id, body, link=True, key=key, sealed=True), 6)
    assert n.member.joined


def test_an_ack_without_a_queue_is_nothing():
    n = bare_node(1, linked=True)
    p = Person(3)
    give(n, p, p.frame(wire.T_ACK, n.id, bytes(26), link=True, sealed=True, key=Person(1).key), 5)
    assert EV_ACKED not in [e[0] for e in events(n)]
    assert n.link.take() == [] and count(n, C.C_BAD_PARSE) == 0


def test_a_jump_is_challenged_and_then_believed():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.hello(), 0)
    p.counter += 100000
    give(n, p, p.query(n.id, n.id), 10)
    got = n.link.take()
    assert [f[1] for f, _ in got] == [wire.T_COOKIE]
    give(n, p, p.query(n.id, n.id, cookie=got[0][0][32:40]), 20)
    assert [f[1] for f, _ in n.link.take()] == [wire.T_ANSWER]


def test_two_that_lost_count_do_not_talk_for_ever():
    a, b = bare_node(1), bare_node(2)
    for x, y in ((a, b), (b, a)):
        x.tx.begin(wire.T_PING, y.short_id)
        o = x.tx.begin(wire.T_PING, y.short_id)
        x.tx.send(o + 17, y.link.local)
        f = x.link.take()[0][0]
        y.receive(f, len(f), x.link.local, 0)
        y.link.take()
    a.tx.counter = b.tx.counter = 200000
    o = a.tx.begin(wire.T_PING, b.short_id)
    a.tx.send(o + 17, b.link.local)
    sent = 0
    for _ in range(50):
        for x, y in ((a, b), (b, a)):
            for f, _ in x.link.take():
                sent += 1
                y.receive(f, len(f), x.link.local, 5)
    assert sent <= 2


def test_the_buffer_stays_the_callers():
    n = bare_node(1)
    p = Person(2)
    prove(n, p, 0)
    for f in (p.hello(), p.query(n.id, n.id), p.ping(n.id)):
        buf = bytearray(1300)
        buf[: len(f)] = f
        n.receive(buf, len(f), p.addr, 10)
        assert bytes(buf) == f + bytes(1300 - len(f))


def test_hello_storm():
    """A thousand hellos a second from one address: it is limited; the others are still met."""
    n = bare_node(1, limits={"unverified": 8})
    loud = Person(2)
    met = 0
    for ms in range(3000):
        give(n, loud, loud.hello(), ms)
        if ms % 100 == 0:
            q = Person(100 + ms // 100 % 10, "10.77.1.%d:4104" % (50 + ms // 100 % 10))
            q.counter = ms
            give(n, q, q.hello(), ms)
            met += n.peers.find(q.id[:8]) >= 0
    assert met >= 25 and count(n, C.C_HELLO_RX) < 200
