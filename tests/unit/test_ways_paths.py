"""Paths that come and go; the whole of it is in test_ways.py."""

from test_ways import DIRECT, RELAYED, Bed, direct


def test_a_channel_that_comes_too_late_is_given_back():
    b = Bed(meet=True)
    b.a.ways.open(b.b.id, b.now)
    b.w.touch(b.a)
    b.run(5)
    direct(b)  # 36 ms: before the word of the relay is here
    b.run(3000)
    assert b.way().state == DIRECT and len(b.l3.relay) == 0
    assert [p.channel for p in b.way().paths] == [None]


def test_who_lost_the_direct_path_takes_the_other_one_along():
    b = Bed(meet=True)
    b.open()
    direct(b)
    b.run(60000)
    b.walls = True
    b.b.ways.keeper.dead(b.way(b.b), b.way(b.b).use, -1, b.now)
    b.w.touch(b.b)
    b.run(1000)
    assert b.way().state == RELAYED and b.way(b.b).state == RELAYED
    assert b.answers(b.a, 2) == 2 and b.answers(b.b, 2) == 2


def test_a_punch_for_nobody_closes_its_socket():
    class Sock:
        closed = False

        def close(self):
            self.closed = True

    b = Bed()
    for k in range(8):
        b.a.ways.open(bytes((k + 1,)) * 16, b.now)
    s = Sock()
    b.a.ways.paths.met(b.b.short_id, b.b.link.local, s, 100, "direct")
    assert s.closed and b.way() is None
    b.a.ways.paths.met(b.b.short_id, None, None, 100, "nobody there")
    assert b.way() is None


def test_two_directions_disagree_and_the_second_word_counts():
    b = Bed(meet=True)
    b.open()
    direct(b)
    other = bytes((10, 77, 2, 99, 16, 8))
    b.a.ways.paths.met(b.b.short_id, other, None, 170, "direct")
    assert b.way().use.addr == other and b.way().state == DIRECT
    assert len([e for e in b.events if e[1] == "a" and e[2] == DIRECT]) <= 1


class Sock:
    """A socket that a punch won."""

    def __init__(self):
        self.closed = False
        self.take = None

    def send(self, buf, n, addr):
        return not self.closed

    def close(self):
        self.closed = True


def won(b, k):
    """Another direct path of a to b, over a socket of its own."""
    s = Sock()
    b.a.ways.paths.met(b.b.short_id, bytes((10, 77, 2, 99, 16, k)), s, 100, "direct")
    return s


def test_a_datagram_too_short_for_anything_at_a_won_socket():
    b = Bed()
    b.a.ways.open(b.b.id, b.now)
    s = won(b, 8)
    before = b.way().use.last
    for n in range(30):
        for addr in (bytes((10, 77, 2, 99, 16, 8)), bytes((10, 77, 2, 98, 16, 8))):
            s.take(b"\xc4" * n, n, addr, b.now, s)
    assert b.way().state == DIRECT and b.way().use.last == before and not s.closed


def test_a_path_that_makes_room_is_closed():
    b = Bed()
    b.open()
    relayed = b.way().use
    won_ = []
    for k in range(6):
        won_.append(won(b, k + 8))
        if b.way().trial is not None:
            b.a.ways.paths.pong(b.b.short_id, b.way().token, b.now)
    kept = [p.sock for p in b.way().paths]
    assert len(kept) == 3 and relayed not in b.way().paths
    assert [s.closed for s in won_] == [s not in kept for s in won_]
    b.run(200)
    assert len(b.l3.relay) == 0, "the channel was given back"


def test_a_closed_way_stays_closed_whatever_comes_late():
    b = Bed(meet=True)
    b.open()
    s = won(b, 8)
    w = b.way()
    assert w.trial is not None
    tokens = list(w.trial.tokens)
    b.a.ways.close(b.b.short_id, b.now)
    assert s.closed and w.state == 0
    for token in tokens + [w.token]:
        b.a.ways.paths.pong(b.b.short_id, token, b.now)
    assert w.state == 0 and w.use is None


def at(b, k, s):
    b.a.ways.paths.met(b.b.short_id, bytes((10, 77, 2, 99, 16, k)), s, 100, "direct")


def test_the_peer_chose_another_port_of_its_own_for_the_same_socket():
    for relayed in (False, True):
        b = Bed()
        if relayed:
            b.open()
        else:
            b.a.ways.open(b.b.id, b.now)
        s = Sock()
        at(b, 8, s)
        at(b, 9, s)
        w = b.way()
        assert not s.closed and w.trial.addr[5] == 9
        b.a.ways.paths.pong(b.b.short_id, w.token, b.now)
        assert w.use.addr[5] == 9 and w.use.sock is s
        for p in list(w.paths):
            if p is not w.use:
                b.a.ways.paths.drop(w, p)
        assert not s.closed and w.paths == [w.use]
        b.a.ways.paths.drop(w, w.use)
        assert s.closed
