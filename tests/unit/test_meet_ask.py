from kit import Person, b2, give
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from meetkit import COOKIE, PEER, Bed


def connects(b):
    return [(f, to) for f, to in b.sent(wire.T_CONNECT)]


def why(b):
    assert len(b.told) == 1 and b.told[0][1] is None, b.told
    return b.told[0][4]


def knows(b, public=PEER, lan="192.168.7.7:4104", relay=bytes(8)):
    """A record of the peer is in the cache."""
    r = bytearray(b.p.record(lan=parse_endpoint(lan), public=parse_endpoint(public)))
    r[61:69] = relay
    assert b.n.routes.put(r, 0, 30, True, b.n.minutes.minute) >= 0


def test_all_assistants_at_once_with_the_same_words():
    b = Bed(helpers=3)
    b.meet.set_nat(b"12345678", b.now)
    b.meet.connect(b.p.id, b.now, b.hear)
    got = connects(b)
    assert sorted(to for _, to in got) == sorted(h.addr for h in b.helpers)
    words = {f[28:-16][:30] for f, _ in got}
    assert len(words) == 1
    (w,) = words
    assert w[8:16] == b.p.id[:8] and w[16:24] == b"12345678" and w[24:] == b.n.own.lan


def test_again_until_each_has_answered():
    b = Bed()
    attempt = b.connect()
    times = []
    for _ in range(300):
        b.run(1)
        times += [b.now - 1011 for _ in connects(b)]
    rtt = b.meet.standing.list[0].rtt
    assert times[::2] == times[1::2] and 1 <= rtt <= 10
    assert times[::2] == [20 + rtt, 60 + 2 * rtt, 120 + 3 * rtt, 260 + 4 * rtt]
    b.punch(attempt, 0, flags=2)
    left = {to for _ in range(50) for _, to in (b.run(100), connects(b))[1]}
    assert left <= {b.helpers[1].addr}


def test_a_cookie_is_brought_back_once_for_each():
    b = Bed(helpers=1)
    b.meet.connect(b.p.id, b.now, b.hear)
    ((f, _),) = connects(b)
    b.say(b.helpers[0], wire.T_COOKIE, f[24:28] + COOKIE)
    ((g, _),) = connects(b)
    assert g[28:36] == COOKIE and g[36:-16] == f[28:-16]
    b.say(b.helpers[0], wire.T_COOKIE, f[24:28] + COOKIE)
    assert connects(b) == []


def test_what_the_assistants_say_is_why():
    for status, part in ((1, "registered"), (2, "under way"), (3, "it has too much"),
                         (4, "want"), (5, "says nothing")):  # fmt: skip
        b = Bed()
        attempt = b.connect()
        for i in range(2):
            b.punch(attempt, i, status, 2)
        b.run(3000)
        assert part in why(b), (status, b.told)
        assert b.meet.all == [] and connects(b) == []


def test_nobody_answers():
    b = Bed()
    b.connect()
    b.run(3000)
    assert why(b) == "no assistant answers" and 2000 <= b.told[0][3] <= 2300


def test_nobody_to_ask():
    b = Bed(helpers=0)
    b.meet.connect(b.p.id, b.now, b.hear)
    b.run(5)
    assert why(b) == "no assistant is known"


def test_one_says_no_and_the_other_yes():
    b = Bed()
    attempt = b.connect()
    b.punch(attempt, 0, 1, 2)
    b.punch(attempt, 1, 0, 2)
    b.run(1)
    assert b.sent(wire.T_PROBE) and b.told == []


def test_begun_and_then_the_peer_refuses():
    b = Bed()
    attempt = b.connect()
    b.punch(attempt, 0, 0, 2)
    b.punch(attempt, 1, 1, 2)
    b.run(100)
    assert b.told == []
    b.punch(attempt, 0, 3, 2)
    assert why(b) == "it has too much under way"


def test_without_a_word_the_record_has_to_do():
    b = Bed()
    knows(b)
    attempt = b.connect()
    b.run(145)
    assert b.sent(wire.T_PROBE) == []
    b.run(4)
    ((f, to),) = b.sent(wire.T_PROBE)
    assert to == parse_endpoint(PEER)
    b.say(b.p, wire.T_COOKIE, f[24:28] + COOKIE)
    ((g, _),) = b.sent(wire.T_PROBE)
    assert g[28:36] == COOKIE and g[36:44] == attempt
    b.probe(attempt, 2, g[53])
    assert b.told[0][1] == parse_endpoint(PEER)


def test_all_refuse_and_the_record_names_an_address():
    b = Bed()
    knows(b)
    attempt = b.connect()
    for i in range(2):
        b.punch(attempt, i, 1, 2)
    b.run(50)
    assert [to for _, to in b.sent(wire.T_PROBE)][:1] == [parse_endpoint(PEER)]
    b.run(9000)
    assert why(b) == "no packet of it came through"


def test_the_relay_of_its_record_is_asked_too():
    b = Bed(helpers=4)
    fourth = [h for h in b.helpers if b.meet.standing.of(h.id[:8], h.addr) is None]
    assert len(fourth) == 1
    knows(b, relay=fourth[0].id[:8])
    b.meet.connect(b.p.id, b.now, b.hear)
    asked = [to for _, to in connects(b)]
    assert len(asked) == 4 and fourth[0].addr in asked


def test_a_neighbour_is_tried_at_once():
    b = Bed()
    b.p = Person(3, "10.77.1.99:4104")
    give(b.n, b.p, b.p.hello(interval=3600), b.now)
    attempt = b.connect()
    b.run(1)
    got = b.sent(wire.T_PROBE)
    assert [to for _, to in got] == [b.p.addr]
    for i in range(2):
        b.punch(attempt, i, 1, 2)
    b.run(60)
    b.probe(attempt, 2, got[0][0][45])
    assert b.told[0][1:3] == (b.p.addr, None) and b.told[0][4] == "on this network"


def test_the_round_trip_is_told():
    b = Bed(helpers=1, start=False)
    b.begin()
    b.run(2)
    ((f, _),) = b.sent(wire.T_REGISTER)
    b.run(33)
    b.say(b.helpers[0], wire.T_REGISTERED, f[28:32] + b"\x00" + b.n.own.lan + b2(60))
    b.meet.connect(b.p.id, b.now, b.hear)
    ((f, _),) = connects(b)
    assert f[58:60] == b2(34)
