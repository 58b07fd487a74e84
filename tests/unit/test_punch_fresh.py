from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.punch_fresh import Fresh
from l4mesh.stun_client import StunClient
from meetkit import Bed

SEQ = b"\x05\x01\x01\x00\x9c\x40\x00\x00"
MAPPED = parse_endpoint("203.0.113.50:41234")


def asked(b, nat=SEQ):
    """A punch that two assistants know of; their words have been read."""
    b.meet.set_nat(nat, b.now)
    b.sent()
    for i in (0, 1):
        b.punch(b"attempt1", i)
    b.sent()
    return b.meet.all[0]


def success(request, mapped=MAPPED):
    """A Binding answer with XOR-MAPPED-ADDRESS, by hand (RFC 8489 14.2)."""
    cookie = b"\x21\x12\xa4\x42"
    x = bytes(mapped[i] ^ cookie[i] for i in range(4))
    port = bytes((mapped[4] ^ 0x21, mapped[5] ^ 0x12))
    return b"\x01\x01\x00\x0c" + cookie + request[8:20] + b"\x00\x20\x00\x08\x00\x01" + port + x


def test_it_asks_one_assistant_over_a_socket_of_its_own():
    b = Bed()
    p = asked(b)
    f = Fresh(b.meet, p, b.now, StunClient)
    assert not f.over
    (s,) = b.n.sockets.all
    ((q, to),) = b.sent(sock=s)
    assert to in [h.addr for h in b.helpers] and q[:2] == b"\x00\x01"
    s.take(success(q), 32, to, b.now, s)
    assert f.over and b.n.sockets.all == []
    assert b.meet.nat == SEQ[:4] + MAPPED[4:] + SEQ[6:]
    told = b.sent(wire.T_PUNCHED)
    assert sorted(to for _, to in told) == sorted(h.addr for h in b.helpers)
    assert {g[28:-16] for g, _ in told} == {b"attempt1\x00\x01" + b.meet.nat}


def test_asked_again_and_given_up():
    b = Bed()
    f = Fresh(b.meet, asked(b), b.now, StunClient)
    (s,) = b.n.sockets.all
    for _ in range(1100):
        b.now += 1
        f.poll(b.now)
    assert len(b.sent(sock=s)) == 6 and f.over and b.n.sockets.all == []
    assert b.meet.nat == SEQ and b.sent(wire.T_PUNCHED) == []


def test_foreign_answers_are_nothing():
    b = Bed()
    f = Fresh(b.meet, asked(b), b.now, StunClient)
    (s,) = b.n.sockets.all
    ((q, to),) = b.sent(sock=s)
    s.take(success(q), 32, parse_endpoint("192.0.2.1:3478"), b.now, s)
    s.take(success(bytes(20)), 32, to, b.now, s)
    s.take(b"junk" * 9, 36, to, b.now, s)
    assert not f.over and b.meet.nat == SEQ
    f.close()
    f.close()
    assert f.over and b.n.sockets.all == []


def test_no_socket_no_news():
    b = Bed()
    p = asked(b)
    while b.n.sockets.open(0, None):
        pass
    assert Fresh(b.meet, p, b.now, StunClient).over
