"""Extra sockets, real ones on loopback, drained by the runner together with the node's own."""

from l4mesh_io.sockets import Sockets
from test_io_runner import HOST, Claims, bed, make_link


def _open(sockets, take):
    s = sockets.open(0, take)
    assert s is not None and 32768 <= s.port < 65536
    return s


def _at(s):
    return HOST + bytes((s.port >> 8, s.port & 255))


class Bed:
    def __init__(self):
        self.node, self.link, self.r = bed()
        self.sockets = Sockets(self.r, False)
        self.other = make_link()
        self.got = []

    def take(self, buf, n, addr, now, s):
        assert isinstance(now, int)
        self.got.append((s, bytes(buf[:n]), addr))

    def run_until(self, done):
        left = [2000]

        def job(now):
            left[0] -= 1
            if done() or not left[0]:
                self.r.stop()
            return 1

        self.r.add(job)
        self.r.run()
        assert left[0], "it never came"

    def close(self):
        self.sockets.close()
        self.link.close()
        self.other.close()


def test_extra_sockets_and_the_nodes_own_are_drained_together():
    b = Bed()
    first = _open(b.sockets, b.take)
    second = _open(b.sockets, b.take)
    assert first.port != second.port
    assert b.other.send(b"one...", 3, _at(first))
    assert b.other.send(b"two", 3, _at(second))
    assert b.other.send(b"own", 3, b.link.local)
    b.run_until(lambda: len(b.got) == 2 and b.node.got)
    assert sorted([g[1] for g in b.got]) == [b"one", b"two"]
    assert [g[0] for g in b.got if g[1] == b"one"] == [first]
    assert all(g[2] == b.other.local for g in b.got)
    assert b.node.got == [(b"own", b.other.local)]
    b.close()


def test_what_is_sent_comes_from_the_port():
    b = Bed()
    s = _open(b.sockets, b.take)
    assert s.send(b"hello there", 5, b.link.local)
    b.run_until(lambda: b.node.got)
    assert b.node.got == [(b"hello", _at(s))]
    b.close()


def test_six_at_most_and_closed_ones_make_room():
    b = Bed()
    all_ = [_open(b.sockets, b.take) for _ in range(6)]
    assert b.sockets.open(0, b.take) is None
    all_[2].close()
    all_[2].close()
    assert not all_[2].send(b"x", 1, b.link.local)
    again = _open(b.sockets, b.take)
    assert b.other.send(b"new", 3, _at(again))
    b.run_until(lambda: b.got)
    assert b.got == [(again, b"new", b.other.local)]
    b.close()


def test_a_port_in_use_is_refused():
    b = Bed()
    s = _open(b.sockets, b.take)
    before = b.sockets.errors
    assert b.sockets.open(s.port, b.take) is None
    assert b.sockets.errors == before + 1
    s.close()
    t = b.sockets.open(s.port, b.take)
    assert t is not None and t.port == s.port
    b.close()


def test_after_the_last_one_the_loop_is_the_short_one_again():
    b = Bed()
    s = _open(b.sockets, b.take)
    assert b.r.take != b.r.drain
    s.close()
    assert b.r.take == b.r.drain
    b.other.send(b"own", 3, b.link.local)
    b.run_until(lambda: b.node.got)
    b.close()


def test_a_socket_may_close_itself_and_others_while_it_is_served():
    b = Bed()
    closed = []

    def take(buf, n, addr, now, s):
        for x in pair:
            x.close()
        closed.append(s)

    pair = [_open(b.sockets, take), _open(b.sockets, take)]
    for s in pair:
        b.other.send(b"end", 3, _at(s))
    b.other.send(b"own", 3, b.link.local)
    b.run_until(lambda: closed and b.node.got)
    assert len(closed) == 1 and b.node.got == [(b"own", b.other.local)]
    b.close()


def test_an_empty_datagram_is_nothing():
    b = Bed()
    s = _open(b.sockets, b.take)
    b.other.send(b"", 0, _at(s))
    b.other.send(b"x", 1, _at(s))
    b.run_until(lambda: b.got)
    assert b.got == [(s, b"x", b.other.local)]
    b.close()


def test_a_source_that_no_host_can_have_is_not_heard():
    b = Bed()
    s = _open(b.sockets, b.take)
    real = s.real
    try:
        for six in (bytes((0, 1, 0, 1, 0, 1)), bytes((10, 77, 1, 5, 16, 8))):
            s.real = Claims(six)
            s.receive(5)
        assert [g[2] for g in b.got] == [bytes((10, 77, 1, 5, 16, 8))]
    finally:
        s.real = real
        b.close()
