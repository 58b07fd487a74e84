from l4mesh.endpoint import parse_endpoint
from l4mesh.relay import Relay

BOARD = {
    "places": 8, "place_s": 120, "channels": 4, "of_one": 1, "from_ip": 2, "packets_s": 20,
    "kbit_s": 16, "kib": 128, "life_s": 120, "idle_s": 30, "rest_s": 60, "always": False,
}  # fmt: skip
OWN = parse_endpoint("10.9.9.9:4104")
HERE, NOT_HERE, FULL, PER_PEER, PER_IP, QUOTA, OVER_RELAY, ENDED = 0, 2, 3, 4, 5, 6, 8, 9
RESERVE, OPEN, END = 0, 1, 2


def sid(i):
    return b"node%04d" % i


def at(i):
    return parse_endpoint("198.51.%d.%d:%d" % (i // 200, i % 200 + 1, 5000 + i))


class Bed:
    def __init__(self, own=OWN, loopback=False, **figures):
        f = dict(BOARD)
        f.update(figures)
        self.now = 1000
        self.sent = []
        self.said = []
        self._n = 0
        self.r = Relay(f, self._send, self._tell, self._entropy, own, loopback)

    def _send(self, buf, n, addr):
        self.sent.append((buf, n, addr))
        return True

    def _tell(self, to, addr, token, what, status, peer, channel, good_s, kib):
        self.said.append((to, addr, bytes(token), what, status, peer, channel, good_s, kib))

    def _entropy(self, n):
        self._n += 1
        return b"chan%04d" % self._n

    def call(self, i, what, peer=b"\0" * 8, addr=None):
        """What was said to everybody, the asker first."""
        self.said.clear()
        self.r.call(sid(i), addr or at(i), b"tokn", what, peer, self.now)
        return list(self.said)

    def reserve(self, i, addr=None):
        return [s for s in self.call(i, RESERVE, addr=addr) if s[2] == b"tokn"][0][4]

    def open(self, i, j, addr=None):
        """(status, channel)"""
        said = [s for s in self.call(i, OPEN, sid(j), addr) if s[2] == b"tokn"]
        return said[0][4], said[0][6]

    def pair(self, i, j):
        self.reserve(j)
        status, channel = self.open(i, j)
        assert status == HERE
        return channel

    def carry(self, channel, addr, n=100, head=b"\xc5\0\0\0", inner=0xC4):
        """Where it went, or None."""
        before = len(self.sent)
        data = head + channel + bytes((inner,)) + bytes(n - 13)
        took = self.r.take(data, n, addr, self.now)
        if len(self.sent) == before:
            return None
        buf, m, to = self.sent[-1]
        assert took and buf is data and m == n, "handed on as it came, from where it was"
        return to


def test_a_place_and_a_channel_told_to_both():
    b = Bed()
    ((to, addr, token, what, status, _, _, good, _),) = b.call(2, RESERVE)
    assert (to, addr, token, what, status, good) == (sid(2), at(2), b"tokn", 0, HERE, 120)
    mine, theirs = b.call(1, OPEN, sid(2))
    assert mine == (sid(1), at(1), b"tokn", 1, HERE, sid(2), b"chan0001", 120, 128)
    assert theirs == (sid(2), at(2), bytes(4), 1, HERE, sid(1), b"chan0001", 120, 128)
    assert b.carry(b"chan0001", at(1)) == at(2)
    assert b.carry(b"chan0001", at(2)) == at(1)


def test_only_its_two_ends_may_use_it():
    b = Bed()
    c = b.pair(1, 2)
    assert b.carry(c, at(3)) is None
    assert b.carry(b"chan0002", at(1)) is None
    for head in (b"\xc5\x01\0\0", b"\xc5\0\x01\0", b"\xc5\0\0\x01"):
        assert b.carry(c, at(1), head=head) is None
    assert b.carry(c, at(1)) == at(2)


def test_what_is_carried_is_no_carried_datagram():
    b = Bed()
    c = b.pair(1, 2)
    for inner in (0xC5, 0, 1, 0x80, 255):
        assert b.carry(c, at(1), inner=inner) is None


def test_the_peer_must_have_a_place():
    b = Bed()
    assert b.open(1, 2)[0] == NOT_HERE
    assert b.open(1, 1)[0] == NOT_HERE
    b.reserve(2)
    b.now += 120000
    assert b.open(1, 2)[0] == NOT_HERE
    assert not b.sent and len(b.r) == 0


def test_a_second_call_is_the_same_channel_from_either_side():
    b = Bed()
    c = b.pair(1, 2)
    b.carry(c, at(2))
    said, theirs = b.call(1, OPEN, sid(2))  # told again: it may have had a restart
    assert said[6] == theirs[6] == c and theirs[:2] == (sid(2), at(2)) and len(b.r) == 1
    b.reserve(1)
    said = b.call(2, OPEN, sid(1))
    assert said[0][6] == c and len(b.r) == 1


def test_ends_when_told_and_the_other_hears_of_it():
    b = Bed()
    c = b.pair(1, 2)
    other, mine = b.call(1, END, sid(2))
    assert other[:2] == (sid(2), at(2)) and other[4] == ENDED and other[6] == c
    assert mine[:2] == (sid(1), at(1)) and mine[4] == HERE
    assert b.carry(c, at(1)) is None and len(b.r) == 0
    assert len(b.call(1, END, sid(2))) == 1


def test_limits_of_a_board():
    b = Bed()
    for i in range(8):
        assert b.reserve(i) == HERE
    assert b.reserve(8) == FULL
    assert b.reserve(7) == HERE
    assert b.open(0, 1)[0] == HERE
    assert b.open(0, 2)[0] == PER_PEER and b.open(2, 1)[0] == PER_PEER
    assert b.open(2, 3)[0] == HERE and b.open(4, 5)[0] == HERE and b.open(6, 7)[0] == HERE
    assert b.open(20, 21)[0] == NOT_HERE
    b.now += 125000  # places are free again, channels too
    for i in (8, 9):
        assert b.reserve(i) == HERE
    assert b.open(10, 8)[0] == HERE


def test_a_full_table_refuses_what_is_new():
    b = Bed(of_one=9, from_ip=9)
    b.reserve(9)
    for i in range(4):
        assert b.open(i, 9)[0] == HERE
    assert b.open(5, 9)[0] == FULL and len(b.r) == 4
    assert b.open(3, 9)[0] == HERE  # renewing takes no place


def test_channels_from_one_ip():
    b = Bed()
    for i in range(1, 4):
        b.reserve(i)
    ip = "203.0.113.5:%d"
    assert b.open(11, 1, parse_endpoint(ip % 1001))[0] == HERE
    assert b.open(12, 2, parse_endpoint(ip % 1002))[0] == HERE
    assert b.open(13, 3, parse_endpoint(ip % 1003))[0] == PER_IP
    assert b.open(13, 3)[0] == HERE


def test_quota_of_one_pair_hurts_no_other():
    b = Bed(kbit_s=8000, packets_s=1000)
    one, other = b.pair(1, 2), b.pair(3, 4)
    for _ in range(128):
        assert b.carry(one, at(1), 1024) == at(2)
        b.now += 2
    b.said.clear()
    assert b.carry(one, at(1), 1024) is None
    assert [(s[0], s[4]) for s in b.said] == [(sid(1), QUOTA), (sid(2), QUOTA)]
    assert b.open(1, 2)[0] == QUOTA and b.open(2, 1)[0] in (NOT_HERE, QUOTA)
    for _ in range(50):
        assert b.carry(other, at(3), 1024) == at(4) and b.carry(one, at(1), 1024) is None
    b.now += 60000
    assert b.open(1, 2)[0] == HERE


def test_a_fast_pair_is_slowed_and_no_other():
    b = Bed()
    one, other = b.pair(1, 2), b.pair(3, 4)
    went = sum(b.carry(one, at(1)) is not None for _ in range(1000))
    assert went == 40 and b.r.dropped == 960
    assert sum(b.carry(other, at(3)) is not None for _ in range(10)) == 10


def test_two_minutes_and_idle():
    b = Bed()
    c = b.pair(1, 2)
    for _ in range(119):
        b.now += 1000
        assert b.carry(c, at(1)) == at(2)
        b.r.poll(b.now)
    b.now += 1000
    b.said.clear()
    b.r.poll(b.now)
    assert {s[4] for s in b.said} == {QUOTA} and len(b.r) == 0
    c = b.pair(3, 4)
    b.now += 29000
    b.r.poll(b.now)
    assert len(b.r) == 1
    b.now += 1000
    b.said.clear()
    assert b.r.poll(b.now) == 1000
    assert {s[4] for s in b.said} == {ENDED} and b.carry(c, at(3)) is None


def test_a_tiers_channel_is_renewed_by_asking():
    b = Bed(rest_s=0, kib=4, kbit_s=8000, packets_s=1000)
    c = b.pair(1, 2)
    for _ in range(10):
        for _ in range(4):
            assert b.carry(c, at(1), 1024) == at(2)
        assert b.open(1, 2) == (HERE, c)
    for _ in range(4):
        b.carry(c, at(2), 1024)
    assert b.carry(c, at(2), 1024) is None  # used up: a new one
    status, again = b.open(1, 2)
    assert status == HERE and again != c


def test_an_address_that_changes():
    b = Bed()
    c = b.pair(1, 2)
    new = parse_endpoint("203.0.113.77:600")  # a low port, as some NATs map
    assert b.carry(c, new) is None
    assert b.open(1, 2, new) == (HERE, c)
    assert b.carry(c, at(1)) is None and b.carry(c, new) == at(2)
    b.reserve(2, addr=at(5))
    assert b.carry(c, new) == at(5) and b.carry(c, at(2)) is None
    b.r.moved(sid(2), at(6))
    b.r.moved(sid(77), at(7))
    assert b.carry(c, new) == at(6)
    b.now += 31000
    b.r.poll(b.now)
    b.open(1, 2, new)
    assert b.carry(b"chan0002", new) == at(6)


def test_addresses_that_are_no_end():
    b = Bed()
    bad = ("224.0.0.9:5000", "239.76.52.1:4104", "255.255.255.255:4104", "192.168.1.255:4104",
           "127.0.0.1:4104", "10.9.9.9:4104")  # fmt: skip
    b.reserve(2)
    for text in bad:
        assert b.reserve(1, parse_endpoint(text)) == OVER_RELAY, text
        assert b.open(1, 2, parse_endpoint(text))[0] == OVER_RELAY, text
    for addr in (b"\0\x01\0\0\0\x07", b"\0\x02\0\0\0\x07", bytes(6), b"\0\x80abcd"):
        assert b.reserve(1, addr) == OVER_RELAY and b.open(1, 2, addr)[0] == OVER_RELAY
    for text in ("192.168.1.10:4104", "100.64.3.4:700"):  # members next to us, proven
        assert b.reserve(1, parse_endpoint(text)) == HERE, text
    assert b.reserve(3, b"\0\x03\0\0\0\x07") == HERE
    assert Bed(loopback=True).reserve(1, parse_endpoint("127.0.0.1:4104")) == HERE


def test_two_names_at_one_address_get_no_channel():
    b = Bed()
    b.reserve(2)
    assert b.open(1, 2, at(2))[0] == OVER_RELAY
    b.reserve(3, at(4))
    assert b.open(1, 3)[0] == HERE


def test_always_the_longest_idle_one_makes_room():
    b = Bed(always=True, channels=3, of_one=2, from_ip=9, places=4)
    for i in range(1, 5):
        b.reserve(i)
    first = b.pair(10, 1)
    b.now += 10
    second = b.pair(11, 2)
    b.now += 10
    third = b.pair(12, 3)
    b.now += 10
    b.carry(first, at(10))
    assert b.open(13, 4)[0] == HERE
    assert b.carry(second, at(11)) is None
    assert b.carry(first, at(10)) == at(1) and b.carry(third, at(12)) == at(3)
    assert b.reserve(50) == HERE and len(b.r) == 3


def test_memory_stays_what_it_is():
    b = Bed()
    for i in range(2000):
        b.reserve(i)
        b.open(i + 5000, i)
        b.carry(b"chan%04d" % i, at(i % 200))
        b.now += 37
        if i % 20 == 0:
            b.r.poll(b.now)
    r = b.r
    assert len(r) <= 4 and b.reserve(9000) in (FULL, HERE)
    b.now += 200000
    assert b.r.poll(b.now) == 60000 and len(r) == 0


def test_ticks_that_wrap():
    b = Bed()
    b.now = 2**30 - 10000
    c = b.pair(1, 2)
    b.now = 5000
    assert b.carry(c, at(1)) == at(2) and b.reserve(2) == HERE
    b.now = 36000
    b.r.poll(b.now)
    assert len(b.r) == 0


def test_an_open_channel_moves_to_no_address_that_is_no_end():
    b = Bed()
    c = b.pair(1, 2)
    for addr in (bytes(6), b"\0\x01\0\0\0\x07", OWN, at(2), parse_endpoint("192.168.1.255:4104")):
        assert b.open(1, 2, addr)[0] == OVER_RELAY, addr
        b.r.moved(sid(1), addr)
        assert b.carry(c, addr) != addr and b.carry(c, at(2)) == at(1), addr
    b.r.moved(sid(2), at(1))
    assert b.carry(c, at(1)) == at(2)
