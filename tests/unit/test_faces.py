"""Links by Bluetooth: whom they go to, what goes over them, and how each of them ends."""

from facekit import Air
from kit import count, events
from l4mesh import wire
from l4mesh.counters import C_BAD_LEN, C_BAD_TAG, C_LIMITED, C_REPLAY, C_RX
from l4mesh.links import of
from l4mesh.meeting import MET, OVER
from l4mesh.met import endpoint
from l4mesh.routes import VERIFIED
from l4mesh.ticks import MASK, add


def both_met(air):
    return lambda: all(s.faces.met >= 1 for s in air.sides)


def ping(a, b, token=7):
    """A PING of `a` for the endpoint of `b`; -> did the links take it?"""
    tx = a.node.tx
    o = tx.begin(wire.T_PING, b.node.short_id)
    tx.buf[o : o + 17] = bytes((0, 0, 0, token)) + bytes(13)
    return tx.send(o + 17, endpoint(b.node.short_id))


def test_two_meet_and_the_link_ends():
    air = Air(start=MASK - 2000)
    a, b = air.sides
    assert air.run(3000, both_met(air))
    assert a.faces.met == b.faces.met == 1
    for s, o in ((a, b), (b, a)):
        slot = s.node.peers.find(o.node.short_id)
        assert s.node.peers.addr(slot) == endpoint(o.node.short_id)
        i = s.near.table.named(o.node.short_id)
        assert i >= 0 and s.near.table.flags(i) & 4
        assert (2, o.node.short_id, endpoint(o.node.short_id)) in events(s.node)
    air.run(30000)
    assert a.faces.list == b.faces.list == [] and air.wanted(a) == air.wanted(b) == -1
    assert a.faces.met == 1  # once is enough
    for s, o in ((a, b), (b, a)):
        r = s.node.routes
        assert r.flags[r.peek(o.node.id)] & VERIFIED
    # All of it: present, answered, taken.
    assert [d[0] for _, _, d in air.log if d[0] & 0x80] == [0x81, 0x82, 0x84]
    assert a.faces.why() == "1 met by Bluetooth, 0 links open, 0 failed."


def test_the_lower_ident_asks():
    air = Air()
    a, b = air.sides
    first = a if a.near.voice.ident() < b.near.voice.ident() else b
    f = first.faces.go(air.now)
    other = b if first is a else a
    assert f is not None and f.device == (1, other.addr) and other.faces.go(air.now) is None
    # The other one waits for it for 15 s, then asks.
    air.down = True
    air.run(14000)
    assert other.faces.list == [] and other.faces.failed == 0
    air.down = False
    assert air.run(20000, both_met(air))


def test_frames_cross_both_ways_and_pings_are_answered():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    events(a.node)
    b.node.link.sent = []
    assert ping(a, b)
    air.run(600)
    assert [d[29] for _, _, d in air.log if not d[0] & 0x80 and d[2] == wire.T_PING]
    pongs = [d for s, _, d in air.log if s is b and d[:1] == b"\x40" and d[2] == wire.T_PONG]
    assert len(pongs) == 1 and pongs[0][1 + 28 : 1 + 32] == b"\0\0\0\7"
    assert pongs[0][1 + 35 : 1 + 41] == endpoint(a.node.short_id)
    assert count(b.node, C_BAD_TAG) == 0 and b.node.link.take(wire.T_PONG) == []


def test_a_whole_frame_in_pieces():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    got = []
    b.node.inbox.handle(wire.T_HAND, lambda slot, buf, addr, now: got.append(
        (bytes(buf[b.node.gate.off : b.node.gate.end]), addr)))  # fmt: skip
    tx = a.node.tx
    o = tx.begin(wire.T_HAND, b.node.short_id)
    tx.buf[o : o + 1132] = bytes([i & 255 for i in range(1132)])
    assert tx.send(o + 1132, endpoint(b.node.short_id))
    air.run(500)
    assert got == [(bytes([i & 255 for i in range(1132)]), endpoint(a.node.short_id))]
    assert len([1 for s, _, d in air.log if s is a and not d[0] & 0x80]) == 5


def test_a_frame_for_a_neighbour_without_a_link_makes_one():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    air.run(15000)
    assert a.faces.list == []
    for s, o in ((a, b), (b, a)):
        before = count(o.node, C_RX)
        air.hear(s, o)
        assert ping(s, o)
        assert air.run(3000, lambda o=o, n=before: count(o.node, C_RX) > n)
        air.run(9000)
        assert a.faces.list == b.faces.list == []
    assert a.faces.met == b.faces.met == 3


def test_what_a_lost_link_did_not_send_goes_by_the_next():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    air.run(15000)
    air.hear(a, b)
    assert ping(a, b)
    assert air.run(3000, lambda: a.faces.list and a.faces.list[0].m.state == MET)
    f = a.faces.list[0]
    assert ping(a, b, 8) and len(f.out) == 2
    before = count(b.node, C_RX)
    air.cut(a, f)
    assert a.faces.list == b.faces.list == [] and len(a.faces._held) == 2
    assert air.run(3000, lambda: count(b.node, C_RX) == before + 2)


def test_frames_that_waited_for_a_first_meeting_are_no_replays():
    air = Air(known=True)
    a, b = air.sides
    assert ping(a, b, 1) and ping(a, b, 2)  # heard by name, never met
    a.node.tx.counter += 5  # others, to somebody else
    before = count(b.node, C_RX)
    assert air.run(20000, lambda: count(b.node, C_RX) == before + 2)
    assert count(b.node, C_REPLAY) == 0
    air.run(1000)
    pongs = [d for s, _, d in air.log if s is b and d[:1] == b"\x40" and d[2] == wire.T_PONG]
    assert len(pongs) == 2


def test_kept_frames_are_few_and_for_a_while():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    air.run(15000)
    air.down = True
    air.hear(a, b)
    assert not of(a.node).send(b"x", 1, b"\x00\x02abcd")  # nobody is heard there
    assert [ping(a, b) for _ in range(5)] == [True] * 4 + [False]
    assert count(a.node, C_LIMITED) == 1
    before = count(b.node, C_RX)
    air.run(12000)
    air.down = False
    air.run(5000)
    assert count(b.node, C_RX) == before and a.faces.failed >= 1


def test_a_link_that_breaks_leaves_nothing_and_is_tried_again_later():
    for cut_at in range(4):
        air = Air()
        a, b = air.sides
        first = a if a.near.voice.ident() < b.near.voice.ident() else b
        other = b if first is a else a
        f = first.faces.go(air.now)
        for _ in range(cut_at + 1):
            air.step(first, f)
        assert f.m.state != MET
        air.cut(first, f)
        assert first.faces.list == other.faces.list == [] and first.faces.failed == 1
        assert f.m.state == OVER and len(first.node.peers) == 0 == len(other.node.peers)
        assert first.faces.go(air.now) is None
        assert first.faces.go(add(air.now, 4900)) is None
        air.run(9000, both_met(air))
        assert a.faces.met == b.faces.met == 1


def test_who_connects_and_says_nothing_is_let_go():
    air = Air()
    a, _ = air.sides
    phone = b"\xc1phone"
    f = a.faces.come(phone, air.now)
    assert a.faces.tick(f, add(air.now, 9999)) == 1 and a.faces.tick(f, add(air.now, 10000)) == 0
    a.faces.left(f, f.m.why, add(air.now, 10000))
    # The next ones for a minute have less time.
    later = add(air.now, 20000)
    f = a.faces.come(phone, later)
    assert a.faces.tick(f, later) == 4000
    g = a.faces.come(phone, later)
    assert g is not None and a.faces.come(phone, later) is None and a.faces.refused == 1
    a.faces.left(f, "", later)
    a.faces.left(g, "", later)
    a.faces.left(g, "", later)
    assert a.faces.tick(a.faces.come(phone, add(air.now, 71000)), add(air.now, 71000)) == 10000


def test_who_reads_the_record_before_the_link_is_known():
    air = Air()
    a, b = air.sides
    value = a.faces.fresh()
    f = a.faces.come(b.addr, air.now, value)
    assert value[:136] == bytes(a.node.own.record) and f.m.value() == value
    assert a.faces.fresh() != value
    a.node.own.ready = False
    assert a.faces.fresh() is None


def test_a_member_that_holds_a_link():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    f = [f for f in b.faces.list if not f.m.asks] or [f for f in a.faces.list if not f.m.asks]
    s = b if f[0] in b.faces.list else a
    f = f[0]
    for i in range(119):
        f.heard = add(f.began, i * 1000)
        assert s.faces.tick(f, f.heard) > 0
    f.heard = add(f.began, 120000)
    assert s.faces.tick(f, f.heard) == 0


def test_too_much_at_once():
    air = Air()
    a, _ = air.sides
    for data in (bytes(245), bytes(512), b""):
        f = a.faces.come(b"\xc1phone", air.now)
        before = count(a.node, C_BAD_LEN)
        a.faces.take(f, data, air.now)
        assert a.faces.tick(f, air.now) == 0 and count(a.node, C_BAD_LEN) == before + 1
        a.faces.left(f, f.over, air.now)
    f = a.faces.come(b"\xc1phone", air.now)
    a.faces.take(f, b"\x40" + bytes(60), air.now)  # a frame before it said who it is
    assert f.m.state == OVER and f.next()[:2] == b"\x83\x01" and a.faces.tick(f, air.now) == 0


def test_pieces_that_are_none_and_frames_that_are_none():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    for s in (a, b):
        for f in s.faces.list:
            before = count(s.node, C_BAD_LEN)
            s.faces.take(f, b"\x05abc", air.now)
            assert count(s.node, C_BAD_LEN) == before + 1
            s.faces.take(f, b"\x40abc", air.now)
            s.faces.take(f, b"\x81abc", air.now)
            assert f.m.state == MET and s.faces.tick(f, air.now) > 0


def test_without_a_record_nobody_is_met():
    air = Air()
    a, b = air.sides
    a.node.own.ready = b.node.own.ready = False
    assert a.faces.go(air.now) is None and b.faces.go(air.now) is None
    assert a.faces.come(b"\xc1phone", air.now) is None


def test_advertisements_keep_who_has_no_other_path_present():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    k = a.node.peers.find(b.node.short_id)
    for _ in range(30):
        air.run(5000)
        b.node.reach.up = True
        air.hear(a, b)
    assert a.node.peers.find(b.node.short_id) == k and a.node.peers.get(k, 60) == 2
    air.run(140000)  # nothing is heard of it any more
    assert a.node.peers.find(b.node.short_id) == -1


def test_one_that_is_not_who_it_was_said_to_be():
    air = Air()
    a, b = air.sides
    i = a.near.table.at_addr(b.addr)
    a.near.table.name(i, b"somebody")
    assert air.run(20000, lambda: a.faces.met)
    assert a.near.table.part(i, 0, 8) == b"somebody" and not a.near.table.flags(i) & 4
    assert a.node.peers.find(b.node.short_id) >= 0 and a.node.peers.find(b"somebody") < 0
    before = a.faces.met
    air.run(4000)
    assert a.faces.met == before and a.faces.go(air.now) is None  # not in a loop


def test_a_neighbour_with_a_new_record_is_met_again():
    air = Air()
    a, b = air.sides
    air.run(3000, both_met(air))
    air.run(15000)
    assert a.near.presence(b.node.short_id, air.now)[0] == "ble"
    old = b.node.own.hash
    while b.node.own.hash[0] == old[0]:  # one in 256 begins with the same byte
        b.node.own.restart(b.node.own.epoch + 1)
        while not b.node.own.ready:
            b.node.own.poll(air.now)
    air.hear(a, b)
    assert air.wanted(a) >= 0
    assert air.run(20000, lambda: a.faces.met == 2 and len(a.node.checker) == 0)
    i = a.node.routes.peek(b.node.id)
    assert bytes(a.node.routes.slab[i * 136 : i * 136 + 136]) == bytes(b.node.own.record)


def test_a_slot_that_another_one_has_meanwhile_gets_no_name():
    air = Air()
    a = air.sides[0] if air.sides[0].near.voice.ident() < air.sides[1].near.voice.ident() else None
    a = a or air.sides[1]
    f = a.faces.go(air.now)
    t = a.near.table
    i = f.near
    t.drop(i)
    t.put(i, b"\xc0other", 1, b"ident2", None)
    t.sign(i, -50, air.now)
    assert air.run(3000, lambda: a.faces.met)
    assert t.at_addr(b"\xc0other") == i and not t.flags(i) & 6  # N_NAMED, N_MET
