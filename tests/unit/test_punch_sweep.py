"""One side with made-up sockets, and both behind modelled NATs; tests/sim/test_natsim has all."""

from array import array

from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.nat_pair import plan
from meetkit import PEER, Bed
from natsim import matrix_net

STRICT = b"\x04\x06\x00\x00\x10\x08\x00\x00"
SEQ = b"\x05\x01\x01\x00\x9c\x40\x00\x00"  # 40000, one more each time
SEQ2 = b"\x05\x01\xfe\x00\x75\x30\x00\x00"  # 30000, two less each time
BLOCK = b"\x05\x02\x00\x00\x81\x00\x02\x00"  # 512 around 33024
LOW = b"\x05\x03\x00\x00\x10\x08\x01\xa8"
SPREAD = b"\x05\x04\x00\x00\x80\x00\x00\x00"


def begun(mine, theirs, helpers=2, news=False, sockets=True):
    b = Bed()
    if not sockets:
        b.n.sockets = None
    b.meet.set_nat(mine, b.now)
    b.sent()
    for i in range(helpers):
        b.punch(b"attempt1", i, nat=theirs, flags=4 if news else 0)
    if news:
        b.punch(b"attempt1", 0, nat=theirs)
        b.punch(b"attempt1", 1, nat=theirs, flags=4)
    return b


def port(to):
    return to[4] << 8 | to[5]


def guessed(b, ms, step=2):
    """Ports that no assistant named and that own socket sent to; `b.times` has when."""
    out = array("H")
    b.times = array("I")
    b.frames = set()
    for _ in range(ms // step):
        b.run(step, step)
        for f, to in b.sent(wire.T_PROBE):
            assert to[:4] == parse_endpoint(PEER)[:4]
            if f[45] == 255:
                out.append(port(to))
                b.times.append(b.now)
                b.frames.add(f[24:28])
    return out


def test_a_block_is_swept():
    b = begun(STRICT, BLOCK)
    ports = list(guessed(b, 6000))
    assert len(ports) == len(set(ports)) <= 1024
    assert min(ports) >= 32700 and max(ports) <= 33350
    assert set(range(32768, 33280)) <= set(ports)
    assert all(b.times[i + 500] - b.times[i] >= 980 for i in range(len(ports) - 500))
    assert len(ports) // 5 <= len(b.frames) <= len(ports) // 5 + 2  # five to a frame


def test_low_ports():
    got = guessed(begun(STRICT, LOW), 3000)
    assert set(got) == set(range(600, 1024)) and len(got) == 848


def test_any_port_a_thousand_of_them():
    ports = guessed(begun(STRICT, SPREAD), 4000)
    assert len(ports) == 1024 == len(set(ports)) and min(ports) >= 1024


def test_it_stops_at_the_first_word():
    b = begun(STRICT, BLOCK)
    assert 90 <= len(guessed(b, 200)) <= 110
    b.probe(b"attempt1", 2, 255, parse_endpoint("198.51.100.7:33000"))
    assert b.told[0][1] == parse_endpoint("198.51.100.7:33000")
    assert len(guessed(b, 3000)) == 0


def test_an_answer_from_elsewhere_is_no_hit():
    b = begun(STRICT, BLOCK)
    guessed(b, 100)
    b.probe(b"attempt1", 2, 255, parse_endpoint("192.0.2.1:33000"))
    assert b.told == []


def test_one_assistants_word_is_not_enough():
    b = begun(STRICT, BLOCK, helpers=1)
    assert len(guessed(b, 6000)) == 0
    b = begun(STRICT, BLOCK, helpers=1)
    b.punch(b"attempt1", 1, nat=BLOCK, addr="198.51.100.8:4104")  # they saw different addresses
    n = 0
    for _ in range(600):
        b.run(10, 10)
        n += sum(f[45] == 255 for f, _ in b.sent(wire.T_PROBE))
    assert n == 0


def test_metered_guesses_nothing():
    for mine, theirs in ((STRICT[:3] + b"\x02" + STRICT[4:], BLOCK), (STRICT, SEQ)):
        if theirs is SEQ:
            mine = mine[:3] + b"\x02" + mine[4:]
        b = begun(mine, theirs)
        assert len(guessed(b, 3000)) == 0 and b.meet.all == []


def test_fresh_sockets_live_for_a_round_trip_and_more():
    b = begun(BLOCK, STRICT)
    opened = {}
    closed = {}
    for _ in range(1200):
        b.run(5, 5)
        for s in b.n.sockets.ever:
            opened.setdefault(s.port, b.now)
            if not s.open:
                closed.setdefault(s.port, b.now)
        assert len(b.n.sockets.all) <= 6
    rtt = max(p.rtt for p in b.meet.standing.list)
    # 24 at once, and then one after the other for those who began late.
    assert 24 < len(opened) < 70 and b.n.sockets.all == []
    assert sum(opened[p] - 1011 < 800 for p in opened) >= 24
    assert max(opened[p] for p in opened) - 1011 < 4200
    assert all(closed[p] - opened[p] >= rtt + 95 for p in opened)
    for s in b.n.sockets.ever:
        assert 1 <= len(s.sent) <= 8 and {to for _, to in s.sent} == {parse_endpoint(PEER)}


def test_low_sockets_where_low_ports_stay_low():
    b = begun(LOW, STRICT)
    b.run(1000, 5)
    assert b.n.sockets.ever and all(600 <= s.port < 1024 for s in b.n.sockets.ever)


def test_the_socket_that_hit_is_handed_on():
    b = begun(BLOCK, STRICT)
    b.run(20, 2)
    s = b.n.sockets.all[2]
    b.probe(b"attempt1", 1, 255, sock=s)
    f, to = [x for x in b.sent(wire.T_PROBE, s) if x[0][36] & 1][-1]
    assert len([x for x in b.n.sockets.all]) > 1
    b.probe(b"attempt1", 2, f[45], sock=s)
    assert b.told[0][1:3] == (parse_endpoint(PEER), s) and s.open
    assert b.n.sockets.all == [s]  # the others heard nothing
    b.run(7000, 10)
    assert s.open and b.meet.all == []


def test_what_heard_the_peer_waits_for_its_choice():
    b = begun(BLOCK, STRICT)
    b.run(30, 2)
    s, t = b.n.sockets.all[1:3]
    for x in (s, t):
        b.probe(b"attempt1", 1, 255, sock=x)
    b.probe(b"attempt1", 2, 255, sock=s)
    assert b.told[0][2] is s and b.n.sockets.all == [s, t]
    b.probe(b"attempt1", 5, 9, sock=t)
    assert b.told[1][2] is t and t.open and len(b.told) == 2


def test_an_early_packets_router_is_given_time():
    early = STRICT[:3] + b"\x10" + STRICT[4:]
    wait = plan(BLOCK, early).wait_ms
    assert wait >= 400
    b = begun(BLOCK, early)
    b.run(wait - 10, 5)
    assert b.n.sockets.ever == []
    b.run(150, 5)
    assert len(b.n.sockets.ever) >= 6


def test_a_sequence_is_told_to_be_news_first():
    """Easy side: it waits for the peer's newest port, a while; then it takes what it has."""
    b = begun(STRICT, SEQ)
    guessed(b, 2000)
    assert 440 <= b.times[0] - 1011 <= 480
    b = begun(STRICT, SEQ)
    guessed(b, 100)
    b.punch(b"attempt1", 0, nat=SEQ[:4] + b"\x9d\x00" + SEQ[6:], flags=4)
    got = guessed(b, 1000)
    assert b.times[0] - 1111 <= 20 and len(got) == 64
    assert set(got) == set(range(0x9D01, 0x9D11))


def test_two_sequences_all_to_one():
    b = begun(SEQ, SEQ2)
    b.run(20, 2)
    (look,) = b.n.sockets.ever  # the look-up of its own newest port
    assert look.sent[0][0][:2] == b"\x00\x01" and b.sent(wire.T_PROBE) == []
    look.close()
    b.run(500, 5)
    socks = b.n.sockets.ever[1:]
    assert len(socks) == 6
    for s in socks:
        assert {port(to) for _, to in s.sent} == {30000 - 12} and len(s.sent) >= 3
    b.run(8000, 10)
    assert b.n.sockets.all == [] and all(len(s.sent) == 8 for s in socks)


def test_without_sockets_it_does_what_it_can():
    b = begun(BLOCK, STRICT, sockets=False)
    b.run(6000, 10)
    assert 0 < len(b.sent(wire.T_PROBE)) <= 20 and b.meet.all == []
    b = begun(SPREAD, SPREAD, sockets=False)
    b.run(20)
    assert b.sent(wire.T_PROBE) == [] and b.meet.all == []


def test_both_sides_behind_modelled_nats():
    for pair, most in (
        (("pr", "symseq"), 400), (("symseq", "symseq"), 400), (("sym", "pr"), 1500),
    ):  # fmt: skip
        net, a, b = matrix_net(4, pair)
        r = net.meeting(a, b)
        assert r.ok and r.both < most, (pair, r.why, r.both)
        assert a.most <= 6 and b.most <= 6


def test_no_crowd_and_no_way_of_our_own_is_sprayed():
    for crowd in ("198.51.100.255:5000", "239.1.2.3:5000", "255.255.255.255:5000", "0.1.0.1:5000"):
        b = Bed()
        b.meet.set_nat(STRICT, b.now)
        b.sent()
        for i in (0, 1):
            b.punch(b"attempt1", i, addr=crowd, nat=SPREAD)
        b.run(3000, 5)
        assert b.sent(wire.T_PROBE) == [], crowd


def test_one_at_a_time_is_sprayed_and_the_other_later():
    b = Bed()
    b.meet.set_nat(STRICT, b.now)
    b.sent()
    for k in range(3):
        for i in (0, 1):
            b.punch(b"attempt%d" % k, i, addr="192.0.2.%d:5000" % (k + 1), nat=SPREAD,
                    peer=b"peer-%d--" % k)  # fmt: skip
    times = []
    for _ in range(400):
        b.run(10, 5)
        times.append(sum(f[45] == 255 for f, to in b.sent(wire.T_PROBE)))
    assert max(sum(times[i : i + 100]) for i in range(300)) <= 510 and sum(times) == 1024
    b.run(6000, 5)
    assert b.meet.all == []
    for i in (0, 1):
        b.punch(b"attempt9", i, addr="192.0.2.2:5000", nat=SPREAD, peer=b"peer-1--")
    b.sent()
    b.run(4000, 5)
    assert sum(f[45] == 255 for f, to in b.sent(wire.T_PROBE)) == 1024


def test_where_all_sockets_stay_in_use_it_ends():
    for mine, theirs in ((SPREAD, STRICT), (LOW, STRICT), (SEQ, STRICT), (BLOCK, BLOCK)):
        b = Bed()
        while b.n.sockets.open(0, None) is not None:
            pass
        b.meet.set_nat(mine, b.now)
        for i in (0, 1):
            b.punch(b"attempt1", i, nat=theirs)
        b.run(15000, 10)
        assert b.meet.all == [] and len(b.n.sockets.all) == 6, (mine, theirs)
