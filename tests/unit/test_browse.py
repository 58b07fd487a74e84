"""The one-shot query: when it asks, whom it believes, and that it ends."""

from l4mesh.browse import Browse
from test_dnssd import GOOD, HOST, OWN, WHO, answer, name, rr

GROUP = bytes((224, 0, 0, 251, 20, 233))
HOSTS_PORT = bytes((10, 0, 0, 9, 20, 233))


class Sock:
    def __init__(self, take):
        self.take = take
        self.sent = []
        self.open = True

    def send(self, buf, n, addr):
        self.sent.append((bytes(buf[:n]), addr))
        return True

    def close(self):
        self.open = False


class Sockets:
    sock = None
    full = False

    def open(self, port, take):
        assert port == 0
        if self.full:
            return None
        self.sock = Sock(take)
        return self.sock


def make(mode=b"", start=5000):
    s = Sockets()
    got = []
    b = Browse(s, lambda n: b"\x12\x34"[:n], lambda *a: got.append(a), mode)
    assert b.done and b.start(start) and not b.done
    return b, s.sock, got


def give(s, data, addr=HOSTS_PORT):
    s.take(bytearray(data), len(data), addr, 0, s)


def test_three_questions_then_the_end():
    start = 2**30 - 1500  # the clock wraps meanwhile
    b, s, got = make(b"standard", start)
    times = []
    now = start
    while not b.done:
        n = len(s.sent)
        wait = b.poll(now & 2**30 - 1)
        times += [now - start] * (len(s.sent) - n)
        now += min(wait, 700)
    assert times[0] == 0 and 1000 <= times[1] < 1700 and 3000 <= times[2] < 3700
    assert not s.open and 4500 <= now - start < 6000 and b.poll(0) == 60000
    q, to = s.sent[0]
    assert to == GROUP and q[:2] == b"\x12\x34" and name(b"_standard", b"_sub")[:-1] in q


def test_each_instance_is_told_once():
    b, s, got = make()
    for _ in range(3):
        give(s, answer(*GOOD))
    assert got == [(b"L4 a", b"\x0a\0\0\x07\x10\x08",
                    {b"txtvers": b"1", b"mode": b"", b"flag": b""})]  # fmt: skip


def test_only_what_was_asked_and_comes_from_a_responder_counts():
    b, s, got = make()
    give(s, answer(*GOOD, ident=0x1235))
    give(s, answer(*GOOD), bytes((10, 0, 0, 9, 20, 234)))
    give(s, b"")
    give(s, bytes(1200))
    assert got == []


def test_no_more_than_32_instances():
    b, s, got = make()
    for k in range(60):
        who = name(b"n%d" % k, b"_l4mesh", b"_udp", b"local")
        give(s, answer(rr(OWN, 12, who), rr(who, 33, bytes(4) + b"\x10\x08" + HOST), GOOD[2]))
    assert len(got) == 32 and WHO


def test_without_a_socket():
    s = Sockets()
    s.full = True
    b = Browse(s, lambda n: bytes(n), lambda *a: None)
    assert not b.start(0) and b.done and b.poll(5) == 60000
    b.close()
