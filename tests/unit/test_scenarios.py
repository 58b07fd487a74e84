"""Whole meshes on a virtual clock (tests/sim/world.py): what nodes together must get right."""

from kit import SIGNALS, Person, bare_node, events
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.events import EV_ANSWER, EV_GONE, EV_NEIGHBOUR
from l4mesh.peers import O_EPOCH, P_EPOCH, P_LAN, P_SIGNED
from l4mesh.resolve import SOURCES
from l4mesh.ticks import MASK, add
from tier import FakeTier, with_key
from world import QuickCrypto, World

L3, L2, L1 = [parse_endpoint("10.77.0.%d:4104" % n) for n in (3, 2, 1)]
UP = {"upstream": [[3, "10.77.0.3:4104"], [2, "10.77.0.2:4104"], [1, "10.77.0.1:4104"]]}


class Log:
    """The events of a run, and a way to look somebody up and wait."""

    def __init__(self, w):
        self.w = w
        self.seen = []

    def run(self, ms):
        self.w.run(ms, lambda n, e: self.seen.append((n, e)))

    def of(self, node, kind):
        return [e for n, e in self.seen if n is node and e[0] == kind]

    def look(self, node, target, ms=4000):
        """(status, source, ms, record) of one look-up."""
        self.seen = []
        assert node.resolve(target, self.w.tick())
        self.w.touch(node)
        self.run(ms)
        a = self.of(node, EV_ANSWER)
        assert len(a) == 1, a
        return a[0][2], SOURCES[a[0][3]], a[0][4], a[0][5]


def mesh(n, lans=1, seed=1, loss=0.0, start=0, quick=True, **config):
    w = World(seed, loss, start)
    crypto = QuickCrypto() if quick else None
    for k in range(n):
        w.add(1 + k % lans, config, crypto=crypto)
    return w


def slot(node, other):
    return node.peers.find(other.short_id)


def signed(node, other):
    i = slot(node, other)
    return i >= 0 and node.peers.flags(i) & (P_SIGNED | P_LAN) == P_SIGNED | P_LAN


def test_a_lan_gets_to_know_itself():
    w = mesh(12, quick=False)
    w.run(15000)
    assert all(signed(a, b) for a in w.nodes for b in w.nodes if a is not b)


def test_with_loss_too():
    for loss, least in ((0.1, 56), (0.3, 50)):
        w = mesh(8, loss=loss, seed=4)
        w.run(180000)
        for _ in range(5):
            w.run(60000)
            known = len([1 for a in w.nodes for b in w.nodes if a is not b and signed(a, b)])
            assert known >= least, (loss, known)


def test_a_dead_node_is_gone_everywhere_after_one_lifetime():
    """Twenty nodes ask each other for it all the time: what goes round only ever falls."""
    w = mesh(21, lifetime_min=5, quota_per_s=1000)
    log = Log(w)
    w.run(20000)
    dead = w.nodes[7]
    living = [n for n in w.nodes if n is not dead]
    assert len([1 for n in living if n.routes.peek(dead.id) >= 0]) == 20
    w.remove(dead)
    found = {}
    for step in range(7 * 12):
        log.seen = []
        for n in living:
            n.resolve(dead.id, w.tick())
            w.touch(n)
        log.run(5000)
        found[step] = len([1 for _, e in log.seen if e[0] == EV_ANSWER and e[2] == wire.FOUND])
    # A record lives five minutes from the last word of its owner, which was before the cut.
    assert found[0] == 20 and found[30] > 0
    assert not [k for k in found if k >= 61 and found[k]]
    for n in living:
        assert n.routes.find(dead.id, n.minutes.advance(w.tick())) < 0
        assert slot(n, dead) < 0


def test_a_reboot_with_a_higher_epoch():
    for addr in (None, parse_endpoint("10.77.1.200:4104")):
        w = mesh(5)
        log = Log(w)
        w.run(100000)
        old = w.nodes[2]
        new = w.restart(old, 2, addr)
        w.run(5000)
        for n in w.nodes:
            if n is not new:
                i = slot(n, new)
                assert signed(n, new) and n.peers.addr(i) == new.link.local
                assert n.peers.get30(i, O_EPOCH) == 2
                assert log.look(n, new.id)[0] == wire.FOUND
        assert signed(new, w.nodes[0])


def test_a_reboot_nobody_noticed_for_long():
    """Its counter is far ahead of what was known of the epoch before."""
    w = mesh(3)
    w.run(20000)
    w.nodes[0].tx.counter = 500000
    new = w.restart(w.nodes[0], 9)
    new.tx.counter = 300000
    w.run(15 * 60000)
    assert signed(w.nodes[1], new) and signed(w.nodes[2], new)


class Member:
    """Somebody with the group key who speaks in the name of others."""

    def __init__(self, w, addr="10.77.1.250:4104"):
        self.w = w
        self.addr = parse_endpoint(addr)
        self.heard = []
        w.attach(self.addr, lambda data, addr, tick: self.heard.append(data))

    def as_(self, victim, epoch, counter):
        p = Person(90)
        p.id = victim.id
        p.public = victim.own.public_key
        p.epoch = epoch
        p.counter = counter
        p.addr = self.addr
        return p

    def say(self, data, to):
        self.w.send(self.addr, data, to)


def test_a_member_locks_nobody_out_by_a_far_epoch():
    for first in (True, False):
        w = World(3)
        crypto = QuickCrypto()
        a = w.add(1, crypto=crypto)
        m = Member(w)
        if first:  # before the victim is known at all
            w.run(3000)
        b = w.add(1, crypto=crypto)
        if not first:
            w.run(10000)
            assert signed(a, b)
        fake = m.as_(b, 0x3FFFFFF0, 5)
        for _ in range(5):
            m.say(fake.hello(b"\1" * 136, interval=60000), a.link.local)
            m.say(fake.query(a.id, b"x" * 16), a.link.local)
            w.run(300)
        w.run(130000)
        i = slot(a, b)
        assert signed(a, b) and a.peers.get30(i, O_EPOCH) == 1 and a.peers.flags(i) & P_EPOCH
        assert a.peers.addr(i) == b.link.local
        assert Log(w).look(a, b.id)[0] == wire.FOUND


def test_replays_of_an_epoch_that_is_over():
    """An outsider recorded everything and says it again, from elsewhere, after reboots."""
    for sender, receiver in ((True, False), (False, True), (True, True)):
        w = mesh(3)
        w.log = []
        w.run(60000)
        tape = [d for _, _, _, d in w.log]
        w.log = None
        outsider = parse_endpoint("10.77.1.251:4104")
        w.attach(outsider, lambda data, addr, tick: None)
        a, b, c = w.nodes
        if sender:
            a = w.restart(a, 2)
        if receiver:
            b = w.restart(b, 2)
        for data in tape:
            w.send(outsider, data, b.link.local)
            w.run(40)
        w.run(600000)
        assert signed(b, a) and signed(b, c)
        assert b.peers.addr(slot(b, a)) == a.link.local
        assert b.peers.get30(slot(b, a), O_EPOCH) == (2 if sender else 1)
        assert a.peers.get30(slot(a, b), O_EPOCH) == (2 if receiver else 1)
        assert Log(w).look(b, a.id)[0] == wire.FOUND


def test_eclipse_at_boot():
    """Five hundred names from one address speak first: the neighbours are met anyway."""
    w = World(5)
    crypto = QuickCrypto()
    w.add(1, crypto=crypto)
    w.add(1, crypto=crypto)
    m = Member(w)
    new = w.add(1, crypto=crypto)
    for k in range(500):
        p = Person(91)
        p.id = b"sybil" + bytes((0, k >> 8, k & 255)) + bytes(8)
        m.say(p.hello(b"\1" * 136, interval=600), new.link.local)
        w.run(20)
    assert len(new.peers) <= 16 + 2
    w.run(180000)
    assert signed(new, w.nodes[0]) and signed(new, w.nodes[1])


def tiers(w):
    return [FakeTier(w, level, addr) for level, addr in ((3, L3), (2, L2), (1, L1))]


def test_own_then_lan_then_tier():
    w = World(1)
    l3, l2, l1 = tiers(w)
    crypto = QuickCrypto()
    a, b = [w.add(1, UP, with_key, crypto) for _ in range(2)]
    log = Log(w)
    w.run(10000)
    far = Person(40, "10.77.9.9:4104")
    # The stand-in for signatures is the nodes' too.
    body = far.record()[:72]
    rec = body + crypto._text(far.public, b"l4-record-v1\0" + body)
    l3.records[far.id] = (rec, 20)
    assert log.look(b, far.id)[:2] == (wire.FOUND, "l3")
    assert log.look(b, far.id)[:3] == (wire.FOUND, "own", 0)
    w.run(3000)
    before = [t.seen.count(wire.T_QUERY) for t in (l3, l2, l1)]
    up = a.counters.get(C.C_UPSTREAM_TX)
    status, source, ms, got = log.look(a, far.id, 1000)
    assert (status, source, got) == (wire.FOUND, "lan", rec) and ms < 20
    assert [t.seen.count(wire.T_QUERY) for t in (l3, l2, l1)] == before
    assert a.counters.get(C.C_UPSTREAM_TX) == up
    left = [n.routes.remaining(n.routes.peek(far.id), n.minutes.minute) for n in (a, b)]
    assert left[0] < left[1] < 20


def test_unknown_is_asked_once():
    w = World(1)
    l3 = tiers(w)[0]
    l3.level = 1  # it says where the word comes from
    a = w.add(1, UP, with_key, QuickCrypto())
    w.run(3000)
    log = Log(w)
    assert log.look(a, b"n" * 16)[:2] == (wire.UNKNOWN, "l1")
    n = l3.seen.count(wire.T_QUERY)
    assert log.look(a, b"n" * 16)[:2] == (wire.UNKNOWN, "own")
    assert l3.seen.count(wire.T_QUERY) == n
    w.run(31000)
    log.look(a, b"n" * 16)
    assert l3.seen.count(wire.T_QUERY) == n + 1


def test_fail_over_up_the_ladder():
    w = World(1)
    l3, l2, l1 = tiers(w)
    a = w.add(1, UP, with_key, QuickCrypto())
    far = Person(41, "10.77.9.9:4104")
    log = Log(w)
    for t in (l3, l2, l1):
        t.records[far.id] = (far.record(), 1)
    w.run(3000)
    for quiet, name in ((None, "l3"), (l3, "l2"), (l2, "l1")):
        if quiet is not None:
            quiet.quiet = True
        w.run(61000)  # the record that was learnt has ended
        a.routes.drop(far.id)
        assert log.look(a, far.id)[:2] == (wire.FOUND, name)
    l1.quiet = True
    w.run(61000)
    a.routes.drop(far.id)
    assert log.look(a, far.id)[0] == wire.UNAVAILABLE
    l3.quiet = False
    w.run(25000)
    assert log.look(a, far.id)[:2] == (wire.FOUND, "l3")


def test_a_tier_that_has_no_answer_is_not_an_absent_one():
    for status, end in ((wire.BUSY, wire.FAILED), (wire.UNAVAILABLE, wire.UNAVAILABLE)):
        w = World(1)
        for t in tiers(w):
            t.status = status
        a = w.add(1, UP, with_key, QuickCrypto())
        w.run(3000)
        assert Log(w).look(a, b"n" * 16)[0] == end
    w = World(1)
    a = w.add(1, UP, with_key, QuickCrypto())
    w.run(3000)
    assert Log(w).look(a, b"n" * 16)[0] == wire.UNAVAILABLE


def test_a_far_node_helps_after_it_was_met():
    w = World(1)
    l3 = tiers(w)[0]
    crypto = QuickCrypto()
    a = w.add(1, UP, with_key, crypto)
    b = w.add(2, dict(UP, quota_per_s=100), with_key, crypto)
    c = w.add(2, UP, with_key, crypto)
    log = Log(w)
    w.run(20000)
    l3.records[b.id] = (bytes(b.own.record), 20)
    assert log.look(a, b.id)[:2] == (wire.FOUND, "l3")
    w.run(5000)
    before = l3.seen.count(wire.T_QUERY)
    assert log.look(a, c.id)[:2] == (wire.FOUND, "p2p")
    assert l3.seen.count(wire.T_QUERY) == before


def test_unverified_never_travels():
    """A record with a bad signature reaches one node and goes no further, at no moment."""
    w = World(1)
    l3 = tiers(w)[0]
    a, b = w.add(1, UP, with_key), w.add(1, {}, with_key)
    w.run(10000)
    forged = Person(42).record(good=False)
    l3.records[Person(42).id] = (forged, 20)
    log = Log(w)
    assert a.resolve(Person(42).id, w.tick())
    w.touch(a)
    got = 0
    for _ in range(40):
        b.resolve(Person(42).id, w.tick())
        w.touch(b)
        log.run(100)
        got += len([e for e in log.of(b, EV_ANSWER) if e[2] == wire.FOUND])
        log.seen = []
    assert got == 0 and a.counters.get(C.C_BAD_SIG) >= 1
    assert b.routes.peek(Person(42).id) < 0


def test_goodbye_is_heard_at_once_and_a_cut_after_a_while():
    w = mesh(4)
    log = Log(w)
    w.run(60000)
    a, b, c, d = w.nodes
    b.stop(w.tick())
    w.remove(b)
    log.run(100)
    assert [len(log.of(n, EV_GONE)) for n in (a, c, d)] == [1, 1, 1]
    w.remove(c)
    log.run(400000)
    assert [len(log.of(n, EV_GONE)) for n in (a, d)] == [2, 2]
    assert signed(a, d) and slot(a, b) == slot(a, c) == -1


def test_nothing_grows():
    w = mesh(6, quota_per_s=100)
    w.run(30000)
    n = w.nodes[0]
    sizes = (len(n.peers.buf), len(n.routes.slab), len(n.tx.buf), len(n.checker._buf))
    for k in range(200):
        w.nodes[k % 6].resolve(bytes((k, 1)) * 8, w.tick())
        w.run(200)
    assert sizes == (len(n.peers.buf), len(n.routes.slab), len(n.tx.buf), len(n.checker._buf))
    assert len(n.peers) == 5 and len(n.checker) == 0


def test_forty_days():
    """Polled once a minute, two nodes stay neighbours while ticks wrap three times."""
    start = MASK - 100000000
    pair = [bare_node(k, now=start, hello_max_s=1800, hello_min_s=60) for k in (1, 2)]
    for n in pair:
        events(n)
    now = start
    gone = met = answered = 0
    minutes = 40 * 24 * 60
    for minute in range(minutes):
        for n in pair:
            n.poll(now)
            if minute % 1440 == 700:
                other = pair[0] if n is pair[1] else pair[1]
                n.resolve(other.id, now)
        for _ in range(4):
            for x, y in (pair, (pair[1], pair[0])):
                for f, _ in x.link.take():
                    y.receive(f, len(f), x.link.local, now)
        if minute % 1440 == 720:
            for n in pair:
                n.sample(now, dict(SIGNALS))
                for e in events(n):
                    gone += e[0] == EV_GONE
                    met += e[0] == EV_NEIGHBOUR
                    answered += e[0] == EV_ANSWER and e[2] == wire.FOUND
        now = add(now, 60000)
    assert (gone, met, answered) == (0, 2, 80)
    for n in pair:
        assert n.minutes.minute == minutes - 1 and n.own.version == 1
        assert n.counters.get(C.C_EPOCH_OLD) == n.counters.get(C.C_BAD_TAG) == 0
        assert len(n.peers) == 1
