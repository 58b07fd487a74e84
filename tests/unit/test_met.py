"""What a meeting leaves in the peer table, the cache and the events."""

from kit import Person, bare_node, count, events, give, prove, settle
from l4mesh import wire
from l4mesh.counters import C_NEIGHBOUR_NEW
from l4mesh.meeting import Meeting
from l4mesh.met import endpoint, met
from l4mesh.routes import VERIFIED
from l4mesh.ticks import add

NOW = 5000


def meet(a, b, now=NOW):
    """a asks, b answers; -> the slots that each has of the other."""
    m, n = Meeting(a, True, now), Meeting(b, False, now)
    for _ in range(3):
        m.did(now)
    m.read(n.value(), now)
    n.heard(m.out, now)
    m.did(now)
    m.heard(n.out, now)
    return met(a, m, now), met(b, n, now)


def two():
    pair = bare_node(11, now=NOW), bare_node(12, now=NOW)
    for n in pair:
        events(n)
    return pair


def test_a_neighbour_with_an_endpoint_of_its_own():
    a, b = two()
    b.hello.uplink = True
    b.hello.battery = 40
    i, k = meet(a, b)
    p = a.peers
    assert p.short_id(i) == b.short_id and b.peers.short_id(k) == a.short_id
    assert p.addr(i) == b"\x00\x02" + b.short_id[:4] == endpoint(b.short_id)
    assert p.flags(i) & 3 == 3 and p.get(i, 60) == 2 and p.get(i, 15) == 2 and p.get(i, 16) == 40
    assert bytes(p.buf[i * 64 + 52 : i * 64 + 60]) == b.own.hash
    assert events(a) == [(2, b.short_id, p.addr(i))] and count(a, C_NEIGHBOUR_NEW) == 1
    # Met again: nothing new to tell.
    assert meet(a, b, add(NOW, 9000)) == (i, k)
    assert events(a) == [] and count(a, C_NEIGHBOUR_NEW) == 1
    assert p.age(i, add(NOW, 9000)) == 0 and p.gone(i, add(NOW, 9000 + 120001))


def test_the_record_counts_when_its_signature_was_checked():
    a, b = two()
    i, _ = meet(a, b)
    assert a.peers.flags(i) & 72 == 64  # it came, and was not checked
    r = a.routes.peek(b.id)
    assert r >= 0 and not a.routes.flags[r] & VERIFIED
    now = settle(a, NOW)
    assert a.peers.flags(i) & 8 and a.routes.flags[a.routes.peek(b.id)] & VERIFIED
    # Nothing to be checked at the next meeting, nor to be fetched.
    meet(a, b, now)
    assert a.peers.flags(i) & 8 and len(a.checker) == 0
    assert a.fetch._next() == -1


def test_a_forged_record_goes_and_says_nothing():
    a, b = two()
    b.own.record[135] ^= 1
    i, _ = meet(a, b)
    settle(a, NOW)
    assert a.routes.peek(b.id) < 0 and not a.peers.flags(i) & 8


def test_frames_of_the_neighbour_pass_the_gate_and_older_ones_do_not():
    a, b = two()
    me = Person(12)
    me.addr = endpoint(b.short_id)
    old = me.ping(a.id)
    b.tx.counter = me.counter
    meet(a, b)
    a.link.take()
    give(a, me, old, NOW)
    assert a.link.take() == []
    give(a, me, me.ping(a.id), NOW)  # its address is proven
    ((pong, addr),) = a.link.take()
    assert pong[1] == wire.T_PONG and addr == me.addr


def test_one_that_is_heard_by_datagrams_keeps_that_address():
    a, b = two()
    me = Person(12, epoch=1)
    give(a, me, me.hello(bytes(b.own.record), interval=2), NOW)
    prove(a, me, NOW)
    i, _ = meet(a, b)
    assert a.peers.addr(i) == me.addr and a.peers.flags(i) & 1
    # Not heard that way for three intervals, and not swept yet: the link is the way.
    j = a.peers.find(b.short_id)
    later = add(NOW, 30000)
    meet(a, b, later)
    assert j == i and a.peers.addr(i) == endpoint(b.short_id) and a.peers.flags(i) & 1
    # It comes back to the LAN.
    give(a, me, me.hello(bytes(b.own.record), interval=2), later)
    assert a.peers.addr(i) == me.addr and not a.peers.flags(i) & 1


def test_a_full_table_is_no_neighbour():
    a, b = two()
    a.peers._room = lambda addr, now: -1
    i, k = meet(a, b)
    assert i == -1 and k >= 0 and events(a) == []
