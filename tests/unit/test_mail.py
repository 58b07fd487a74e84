"""Sending mail: to who is awake, to who keeps it, and what becomes of it; on the virtual clock."""

from l4mesh import wire
from l4mesh.events import EV_MAIL
from l4mesh.mail import of
from l4mesh.mailbox import Mailbox
from l4mesh.post import Post
from world import World


class Lan:
    """Nodes that meet; the last one sleeps and wakes every minute for half a second."""

    def __init__(self, n=3, seed=3, modes=None, posts=True, loss=0.0):
        self.world = w = World(seed, loss=loss)
        self.nodes = []
        for i in range(n):
            config = {"hello_max_s": 5, "mode": (modes or {}).get(i, "auto")}
            self.nodes.append(w.add(1, config))
        self.asleep = False
        self.nap = nap = self.nodes[-1]
        nap.hello.gap_s = 70
        self.box = Mailbox(nap)
        nap.inbox.handle(wire.T_MAIL, self.box.on_mail)
        self.posts = [Post(x) for x in self.nodes[:-1]] if posts else []
        self.told = []
        w.run(8000, self._each)
        self._deliver = w._deliver
        w._deliver = self._maybe

    def _maybe(self, src, dst, data):
        if not (self.asleep and self.nap.link.local in (src, dst)):
            self._deliver(src, dst, data)

    def _each(self, node, e):
        if e[0] == EV_MAIL:
            self.told.append((self.nodes.index(node),) + tuple(e[1:]))

    def run(self, ms):
        self.world.run(ms, self._each)

    def wake(self):
        self.asleep = False
        self.nap.hello.start(self.world.tick())
        self.world.touch(self.nap)
        self.run(500)
        self.asleep = True

    def send(self, i, to, data=b"hello", **more):
        number = of(self.nodes[i]).send(to.id[:8], data, self.world.tick(), **more)
        self.world.touch(self.nodes[i])
        return number


def test_to_one_that_is_awake():
    lan = Lan()
    number = lan.send(0, lan.nodes[1])
    lan.run(2000)
    a, b = lan.nodes[:2]
    assert lan.told == [(1, a.id[:8], b"hello"), (0, b.id[:8], None, number, 1)]


def test_to_a_sleeper_that_this_node_hears_it_is_kept_here():
    lan = Lan()
    lan.asleep = True
    number = lan.send(0, lan.nap)
    lan.run(30000)
    assert lan.told == [(0, lan.nap.id[:8], None, number, 0)]
    lan.wake()
    assert lan.told[1:] == [(2, lan.nodes[0].id[:8], b"hello"), (0, None, None, number, 1)]


def test_a_passive_sender_finds_who_keeps_it():
    lan = Lan(modes={0: "passive"})
    lan.asleep = True
    number = lan.send(0, lan.nap)
    lan.run(5000)
    assert lan.told == [(0, lan.nap.id[:8], None, number, 0)] and len(lan.posts[1]) == 1
    lan.wake()
    assert (2, lan.nodes[0].id[:8], b"hello") in lan.told
    assert (0, None, None, number, 1) in lan.told and len(lan.told) == 3


def test_it_gets_through_a_lossy_lan_once():
    for seed in range(1, 6):
        lan = Lan(seed=seed, modes={0: "passive"}, loss=0.3)
        lan.asleep = True
        lan.send(0, lan.nap, b"x")
        lan.run(10000)
        for _ in range(12):
            lan.wake()
            lan.run(20000)
        got = [e for e in lan.told if e[0] == 2]
        assert got in ([], [(2, lan.nodes[0].id[:8], b"x")])
        kept = [e for e in lan.told if e[0] == 0 and e[4] == 0]
        assert got or not kept


def test_nobody_keeps_mail_for_a_stranger():
    lan = Lan(posts=False)
    number = of(lan.nodes[0]).send(b"stranger", b"x", lan.world.tick())
    lan.world.touch(lan.nodes[0])
    lan.run(20000)
    assert lan.told == [(0, b"stranger", None, number, 3)]


def test_no_room_is_told():
    lan = Lan(modes={0: "passive"})
    lan.asleep = True
    numbers = []
    for k in range(3):
        numbers.append(lan.send(0, lan.nap, b"%d" % k))
        lan.run(5000)
    assert [(e[3], e[4]) for e in lan.told] == [(numbers[0], 0), (numbers[1], 0), (numbers[2], 2)]


def test_four_are_under_way_at_most_and_misuse_raises():
    lan = Lan(posts=False)
    m = of(lan.nodes[0])
    assert of(lan.nodes[0]) is m
    assert [bool(m.send(b"stranger", b"x", 0)) for _ in range(5)] == [True] * 4 + [False]
    for to, data in ((b"short", b"x"), (b"stranger", b""), (b"stranger", bytes(129))):
        try:
            m.send(to, data, 0)
            raise AssertionError(to)
        except ValueError as e:
            assert "128 bytes" in str(e)


def test_one_post_serves_the_node_and_its_own_mail():
    lan = Lan()
    post = lan.posts[0]
    assert of(lan.nodes[0]).post is post
