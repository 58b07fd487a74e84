"""The owner's orders: who may give them, when they are new, and that none is done twice."""

from kit import Person, b4, bare_node, count, give
from l4mesh import counters as C
from l4mesh import ed25519, wire
from l4mesh.keys import seal_key
from l4mesh.seal import seal

# docs/protocol.md, "Orders". (Constants of the core are literals in an image: none to import.)
DO_IDENTIFY, DO_RESTART, DO_LOG, DO_FORGET = 1, 2, 3, 5
DONE, NOT_HERE, REFUSED, BUSY = 0, 1, 2, 3
OWNER = Person(77)


class Care:
    def __init__(self):
        self.owner = OWNER.public
        self.done = []

    def do(self, kind, arg, room):
        self.done.append((kind, arg))
        if kind == DO_LOG:
            return DONE, 5, bytes(room)
        return DONE, 42, b""


class Bed:
    """A node with its node key, and the owner's tool, which has that key too."""

    def __init__(self):
        self.node = bare_node(1, linked=True)
        self.care = Care()
        self.made = 0
        self.node.caring = self._make
        self.key = Person(1).key
        self.tool = Person(5)

    def _make(self):
        self.made += 1
        return self.care

    def frame(self, payload, cookie=b"", **more):
        for k, v in (("key", self.key), ("link", True), ("sealed", True), ("cookie", cookie)):
            more.setdefault(k, v)
        return self.tool.frame(wire.T_DO, self.node.id, payload, **more)

    def send(self, frame, now=10, who=None):
        give(self.node, who or self.tool, frame, now)
        return [f for f, _ in self.node.link.take()]

    def cookie(self, now=10):
        got = self.send(self.frame(order(DO_LOG)), now)
        assert [f[1] for f in got] == [wire.T_COOKIE] and got[0][2] == wire.F_LINK
        return got[0][32:40]

    def answer(self, frames):
        """(order id, kind, status, argument, data) of the one DONE among them."""
        assert [f[1] for f in frames] == [wire.T_DONE]
        b = bytearray(frames[0])
        assert b[2] == wire.F_LINK | wire.F_SEALED and bytes(b[16:20]) == self.tool.id[:4]
        seal(seal_key(self.key), b, 0, 28, len(b) - 16)
        return bytes(b[28:36]), b[36], b[37], wire.u30(b, 38), bytes(b[42:-16])

    def signed(self, kind, cookie, oid=b"ORDER-01", arg=0, seed=None, node_id=None, over=None):
        p = order(kind, oid, arg, 1)
        text = b"l4-do-v1\x00" + (node_id or self.node.id) + (over or cookie) + p
        return p + ed25519.sign(seed or OWNER.seed, text)


def order(kind, oid=b"order-01", arg=0, flags=0, pad=0):
    return oid + bytes((kind, flags)) + b4(arg) + bytes(pad)


def test_first_a_cookie_then_the_order():
    b = Bed()
    assert len(b.frame(order(DO_LOG))) >= 56  # the COOKIE is no longer
    c = b.cookie()
    assert b.made == 0 and b.care.done == []
    got = b.answer(b.send(b.frame(order(DO_IDENTIFY, arg=30), c)))
    assert got == (b"order-01", DO_IDENTIFY, DONE, 42, b"")
    assert b.care.done == [(DO_IDENTIFY, 30)] and b.made == 1


def test_the_cookie_has_to_be_in_every_order():
    b = Bed()
    c = b.cookie()
    b.send(b.frame(order(DO_LOG), c))
    assert [f[1] for f in b.send(b.frame(order(DO_LOG)))] == [wire.T_COOKIE]
    assert [f[1] for f in b.send(b.frame(order(DO_LOG), b"12345678"))] == [wire.T_COOKIE]
    assert len(b.care.done) == 1


def test_an_order_kept_by_somebody_is_worth_nothing_later():
    b = Bed()
    c = b.cookie()
    kept = b.frame(b.signed(DO_RESTART, c), c)
    assert b.answer(b.send(kept))[2] == DONE
    assert b.send(kept) == [] and count(b.node, C.C_REPLAY) == 1
    # The node starts anew and knows nobody; its secret is another one.
    after = Bed()
    after.node._cookies._now = bare_node(3)._cookies._now
    assert [f[1] for f in after.send(kept)] == [wire.T_COOKIE]
    assert after.care.done == []


def test_only_the_node_key_will_do():
    b = Bed()
    c = b.cookie()
    p = order(DO_IDENTIFY)
    assert b.send(b.tool.frame(wire.T_DO, b.node.id, p, cookie=c)) == []
    assert count(b.node, C.C_BAD_PARSE) == 1
    assert b.send(b.frame(p, c, key=b.tool.key)) == []
    assert count(b.node, C.C_BAD_TAG) == 1
    assert b.send(b.frame(p, c, sealed=False)) == []
    assert count(b.node, C.C_BAD_PARSE) == 2
    for n in range(14):
        assert b.send(b.frame(p[:n], c)) == []
    assert count(b.node, C.C_BAD_LEN) == 14
    assert b.care.done == []


def test_what_changes_something_takes_the_owners_signature():
    for kind in (DO_RESTART, DO_FORGET):
        b = Bed()
        c = b.cookie()
        now = 10
        good = b.signed(kind, c)
        flipped = bytearray(good)
        flipped[-1] ^= 1
        for bad in (
            order(kind),
            order(kind, flags=1),
            order(kind, flags=1, pad=63),
            bytes(flipped),
            b.signed(kind, c, seed=b.tool.seed),
            b.signed(kind, c, node_id=b.tool.id),
            b.signed(kind, c, over=b"\0" * 8),
            b.signed(kind, c)[:10] + b4(1) + b.signed(kind, c)[14:],
        ):
            now += 3000
            assert b.answer(b.send(b.frame(bad, c), now))[2:4] == (REFUSED, 0)
        assert count(b.node, C.C_BAD_SIG) == 8
        assert b.care.done == []
        now += 3000
        assert b.answer(b.send(b.frame(b.signed(kind, c, b"ORDER-02"), c), now))[2:4] == (0, 42)
        assert b.care.done == [(kind, 0)]


def test_without_the_owners_key_nothing_is_changed():
    b = Bed()
    b.care.owner = None
    c = b.cookie()
    assert b.answer(b.send(b.frame(b.signed(DO_FORGET, c), c)))[2] == REFUSED
    assert b.answer(b.send(b.frame(order(DO_LOG), c)))[2] == DONE


def test_an_order_is_done_once():
    b = Bed()
    c = b.cookie()
    first = b.answer(b.send(b.frame(b.signed(DO_RESTART, c), c)))
    again = b.answer(b.send(b.frame(b.signed(DO_RESTART, c), c), 20))
    assert first == again and b.care.done == [(DO_RESTART, 0)]


def test_one_signature_every_two_seconds():
    b = Bed()
    c = b.cookie()
    for k, (now, status) in enumerate(((10, 0), (1900, BUSY), (2020, 0), (2030, BUSY))):
        p = b.signed(DO_RESTART, c, b"ORDER-%02d" % k)
        assert b.answer(b.send(b.frame(p, c), now))[2] == status, now
    assert count(b.node, C.C_LIMITED) == 2 and len(b.care.done) == 2


def test_answers_are_at_most_three_times_the_order():
    b = Bed()
    c = b.cookie()
    for pad in (0, 100, 340, 900):
        f = b.frame(order(DO_LOG, pad=pad), c)
        got = b.send(f)
        assert len(got[0]) == min(1200, 3 * len(f))


def test_an_argument_out_of_range_and_a_node_without_care():
    b = Bed()
    c = b.cookie()
    bad = b"order-01" + bytes((DO_LOG, 0)) + b"\xff\xff\xff\xff"
    assert b.answer(b.send(b.frame(bad, c)))[2] == NOT_HERE
    b = Bed()
    b.node.caring = None
    assert b.answer(b.send(b.frame(order(DO_LOG), b.cookie())))[2] == NOT_HERE
