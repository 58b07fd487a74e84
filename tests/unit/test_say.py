"""Messages of applications: signed, fresh, once, and told how they ended."""

from kit import Person, bare_node, count, events
from l4mesh import ed25519, wire
from l4mesh.counters import C_BAD_PARSE, C_BAD_SIG, C_COOKIE_BAD
from l4mesh.say import of
from l4mesh.ticks import MASK, add
from world import QuickCrypto

START = MASK - 20000
QUICK = QuickCrypto()


class Quick:
    """Signatures that cost nothing."""

    def __init__(self, own):
        self._own = own

    def __call__(self, text):
        return QUICK.Sign(None, self._own.public_key, text)


class Pair:
    """Two nodes that know each other's address, and what is lost between them."""

    def __init__(self, real=False, n=21):
        self.now = START
        self.nodes = [bare_node(n, now=START), bare_node(n + 1, now=START)]
        self.says = []
        self.lost = lambda data: False
        self.log = []
        for a, b in (self.nodes, reversed(self.nodes)):
            a.peers.add(b.short_id, b.link.local, 1, 1, START)
            a.tx.counter = 1
            if not real:
                a.own.sign = Quick(a.own)
            self.says.append(of(a, START, ed25519 if real else QUICK))
            events(a)
        self.told = [[], []]

    def run(self, ms):
        end = add(self.now, ms)
        while self.now != end:
            for i in range(2):
                a = self.nodes[i]
                for say in (self.says[i],):
                    while say.poll(self.now) == 0:
                        pass
                for data, _ in a.link.take(wire.T_SAY):
                    self.log.append(data)
                    if not self.lost(data):
                        b = self.nodes[1 - i]
                        b.peers.heard(b.peers.find(a.short_id), self.now)
                        b.receive(data, len(data), a.link.local, self.now)
                self.told[i] += [e[1:] for e in events(a) if e[0] == 16]
            self.now = add(self.now, 50)


def whats(p):
    return [d[28] for d in p.log]


def test_a_message_arrives_once_and_its_sender_is_told():
    p = Pair(real=True)
    a, b = p.nodes
    n = p.says[0].send(b.id, b"hello there", p.now)
    p.run(1000)
    assert p.told == [[(b.short_id, None, n, "")], [(a.short_id, b"hello there")]]
    assert whats(p) == [0, 1, 2, 3]
    ask, go, said, heard = p.log
    assert len(ask) == len(go) == len(heard) == 28 + 13 + 16
    assert said[28:33] == b"\x02" + ask[29:33] and said[33:41] == go[33:41]
    assert said[41:73] == a.own.public_key and said[137:-16] == b"hello there"
    text = b"l4-say-v1\x00" + b.short_id + go[33:41] + ask[29:33] + b"hello there"
    assert ed25519.verify(a.own.public_key, text, said[73:137])


def test_both_ways_in_order_and_no_more_than_four_wait():
    p = Pair()
    a, b = p.nodes
    sent = [p.says[0].send(b.id, b"m%d" % i, p.now) for i in range(5)]
    back = p.says[1].send(a.id, b"from b", p.now)
    assert sent[4] == 0 and len(set(sent[:4])) == 4 and 0 not in sent[:4]
    p.run(20000)
    assert [t[1] for t in p.told[1] if len(t) == 2] == [b"m0", b"m1", b"m2", b"m3"]
    assert [t for t in p.told[0] if t[1] is None] == [(b.short_id, None, n, "") for n in sent[:4]]
    assert (a.short_id, None, back, "") in p.told[1] and (b.short_id, b"from b") in p.told[0]


def test_any_frame_may_be_lost():
    for what in range(4):
        p = Pair()
        a, b = p.nodes
        lost = []

        def drop(data, what=what, lost=lost):
            if data[28] == what and not lost:
                lost.append(data)
                return True
            return False

        p.lost = drop
        n = p.says[0].send(b.id, b"once", p.now)
        p.run(6000)
        assert len(lost) == 1
        assert p.told == [[(b.short_id, None, n, "")], [(a.short_id, b"once")]], what


def test_nobody_there_and_no_way():
    p = Pair()
    a, b = p.nodes
    p.lost = lambda data: True
    n = p.says[0].send(b.id, b"x", p.now)
    m = p.says[0].send(bytes(16), b"y", p.now)
    p.run(44000)
    assert p.told[0] == []
    p.run(2000)
    assert [t[:3] for t in p.told[0]] == [(b.short_id, None, n), (bytes(8), None, m)]
    assert "45 s" in p.told[0][0][3] and "way" in p.told[0][1][3]
    for data in (b"", bytes(129)):
        try:
            p.says[0].send(b.id, data, p.now)
            raise AssertionError(data)
        except ValueError as e:
            assert "128 bytes" in str(e)


def test_an_older_message_said_again_is_not_believed():
    p = Pair()
    a, b = p.nodes
    p.says[0].send(b.id, b"open the door", p.now)
    p.run(500)
    said = [d for d in p.log if d[28] == 2][0]
    # A member puts it into a frame of its own, in the name of the sender.
    me = Person(21)
    me.counter = 5000

    def again(payload):
        data = me.frame(wire.T_SAY, b.id, payload)
        b.link.take()
        b.receive(data, len(data), a.link.local, p.now)
        return [f[0][33] for f in b.link.take(wire.T_SAY)]

    payload = said[28:-16]
    assert again(payload) == [0] and len(p.told[1]) == 1  # known: taken, and told once
    before = count(b, C_BAD_SIG)
    other = payload[:4] + bytes((payload[4] ^ 1,)) + payload[5:]  # another number
    p.run(1500)
    again(other)
    p.run(200)
    assert count(b, C_BAD_SIG) == before + 1
    p.run(180000)
    assert again(payload) == [0]
    p.says[1]._kept.clear()  # forgotten, as when others came since
    assert again(payload) == [3] and count(b, C_COOKIE_BAD) == 1  # its challenge is over
    assert len(p.told[1]) == 1


def test_who_has_the_group_key_speaks_for_nobody_else():
    p = Pair(real=True)
    a, b = p.nodes
    p.says[0].send(b.id, b"x", p.now)
    p.lost = lambda data: data[28] == 2
    p.run(700)
    go = [d for d in p.log if d[28] == 1][0]
    other = Person(5)
    text = b"l4-say-v1\x00" + b.short_id + go[33:41] + go[29:33] + b"lies"
    sig = ed25519.sign(other.seed, text)
    me = Person(21)
    me.counter = 5000
    for key in (other.public, a.own.public_key):
        payload = b"\x02" + go[29:33] + go[33:41] + key + sig + b"lies"
        data = me.frame(wire.T_SAY, b.id, payload)
        b.receive(data, len(data), a.link.local, p.now)
        p.run(1500)
    assert count(b, C_BAD_SIG) >= 2 and p.told[1] == []


def test_one_check_a_second():
    p = Pair()
    a, b = p.nodes
    for i in range(3):
        p.says[0].send(b.id, b"%d" % i, p.now)
    p.run(600)
    assert len(p.told[1]) == 1  # the second was told to wait
    p.run(6000)
    assert len(p.told[1]) == 3 and 1 in [d[33] for d in p.log if d[28] == 3]


def test_what_was_taken_is_remembered_for_as_long_as_challenges_live():
    p = Pair()
    a, b = p.nodes
    say = p.says[1]
    for i in range(24):
        say._kept[bytes((i,)) * 12] = p.now
    n = p.says[0].send(b.id, b"x", p.now)
    p.run(5000)
    assert p.told == [[], []]  # no room to remember it: not yet
    for k in list(say._kept)[:20]:
        say._kept[k] = add(p.now, -131000)
    p.run(5000)
    assert p.told[0] == [(b.short_id, None, n, "")] and len(say._kept) == 5


def test_a_receiver_that_started_anew_is_asked_again():
    p = Pair()
    a, b = p.nodes
    n = p.says[0].send(b.id, b"x", p.now)
    p.lost = lambda data: data[28] == 2
    p.run(500)
    p.says[1]._fresh = type(p.says[1]._fresh)(lambda k: bytes(k), p.now)
    p.lost = lambda data: False
    p.run(6000)
    assert p.told == [[(b.short_id, None, n, "")], [(a.short_id, b"x")]]
    assert whats(p).count(0) == 2


def test_a_long_silence_does_not_close_it():
    """Ticks wrap: what was taken a week ago must not look like something to come."""
    p = Pair()
    say = p.says[1]
    for k in range(24):
        say._kept[b"%012d" % k] = p.now
    for _ in range(7):
        p.now = add(p.now, 86400000)
        p.run(100)
    assert p.says[0].send(p.nodes[1].short_id, b"hi", p.now)
    p.run(3000)
    assert [e[1] for e in p.told[1]] == [b"hi"]


def test_malformed():
    p = Pair()
    a, b = p.nodes
    me = Person(21)
    me.counter = 5000
    bad = [
        b"\x04" + bytes(12), b"\x02" + bytes(12), b"\x02" + bytes(108), b"\x00\xff" + bytes(11),
        b"\x01" + bytes(12), b"\x03" + bytes(12),
    ]  # fmt: skip
    for payload in bad:
        before = count(b, C_BAD_PARSE)
        data = me.frame(wire.T_SAY, b.id, payload)
        b.receive(data, len(data), a.link.local, p.now)
        assert count(b, C_BAD_PARSE) == before + 1, payload
    before = count(b, C_COOKIE_BAD)
    data = me.frame(wire.T_SAY, b.id, b"\x02" + bytes(109))
    b.receive(data, len(data), a.link.local, p.now)
    assert count(b, C_COOKIE_BAD) == before + 1
    assert of(b, p.now) is p.says[1] and p.told == [[], []]
