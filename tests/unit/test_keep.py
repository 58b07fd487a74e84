"""The custodian's side: what it takes, when it hands on, and what becomes of the word."""

from handkit import Lan, Side, blob_keys
from kit import b4
from l4mesh import blob, wire
from test_hand import forged, frames, ready


def made(owner, first=0, n=3, origin=None, queue=b"queue-of", keys=None):
    """A blob as `owner` would make it."""
    readings = b""
    for i in range(first, first + n):
        data = b"made=%d" % i
        readings += bytes((9 + len(data), 1)) + bytes(8) + data
    b = bytearray((origin or owner.node.id) + queue + b4(first) + bytes((n,)) + readings)
    end = len(b)
    b += bytes(16)
    blob.close(keys or blob_keys(owner.node), b, 0, end)
    return bytes(b)


def hand(lan, owner, to, body, ms=500):
    """A HAND by itself, with its cookie when one is asked for: -> RECEIPTs that came back."""
    log, lan.world.log = lan.world.log, []
    tx = owner.node.tx
    counter = 0
    for cookie in (None, 1):
        if cookie:
            asked = [f for f in frames(lan, wire.T_COOKIE) if f[3][28:32] == b4(counter)]
            if not asked:
                break
            cookie = asked[0][3][32:40]
        o = tx.begin(wire.T_HAND, to.node.short_id, cookie=cookie)
        counter = tx.counter
        tx.buf[o : o + len(body)] = body
        tx.send(o + len(body), to.node.link.local)
        lan.run(ms)
    got = [f[3][28:-16] for f in frames(lan, wire.T_RECEIPT)]
    lan.world.log = log
    return got


def bed(**more):
    """A custodian and an owner whose own machine does nothing."""
    lan = ready(**more)
    for s in lan.owners:
        s.hand.poll = lambda now: None
    lan.tier.mute = (wire.T_CARRY,)
    return lan, lan.owners[0], lan.custodians[0]


def test_it_is_on_flash_before_the_receipt():
    lan, a, c = bed()
    seen = []
    c.borrow()
    sign = c.node.own.sign

    def signing(text):
        seen.append(c.box.list() != [])
        return sign(text)

    c.node.own.sign = signing
    (receipt,) = hand(lan, a, c, made(a))
    assert seen == [True] and receipt[16] == 0 and len(receipt) == 113
    assert c.count("kept") == 1


def test_the_address_is_proven_first():
    lan, a, c = bed()
    lan.world.log = []
    body = made(a)
    c.node.peers.set_flag(c.node.peers.find(a.node.short_id), 1, False)  # not proven
    tx = a.node.tx
    o = tx.begin(wire.T_HAND, c.node.short_id)
    tx.buf[o : o + len(body)] = body
    tx.send(o + len(body), c.node.link.local)
    lan.run(500)
    assert len(frames(lan, wire.T_COOKIE)) == 1 and frames(lan, wire.T_RECEIPT) == []
    assert c.count("kept") == 0
    assert len(hand(lan, a, c, body)) == 1 and c.count("kept") == 1  # with the cookie


def test_the_same_again_is_kept_once_and_signed_once():
    lan, a, c = bed()
    body = made(a)
    (first,) = hand(lan, a, c, body)
    for _ in range(3):
        assert hand(lan, a, c, body) == [first]
    assert c.count("kept") == 1 and len(c.keep._shelf.list) == 1


def test_nobody_hands_what_is_another_s():
    lan, a, c = bed(owners=2)
    other = lan.owners[1]
    assert hand(lan, a, c, made(other)) == []
    assert hand(lan, c, a, made(a)) == []  # nor hands on
    short = made(a)[:-1]
    none = made(a)[:28] + b"\x00" + made(a)[29:]
    high = made(a)[:24] + b4(0x40000000) + made(a)[28:]
    bad = c.count("bad_parse")
    assert hand(lan, a, c, none) == hand(lan, a, c, high) == []
    assert c.count("bad_parse") == bad + 2
    assert len(hand(lan, a, c, short)) == 1  # only the authority can tell that it is broken
    long = made(a) + bytes(1133 - len(made(a)))
    assert hand(lan, a, c, long) == []
    assert c.count("kept") == 1


def test_without_an_upstream_nothing_is_taken():
    lan, a, c = bed()
    lan.cut(c)
    assert lan.run(90000, lambda: not c.node.reach.up)
    (receipt,) = hand(lan, a, c, made(a))
    assert receipt[16] == 2 and len(receipt) == 17
    assert c.count("kept") == 0 and c.box.list() == []


def test_a_passive_node_says_nothing():
    lan, a, c = bed()
    c.node.modes.mode = wire.PASSIVE
    lan.run(1000)
    assert hand(lan, a, c, made(a)) == [] and c.count("kept") == 0


def test_one_owner_cannot_take_it_all():
    lan, a, c = bed(owners=2)
    b = lan.owners[1]
    said = []
    for i in range(15):
        lan.run(1000)
        said += [r[16] for r in hand(lan, a, c, made(a, 3 * i))]
    assert said == [0] * 12 + [1] * 3
    lan.run(1000)
    assert [r[16] for r in hand(lan, b, c, made(b))] == [0]
    assert c.count("limited") == 3


def test_flash_that_takes_nothing():
    lan, a, c = bed()
    c.borrow()
    c.box.append = lambda no, buf, n: False
    (receipt,) = hand(lan, a, c, made(a))
    assert receipt[16] == 1 and c.count("flash_fail") == 1 and c.count("kept") == 0


def test_its_own_readings_go_first():
    lan, a, c = bed()
    hand(lan, a, c, made(a))
    lan.tier.mute = (wire.T_CARRY, wire.T_BATCH)
    c.take(5)
    lan.run(2000)
    lan.world.log = []
    lan.run(30000)
    assert frames(lan, wire.T_BATCH) and frames(lan, wire.T_CARRY) == []
    lan.tier.mute = ()
    assert lan.run(90000, lambda: c.box.list() == [])
    own = [f[0] for f in frames(lan, wire.T_BATCH)]
    assert max(own) < min(f[0] for f in frames(lan, wire.T_CARRY))


def test_what_is_not_genuine_goes_when_the_upstream_says_so():
    lan, a, c = bed()
    body = made(a, keys=blob_keys(c.node))  # a stranger's idea of the owner's keys
    assert len(hand(lan, a, c, body)) == 1
    lan.run(1000)
    good = made(a, 10)
    assert len(hand(lan, a, c, good)) == 1
    lan.tier.mute = ()
    assert lan.run(60000, lambda: c.box.list() == [])
    assert lan.tier.refused == 1 and lan.tier.texts(a.node) == ["made=10", "made=11", "made=12"]
    assert c.count("carried") == 1 and c.count("no_key") == 1


def test_not_now_is_tried_again():
    lan, a, c = bed()
    hand(lan, a, c, made(a))
    lan.tier.mute = ()
    lan.tier.not_now = True
    lan.run(60000)
    assert len(c.keep._shelf.list) == 1 and lan.tier.seen.count(wire.T_CARRY) > 2
    lan.tier.not_now = False
    assert lan.run(90000, lambda: c.box.list() == [])
    assert len(lan.tier.texts(a.node)) == 3


def test_it_dies_with_blobs_and_publishes_them_after_its_boot():
    lan, a, c = bed()
    for i in range(4):
        hand(lan, a, c, made(a, 3 * i))
        lan.run(1000)
    lan.off(c)
    lan.run(60000)
    c.restart(2)
    assert len(c.keep._shelf.list) == 4
    lan.tier.mute = ()
    assert lan.run(90000, lambda: c.box.list() == [])
    assert lan.tier.texts(a.node) == ["made=%d" % i for i in range(12)]
    assert lan.tier.via(a.node) == {c.node.id}


def test_the_word_is_said_again_until_the_owner_has_its_own():
    lan, a, c = bed()
    hand(lan, a, c, made(a))
    lan.tier.mute = ()
    lan.world.log = []
    lan.run(100000)
    said = [f[0] for f in frames(lan, wire.T_CARRIED) if f[2] == a.node.link.local]
    assert len(said) == 4 and said[3] - said[0] > 60000
    assert len(c.keep._words) == 1
    lan.heal(a)
    assert lan.run(700000, lambda: not c.keep._words, 500)
    lan.run(60000)


def test_what_is_asked_again_is_answered_with_the_word():
    lan, a, c = bed()
    body = made(a)
    hand(lan, a, c, body)
    lan.tier.mute = ()
    assert lan.run(60000, lambda: c.box.list() == [])
    lan.world.log = []
    a.node.counters.inc(0)
    log = lan.world.log
    assert hand(lan, a, c, body) == []
    assert c.count("kept") == 1
    assert log is lan.world.log


def test_words_for_eight_owners_at_most_and_none_after_a_day():
    lan, a, c = bed(owners=10)
    lan.tier.mute = ()
    for s in lan.owners:
        assert len(hand(lan, s, c, made(s))) == 1
        assert lan.run(60000, lambda: c.box.list() == [])
        lan.run(1000)
    assert len(c.keep._words) == 8
    lan.filter = lambda src, dst, data: True
    now = lan.world.tick()
    for i in range(165):
        now += 600000
        c.keep.poll(now)
        if not c.keep._words:
            break
        assert not c.keep.idle
        assert i > 130 or len(c.keep._words) == 8
    assert 140 < i < 160
    c.keep.poll(now + 600001)
    assert c.keep.idle


def test_words_that_are_none():
    lan, a, c = bed()
    hand(lan, a, c, made(a))
    body = a.node.id + b"queue-of" + b"\x00\x01" + b4(0) + b4(99)
    forged(lan, c, a, wire.T_CARRIED, c.node.id + body + bytes(16))  # by a member, not the tier
    assert len(c.keep._shelf.list) == 1
    key = lan.tier._key(c.node.short_id)
    bad = c.count("bad_parse")
    for p in (a.node.id + body + bytes(16), c.node.id + body + bytes(15)):
        lan.tier.send(wire.T_CARRIED, c.node.short_id, key, p, c.node.link.local)
        lan.run(100)
    assert c.count("bad_parse") == bad + 2 and len(c.keep._shelf.list) == 1
    p = c.node.id + body + bytes(16)  # it cannot check the tag: that is the owner's to do
    lan.tier.send(wire.T_CARRIED, c.node.short_id, key, p, c.node.link.local)
    lan.run(500)
    assert c.keep._shelf.list == [] and a.queue.pending == 0


def test_over_mqtt():
    lan, a, c = bed()
    hand(lan, a, c, made(a))
    lan.tier.mute = ()

    class Uplink:
        up = True
        sent = []

        def publish(self, buf, n):
            self.sent.append(bytes(buf[:n]))
            return True

    c.node.uplink = Uplink()
    lan.run(10000)
    f = Uplink.sent[-1]
    assert f[1] == wire.T_CARRY and f[2] == 1 and f[16:20] == bytes(4)
    assert f[28:44] == c.node.id and f[44:-16] == made(a)
    assert len(f) <= 1200


def test_why_says_it():
    lan, a, c = bed()
    hand(lan, a, c, made(a))
    assert c.keep.why() == "1 blobs of neighbours wait, 0 were delivered"
    assert Lan and Side
