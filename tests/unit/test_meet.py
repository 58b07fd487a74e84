from kit import Person, count, give, prove
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.prng import XorShift
from meetkit import PEER, Bed

VICTIM = "192.0.2.99:4104"
SPREAD = b"\x05\x04\x00\x00\x80\x00\x00\x00"  # symmetric, any port


def bad(b):
    return count(b.n, C.C_BAD_PARSE)


def probes(b):
    return [to for f, to in b.sent(wire.T_PROBE)]


def test_an_id_of_another_node():
    b = Bed()
    for wrong in (b.p.id[:8], b"", b.n.id):
        try:
            b.meet.connect(wrong, b.now, b.hear)
        except ValueError as e:
            assert "another node" in str(e)
        else:
            raise AssertionError(wrong)


def test_a_word_is_acknowledged_each_time():
    b = Bed()
    for _ in range(3):
        b.punch(b"attempt1")
        ((f, to),) = b.sent(wire.T_PUNCHED)
        assert f[28:-16] == b"attempt1" + b"\x00\x00" + b.meet.nat and to == b.helpers[0].addr
    assert len(b.meet.all) == 1
    b.punch(b"attempt1", 1)
    assert b.sent(wire.T_PUNCHED)[0][1] == b.helpers[1].addr and len(b.meet.all) == 1


def test_only_assistants_are_believed():
    b = Bed()
    stranger = Person(70, "10.77.1.240:4104")
    b.helpers.append(stranger)
    n = bad(b)
    b.punch(b"attempt1", 2)  # a member that we are not registered at
    b.punch(b"attempt1", 0, source=stranger.addr)  # an assistant's name from elsewhere
    b.punch(b"attempt1", 0, flags=2)  # we asked nobody
    b.punch(b"attempt1", 0, peer=b.n.id[:8])  # myself
    assert bad(b) == n + 4 and b.meet.all == [] and b.sent(wire.T_PUNCHED) == []
    attempt = b.connect()
    b.punch(attempt, 2, flags=2)
    assert bad(b) == n + 5
    b.run(2)
    assert probes(b) == []


def test_a_lying_assistant_gets_twenty_packets_to_a_victim():
    """Reflection by PUNCH, counted: one assistant names somebody who did not ask."""
    b = Bed()
    b.meet.set_nat(b"\x04\x06\x00\x00\x10\x08\x00\x00", b.now)
    b.sent()
    b.punch(b"attempt1", 0, addr=VICTIM, nat=SPREAD)
    n = size = 0
    for _ in range(120):
        b.run(100, 5)
        for f, to in b.sent(wire.T_PROBE):
            assert to == parse_endpoint(VICTIM)
            n += 1
            size += len(f)
    assert 0 < n <= 20 and size <= 20 * 68
    assert b.n.sockets.ever == []


def test_two_lying_assistants_get_a_thousand_and_then_nothing_for_ten_minutes():
    b = Bed()
    b.meet.set_nat(b"\x04\x06\x00\x00\x10\x08\x00\x00", b.now)
    sent = []
    for k in range(3):
        for i in (0, 1):
            b.punch(b"attempt%d" % k, i, addr=VICTIM, nat=SPREAD)
        n = 0
        for _ in range(90):
            b.run(100, 5)
            n += len(probes(b))
        sent.append(n)
    assert 1000 <= sent[0] <= 1044 and sent[1] <= 20 and sent[2] <= 20, sent


def test_so_many_at_a_time_and_no_more():
    b = Bed()
    for i in range(6):
        b.punch(b"attempt%d" % i, peer=b"peer-%d--" % i)
    words = [f[36] for f, _ in b.sent(wire.T_PUNCHED)]
    assert words == [0, 0, 0, 0, 1, 1] and len(b.meet.all) == 4
    assert not b.meet.connect(b.p.id, b.now, b.hear) and b.told == []
    b.run(9000, 10)
    assert b.meet.all == [] and b.meet.connect(b.p.id, b.now, b.hear)


def test_one_that_only_lingers_makes_room():
    b = Bed()
    for i in range(4):
        b.punch(b"attempt%d" % i)
    b.probe(b"attempt0", 5)
    assert len(b.told) == 1
    assert b.meet.connect(b.p.id, b.now, b.hear)
    assert b.meet.find(b"attempt0") is None and len(b.meet.all) == 4


def test_nobody_announced_it_then_proof_comes_first():
    b = Bed()
    q = Person(4, "198.51.100.44:4104")
    b.probe(b"attempt1", 1, who=q)
    ((f, to),) = b.sent()
    assert f[1] == wire.T_COOKIE and to == q.addr and len(f) <= 68 and b.meet.all == []
    b.probe(b"attempt1", 1, 7, who=q, cookie=f[32:40])
    answer, ask = b.sent(wire.T_PROBE)
    assert answer[0][36] == 2 and answer[0][45] == 7 and ask[0][36] == 1
    b.probe(b"attempt1", 2, ask[0][45], who=q)
    assert b.told == [(q.id[:8], q.addr, None, b.told[0][3], "direct")]


def test_a_sprayed_question_or_an_answer_opens_nothing():
    b = Bed()
    prove(b.n, b.p, b.now)
    for what, number in ((1, 255), (2, 3), (3, 3), (5, 3), (4, 3), (0, 0)):
        b.probe(b"attempt1", what, number)
    assert b.meet.all == [] and b.sent(wire.T_PROBE) == []


def test_dropped_it_tells_nobody():
    b = Bed()
    b.connect()
    b.meet.drop(b.p.id[:8], b.now)
    b.run(5000, 10)
    assert b.told == [] and b.meet.all == []


def test_closed_it_leaves_no_trace():
    b = Bed()
    before = len(b.n.late)
    b.connect()
    b.meet.close(b.now)
    assert len(b.n.late) == before - 1 and b.meet not in b.n.late
    n = bad(b)
    b.punch(b"attempt1")
    assert bad(b) == n + 1
    # Others get their cookies as before.
    b.n.remote.consider(
        Person(5).record(lan=parse_endpoint("192.168.9.9:4104"), public=parse_endpoint(PEER)),
        Person(5).id, b.now,
    )  # fmt: skip
    b.n.poll(b.now)
    ((f, _),) = b.sent(wire.T_PING)
    q = Person(5, PEER)
    give(b.n, q, q.frame(wire.T_COOKIE, b.n.id, f[24:28] + b"cookie88"), b.now)
    assert b.sent(wire.T_PING)[0][0][28:36] == b"cookie88"


def test_cookies_of_others_pass_on():
    b = Bed()
    b.n.remote.consider(
        Person(5).record(lan=parse_endpoint("192.168.9.9:4104"), public=parse_endpoint(PEER)),
        Person(5).id, b.now,
    )  # fmt: skip
    b.n.poll(b.now)
    ((f, _),) = b.sent(wire.T_PING)
    q = Person(5, PEER)
    give(b.n, q, q.frame(wire.T_COOKIE, b.n.id, f[24:28] + b"cookie88"), b.now)
    assert len(b.sent(wire.T_PING)) == 1


def test_longer_frames_of_a_later_version_are_read():
    b = Bed()
    payload = b"attempt1\x00\x00" + b.p.id[:8] + b.p.addr + bytes(8 + 6 + 2) + bytes(500)
    b.say(b.helpers[0], wire.T_PUNCH, payload)
    b.run(1)
    assert probes(b) == [b.p.addr]


def test_a_thousand_frames_of_junk():
    b = Bed()
    rng = XorShift(5)
    attempt = b.connect()
    b.punch(attempt, flags=2)
    kinds = (wire.T_REGISTERED, wire.T_PUNCH, wire.T_PROBE)
    for i in range(1000):
        kind = kinds[i % 3]
        n = wire.min_payload(kind) + rng.getrandbits(4)
        payload = bytes(rng.getrandbits(8) for _ in range(n))
        if i % 2:  # as much of it right as somebody who listens could know
            payload = attempt + payload[8:9] + b.n.id[:8] + payload[17:]
        b.say((b.p, b.helpers[0])[i & 1], kind, payload)
        b.run(2)
        b.n.link.take()
    assert len(b.meet.all) <= 4 and all(len(p.ends) <= 8 for p in b.meet.all)
    assert all(p.addr in [h.addr for h in b.helpers] for p in b.meet.standing.list)
    b.run(12000, 20)
    assert b.meet.all == []
