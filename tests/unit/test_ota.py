"""The pull of an update: loss, repetition, delay; an offerer that goes away; refusals."""

from hashlib import sha256

from kit import ROOMY, Person, b4, bare_node, give, prove
from l4mesh import ota_manifest as m
from l4mesh import wire
from l4mesh.ota import IDLE, MANIFEST, READY, STAGING, WANT_LEN, Ota
from l4mesh.prng import XorShift
from otakit import HERE, PUBLIC, N, RamSlots, Said, bundle, chunk, offer

GOOD, DATA = bundle(real=False)
FLAGS = 3


class Bench:
    """A node with the machine on it, and somebody with a bundle; time is virtual."""

    def __init__(self, store=None, owner=PUBLIC, answer=True, limits=None):
        self.node = n = bare_node(1, ROOMY if limits is None else limits)
        self.store = store or RamSlots()
        self.ota = Ota(n, self.store, owner, Said(answer), XorShift(5), HERE, lambda: FLAGS)
        n.update = self.frame
        self.giver = Person(2)
        self.now = 10
        prove(n, self.giver, self.now)
        n.link.take()

    def ready(self):
        return self.ota.at == READY

    def frame(self, buf, addr, now):
        g = self.node.gate
        if g.kind == wire.T_COOKIE:
            self.ota.on_cookie(wire.u30(buf, g.off), bytes(buf[g.off + 4 : g.off + 12]), now)
        elif g.kind == wire.T_OFFER:
            self.ota.on_offer(g.sid, addr, buf, g.off, now)
        elif g.kind == wire.T_CHUNK:
            self.ota.on_chunk(g.sid, buf, g.off, g.end, now)

    def offer(self, manifest=GOOD, data=DATA, by=None, **more):
        by = by or self.giver
        give(
            self.node,
            by,
            by.frame(wire.T_OFFER, self.node.id, offer(manifest, data, **more)),
            self.now,
        )

    def wants(self):
        """Payloads of the questions since the last call, with whom they went to."""
        out = []
        for f, addr in self.node.link.take(wire.T_WANT):
            assert len(f) <= wire.MAX_FRAME
            out.append((f[36 if f[2] & 4 else 28 : -16], addr))
        return out

    def answer(self, want, by=None, manifest=GOOD, data=DATA, **more):
        by = by or self.giver
        payload = chunk(want, manifest, data, **more)
        # At most three times the question, as docs/protocol.md 2 wants it.
        assert len(payload) + 44 <= 3 * (len(want) + 44)
        give(self.node, by, by.frame(wire.T_CHUNK, self.node.id, payload), self.now)

    def run(self, until, seconds=600, lose=0, twice=0, late=0, seed=1):
        """Virtual time until `until()`; questions seen. `lose`: out of 16, each way."""
        chance = XorShift(seed)
        asked = 0
        held = []
        end = self.now + seconds * 1000
        while not until():
            assert self.now < end, "it never ends"
            self.now += max(1, min(self.ota.poll(self.now), 200))
            for want, _ in self.wants():
                if want[20] == 2:
                    continue
                asked += 1
                if chance.getrandbits(4) < lose or chance.getrandbits(4) < lose:
                    continue
                if chance.getrandbits(4) < late:
                    held.append(want)
                    continue
                self.answer(want)
                if chance.getrandbits(4) < twice:
                    self.answer(want)
            if held and chance.getrandbits(3) == 0:
                self.answer(held.pop(0))
        return asked


def test_a_whole_pull():
    b = Bench()
    b.offer()
    assert b.ota.at == MANIFEST
    asked = b.run(lambda: b.ota.at == READY)
    assert b.store.holds(1, GOOD, DATA) and b.store.next == 1 and b.store.flags == FLAGS
    assert asked == 1 + sum([(s + 1023) // 1024 for _, s, _ in m.files(GOOD)])


def test_it_tells_that_it_is_done_and_says_so_again():
    b = Bench()
    b.offer()
    told = []
    while b.ota.at != READY:
        b.now += max(1, b.ota.poll(b.now))
        for want, _ in b.wants():
            if want[20] == 2:
                told.append(want[21])
            else:
                b.answer(want)
    assert told == [N.SOON] and len(told) == 1
    b.offer()
    ((want, addr),) = b.wants()
    assert want[20] == 2 and want[21] == N.SOON and want[4:20] == m.bundle_id(GOOD)
    assert addr == b.giver.addr and len(want) == 28


def test_under_loss_repetition_and_delay():
    for seed in (1, 2, 3):
        b = Bench()
        b.offer()
        ready = b.ready
        asked = b.run(ready, 900, lose=3, twice=6, late=4, seed=seed)
        assert b.store.holds(1, GOOD, DATA) and asked > 12


def test_one_question_at_a_time_and_not_faster_than_allowed():
    b = Bench(limits=dict(ROOMY, id_s=8))
    b.offer()
    asked = []
    while b.ota.at != READY:
        b.now += max(1, b.ota.poll(b.now))
        got = [w for w, _ in b.wants() if w[20] != 2]
        assert len(got) <= 1
        for w in got:
            asked.append(b.now)
            b.answer(w)
    gaps = [asked[i + 1] - asked[i] for i in range(len(asked) - 1)]
    assert min(gaps) >= 125 and len(asked) > 10


def test_silence_is_asked_again_with_growing_pauses_then_given_up():
    b = Bench()
    b.offer()
    times = []
    while b.ota.at != IDLE:
        b.now += max(1, b.ota.poll(b.now))
        times += [b.now for _ in b.wants()]
        assert b.now < 200000
    gaps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert len(times) == 8 and gaps[0] >= 500 and gaps[-1] >= 8000 and gaps[-1] < 8400
    assert all([gaps[i + 1] > gaps[i] - 300 for i in range(len(gaps) - 1)])


def test_the_offerer_goes_away_and_comes_back():
    b = Bench()
    b.offer()
    b.run(lambda: b.ota.at == STAGING and b.ota.stage.done > 3000)
    had = b.ota.stage.done
    while b.ota.at != IDLE:
        b.now += max(1, b.ota.poll(b.now))
        b.wants()
    assert b.store.settled and b.ota.stage is None
    again = Person(3, "10.77.1.201:4104")  # somebody else has it too
    prove(b.node, again, b.now)
    b.node.link.take()
    b.giver = again
    b.offer()
    assert b.ota.at == STAGING  # the manifest is there
    asked = b.run(lambda: b.ota.at == READY)
    assert b.store.holds(1, GOOD, DATA) and asked <= (len(DATA) - had) // 1024 + 5


def test_a_restart_in_the_middle_goes_on():
    b = Bench()
    b.offer()
    b.run(lambda: b.ota.at == STAGING and b.ota.stage.done > 5000)
    other = Bench(store=b.store)
    other.offer()
    assert other.run(lambda: other.ota.at == READY) < 8
    assert b.store.holds(1, GOOD, DATA)


def test_a_repeated_offer_is_told_how_far_it_is():
    b = Bench()
    b.offer()
    b.run(lambda: b.ota.at == STAGING and b.ota.stage.done > 3000)
    b.wants()
    b.offer()
    ((want, _),) = b.wants()
    assert want[20] == 2 and want[21] == N.WORK and wire.u30(want, 22) == b.ota.stage.done
    b.run(lambda: b.ota.at == READY)


def refusal(b, **more):
    b.offer(**more)
    ((want, addr),) = b.wants()
    assert want[20] == 2 and len(want) == 28 and b.ota.at == IDLE
    assert len(want) <= 100  # never longer than the offer
    return want[21], wire.u30(want, 22)


def test_refusals_before_anything_is_fetched():
    assert refusal(Bench(owner=None))[0] == N.OWNER
    assert refusal(Bench(store=RamSlots(seen=7))) == (N.OLD, 7)
    assert refusal(Bench(store=RamSlots(seen=8))) == (N.OLD, 8)
    store = RamSlots(seen=7, active=2)
    store.slots[2]["manifest"] = GOOD
    assert refusal(Bench(store=store))[0] == N.HAVE
    store = RamSlots(seen=7)
    store.next = 1
    store.slots[1]["manifest"] = GOOD
    assert refusal(Bench(store=store))[0] == N.SOON
    store.slots[1]["manifest"] = b"other"
    assert refusal(Bench(store=store))[0] == N.BUSY


def test_another_bundle_while_one_is_under_way():
    b = Bench()
    b.offer()
    b.run(lambda: b.ota.at == STAGING and b.ota.stage.done > 1000)
    b.wants()
    other = bundle(counter=9, real=False)
    b.offer(other[0], other[1])
    assert [w[21] for w, _ in b.wants() if w[20] == 2] == [N.BUSY]
    b.run(lambda: b.ota.at == READY)
    assert b.store.counter == 7


def test_after_a_bad_signature_it_rests():
    b = Bench(answer=False)
    b.offer()
    b.run(lambda: b.ota.at == IDLE)
    assert b.ota.code == N.SIGNATURE and b.store.slots == {1: {}, 2: {}}
    b.wants()
    assert refusal(b)[0] == N.SIGNATURE
    other = bundle(counter=9, real=False)
    assert refusal(b, manifest=other[0], data=other[1])[0] == N.LATER
    b.now += 30001
    b.offer()
    assert b.ota.at == MANIFEST


def test_a_manifest_that_is_not_the_one_offered():
    b = Bench()
    b.offer()
    other = bundle(counter=9, real=False)[0]
    while b.ota.at != IDLE:
        b.now += max(1, b.ota.poll(b.now))
        for want, _ in b.wants():
            if want[20] != 2:
                b.answer(want, manifest=other)
    assert b.ota.code == N.FORM and b.store.slots[1] == {}


def test_an_offer_with_a_size_of_nothing_or_too_much():
    for size in (b"\0\0", b"\xff\xff", b"\x38\x01"):
        b = Bench()
        payload = bytearray(offer(GOOD, DATA))
        payload[24:26] = size
        give(b.node, b.giver, b.giver.frame(wire.T_OFFER, b.node.id, bytes(payload)), b.now)
        ((want, _),) = b.wants()
        assert want[20] == 2 and want[21] == N.FORM


def test_answers_that_nobody_asked_for():
    b = Bench()
    b.offer()
    b.now += b.ota.poll(b.now)
    ((want, _),) = b.wants()
    right = chunk(want, GOOD, DATA)
    stranger = Person(4, "10.77.1.202:4104")
    prove(b.node, stranger, b.now)
    wrong = [
        b4(wire.u30(right, 0) + 1) + right[4:],  # token
        right[:4] + b"\x01" + right[5:],  # part
        right[:6] + b4(1024) + right[10:],  # offset
        right + b"x",  # longer than asked
        right[:10] + b"",  # nothing in it
    ]
    for payload in wrong:
        if len(payload) >= 11:
            give(b.node, b.giver, b.giver.frame(wire.T_CHUNK, b.node.id, payload), b.now)
        assert b.ota.at == MANIFEST and b.ota._m == b""
    give(b.node, stranger, stranger.frame(wire.T_CHUNK, b.node.id, right), b.now)
    assert b.ota._m == b""
    b.answer(want)
    assert len(b.ota._m) or b.ota.at == STAGING


def test_a_cookie_is_sent_back():
    b = Bench()
    b.offer()
    b.now += b.ota.poll(b.now)
    ((f, addr),) = b.node.link.take(wire.T_WANT)
    cookie = b"12345678"
    body = f[24:28] + cookie
    give(b.node, b.giver, b.giver.frame(wire.T_COOKIE, b.node.id, body), b.now)
    ((g, _),) = b.node.link.take(wire.T_WANT)
    assert g[2] & 4 and g[28:36] == cookie and g[36:40] == f[28:32]  # the same token
    assert len(g) == 44 + 8 + WANT_LEN
    b.answer(g[36:-16])
    b.run(lambda: b.ota.at == READY)


def test_a_neighbour_that_has_it_is_asked_first_and_left_when_it_lies():
    for truth in (True, False):
        b = Bench()
        near = Person(6, "10.77.1.206:4104")
        prove(b.node, near, b.now)
        b.node.link.take()
        b.offer(source=near.id[:8])
        asked = {near.addr: 0, b.giver.addr: 0}
        while b.ota.at != READY:
            b.now += max(1, b.ota.poll(b.now))
            assert b.now < 900000
            for want, addr in b.wants():
                if want[20] == 2:
                    continue
                asked[addr] += 1
                data = DATA if truth or addr == b.giver.addr else bytes(len(DATA))
                b.answer(want, near if addr == near.addr else b.giver, data=data)
        assert b.store.holds(1, GOOD, DATA)
        assert asked[near.addr] > 8 and (asked[b.giver.addr] == 0) == truth


def test_a_neighbour_that_is_silent_is_left_for_the_offerer():
    b = Bench()
    near = Person(6, "10.77.1.206:4104")
    prove(b.node, near, b.now)
    b.node.link.take()
    b.offer(source=near.id[:8])
    while b.ota.at != READY:
        b.now += max(1, b.ota.poll(b.now))
        assert b.now < 900000
        for want, addr in b.wants():
            if want[20] != 2 and addr == b.giver.addr:
                b.answer(want)
    assert b.store.holds(1, GOOD, DATA)


def test_a_source_that_is_no_known_peer_is_not_asked():
    b = Bench()
    b.offer(source=sha256(b"nobody").digest()[:8])
    b.now += b.ota.poll(b.now)
    ((_, addr),) = b.wants()
    assert addr == b.giver.addr


def test_an_offerer_without_a_proven_address_gets_a_cookie():
    b = Bench()
    new = Person(7, "10.77.1.207:4104")
    payload = offer(GOOD, DATA)
    data = new.frame(wire.T_OFFER, b.node.id, payload)
    give(b.node, new, data, b.now)
    ((f, _),) = b.node.link.take()
    assert f[1] == wire.T_COOKIE and len(f) <= len(data) and b.ota.at == IDLE
    give(b.node, new, new.frame(wire.T_OFFER, b.node.id, payload, cookie=f[32:40]), b.now)
    assert b.ota.at == MANIFEST


def test_frames_with_the_node_key_are_not_for_this():
    n = bare_node(1, linked=True)
    seen = []
    n.update = lambda buf, addr, now: seen.append(buf[1])
    p = Person(1, "10.77.1.99:4104")
    q = Person(2)
    prove(n, q, 10)
    give(n, q, q.frame(wire.T_OFFER, n.id, offer(GOOD, DATA), link=True, key=p.key), 10)
    assert seen == []
    give(n, q, q.frame(wire.T_OFFER, n.id, offer(GOOD, DATA)), 10)
    assert seen == [wire.T_OFFER]


def test_a_node_without_updates_ignores_them():
    n = bare_node(1)
    p = Person(2)
    prove(n, p, 10)
    n.link.take()
    give(n, p, p.frame(wire.T_OFFER, n.id, offer(GOOD, DATA)), 10)
    assert n.link.take() == []
