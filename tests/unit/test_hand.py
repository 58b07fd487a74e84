"""The owner's side of custody: who is asked, what is believed, and what is never lost."""

from hashlib import sha256

from handkit import Lan, Side, blob_keys
from kit import b4, hmac
from l4mesh import blob, ed25519, wire
from l4mesh.keys import hkdf
from l4mesh.mac import Mac
from world import GROUP_KEY


def ready(owners=1, custodians=1, **more):
    """A LAN that met, joined and knows who reaches the tier; the owners are then cut off."""
    lan = Lan(owners, custodians, **more)
    lan.run(8000)
    assert all(s.node.member.joined for s in lan.sides)
    for s in lan.owners:
        lan.cut(s)
    assert lan.run(90000, lambda: not any(s.node.reach.up for s in lan.owners))
    for s in lan.owners:
        s.lend()
    return lan


def frames(lan, kind):
    return [(t, src, dst, d) for t, src, dst, d in lan.world.log if d[1] == kind]


def test_readings_arrive_by_a_neighbour_and_are_freed():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    want = a.take(50)
    assert lan.run(60000, lambda: not a.queue.pending)
    assert lan.tier.texts(a.node) == want and lan.tier.via(a.node) == {c.node.id}
    assert a.count("handed") == a.count("acked") == 50 and lan.tier.again == 0
    assert a.count("dropped") == a.count("bad_parse") == a.count("bad_sig") == 0
    assert c.keep.why().startswith("0 blobs of neighbours wait") and c.box.list() == []
    assert a.hand.why() == "50 readings handed over, 0 wait"


def test_with_real_signatures():
    lan = ready(real=True)
    a = lan.owners[0]
    lan.world.log = []
    want = a.take(12)
    assert lan.run(60000, lambda: not a.queue.pending)
    assert lan.tier.texts(a.node) == want
    hand = frames(lan, wire.T_HAND)[-1][3]
    receipt = frames(lan, wire.T_RECEIPT)[-1][3][28:-16]
    body = hand[36:-16] if hand[2] & 4 else hand[28:-16]
    h = sha256(body).digest()
    assert receipt[:17] == h[:16] + b"\x00"
    text = b"l4-receipt-v1\x00" + body[:29] + h
    assert ed25519.verify(receipt[17:49], text, receipt[49:])
    keys = blob_keys(a.node)
    b = bytearray(body)
    assert blob.unclose(keys, b, 0, len(b)) > 0 and b"n=0 xxx" in b and b"n=0 xxx" not in body


def test_an_address_that_is_not_proven_yet():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    p = c.node.peers
    p.set_flag(p.find(a.node.short_id), 1, False)
    lan.world.log = []
    want = a.take(50)
    assert lan.run(20000, lambda: not a.queue.pending)
    hands = frames(lan, wire.T_HAND)
    assert [f[3][2] for f in hands] == [0, 4, 0, 0] and len(frames(lan, wire.T_COOKIE)) == 1
    assert max(len(f[3]) for f in hands) <= 1200 and lan.tier.texts(a.node) == want


def test_a_receipt_frees_nothing():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    lan.tier.mute = (wire.T_CARRY,)
    a.take(50)
    assert lan.run(60000, lambda: a.count("handed") == 50)
    lan.run(20000)
    assert a.queue.pending == 50 and a.queue.handed == 50 and a.count("acked") == 0
    assert len(c.keep._shelf.list) == 3 and lan.tier.texts(a.node) == []
    lan.tier.mute = ()
    assert lan.run(90000, lambda: not a.queue.pending)


def test_nobody_is_asked_while_the_upstream_is_heard_or_nobody_reaches_it():
    lan = Lan(1, 1)
    a = lan.owners[0]
    lan.run(8000)
    a.lend()
    lan.world.log = []
    want = a.take(5)
    assert lan.run(20000, lambda: a.hand.idle and not a.queue.pending)
    assert frames(lan, wire.T_HAND) == [] and lan.tier.texts(a.node) == want
    lan.cut(a)
    lan.cut(lan.custodians[0])
    lan.run(60000)
    a.take(5)
    lan.run(60000)
    assert frames(lan, wire.T_HAND) == [] and a.queue.pending == 5 and not a.hand.idle
    assert a.hand.why() == "no neighbour takes readings"


def test_loss_and_doubles():
    for seed, loss, double in ((1, 0.3, 0), (2, 0.0, 2), (3, 0.3, 3)):
        lossy(seed, loss, double)


def lossy(seed, loss, double):
    lan = ready(seed=seed, loss=loss)
    lan.double = double
    a = lan.owners[0]
    want = a.take(60)
    assert lan.run(600000, lambda: not a.queue.pending), (seed, a.hand.why())
    assert lan.tier.texts(a.node) == want and a.count("dropped") == 0


def test_back_at_the_upstream_everything_is_there_once():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    lan.tier.mute = (wire.T_CARRY,)
    want = a.take(80)
    assert lan.run(60000, lambda: a.count("handed") >= 40)
    lan.off(c)  # with what it has
    want += a.take(10)
    lan.heal(a)
    assert lan.run(120000, lambda: not a.queue.pending and a.hand.idle)
    assert lan.tier.texts(a.node) == want and lan.tier.via(a.node) == {None}
    lan.tier.mute = ()
    c.restart(2)  # it delivers what it found on its flash
    assert lan.run(60000, lambda: lan.tier.again and c.box.list() == [])
    assert lan.tier.texts(a.node) == want


def test_what_is_handed_over_goes_last_when_the_upstream_is_back():
    lan = ready()
    a = lan.owners[0]
    lan.tier.mute = (wire.T_CARRY,)
    a.take(40)
    assert lan.run(60000, lambda: a.queue.handed == 40)
    lan.off(lan.custodians[0])
    a.take(30)
    order = []
    take = lan.tier.take

    def noting(head, readings, via):
        order.append(int.from_bytes(head[24:28], "big"))
        return take(head, readings, via)

    lan.tier.take = noting
    lan.heal(a)
    assert lan.run(120000, lambda: not a.queue.pending)
    assert order[0] == 40 and 0 in order
    assert order.index(0) > max(i for i, first in enumerate(order) if first >= 40)


def test_a_custodian_that_drops_everything_costs_nothing():
    lan = ready(custodians=2)
    a = lan.owners[0]
    a.take(30)
    assert lan.run(30000, lambda: a.hand._peer is not None)
    evil = [s for s in lan.custodians if s.node.short_id == a.hand._peer][0]
    good = [s for s in lan.custodians if s is not evil][0]
    evil.borrow()
    evil.keep._carry = lambda now: None  # it signs, and that is all
    lan.run(60000)
    want = lan.tier.texts(a.node)
    assert a.queue.pending == 30 - len(want)
    assert lan.run(900000, lambda: not a.queue.pending, 200)
    assert len(lan.tier.texts(a.node)) == 30 and good.node.id in lan.tier.via(a.node)
    assert good.node.short_id == a.hand._peer


def test_a_custodian_that_dies_before_publishing():
    lan = ready(custodians=2)
    a = lan.owners[0]
    lan.tier.mute = (wire.T_CARRY,)
    want = a.take(30)
    assert lan.run(60000, lambda: a.count("handed") == 30)
    dead = [s for s in lan.custodians if s.node.short_id == a.hand._peer][0]
    lan.off(dead)
    lan.tier.mute = ()
    assert lan.run(300000, lambda: not a.queue.pending)
    assert lan.tier.texts(a.node) == want and dead.node.id not in lan.tier.via(a.node)


def test_the_owner_restarts_in_the_middle():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    lan.tier.mute = (wire.T_CARRY,)
    want = a.take(60)
    assert lan.run(60000, lambda: a.count("handed") >= 20)
    lan.off(a)
    lan.run(5000)
    a.restart(2)
    lan.tier.mute = ()
    assert a.queue.pending == 60
    lan.run(40000)
    a.lend()
    assert lan.run(200000, lambda: not a.queue.pending)
    assert lan.tier.texts(a.node) == want and lan.tier.again == 0
    assert c.count("kept") <= 5  # the same readings are the same blobs


def test_under_pressure_what_was_handed_goes_first_and_is_counted_apart():
    lan = ready()
    a = lan.owners[0]
    lan.tier.mute = (wire.T_CARRY,)
    want = a.take(60, 80)
    assert lan.run(120000, lambda: a.queue.handed >= 60)
    lan.off(lan.custodians[0])
    want += a.take(120, 80)  # the cap of 16 KiB holds some 140
    gone = 180 - a.queue.pending
    assert 0 < gone == a.count("handed_dropped") <= 60
    assert a.count("dropped") == a.queue.dropped == 0
    a.take(100, 80)
    lost = 280 - a.queue.pending
    assert a.count("handed_dropped") == 60 and a.queue.dropped == lost - 60 > 0


def forged(lan, a, who, kind, payload, linked=False):
    """A frame in the name of `who`, by a member that hears everything."""
    tx = who.node.tx
    o = tx.begin(kind, a.node.short_id)
    tx.buf[o : o + len(payload)] = payload
    tx.send(o + len(payload), a.node.link.local)
    lan.run(500)


def test_receipts_that_are_none():
    lan = ready(custodians=2, real=True)
    a = lan.owners[0]
    lan.filter = lambda src, dst, data: data[1] == wire.T_RECEIPT and data[-17] != 255
    a.take(20)
    lan.world.log = []
    assert lan.run(30000, lambda: frames(lan, wire.T_HAND) and a.hand._digest)
    to = [s for s in lan.custodians if s.node.short_id == a.hand._peer][0]
    other = [s for s in lan.custodians if s is not to][0]
    h = a.hand._digest
    key = to.node.own.public_key
    bad = h[:16] + b"\x00" + key + bytes(63) + b"\xff"
    before = a.count("bad_sig"), a.count("bad_parse")
    forged(lan, a, other, wire.T_RECEIPT, bad)  # not from the one that was asked
    forged(lan, a, to, wire.T_RECEIPT, bytes(16) + b"\x00" + key + bytes(63) + b"\xff")
    forged(lan, a, to, wire.T_RECEIPT, h[:16] + b"\x00" + bytes(10) + b"\xff")
    assert a.count("bad_parse") == before[1] + 3
    if a.hand._digest == h and a.hand._open:
        alien = other.node.own.public_key
        forged(lan, a, to, wire.T_RECEIPT, h[:16] + b"\x00" + alien + bytes(63) + b"\xff")
        forged(lan, a, to, wire.T_RECEIPT, bad)  # a HAND gets one check: not looked at
    lan.run(8000)
    assert a.count("bad_sig") > before[0] and a.queue.handed == 0
    lan.filter = None
    assert lan.run(60000, lambda: not a.queue.pending)


def test_one_check_for_each_hand():
    lan = ready(real=True)
    a, c = lan.owners[0], lan.custodians[0]
    lan.filter = lambda src, dst, data: data[1] == wire.T_RECEIPT and data[-17] != 255
    a.take(5)
    assert lan.run(30000, lambda: a.hand._digest)
    checks = []
    verify = a.hand._crypto.Verify
    a.hand._crypto = Counting(verify, checks)
    lan.world.log = []
    bad = a.hand._digest[:16] + b"\x00" + c.node.own.public_key + bytes(63) + b"\xff"
    for _ in range(20):
        forged(lan, a, c, wire.T_RECEIPT, bad)
    assert 0 < len(checks) <= len(frames(lan, wire.T_HAND)) + 1


class Counting:
    def __init__(self, verify, checks):
        self.verify, self.checks = verify, checks

    def Verify(self, *args):
        self.checks.append(args[0])
        return self.verify(*args)


def test_words_that_are_none():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    lan.tier.mute = (wire.T_CARRY,)
    a.take(10)
    lan.run(5000)
    word = a.node.id + a.queue.id + b"\x00\x01" + b4(0) + b4(9)
    keys = blob_keys(a.node)
    good = word + blob.ack_tag(keys, word)
    for bad in (
        word + bytes(16),
        good[:-1] + bytes((good[-1] ^ 1,)),
        word + blob.ack_tag(blob_keys(c.node), word),  # what a custodian could make
        word + Mac(hkdf(GROUP_KEY[1:], b"l4-blob-ack-v1")).tag(word)[:16],
    ):
        forged(lan, a, c, wire.T_CARRIED, c.node.id + bad)
    assert a.count("bad_tag") == 4 and a.queue.pending == 10
    other = bytes(16) + word[16:]
    forged(lan, a, c, wire.T_CARRIED, c.node.id + other + blob.ack_tag(keys, other))
    short = word[:-8]
    forged(lan, a, c, wire.T_CARRIED, c.node.id + short + blob.ack_tag(keys, short))
    late = word[:24] + b"\x01" + word[25:]
    forged(lan, a, c, wire.T_CARRIED, c.node.id + late + blob.ack_tag(keys, late))
    assert a.queue.pending == 10 and a.count("bad_tag") == 4
    forged(lan, a, c, wire.T_CARRIED, c.node.id + good)
    assert a.queue.pending == 0 and a.count("acked") == 10


def test_the_mac_of_this_file_is_hmac():
    assert Mac(bytes(32)).tag(b"x") == hmac(bytes(32), b"x")


def test_two_neighbours_without_an_upstream_hand_each_other_nothing():
    lan = ready(owners=3, custodians=0)
    for s in lan.owners:
        s.take(10)
    lan.run(30000)  # until all hellos tell
    lan.world.log = []
    lan.run(60000)
    assert frames(lan, wire.T_HAND) == []
    assert [(s.count("kept"), s.queue.pending) for s in lan.owners] == [(0, 10)] * 3


def test_a_passive_neighbour_is_not_asked():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    c.node.modes.mode = wire.PASSIVE
    lan.run(20000)
    lan.world.log = []
    a.take(10)
    lan.run(30000)
    assert frames(lan, wire.T_HAND) == []


def test_many_owners_share_what_custodians_there_are():
    lan = ready(owners=5, custodians=3)
    want = [a.take(20) for a in lan.owners]
    assert lan.run(300000, lambda: not any(a.queue.pending for a in lan.owners))
    assert [lan.tier.texts(a.node) for a in lan.owners] == want
    assert len(set(a.hand._peer for a in lan.owners)) > 1


def test_one_that_is_full_is_left_for_another_or_for_later():
    lan = ready()
    a, c = lan.owners[0], lan.custodians[0]
    lan.tier.mute = (wire.T_CARRY,)
    want = a.take(150)
    lan.run(120000)
    assert a.queue.handed < 150 and a.hand._peer is None and a.queue.handed > 50
    lan.tier.mute = ()
    assert lan.run(600000, lambda: not a.queue.pending, 100)
    assert lan.tier.texts(a.node) == want and c.count("limited") > 0


def test_it_leaves_no_trace():
    lan = ready()
    a = lan.owners[0]
    lan.heal(a)
    assert lan.run(60000, lambda: a.hand.idle)
    later = []  # somebody who waits for cookies, too, and came after
    below = a.node.inbox.handle(wire.T_COOKIE, lambda *x: later.append(x) or below(*x))
    a.hand.close()
    a.hand = None
    forged(lan, a, lan.custodians[0], wire.T_COOKIE, bytes(12))
    assert len(later) == 1
    assert a.queue.handed == 0
    before = a.count("bad_parse")
    forged(lan, a, lan.custodians[0], wire.T_RECEIPT, bytes(17))
    assert a.count("bad_parse") == before + 1
    want = a.take(5)
    assert lan.run(30000, lambda: not a.queue.pending)
    assert lan.tier.texts(a.node) == want


def test_a_side_is_what_the_firmware_makes():
    assert Side.on_hand and Side.on_carried
