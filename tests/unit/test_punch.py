from kit import Person, count
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from meetkit import PEER, SEEN, Bed

ASK, ANSWER, BOTH, CHOSEN = 1, 2, 3, 5
OTHER = "198.51.100.7:40777"


def asks(b):
    """(number, to) of the questions just sent."""
    return [(f[45], to) for f, to in b.sent(wire.T_PROBE) if f[36] & 1]


def begun(**more):
    """A node that has asked for the peer, and was told where it is."""
    b = Bed()
    attempt = b.connect()
    b.run(30)
    b.punch(attempt, flags=2, **more)
    b.run(1)
    return b, attempt


def test_questions_by_the_schedule_and_twenty_at_most():
    b, attempt = begun()
    times = [b.now for _ in asks(b)]
    for _ in range(9000):
        b.run(1)
        times += [b.now for _ in asks(b)]
    since = [t - times[0] for t in times]
    assert since[:8] == [0, 20, 50, 100, 200, 300, 500, 750] and len(times) == 20
    assert b.told == [(b.p.id[:8], None, None, b.told[0][3], "no packet of it came through")]
    assert b.meet.all == []


def test_what_a_question_says():
    b, attempt = begun()
    ((f, to),) = b.sent(wire.T_PROBE)
    assert to == parse_endpoint(PEER) and len(f) == 68
    assert f[28:36] == attempt and f[36] == ASK and f[37:45] == b.p.id[:8]
    assert f[46:52] == bytes(6)


def test_an_answer_is_the_way_and_both_take_it():
    b, attempt = begun()
    ((number, to),) = asks(b)
    b.run(60)
    b.probe(attempt, ANSWER, number)
    assert b.told == [(b.p.id[:8], parse_endpoint(PEER), None, 91, "direct")]
    told = [f for f, _ in b.sent(wire.T_PROBE) if f[36] == CHOSEN]
    assert len(told) == 1
    b.run(400)
    again = [f for f, _ in b.sent(wire.T_PROBE) if f[36] == CHOSEN]
    assert len(again) == 3
    b.probe(attempt, 6, again[-1][45])
    b.run(3000)
    assert b.sent(wire.T_PROBE) == [] and len(b.told) == 1
    b.run(3000)
    assert b.meet.all == []


def test_it_answers_to_where_a_question_comes_from_and_asks_there():
    b, attempt = begun()
    b.sent()
    b.probe(attempt, ASK, 9, parse_endpoint(OTHER))
    (f, to), (g, there) = b.sent(wire.T_PROBE)
    assert to == there == parse_endpoint(OTHER)
    assert f[36] == ANSWER and f[45] == 9 and f[46:52] == parse_endpoint(OTHER)
    assert len(f) == 68 and g[36] == ASK
    b.probe(attempt, ANSWER, g[45], parse_endpoint(OTHER))
    assert b.told[0][1] == parse_endpoint(OTHER)


def test_an_answer_from_an_address_never_asked_is_only_a_hint():
    b, attempt = begun()
    ((number, _),) = asks(b)
    b.probe(attempt, ANSWER, number, parse_endpoint("192.0.2.66:4104"))
    assert b.told == []
    assert [to for _, to in asks(b)] == [parse_endpoint("192.0.2.66:4104")]


def test_the_called_side_goes_where_the_other_one_says():
    b = Bed()
    b.punch(b"attempt1")
    b.run(1)
    ((number, _),) = asks(b)
    b.probe(b"attempt1", ANSWER, number)
    assert len(b.told) == 1 and b.told[0][1] == parse_endpoint(PEER)
    assert not [f for f, _ in b.sent(wire.T_PROBE) if f[36] & 4]
    b.probe(b"attempt1", CHOSEN, 3)
    assert len(b.told) == 1
    b.probe(b"attempt1", CHOSEN, 4, parse_endpoint(OTHER))
    assert len(b.told) == 2 and b.told[1][1] == parse_endpoint(OTHER)
    assert [f[36] for f, _ in b.sent(wire.T_PROBE)] == [6, 6]


def test_the_called_side_has_a_way_when_it_was_chosen():
    b = Bed()
    b.punch(b"attempt1")
    b.probe(b"attempt1", CHOSEN, 3)
    assert b.told[0][:3] == (b.p.id[:8], parse_endpoint(PEER), None)


def test_an_attempt_and_both_names_must_be_right():
    b, attempt = begun()
    ((number, _),) = asks(b)
    bad = count(b.n, C.C_BAD_PARSE)
    b.probe(attempt, ANSWER, number, to=b.p.id)
    b.probe(attempt, 8, number)
    assert count(b.n, C.C_BAD_PARSE) == bad + 2
    b.probe(b"another!", ANSWER, number)
    b.probe(attempt, ANSWER, number, who=Person(5, PEER))
    assert b.told == [] and b.sent(wire.T_PROBE) == []


def test_a_replay_is_nothing():
    b, attempt = begun()
    b.sent()
    f = b.p.frame(wire.T_PROBE, b.n.id, attempt + b"\x01" + b.n.id[:8] + b"\x01" + bytes(6))
    for _ in range(10):
        b.n.receive(f, len(f), b.p.addr, b.now)
    assert len([1 for g, _ in b.sent(wire.T_PROBE) if g[36] == ANSWER]) == 1


def test_answers_end_somewhere():
    b, attempt = begun()
    b.sent()
    n = 0
    for i in range(300):
        b.probe(attempt, ASK, i % 200 + 1)
        b.run(25)
        n += sum(f[36] & 2 > 0 for f, _ in b.sent(wire.T_PROBE))
    assert n <= 80


def test_eight_endpoints_at_most_and_none_that_is_no_hosts():
    b, attempt = begun()
    (p,) = b.meet.all
    for i in range(20):
        b.probe(attempt, ASK, 1, parse_endpoint("198.51.100.%d:4104" % (20 + i)))
    assert len(p.ends) == 8
    for bad in ("224.0.0.1:4104", "255.255.255.255:4104", "169.254.1.1:4104", "8.8.8.8:53"):
        b.probe(attempt, ASK, 1, parse_endpoint(bad))
    b.punch(attempt, flags=2, addr="239.1.1.1:4104")
    b.probe(attempt, ASK, 1, b"\x00\x01\x00\x07\x00\x01")  # by a relay
    assert len(p.ends) == 8
    assert not any(
        to[0] in (0, 224, 239, 255, 169) or to[4] == 0 for _, to in b.sent(wire.T_PROBE)
    )


def test_it_waits_as_long_as_it_is_told_and_no_longer():
    for wait, least in ((50, 50), (65535, 300)):
        b = Bed()
        attempt = b.connect()
        b.punch(attempt, flags=2, wait=wait)
        b.run(least - 1)
        assert asks(b) == []
        b.run(2)
        assert len(asks(b)) == 1


def test_several_assistants_saw_different_endpoints():
    b, attempt = begun()
    b.punch(attempt, 1, flags=2, addr=OTHER)
    b.run(100)
    assert {to for _, to in asks(b)} == {parse_endpoint(PEER), parse_endpoint(OTHER)}
    b.run(9000)
    assert b.told and len(asks(b)) <= 20  # in all, to one address


def test_on_the_same_network_if_an_assistant_saw_one_address():
    lan = parse_endpoint("10.77.1.77:4104")
    for flags, there in ((3, True), (2, False)):
        b, attempt = begun(lan=lan)
        b.sent()
        b.punch(attempt, 1, flags=flags, lan=lan)
        b.run(30)
        assert (lan in [to for _, to in asks(b)]) == there
    for lan in ("10.77.2.77:4104", "10.77.1.2:9999"):  # another network; our own address
        b = Bed()
        attempt = b.connect()
        b.punch(attempt, flags=3, lan=parse_endpoint(lan))
        b.run(5)
        assert {to for _, to in asks(b)} == {parse_endpoint(PEER)}
    assert parse_endpoint(SEEN) not in [e.addr for e in b.meet.all[0].ends]
