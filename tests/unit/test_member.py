from hashlib import sha256

from kit import Person, b2, b4, bare_node, events, gaps
from l4mesh import ed25519, wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.events import EV_CLOCK, EV_JOINED, EV_LEFT, EV_REFUSED
from l4mesh.record import check_form
from l4mesh.ticks import MASK
from l4mesh.wire import u30
from tier import FakeTier, with_key
from world import NETWORK, World

L3, L2 = [parse_endpoint("10.77.0.%d:4104" % n) for n in (3, 2)]
UP = {"upstream": [[3, "10.77.0.3:4104"], [2, "10.77.0.2:4104"]]}


class Bed:
    """One node below two fake tiers; `seen` has its events as (ms, event)."""

    def __init__(self, start=0, **config):
        self.w = World(1, start=start)
        self.l3, self.l2 = FakeTier(self.w, 3, L3), FakeTier(self.w, 2, L2)
        config.update(UP)
        self.seen = []
        self.saved = {}
        self.n = self.w.add(nodekey=with_key, config=config)
        self.n.member._save = self.save

    def save(self, name, data):
        self.saved[name] = data
        return True

    def run(self, ms):
        self.w.run(ms, lambda n, e: self.seen.append((self.w.now, e)))

    def kinds(self, kind):
        return [e for _, e in self.seen if e[0] == kind]


def test_it_joins_the_nearest():
    b = Bed()
    b.run(3000)
    n = b.n
    assert n.member.joined and n.member.tier.level == 3
    e = b.kinds(EV_JOINED)
    assert len(e) == 1 and e[0][1] == 3 and 0 < e[0][2] < 200
    j = b.l3.joins[0]
    assert j[:16] == n.id and j[20:22] == b"\0\0" and len(j) == 158
    assert check_form(j, 22, 136, NETWORK) and b.l2.joins == []


def test_a_cookie_on_the_way_costs_one_round_trip():
    b = Bed()
    b.l3.cookies = True
    b.run(3000)
    assert b.n.member.joined and b.kinds(EV_JOINED)[0][2] < 300


def test_the_public_endpoint_that_was_seen_is_signed_and_registered():
    b = Bed()
    b.run(3000)
    assert b.n.own.public == b.n.link.local  # what the tier saw
    assert len(b.l3.joins) == 2
    assert bytes(b.l3.joins[1][22 + 55 : 22 + 61]) == b.n.link.local
    assert u30(b.l3.joins[1], 22 + 10) == u30(b.l3.joins[0], 22 + 10) + 1


def test_it_joins_again_when_told():
    b = Bed()
    b.run(3000)
    n = len(b.l3.joins)
    b.run(590000)
    assert len(b.l3.joins) == n
    b.run(10000)
    assert len(b.l3.joins) == n + 1 and len(b.kinds(EV_JOINED)) == 1


def test_tiers_that_start_late_and_never_heard_of_it_are_joined():
    """A tier knows the key of a newcomer by its JOIN only: a PING cannot be checked before."""
    b = Bed()
    b.l3.quiet = b.l2.quiet = True
    b.run(120000)
    assert not b.n.member.joined
    b.l3.quiet, b.l3.mute = False, (wire.T_PING,)
    b.run(65000)
    assert b.n.member.joined
    b.run(3000)
    asked = b.l2.seen.count(wire.T_JOIN)
    assert 2 < asked < 12  # both were tried, seldom


def test_a_silent_tier_gives_way_to_the_next():
    b = Bed()
    b.l3.quiet = True
    b.run(5000)
    assert b.n.member.joined and b.n.member.tier.level == 2
    assert b.kinds(EV_JOINED)[0][1] == 2 and b.kinds(EV_JOINED)[0][2] < 2500


def test_without_a_word_it_asks_with_growing_pauses():
    b = Bed()
    b.l3.mute = b.l2.mute = (wire.T_JOIN,)
    b.run(600000)
    assert not b.n.member.joined
    asked = b.l3.seen.count(wire.T_JOIN) + b.l2.seen.count(wire.T_JOIN)
    assert 10 <= asked <= 40
    b.l3.mute = b.l2.mute = ()
    b.run(80000)
    assert b.n.member.joined


def test_it_has_left_when_the_lifetime_is_over():
    for start in (0, MASK - 60000):
        b = Bed(start)
        b.l3.life = 3
        b.run(5000)
        assert b.n.member.joined
        b.l3.quiet = b.l2.quiet = True
        b.run(170000)
        assert b.n.member.joined and b.kinds(EV_LEFT) == []
        b.run(130000)
        assert not b.n.member.joined and b.kinds(EV_LEFT) == [(EV_LEFT,)]
        b.l3.quiet = False
        b.run(40000)
        assert b.n.member.joined and len(b.kinds(EV_JOINED)) == 2


def test_unavailable_means_later():
    b = Bed()
    b.l3.joined = 3
    b.run(20000)
    assert not b.n.member.joined and 3 <= len(b.l3.joins) <= 8
    assert b.kinds(EV_REFUSED) == []
    b.l3.joined = 0
    b.run(30000)
    assert b.n.member.joined


def test_refused_is_told_and_not_repeated_soon():
    b = Bed()
    b.l3.joined = 2
    b.run(500000)
    assert b.kinds(EV_REFUSED) == [(EV_REFUSED, 2, 3)] and len(b.l3.joins) == 1
    b.run(110000)
    assert len(b.l3.joins) == 2


def older(epoch, counter=1, who=None):
    """The end of a JOINED that shows a newer record: of the first node of World(1) by default."""
    p = who or Person(0)
    if who is None:
        p.seed = sha256(b"node 0 of 1").digest()
        p.public = ed25519.public_key(p.seed)
    return b"\0" + p.record(epoch, counter, lan=parse_endpoint("10.77.1.10:4104"))


def test_a_lost_epoch_is_found_again():
    b = Bed()
    b.l3.joined = 1
    b.l3.extra = older(40)
    b.run(300)
    b.l3.joined, b.l3.extra = 0, b"\0"
    b.run(3000)
    n = b.n
    assert n.tx.epoch == 41 == n.own.epoch and b.saved["epoch"] == b"\0\0\0\x29"
    assert u30(n.own.record, 6) == 41 and n.member.joined
    assert n.tx.counter < 30


def test_a_record_of_somebody_else_moves_no_epoch():
    for extra in (older(40, who=Person(5)), b"\0" + bytes(136), b"\0"):
        b = Bed()
        b.l3.joined, b.l3.extra = 1, extra
        b.run(10000)
        assert b.n.tx.epoch == 1 and not b.n.member.joined
        assert len(b.l3.joins) <= 8  # and it is no reason to ask in a hurry


def test_epochs_that_are_no_use():
    b = Bed()
    b.run(100)
    m = b.n.member
    m.past(0, 100)
    assert b.n.tx.epoch == 1
    m.past(0x3FFFFFFF, 100)  # the one after it would not be a number of the wire
    assert b.n.tx.epoch == 1
    m.past(0x3FFFFFFE, 100)
    assert b.n.tx.epoch == 0x3FFFFFFF


def test_a_group_key_comes_and_is_kept():
    b = Bed()
    b.l3.extra = b"\x01" + b"k" * 32
    b.run(3000)
    assert b.n.keys.number == 1 and b.saved["group"] == b"\x01" + b"k" * 32
    b.saved.clear()
    b.l3.extra = b"\x00" + b"z" * 32  # back is no way
    b.n.member.register(b.w.tick())
    b.w.touch(b.n)
    b.run(3000)
    assert b.n.keys.number == 1 and b.saved == {}


def test_a_newer_group_key_in_use_makes_it_join_again_once_a_minute_at_most():
    b = Bed()
    b.run(50000)
    first = len(b.l3.joins)

    def more(ms, hints):
        for _ in range(hints):
            b.n.keys.behind = True
            b.run(ms // hints)
        return len(b.l3.joins) - first

    assert more(1500, 1) == 0 and not b.n.keys.behind  # a minute is not over: forgotten
    b.run(15000)
    assert len(b.l3.joins) == first
    assert more(1500, 1) == 1
    assert more(55000, 50) == 1
    assert more(10000, 5) == 2


def test_the_time_is_passed_on():
    n = bare_node(1, linked=True, **UP)
    joined(n, time6=b"\x01\x99\x01\x02\x03\x04")
    assert (EV_CLOCK, b"\x01\x99\x01\x02\x03\x04", 1) in events(n)
    n = bare_node(1, linked=True, **UP)
    joined(n)
    assert EV_CLOCK not in [e[0] for e in events(n)]


def joined(n, seen=bytes((203, 0, 113, 9, 16, 8)), time6=bytes(6), token=None, now=5):
    """Give the node a JOINED to its JOIN, opened already, as inbox.py does."""
    n.poll(1)
    n.link.take()
    body = bytes((0, 3)) + seen + b2(30) + b2(600) + time6 + b"\0"
    return n.member.on_joined(b4(token or n.member._token) + body, 0, 27, now, 0)


def test_an_endpoint_nobody_may_use_is_not_taken():
    """It would make every receiver refuse our record."""
    for text in ("127.0.0.1:4104", "0.0.0.0:4104", "224.0.0.1:4104", "203.0.113.9:1023"):
        n = bare_node(1, linked=True, **UP)
        assert joined(n, parse_endpoint(text))
        assert n.member.joined and n.own.public == bytes(6)
    n = bare_node(1, linked=True, **UP)
    assert joined(n) and n.own.public == bytes((203, 0, 113, 9, 16, 8))


def test_only_the_answer_to_our_question():
    n = bare_node(1, linked=True, **UP)
    assert not joined(n, token=0x1234567)
    assert joined(n)
    assert not joined(n)  # nobody waits for it any more


def test_no_upstream_no_joining():
    n = bare_node(1, linked=True)
    assert n.member.poll(5, 0) == 60000
    assert n.link.take(wire.T_JOIN) == []


def test_a_change_is_registered_soon():
    b = Bed()
    b.run(3000)
    n = len(b.l3.joins)
    b.n.own.set_endpoints(b.n.own.lan, bytes((203, 0, 113, 9, 16, 8)))
    b.w.touch(b.n)
    b.run(1000)
    assert len(b.l3.joins) > n


def test_pauses_are_spread():
    waits = []
    for seed in range(4):
        w = World(seed)
        tier = FakeTier(w, 3, L3)
        tier.joined = 3
        times = []
        tier.join = lambda *a, t=times, w=w, j=tier.join: (t.append(w.now), j(*a))
        w.add(nodekey=with_key, config=UP)
        w.run(10000)
        waits.append(gaps(times)[1])
    assert len(set(waits)) > 1
