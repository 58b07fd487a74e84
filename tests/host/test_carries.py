"""Readings in custody through real tiers: opened by L1 alone, stored once, noted by whom."""

import asyncio
import contextlib
import json
import random

import pytest
from carrybed import Carrier, closed
from l4mesh import blob, wire
from l4mesh.hand import Hand
from l4mesh.keep import Keep
from l4mesh.keys import seal_key
from l4mesh.queue import Queue
from l4mesh.shelf import Shelf
from l4mesh_io.store_fs import FileSegments
from l4mesh_io.store_ram import RamSegments
from l4tools import fastsig
from l4tools.link import now_ms
from l4tools.readings.formats import row
from l4tools.readings.series import series
from l4tools.upstream.carries import most_ranges
from l4tools.upstream.connect import connect
from l4tools.upstream.readings import Readings
from tierbed import Bed, run, submit, until


def texts(n, name="t"):
    return ["%s=%d C" % (name, i) for i in range(n)]


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("carries")) as bed:
        yield bed


@contextlib.asynccontextmanager
async def store_of(bed):
    state = json.loads((bed.folder / "l1/nats/state.json").read_text())
    nc = await connect(bed.tiers[1].ready["nats"], state["user"], state["password"])
    try:
        yield Readings(nc.jetstream())
    finally:
        await nc.close()


async def stored_of(bed, node_id):
    """[(sequence, text, via)] of a node."""
    async with store_of(bed) as store:
        return [(r[2], r[6], r[7]) async for r in store.iter_all(node_id)]


def on_one_lan(*nodes):
    """What multicast does on a LAN: each hears the other's hellos."""
    a, b = nodes
    a.node.hello._group = a.node.hello._broadcast = b.link.local
    b.node.hello._group = b.node.hello._broadcast = a.link.local
    for n in nodes:
        n.node.hello.start(now_ms())
        n._wake.set()


@contextlib.asynccontextmanager
async def polled(*machines):
    async def poll():
        while True:
            for m in machines:
                m.poll(now_ms())
            await asyncio.sleep(0.01)

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def keeper(bed, n):
    """A custodian with its shelf in a folder."""
    shelf = Shelf(FileSegments(str(bed.folder / ("shelf-" + n.ident.id.hex()))))
    assert shelf.open()
    keep = Keep(n.node, shelf, random.Random(1))
    n.node.inbox.handle(wire.T_HAND, keep.on_hand)
    n.node.inbox.handle(wire.T_CARRIED, keep.on_carried)
    return keep


def lender(n, segments):
    queue = Queue(segments, lambda k: n.ident.id[:k], n.node.counters, 4)
    assert queue.open()
    n.node.attach_queue(queue, random.Random(2))
    hand = Hand(n.node, n.node.keys.link_seal(None), fastsig)
    n.node.inbox.handle(wire.T_CARRIED, hand.on_carried)
    return queue, hand


def test_by_a_neighbour_once_also_when_the_owner_is_back(bed):
    async def main():
        segments = RamSegments(5)
        async with bed.node("keeper") as c, bed.node("owner", up={}) as a:
            await c.join()
            keep = keeper(bed, c)
            queue, hand = lender(a, segments)
            on_one_lan(a, c)
            sent = texts(60)
            submit(a, sent)
            async with polled(keep, hand):
                await until(lambda: queue.pending == 0, "the upstream's word came to the owner")
            assert a.node.counters.get(53) == 60  # handed
            got = await stored_of(bed, a.ident.id)
            assert got == [(i, t, c.ident.id) for i, t in enumerate(sent)]
            owner = a.ident.id
        async with bed.node("owner") as a:  # its own uplink, and no memory of what was said
            queue, _ = lender(a, segments)
            await a.join()
            assert queue.pending and a.ident.id == owner
            submit(a, texts(5, "own"))
            await until(lambda: queue.pending == 0, "it delivers by itself")
        got = await stored_of(bed, owner)
        assert [g[:2] for g in got] == list(enumerate(sent + texts(5, "own")))
        assert {g[2] for g in got[:60]} == {c.ident.id} and {g[2] for g in got[60:]} == {None}
        async with store_of(bed) as store:
            await store.start()
            found = await series(store, owner)
        assert [r.via for r in found] == [g[2] for g in got]
        assert row(found[0])["via"] == c.ident.id.hex() and row(found[-1])["via"] is None

    run(main())


def test_what_comes_back_and_what_does_not(bed):
    async def main():
        origin = bytes(range(50, 66))
        async with bed.node("carrier") as c, bed.node("second") as d:
            await c.join()
            await d.join()
            one, two = Carrier(c), Carrier(d)
            keys = blob.keys_of(seal_key(bed.network.node_key(origin)))
            body = closed(bed, origin, 0, ["x=%d" % i for i in range(5)])
            word = await one.carry(body)
            assert word[:16] == c.ident.id and word[16:42] == origin + b"queue-id\x00\x01"
            assert word[42:50] == bytes(7) + b"\x04" and len(word) == 66
            assert blob.ack_good(keys, word, 16, len(word))
            # the same by another, over each tier: stored once, the first who brought it counts
            for level in (3, 2, 1):
                word = await two.carry(body, level=level)
                assert word[:16] == d.ident.id and blob.ack_good(keys, word, 16, len(word))
            got = await stored_of(bed, origin)
            assert got == [(i, "x=%d" % i, c.ident.id) for i in range(5)]
            # strangers' and broken ones are refused, for good
            fake = closed(bed, origin, 5, ["x=9"], key=bytes(32))
            cut = body[:-1] + bytes((body[-1] ^ 1,))
            lies = bytearray(closed(bed, origin, 5, ["x=9"]))
            lies[28] = 2
            for bad in (fake, cut, bytes(lies)):
                word = await one.carry(bad)
                assert word == c.ident.id + bad[:24] + b"\x02\x00" + bytes(16)
            assert len(await stored_of(bed, origin)) == 5

    run(main())


def test_the_longest_blob_through_all_tiers(bed):
    async def main():
        origin = bytes(range(90, 106))
        async with bed.node("long") as c:
            await c.join()
            body = closed(bed, origin, 7, ["y=%s" % ("z" * 87)] * 10 + ["y=%s" % ("z" * 85)])
            assert len(body) == 1132
            word = await Carrier(c).carry(body)
            assert word[40] == 0 and len(await stored_of(bed, origin)) == 11

    run(main())


def test_nobody_carries_in_anothers_name(bed):
    async def main():
        origin = bytes(range(130, 146))
        async with bed.node("liar") as c, bed.node("watcher") as w:
            await c.join()
            await w.join()
            body = closed(bed, origin, 0, ["x=1"])
            assert await Carrier(c).carry(body)  # its address is proven at L3
            carrier = Carrier(c)
            before = (await w.info(bed.network.tier_id(3), "counters")).get("bad_parse", 0)
            for how in ({"via": w.ident.id}, {"sealed": True}):
                task = asyncio.create_task(carrier.carry(closed(bed, origin, 1, ["x=2"]), **how))

                async def counted(before=before):
                    now = await w.info(bed.network.tier_id(3), "counters")
                    return now.get("bad_parse", 0) > before

                await until(counted, "it is counted")
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                before = (await w.info(bed.network.tier_id(3), "counters")).get("bad_parse", 0)
            assert carrier.words == [] and len(await stored_of(bed, origin)) == 1

    run(main())


def test_without_l1_it_is_kept_and_then_delivered(tmp_path):
    with Bed(tmp_path) as bed:

        async def main():
            origin = bytes(range(16))
            async with bed.node("c") as c:
                await c.join()
                keep = keeper(bed, c)
                body = closed(bed, origin, 0, ["x=%d" % i for i in range(8)])
                frame = bytes(28) + body
                await asyncio.to_thread(bed.cut_power, 1)
                assert keep._shelf.add(frame, 28, len(body))
                async with polled(keep):
                    await asyncio.sleep(0.8)
                    assert len(keep._shelf.list) == 1
                    await asyncio.to_thread(bed.restart, 1)
                    await until(lambda: not keep._shelf.list, "it is delivered", 60)
                got = await stored_of(bed, origin)
                assert [g[0] for g in got] == list(range(8))

        run(main())


def test_an_answer_is_at_most_three_times_what_asked():
    for n in range(72, 1157):
        longest = 28 + 16 + 26 + 16 + 8 * most_ranges(n) + 16
        assert longest <= 3 * (28 + n + 16) and 0 <= most_ranges(n) <= 8


def test_more_holes_than_a_word_has_room_for(bed):
    async def main():
        origin = bytes(range(170, 186))
        async with bed.node("holes") as c:
            await c.join()
            carrier = Carrier(c)
            for first in range(0, 60, 3):
                word = await carrier.carry(closed(bed, origin, first, ["x=%d" % first]))
                assert word[41] <= 8
                at = range(42, 42 + 8 * word[41], 8)
                ranges = [(word[i : i + 4], word[i + 4 : i + 8]) for i in at]
                assert (first.to_bytes(4, "big"),) * 2 in ranges

    run(main())
