"""Events pushed by the upstream: subscribed, renewed, acknowledged, told once."""

from kit import b2, b4, bare_node
from l4mesh.listen import Listen
from l4mesh.prng import XorShift
from tier import FakeTier, with_key
from world import World

L3 = bytes((10, 77, 0, 3)) + b2(4104)
SUB, EVENT, BAD_PARSE = 29, 30, "bad_parse"


class Tier(FakeTier):
    """Takes SUBs (open ones) and pushes EVENTs."""

    def __init__(self, w, level, addr):
        FakeTier.__init__(self, w, level, addr)
        self.asked = 0
        self.subs = []
        self.got = []
        self.holds = 600
        self.dumb = False

    def receive(self, data, addr, tick):
        if data[1] != SUB:
            return FakeTier.receive(self, data, addr, tick)
        from l4mesh.keys import hkdf
        from l4mesh.seal import seal

        key = self._key(data[8:16])
        b = bytearray(data[:-16])
        seal(hkdf(key, b"l4-seal-v1"), b, 0, 28, len(b))
        p = bytes(b[28:])
        if p[0] == 1:
            self.got.append(int.from_bytes(p[1:5], "big"))
            return
        self.asked += 1
        if not self.dumb:
            self.subs.append(p[5:])
            self.push(data[8:16], addr, 0, b"", b2(self.holds))

    def push(self, sid, addr, number, topic, data):
        payload = b4(number) + bytes((len(topic),)) + topic + data
        self.send(EVENT, sid, self._key(sid), payload, addr, sealed=True)


class Bed:
    def __init__(self, topics=(b"alarm", b"bell")):
        self.w = World(4)
        self.tier = Tier(self.w, 3, L3)
        self.n = self.w.add(nodekey=with_key, config={"upstream": [[3, "10.77.0.3:4104"]]})
        self.told = []
        self.l = Listen(self.n, list(topics), lambda t, d: self.told.append((t, d)), XorShift(5))

    def run(self, ms):
        for _ in range(ms // 250):
            self.w.run(250)
            self.l.poll(self.w.tick())

    def push(self, number, topic=b"alarm", data=b"on"):
        self.tier.push(self.n.short_id, self.n.link.local, number, topic, data)


def test_it_subscribes_once_it_has_joined_and_renews_in_time():
    b = Bed()
    b.run(5000)
    assert b.tier.subs == [b"\x02\x05alarm\x04bell"]
    b.run(290000)
    assert len(b.tier.subs) == 1
    b.run(15000)
    assert len(b.tier.subs) == 2


def test_a_tier_that_holds_shortly_is_asked_more_often():
    b = Bed()
    b.tier.holds = 60
    b.run(120000)
    assert 4 <= len(b.tier.subs) <= 6


def test_an_event_is_told_once_and_acknowledged_each_time():
    b = Bed()
    b.run(5000)
    for _ in range(3):
        b.push(77)
        b.run(250)
    b.push(78, b"bell", b"")
    b.run(250)
    assert b.told == [(b"alarm", b"on"), (b"bell", b"")] and b.l.came == 2
    assert b.tier.got == [77, 77, 77, 78]


def test_a_topic_nobody_asked_for_is_not_told():
    b = Bed()
    b.run(5000)
    b.push(5, b"other", b"x")
    b.run(500)
    assert b.told == [] and b.tier.got == [5]


def test_without_a_word_it_asks_again_ever_more_seldom():
    b = Bed()
    b.tier.dumb = True
    b.run(180000)
    assert 5 <= b.tier.asked <= 9
    b.tier.dumb = False
    b.run(76000)
    assert len(b.tier.subs) == 1


def test_a_damaged_event_is_counted_and_told_to_nobody():
    b = Bed()
    b.run(5000)
    key = b.tier._key(b.n.short_id)
    for payload in (b"\xff\xff\xff\xff\x01a", b4(9) + b"\xffalarm", b4(9) + b"\x06alarm"):
        b.tier.send(EVENT, b.n.short_id, key, payload, b.n.link.local, sealed=True)
    b.tier.send(EVENT, b.n.short_id, key, b4(9) + b"\x05alarm", b.n.link.local)  # not sealed
    b.run(500)
    assert b.told == [] and dict(b.n.counters.items())[BAD_PARSE] == 4


def test_a_member_cannot_push():
    b = Bed()
    b.run(5000)
    other = b.w.add()
    b.run(3000)
    o = other.tx.begin(EVENT, b.n.short_id)
    other.tx.buf[o : o + 10] = b4(9) + b"\x05alarm"
    other.tx.send(o + 10, b.n.link.local)
    b.run(500)
    assert b.told == []


def test_bad_topics_are_refused_early():
    n = bare_node(1)
    for topics in ([], [b""], [b"x" * 33], [b"t%d" % i for i in range(9)]):
        try:
            Listen(n, topics, None, XorShift(1))
        except ValueError:
            continue
        raise AssertionError(topics)
