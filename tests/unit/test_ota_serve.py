"""A node gives on what it runs: piece by piece, never more than three times what asked."""

from kit import Person, b2, b4, bare_node
from l4mesh import ota_manifest as m
from l4mesh import wire
from l4mesh.ota import Ota
from l4mesh.ota_serve import Serve
from l4mesh.prng import XorShift
from otakit import HERE, PUBLIC, RamSlots, Said, bundle

GOOD, DATA = bundle(real=False)


def runs(active=2, pending=0):
    store = RamSlots(seen=7, active=active)
    slot = store.slots[active or 1]
    slot["manifest"] = GOOD
    at = 0
    for path, size, _ in m.files(GOOD):
        slot[path] = DATA[at : at + size]
        at += size
    store.next = pending
    return store


def ask(serve, node, part, off, n, pad=292, which=None, token=77):
    body = b4(token) + (which or m.bundle_id(GOOD)) + bytes((part, 0)) + b4(off) + b2(n)
    body += bytes(pad)
    serve.on_want(Person(2).id[:8], Person(2).addr, body, 0, len(body))
    sent = node.link.take(wire.T_CHUNK)
    return sent[0][0][28:-16] if sent else None


def test_manifest_and_files():
    n = bare_node(1)
    s = Serve(n.tx, runs())
    got = ask(s, n, 0, 0, 1024)
    assert got[:10] == b4(77) + b"\0\0" + b4(0) and got[10:] == GOOD
    off = 0
    for _, size, _ in m.files(GOOD):
        got = ask(s, n, 1, off, 1024)
        assert (
            got[4] == 1 and got[6:10] == b4(off) and got[10:] == DATA[off : off + min(size, 1024)]
        )
        off += size
    assert ask(s, n, 1, 705, 5)[10:] == DATA[705:710]


def test_what_is_not_there_gets_no_answer():
    n = bare_node(1)
    s = Serve(n.tx, runs())
    for part, off, length in (
        (1, len(DATA), 5),
        (0, len(GOOD), 5),
        (2, 0, 5),
        (9, 0, 5),
        (1, 0, 0),
    ):
        assert ask(s, n, part, off, length) is None
    assert ask(s, n, 1, 0, 5, which=bytes(16)) is None
    body = b4(1) + m.bundle_id(GOOD) + b"\x01\x00\xff\xff\xff\xff\x04\x00" + bytes(292)
    s.on_want(bytes(8), bytes(6), body, 0, len(body))
    assert n.link.take() == []


def test_only_a_version_that_was_judged_good():
    for store in (runs(active=0), runs(pending=1)):
        n = bare_node(1)
        assert ask(Serve(n.tx, store), n, 0, 0, 64) is None


def test_at_most_three_times_the_question():
    n = bare_node(1)
    s = Serve(n.tx, runs())
    for pad in (0, 1, 40, 200, 292, 1000):
        got = ask(s, n, 1, 1000, 65535, pad)
        assert 0 < len(got) + 44 <= 3 * (44 + 28 + pad) and len(got) <= 1034


def test_one_node_takes_it_from_the_other():
    giver, taker = bare_node(1), bare_node(2)
    serve = Serve(giver.tx, runs())
    store = RamSlots()
    ota = Ota(taker, store, PUBLIC, Said(True), XorShift(5), HERE, lambda: 0)
    ota._from = [(giver.id[:8], giver.link.local)]
    ota._begin(m.bundle_id(GOOD), len(GOOD), 0)
    now = 0
    while ota.at != 3:
        now += max(1, ota.poll(now))
        assert now < 100000
        for f, _ in taker.link.take(wire.T_WANT):
            serve.on_want(taker.id[:8], taker.link.local, f, 28, len(f) - 16)
        for f, _ in giver.link.take(wire.T_CHUNK):
            ota.on_chunk(giver.id[:8], f, 28, len(f) - 16, now)
    assert store.holds(1, GOOD, DATA)
