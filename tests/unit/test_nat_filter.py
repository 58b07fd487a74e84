"""FILTER questions: what is sent, where to, and that nobody else receives anything."""

from kit import Person, bare_node, count, give, prove
from l4mesh import counters as C
from l4mesh import nat_filter, wire

TOKEN = bytes(range(8))
OTHER = b"\x0a\x4d\x01\x63\x10\x08"


class Socks:
    """Stands in for node.sockets."""

    def __init__(self):
        self.sent = []
        self.closed = 0
        self.left = 6

    def open(self, port, take):
        assert port == 0
        self.take = take
        return self if self.left else None

    def send(self, buf, n, addr):
        self.sent.append((bytes(buf[:n]), addr))
        return True

    def close(self):
        self.closed += 1


def at(p, port):
    return p.addr[:4] + bytes((port >> 8, port & 255))


def ask(n, p, what, target, cookie=b"", now=0):
    data = p.frame(wire.T_FILTER, n.id, bytes((what,)) + TOKEN + target, cookie=cookie)
    n.link.take()
    give(n, p, data, now)
    return len(data) - len(cookie), n.link.take()


def make():
    n, p = bare_node(1), Person(2)
    n.sockets = Socks()
    n.helps = True
    prove(n, p, 0)
    return n, p


def test_it_sends_from_the_port_that_was_asked():
    n, p = make()
    size, sent = ask(n, p, 0, at(p, 41000))
    assert [a for _, a in sent] == [at(p, 41000), p.addr]
    probe, word = [f for f, _ in sent]
    assert probe[1] == word[1] == wire.T_FILTER
    assert probe[28:-16] == b"\x04" + TOKEN + at(p, 41000)
    assert word[28:-16] == b"\x02" + TOKEN + at(p, 41000)
    assert len(probe) <= size and len(word) <= size
    assert n.sockets.sent == []


def test_it_sends_from_another_port():
    n, p = make()
    size, sent = ask(n, p, 1, at(p, 41000))
    assert [(f[28], a) for f, a in sent] == [(2, p.addr)]
    (probe, to), = n.sockets.sent  # fmt: skip
    assert to == at(p, 41000) and probe[28] == 4 and len(probe) <= size
    assert n.sockets.closed == 1
    n.sockets.take(b"x", 1, to, 0, n.sockets)  # an answer changes nothing
    assert n.link.take() == []


def test_the_probe_is_a_frame_with_a_good_tag():
    n, p = make()
    ask(n, p, 1, at(p, 41000))
    other = bare_node(2)  # the asker itself
    probe = n.sockets.sent[0][0]
    before = count(other, C.C_BAD_TAG)
    other.receive(probe, len(probe), n.link.local, 0)
    assert count(other, C.C_RX) == 1 and count(other, C.C_BAD_TAG) == before


def test_without_more_sockets_it_says_so():
    for socks in (None, Socks()):
        n, p = make()
        n.sockets = socks
        if socks is not None:
            socks.left = 0
        _, sent = ask(n, p, 1, at(p, 41000))
        assert [(f[28], a) for f, a in sent] == [(3, p.addr)]


def test_a_third_address_gets_nothing():
    n, p = make()
    for target in (OTHER, b"\x7f\0\0\1\x10\x08", b"\xe0\0\0\1\x10\x08", bytes(6),
                   at(p, 80), at(p, 1023)):  # fmt: skip
        for what in (0, 1):
            _, sent = ask(n, p, what, target, now=10000)
            assert [(f[28], a) for f, a in sent] == [(3, p.addr)], target
            n = _rested(n, p)
    assert n.sockets.sent == []


def _rested(n, p):
    """The same with its limits filled again."""
    fresh, _ = make()
    p.counter += 1
    return fresh


def test_an_address_has_to_be_proven_first():
    n, p = bare_node(1), Person(2)
    n.sockets = Socks()
    n.helps = True
    size, sent = ask(n, p, 0, at(p, 41000))
    assert [f[1] for f, _ in sent] == [wire.T_COOKIE] and len(sent[0][0]) <= size
    cookie = sent[0][0][32:40]
    # One from elsewhere with that cookie is no proof.
    p.addr = OTHER
    _, sent = ask(n, p, 0, OTHER, cookie)
    assert [f[1] for f, _ in sent] == [wire.T_COOKIE] and n.sockets.sent == []
    p.addr = Person(2).addr
    _, sent = ask(n, p, 0, at(p, 41000), cookie)
    assert [f[28] for f, _ in sent] == [4, 2]


def test_a_node_that_does_not_help_says_nothing():
    n, p = make()
    ask(n, p, 0, at(p, 41000))
    n.helps = False
    assert ask(n, p, 0, at(p, 41000))[1] == []


def test_no_more_than_the_limit():
    n, p = bare_node(1, {"id_s": 1, "id_burst": 4}), Person(2)
    n.sockets = Socks()
    n.helps = True
    prove(n, p, 0)
    got = [len(ask(n, p, 0, at(p, 41000))[1]) for _ in range(8)]
    assert sum(got) <= 8 and got[-1] == 0


def test_answers_and_probes_start_nothing():
    n, p = make()
    for what in (2, 3, 4, 5, 255):
        assert ask(n, p, what, at(p, 41000))[1] == []
    assert n.sockets.sent == []


def test_lengths():
    b = bytearray(20)
    assert nat_filter.write(b, 2, 1, TOKEN, OTHER) == 17 and b[2:17] == b"\x01" + TOKEN + OTHER
