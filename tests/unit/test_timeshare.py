"""Time from neighbours: who is asked, who is believed, and what the error becomes."""

from kit import b2
from l4mesh import wire
from l4mesh.timeshare import TimeShare
from world import SIGNALS, World

NOW = 1_800_000_000_000


class Clock:
    """A node's clock: `ahead` ms beside the world's, known to `error` s, or unknown."""

    def __init__(self, world, node, ahead=None, error=2):
        self.w, self.n, self.ahead, self.error = world, node, ahead, error
        self.told = []
        self.share = TimeShare(node, self.wall, self.take)
        node.inbox.handle(wire.T_TIME, self.share.on_time)
        self.asks = ahead is None
        self.due = 0

    def wall(self):
        if self.ahead is None:
            return None
        return (NOW + self.w.now + self.ahead).to_bytes(6, "big"), self.error

    def take(self, ms6, bound):
        self.told.append((int.from_bytes(ms6, "big") - NOW - self.w.now, bound))
        self.asks = False


def world(*clocks, loss=0.0, error=2):
    """Nodes on one LAN; an int is the ms by which a clock is ahead, None: it knows nothing."""
    w = World(3, loss=loss)
    made = []
    for ahead in clocks:
        n = w.add()
        n.sample(0, dict(SIGNALS))
        made.append(Clock(w, n, ahead, error))
    return w, made


def run(w, clocks, ms):
    for _ in range(ms // 50):
        w.run(50)
        for c in clocks:
            if c.asks and w.now >= c.due:
                c.due = w.now + c.share.poll(w.tick())


def test_the_only_neighbour_is_believed():
    w, (a, b) = world(None, 250)
    run(w, (a, b), 20000)
    assert len(a.told) == 1
    off, bound = a.told[0]
    assert abs(off - 250) < 100 and bound == 4  # its 2 s, the round trip, a second
    assert b.told == []


def test_one_of_two_alone_is_not_believed():
    w, clocks = world(None, 0, 3600 * 1000 * 9)
    run(w, clocks, 100000)
    assert clocks[0].told == []


def test_two_that_agree_outvote_a_third():
    w, clocks = world(None, 3600 * 1000 * 9, 300, -400)
    run(w, clocks, 60000)
    assert len(clocks[0].told) == 1 and abs(clocks[0].told[0][0]) < 600


def test_nobody_who_does_not_know_tells():
    w, clocks = world(None, None, None)
    run(w, clocks, 60000)
    assert [c.told for c in clocks] == [[], [], []]


def test_a_time_that_may_be_an_hour_wrong_is_no_time():
    w, clocks = world(None, 0, error=3600)
    run(w, clocks, 60000)
    assert clocks[0].told == []


def test_it_comes_through_at_thirty_percent_loss():
    w, clocks = world(None, 0, 10, 20, loss=0.3)
    run(w, clocks, 200000)
    assert len(clocks[0].told) == 1


def test_answers_that_nobody_asked_for_are_not_believed():
    w, (a, b) = world(None, 0)
    run(w, (b,), 10000)  # neighbours, but a never asks
    slot = a.n.peers.find(b.n.short_id)
    assert slot >= 0
    for token in (0, 1, 7):
        o = b.n.tx.begin(wire.T_TIME, a.n.short_id)
        payload = b"\x01" + b2(token) + (NOW + 5).to_bytes(6, "big") + b2(1) + b2(0)
        b.n.tx.buf[o : o + 13] = payload
        b.n.tx.send(o + 13, a.n.link.local)
        w.run(100)
    assert a.told == []
    bad = dict(a.n.counters.items())
    assert bad.get("bad_parse") == 3


def test_a_time_beyond_48_bits_is_no_time_and_raises_nothing():
    w, (a, b) = world(None, 0)
    b.wall = b.share._wall = lambda: (b"\xff" * 6, 2)
    run(w, (a, b), 60000)
    assert a.told == [] and b.told == []


def test_a_passive_node_tells_nobody():
    w, (a, b) = world(None, 0)
    b.n.serve.mode = wire.PASSIVE
    b.n.modes.mode = wire.PASSIVE
    run(w, (a, b), 30000)
    assert a.told == []
