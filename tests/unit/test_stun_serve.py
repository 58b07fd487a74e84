"""STUN on the mesh port: who is answered, how often, and that frames never notice."""

import sys

from kit import Person, bare_node, count, give
from l4mesh import counters as C
from l4mesh.prng import XorShift
from test_stun import COOKIE, IPV4, REQUEST, attribute, message
from world import SIGNALS

ASKER = bytes((203, 0, 113, 9, 0x30, 0x39))
BOARD = {"stun_s": 50}  # a table that changes nothing


def say(n, data, addr=ASKER, now=0):
    """Give a datagram; what was sent for it, as [(bytes, addr)]."""
    n.link.take()
    n.receive(data, len(data), addr, now)
    return n.link.take()


def test_a_standard_node_answers_anybody():
    n = bare_node(1)
    assert say(n, message()) == [
        (b"\x01\x01\x00\x0c" + COOKIE + message()[8:] + b"\x00\x20\x00\x08\x00\x01"
         + bytes((0x30 ^ 0x21, 0x39 ^ 0x12, 203 ^ 0x21, 0 ^ 0x12, 113 ^ 0xA4, 9 ^ 0x42)), ASKER)
    ]  # fmt: skip
    assert len(say(n, message(mark=True))[0][0]) == 40
    assert say(n, REQUEST)[0][0][:2] == b"\x01\x11"
    assert (count(n, C.C_STUN_RX), count(n, C.C_STUN_TX), count(n, C.C_STUN_LIMITED)) == (3, 3, 0)
    assert count(n, C.C_RX) == count(n, C.C_TX) == count(n, C.C_BAD_LEN) == 0
    names = dict(n.counters.items())
    assert names == {"stun_rx": 3, "stun_tx": 3}


def test_a_passive_node_is_silent_and_loads_nothing():
    n = bare_node(1, mode="passive")
    for name in ("l4mesh.stun_serve", "l4mesh.stun"):
        sys.modules.pop(name, None)
    assert say(n, message()) == [] and say(n, REQUEST) == []
    assert count(n, C.C_STUN_RX) == 0
    assert (count(n, C.C_BAD_LEN), count(n, C.C_BAD_VERSION)) == (1, 1)
    assert "l4mesh.stun_serve" not in sys.modules


def test_nothing_is_loaded_for_what_is_no_request():
    n = bare_node(1)
    for name in ("l4mesh.stun_serve", "l4mesh.stun"):
        sys.modules.pop(name, None)
    quiet = (
        b"", b"\x00", message()[:19], message() + b"x", message(0x11), message(0x101), IPV4,
        message()[:2] + b"\x00\x04" + message()[4:], b"\x02" + message()[1:],
        b"\x14" + bytes(47), b"\x40" + bytes(47), b"\x80" + bytes(47),
    )  # fmt: skip
    for data in quiet:
        assert say(n, data) == [], data
    assert "l4mesh.stun_serve" not in sys.modules
    assert count(n, C.C_STUN_RX) == 0
    assert count(n, C.C_BAD_LEN) + count(n, C.C_BAD_VERSION) == len(quiet)
    assert len(say(n, message())) == 1 and "l4mesh.stun_serve" in sys.modules


def test_the_mode_decides_at_any_time():
    n = bare_node(1)
    assert len(say(n, message())) == 1
    n.sample(1000, dict(SIGNALS, battery=5, mains=False))
    assert n.serve.mode == 1  # critical: passive at once
    assert say(n, message(), now=1000) == []


def test_malformed_requests_get_no_word():
    n = bare_node(1)
    bad = bytearray(message(mark=True))
    bad[-1] ^= 1
    assert say(n, bytes(bad)) == []
    assert say(n, message(body=attribute(0x8022, b"", 0xFFFF))) == []
    assert say(n, message(body=attribute(0x8022, bytes(600)))) == []
    assert (count(n, C.C_STUN_RX), count(n, C.C_STUN_TX)) == (3, 0)


def test_an_address_has_five_a_second():
    n = bare_node(1, limits=BOARD)
    got = sum(len(say(n, message(), now=5)) for _ in range(30))
    assert got == 10  # its burst
    # Another port is no other asker, another address is.
    assert say(n, message(), ASKER[:4] + b"\x99\x99", 5) == []
    assert len(say(n, message(), bytes((198, 51, 100, 77, 1, 187)), 5)) == 1
    got = sum(len(say(n, message(), now=now)) for now in range(6, 10006, 10))
    assert 48 <= got <= 51
    assert count(n, C.C_STUN_TX) + count(n, C.C_STUN_LIMITED) == count(n, C.C_STUN_RX) == 1032


def crowd(rng):
    return bytes((198, 18 + rng.getrandbits(1), rng.getrandbits(8), 1 + rng.getrandbits(7), 40, 1))


def test_all_together_have_fifty_a_second():
    n = bare_node(1, limits=BOARD)
    rng = XorShift(3)
    got = sum(len(say(n, message(), crowd(rng), now)) for now in range(10000))
    assert 400 <= got <= 100 + 10 * 50  # a hash may put some behind one bucket
    assert count(n, C.C_STUN_LIMITED) == 10000 - got


def test_a_flood_of_stun_starves_no_frame_nor_the_other_way_round():
    n = bare_node(1, limits=BOARD)
    p = Person(2)
    rng = XorShift(4)
    for now in range(0, 5000, 2):  # 500 a second, some in the name of the neighbour's address
        say(n, message(), crowd(rng) if now & 2 else p.addr, now)
    before = count(n, C.C_LIMITED)
    give(n, p, p.hello(), 5000)
    for _ in range(10):
        give(n, p, p.ping(n.id), 5000)
    assert count(n, C.C_HELLO_RX) == 1 and before == count(n, C.C_LIMITED) == 0
    for _ in range(100):
        give(n, p, p.ping(n.id), 5000)
    assert count(n, C.C_LIMITED) > 80
    assert len(say(n, message(), bytes((192, 0, 2, 44, 9, 9)), 15000)) == 1


def test_nobody_makes_it_send_to_a_crowd():
    n = bare_node(1)
    for addr in (
        (224, 0, 0, 1),
        (239, 76, 52, 1),
        (255, 255, 255, 255),
        (10, 77, 1, 255),
        (0,) * 4,
    ):
        assert say(n, message(), bytes(addr) + b"\x10\x08") == []
    assert count(n, C.C_STUN_RX) == 5 and count(n, C.C_STUN_TX) == 0


def test_bytes_to_a_victim():
    """A forged source: what it gets in ten seconds of requests as fast as they come."""
    n = bare_node(1, limits=BOARD)
    victim = sent = 0
    data = message(body=attribute(3, bytes(4)))
    for now in range(10000):
        sent += len(data)
        victim += sum(len(d) for d, a in say(n, data, now=now))
    assert victim <= (10 + 50) * 36 and victim * 50 < sent


def test_a_link_that_refuses():
    n = bare_node(1)
    n.link.works = False
    assert say(n, message()) == []
    assert (count(n, C.C_STUN_RX), count(n, C.C_STUN_TX)) == (1, 0)


def test_without_room_for_it_the_node_goes_on():
    n = bare_node(1)
    limits, n.limits = n.limits, None  # whatever goes wrong while it is made
    try:
        say(n, message())
        raise ValueError("it was made")
    except AttributeError:
        pass
    n.limits = limits
    # Not tried again with each datagram that a stranger sends.
    assert say(n, message()) == [] and count(n, C.C_BAD_LEN) == 1
    n.sample(1000, dict(SIGNALS, battery=5, mains=False))
    for now in range(2000, 2000000, 10000):
        n.sample(now, dict(SIGNALS))
        n.poll(now)
    assert n.serve.mode == 2
    assert len(say(n, message(), now=2000000)) == 1


def test_random_datagrams_of_its_form():
    n = bare_node(1, limits={"stun_addr_s": 10000, "stun_s": 10000})
    rng = XorShift(9)
    for i in range(3000):
        body = bytearray()
        for _ in range(4 * rng.getrandbits(4)):
            body.append(rng.getrandbits(8))
        if len(body) > 3 and i & 1:
            body[2:4] = bytes((0, len(body) - 4))
        data = message(body=bytes(body), cookie=COOKIE if i & 2 else b"abcd")
        sent = say(n, data, now=i * 10)
        assert sum(len(d) for d, a in sent) <= 2 * len(data)
    assert count(n, C.C_STUN_RX) == 3000 and 500 < count(n, C.C_STUN_TX) < 2999
