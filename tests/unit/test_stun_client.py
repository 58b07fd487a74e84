"""Asking by STUN: what is sent when, which answers count; asking over a simulated network."""

from kit import bare_node, count, events, gaps
from l4mesh import counters as C
from l4mesh import stun_client
from l4mesh.prng import XorShift
from l4mesh.stun_client import StunClient
from test_stun import COOKIE, IPV4, attribute, message
from world import SIGNALS, Entropy, World

A = bytes((203, 0, 113, 1, 16, 8))
B = bytes((203, 0, 113, 2, 16, 8))
SEEN = bytes((192, 0, 2, 1, 0x80, 0x55))
XOR = attribute(0x20, b"\x00\x01\xa1\x47\xe1\x12\xa6\x43")
START = 2**30 - 300  # the ticks wrap while it waits


class Bed:
    def __init__(self, places=8):
        self.sent = []  # (ms, data, addr)
        self.told = []
        self.now = 0
        self.c = StunClient(self.send, Entropy(1), self.hear, places)

    def tick(self):
        return (START + self.now) & (2**30 - 1)

    def send(self, buf, n, addr):
        self.sent.append((self.now, bytes(buf[:n]), addr))
        return True

    def hear(self, *what):
        self.told.append((self.now,) + what)

    def ask(self, addr, far=False):
        return self.c.ask(addr, self.tick(), far)

    def run(self, ms):
        end = self.now + ms
        while self.now < end:
            wait = self.c.poll(self.tick())
            assert wait > 0
            self.now = min(end, self.now + wait)
        self.c.poll(self.tick())

    def give(self, data, addr=A):
        return self.c.take(data, len(data), addr, self.tick())

    def id(self, k=-1):
        return self.sent[k][1][8:20]

    def reply(self, kind=0x101, body=XOR, mark=False, k=-1):
        m = message(kind, body)
        m = m[:8] + self.id(k) + m[20:]
        return m if not mark else remark(m)


def remark(m):
    """The same message with a FINGERPRINT."""
    from binascii import crc32

    m = m[:2] + bytes((0, len(m) - 12)) + m[4:]
    return m + attribute(0x8028, (crc32(m) ^ 0x5354554E).to_bytes(4, "big"))


def test_an_answer_is_told_with_its_time():
    for mark in (False, True):
        b = Bed()
        assert b.ask(A)
        assert [s[0] for s in b.sent] == [0] and b.sent[0][2] == A
        q = b.sent[0][1]
        assert q == remark(message()[:8] + b.id()) and len(q) == 28
        b.run(17)
        assert b.give(b.reply(mark=mark))
        assert b.told == [(17, A, SEEN, 17, 0)]
        assert not b.give(b.reply(mark=mark))  # it comes twice: nobody asks any more
        b.run(2000)
        assert len(b.sent) == 1 and len(b.told) == 1


def test_the_quick_schedule():
    b = Bed()
    b.ask(A)
    b.run(5000)
    assert [s[0] for s in b.sent] == [0, 20, 50, 100, 200, 300]
    assert len({s[1] for s in b.sent}) == 1  # one transaction
    assert b.told == [(1000, A, None, 1000, 0)]


def test_the_schedule_of_the_rfc():
    b = Bed()
    b.ask(A, far=True)
    b.run(60000)
    assert [s[0] for s in b.sent] == [0, 500, 1500, 3500, 7500, 15500, 31500]
    assert b.told == [(39500, A, None, 39500, 0)]


def test_several_at_once_and_no_more_than_there_is_room_for():
    b = Bed(places=3)
    asked = [bytes((203, 0, 113, i, 16, 8)) for i in range(1, 5)]
    assert [b.ask(a) for a in asked] == [True, True, True, False]
    assert b.ask(A) and len(b.sent) == 3  # under way already
    assert len({s[1][8:20] for s in b.sent}) == 3
    b.run(10)
    assert b.give(b.reply(k=1), asked[1])
    assert b.told == [(10, asked[1], SEEN, 10, 0)]
    assert b.ask(asked[3])
    b.run(3000)
    assert sorted(t[1] for t in b.told[1:]) == [asked[0], asked[2], asked[3]]
    assert [t[2] for t in b.told] == [SEEN, None, None, None]


def test_only_who_was_asked_may_answer():
    b = Bed()
    b.ask(A)
    b.ask(B)
    right = b.reply(k=0)
    assert not b.give(right, B)
    assert not b.give(right, A[:4] + b"\x10\x09")
    assert not b.give(right, bytes((203, 0, 113, 3, 16, 8)))
    for i in range(8, 20):
        wrong = bytearray(right)
        wrong[i] ^= 1
        assert not b.give(bytes(wrong))
    assert not b.give(right[:4] + b"anid" + right[8:])
    assert not b.give(message(0x101, XOR)) and b.told == []
    assert b.give(right) and len(b.told) == 1


def test_malformed_answers_are_as_good_as_none():
    b = Bed()
    b.ask(A)
    good = b.reply(mark=True)
    for i in range(20):
        assert i in range(4, 20) or not b.give(good[:i] + bytes((good[i] ^ 0x40,)) + good[i + 1 :])
    for n in range(20, len(good)):
        assert not b.give(good[:n])
    assert not b.give(good[:-1] + bytes((good[-1] ^ 1,)))
    for kind in (0x0001, 0x0011, 0x0102, 0x0112):
        assert not b.give(b.reply(kind))
    assert b.told == [] and b.give(good)


def test_refusals_and_answers_without_an_address():
    for kind, body, code in (
        (0x111, attribute(9, b"\x00\x00\x04\x14"), 420),
        (0x111, attribute(9, b"\x00\x00\x03\x00try another"), 300),
        (0x111, b"", 0),
        (0x101, b"", 0),
        (0x101, XOR + attribute(0x7ABC, b""), 0),  # it must be understood, and is not
        (0x101, attribute(0x20, b"\x00\x02" + bytes(18)), 0),
        (0x101, attribute(0x20, b"\x00\x01" + b"\x21\x12" + bytes(4)), 0),  # port 0
        (0x101, attribute(0x20, b"\x00\x01\x00\x00" + bytes((239 ^ 0x21, 0, 0, 0))), 0),
    ):
        b = Bed()
        b.ask(A)
        b.run(5)
        assert b.give(b.reply(kind, body))
        assert b.told == [(5, A, None, 5, code)], b.told


def test_an_answer_of_a_server_with_more_to_say():
    b = Bed()
    b.ask(A)
    body = IPV4[20:48]  # SOFTWARE and XOR-MAPPED-ADDRESS, made for the same cookie
    more = attribute(1, b"\x00\x01\x10\x08\x0a\x00\x00\x01") + attribute(4, bytes(8))
    assert b.give(b.reply(body=more + body + attribute(0x802C, bytes(8))))
    assert b.told == [(0, A, SEEN, 0, 0)]


def test_who_is_told_may_ask_again():
    b = Bed(places=1)
    b.hear = lambda *what: (b.told.append(what), b.ask(A))
    b.c = StunClient(b.send, Entropy(2), b.hear, 1)
    b.ask(A)
    first = b.id()
    b.give(b.reply())
    assert len(b.told) == 1 and len(b.sent) == 2 and b.id() != first
    b.run(999)
    assert len(b.told) == 1
    b.run(2)
    assert len(b.told) == 2 and b.told[1][1] is None


def test_random_answers():
    b = Bed()
    rng = XorShift(11)
    b.ask(A, far=True)
    good = b.reply(body=XOR + attribute(0x8022, b"somebody"), mark=True)
    for i in range(10000):
        d = bytearray(good)
        for _ in range(1 + rng.getrandbits(2)):
            d[rng.getrandbits(10) % len(d)] ^= 1 + rng.getrandbits(8) % 255
        for o in (20, 32, len(d) - 8):  # the FINGERPRINT stays in its place, and finds it all
            d[o : o + 4] = good[o : o + 4]
        if i & 1:
            d = d[: rng.getrandbits(7) % 56]
        if bytes(d) != good:
            assert not b.give(bytes(d), A)
    assert b.told == []
    assert b.give(good) and b.told[0][2] == SEEN


def test_an_answer_finds_its_way_through_the_node():
    n = bare_node(1, mode="passive")  # who answers nobody may ask all the same
    c = stun_client.attach(n)
    n.link.take()
    assert c.ask(A, 100)
    q, addr = n.link.take()[-1]
    assert addr == A and len(q) == 28
    m = message(0x101, XOR)
    m = m[:8] + q[8:20] + m[20:]
    assert n.receive(m, len(m), B, 110) is False and events(n) == []
    assert n.receive(m, len(m), A, 123) is True
    assert events(n) == [(13, A, SEEN, 23, 0)]
    assert n.receive(m, len(m), A, 130) is False
    assert count(n, C.C_STUN_RX) == 0 and count(n, C.C_BAD_LEN) == 1 + 1
    stun_client.detach(n)
    stun_client.detach(n)
    assert n.receive(m, len(m), A, 140) is False and n.late == []


def test_a_node_polls_it_for_its_retries():
    n = bare_node(1)
    c = stun_client.attach(n)
    now = 0
    c.ask(A, now)
    times = [0]
    n.link.take()
    while now < 1500:
        now += max(1, min(5, n.poll(now)))
        times += [now for d, a in n.link.take() if a == A]
    assert len(times) == 6 and [g // 10 for g in gaps(times)] == [2, 3, 5, 10, 10]
    assert [e[:3] for e in events(n) if e[0] == 13] == [(13, A, None)]


def test_nodes_ask_each_other_over_a_network_that_loses_a_fifth():
    w = World(5, loss=0.2, start=START)
    nodes = [w.add(lan=1 + k % 3) for k in range(6)]
    for n in nodes:
        n.sample(w.tick(), dict(SIGNALS))
    w.run(2000)
    a = nodes[0]
    c = stun_client.attach(a)
    for n in nodes[1:]:
        assert c.ask(n.link.local, w.tick())
    w.touch(a)
    told = []
    w.run(1500, lambda n, e: told.append(e) if n is a and e[0] == 13 else None)
    assert sorted(e[1] for e in told) == sorted(n.link.local for n in nodes[1:])
    assert [e[2] for e in told] == [a.link.local] * 5
    assert all(e[3] < 400 for e in told)


def test_ids_come_from_entropy():
    b = Bed()
    for i in range(1, 9):
        b.ask(bytes((203, 0, 113, i, 16, 8)))
    e = Entropy(1)
    assert [s[1][8:20] for s in b.sent] == [e(12) for _ in range(8)]
    assert all(s[1][4:8] == COOKIE for s in b.sent)
