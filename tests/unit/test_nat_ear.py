"""Asking by throw-away sockets: what counts, what is repeated; whole runs: test_natcheck.py."""

from kit import Person, bare_node, count, give
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.nat_ear import Ears
from l4mesh.nat_filter import FROM_HERE
from test_stun_client import XOR, message

HELPER = Person(7, "198.18.0.20:4104")
TARGET = b"\xc6\x12\0\x07\x9c\x40"


class Socks:
    def __init__(self):
        self.sent = []
        self.port = 40000
        self.take = None

    def open(self, port, take):
        if self.take is not None:
            return None
        self.take = take
        return self

    def send(self, buf, n, addr):
        self.sent.append((bytes(buf[:n]), addr))
        return True

    def close(self):
        self.take = None


def make():
    n = bare_node(1)
    n.sockets = Socks()
    ears = Ears(n)
    ears.poll(0)
    return n, ears, ears.open(0)


class Steps:
    """A generator, resumed every 20 ms: its result and when it came."""

    def __init__(self, ears, g):
        self.ears, self.g = ears, g
        self.now = 0
        self.done = False
        self.result = None

    def run(self, ms):
        end = self.now + ms
        while self.now < end and not self.done:
            self.ears.poll(self.now)
            try:
                next(self.g)
            except StopIteration as e:
                self.result = e.value
                self.done = True
                return
            self.now += 20


def word(n, what, token, p=HELPER, addr=None):
    data = p.frame(wire.T_FILTER, n.id, bytes((what,)) + token + TARGET)
    n.receive(data, len(data), addr or p.addr, 0)


def tried(n, ears, token, what=4):
    data = HELPER.frame(wire.T_FILTER, n.id, bytes((what,)) + token + TARGET)
    n.sockets.take(data, len(data), HELPER.addr, 0, n.sockets)


def asked(n):
    """Tokens of the FILTERs that were sent."""
    return [(f[29:37] if not f[2] & 4 else f[37:45]) for f, a in n.link.sent if f[1] == 42]


def start(n, ears, ear):
    s = Steps(ears, ears.filter(ear, FROM_HERE, (HELPER.addr, HELPER.id[:8]), TARGET, 60))
    s.run(40)
    return s


def test_true_when_it_comes():
    n, ears, ear = make()
    s = start(n, ears, ear)
    tried(n, ears, asked(n)[0], what=3)
    tried(n, ears, bytes(8))
    s.run(100)
    assert not s.done
    tried(n, ears, asked(n)[0])
    s.run(100)
    assert s.done and s.result is True and len(asked(n)) == 1


def test_false_after_two_that_were_sent():
    n, ears, ear = make()
    s = start(n, ears, ear)
    word(n, 2, asked(n)[0])
    s.run(240)
    assert len(asked(n)) == 1  # longer than a round trip, by 200 ms
    s.run(100)
    assert len(asked(n)) == 2
    word(n, 2, asked(n)[0])  # the word on the first says nothing of the second
    assert count(n, C.C_BAD_PARSE) == 1
    word(n, 2, asked(n)[1])
    s.run(300)
    assert s.done and s.result is False


def test_one_that_comes_late_counts():
    n, ears, ear = make()
    s = start(n, ears, ear)
    word(n, 2, asked(n)[0])
    s.run(340)
    assert len(asked(n)) == 2
    tried(n, ears, asked(n)[0])
    s.run(40)
    assert s.result is True


def test_none_when_it_was_refused_or_nobody_answers():
    n, ears, ear = make()
    s = start(n, ears, ear)
    word(n, 3, asked(n)[0])
    s.run(40)
    assert s.done and s.result is None
    s = start(n, ears, ear)
    n.link.take()
    s.run(20000)
    assert s.done and s.result is None and len(asked(n)) == 3 and s.now < 4000


def test_it_goes_again_with_the_cookie():
    n, ears, ear = make()
    s = start(n, ears, ear)
    f = n.link.take()[-1][0]
    cookie = bytes(range(8))
    data = HELPER.frame(wire.T_COOKIE, n.id, f[24:28] + cookie)
    n.receive(data, len(data), b"\xc6\x12\0\x63\x10\x08", 0)
    assert n.link.take(wire.T_FILTER) == []  # from another address
    data = HELPER.frame(wire.T_COOKIE, n.id, f[24:28] + cookie)
    n.receive(data, len(data), HELPER.addr, 0)
    again = n.link.take(wire.T_FILTER)
    assert len(again) == 1 and again[0][0][28:36] == cookie and again[0][0][36:51] == f[28:43]
    assert not s.done


def test_other_machines_get_their_cookies():
    n, ears, ear = make()
    before = count(n, C.C_BAD_PARSE)
    data = HELPER.frame(wire.T_COOKIE, n.id, b"\0\0\0\x63" + bytes(8))
    give(n, HELPER, data, 0)
    assert count(n, C.C_BAD_PARSE) == before and n.link.take(wire.T_FILTER) == []


def test_stun_by_a_throw_away_socket():
    n, ears, ear = make()
    other = b"\xc6\x12\0\x15\x10\x08"
    s = Steps(ears, ears.ask(ear, [(HELPER.addr, None), (other, None)]))
    s.run(40)
    sent = n.sockets.sent
    assert [a for _, a in sent] == [HELPER.addr, other] and n.link.take() == []
    s.run(500)
    assert len(sent) == 4  # half a second later, no sooner
    m = message(0x101, XOR)
    m = m[:8] + sent[0][0][8:20] + m[20:]
    n.sockets.take(m, len(m), HELPER.addr, s.ears.now, n.sockets)
    s.run(5000)
    assert s.done and s.now <= 3000
    assert ear.got[HELPER.addr] == b"\xc0\0\x02\x01\x80\x55" and ear.got.get(other) is None
    assert 500 <= ear.ms <= 560


def test_no_socket_no_ear():
    n, ears, ear = make()
    assert ears.open(0) is None
    ears.close()
    assert ears.open(0) is not None
    n.sockets = None
    assert ears.open(0) is None
