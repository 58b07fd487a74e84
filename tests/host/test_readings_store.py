"""Readings are stored once each: cut otherwise, hours later, by two writers, through kill -9."""

import asyncio
import contextlib
import random

import natsbed
import pytest
from l4tools.upstream import connect as connect_module
from l4tools.upstream import ranges
from l4tools.upstream.connect import StoreAway, connect
from l4tools.upstream.readings import Readings, parse_reading, split_readings

QUEUE = b"queue-00"
N1, N2 = natsbed.node(1), natsbed.node(2)


def _reading(seq, flags=1, error=2):
    head = bytes([flags]) + (1000 + seq).to_bytes(6, "big") + error.to_bytes(2, "big")
    return head + b"t=%d C" % seq


def _batch(first, last):
    return [_reading(i) for i in range(first, last + 1)]


async def _all(store, node_id=None):
    async with contextlib.aclosing(store.iter_all(node_id)) as items:
        return [r async for r in items]


def _sequences(rows, node_id=N1, queue=QUEUE):
    return sorted(r[2] for r in rows if r[0] == node_id and r[1] == queue)


async def _opened(js, **options):
    store = Readings(js, **options)
    await store.start()
    return store


def test_ranges_against_a_set():
    rng = random.Random(5)
    for _ in range(200):
        kept, truth = [], set()
        for _ in range(12):
            a = rng.randrange(40)
            b = a + rng.randrange(8)
            gaps = ranges.missing(kept, a, b)
            want = [i for i in range(a, b + 1) if i not in truth]
            assert [i for x, y in gaps for i in range(x, y + 1)] == want
            ranges.add(kept, a, b)
            truth.update(range(a, b + 1))
            assert [i for x, y in kept for i in range(x, y + 1)] == sorted(truth)
            assert all(y + 1 < x for (_, y), (x, _) in zip(kept, kept[1:], strict=False))
            assert ranges.total(kept) == len(truth)


def test_store_read_back_and_decode(tmp_path):
    async def test(js):
        store = await _opened(js)
        assert store.ranges(N1, QUEUE) == []
        assert await store.add(N1, QUEUE, 0, _batch(0, 4)) == [(0, 4)]
        odd = [_reading(10, flags=6, error=65535)]
        assert await store.add(N1, QUEUE, 10, odd) == [(0, 4), (10, 10)]
        assert await store.add(N2, QUEUE, 0, _batch(0, 0)) == [(0, 0)]
        rows = await _all(store, N1)
        assert rows[0] == (N1, QUEUE, 0, 1, 1000, 2, "t=0 C", None)
        assert rows[5] == (N1, QUEUE, 10, 6, 1010, None, "t=10 C", None)
        assert len(rows) == 6 and len(await _all(store)) == 7
        assert store.stats() == {
            "queues": 2,
            "stored": 7,
            "again": 0,
            "refused": 0,
            "conflicts": 0,
        }

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_the_same_again_with_other_borders_stores_only_what_is_new(tmp_path):
    async def test(js):
        store = await _opened(js)
        for first, last in ((10, 19), (30, 39), (10, 19), (12, 15), (0, 49), (0, 49), (45, 52)):
            await store.add(N1, QUEUE, first, _batch(first, last))
        assert store.ranges(N1, QUEUE) == [(0, 52)]
        rows = await _all(store)
        assert _sequences(rows) == list(range(53))
        assert all(r[6] == "t=%d C" % r[2] for r in rows)
        assert store.stats()["stored"] == 53 and store.stats()["again"] == 10 + 4 + 20 + 50 + 5

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_who_brought_it_is_kept_with_what_was_new_in_it(tmp_path):
    async def test(js):
        store = await _opened(js)
        await store.add(N1, QUEUE, 0, _batch(0, 4), N2)
        await store.add(N1, QUEUE, 0, _batch(0, 7))
        await store.add(N1, QUEUE, 6, _batch(6, 9), N1)
        rows = await _all(store)
        assert [r[7] for r in rows] == [N2] * 5 + [None] * 3 + [N1] * 2
        assert _sequences(rows) == list(range(10))

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_replayed_after_a_restart_of_everything(tmp_path):
    async def fill(js):
        store = await _opened(js)
        await asyncio.gather(
            *(
                store.add(natsbed.node(n), QUEUE, f, _batch(f, f + 9))
                for n in range(20)
                for f in (0, 20)
            )
        )

    async def again(js):
        store = await _opened(js)
        assert store.stats()["stored"] == 400
        assert store.ranges(N1, QUEUE) == [(0, 9), (20, 29)]
        for n in range(20):
            assert await store.add(natsbed.node(n), QUEUE, 5, _batch(5, 34)) == [(0, 34)]
        rows = await _all(store)
        assert len(rows) == 20 * 35
        assert _sequences(rows, natsbed.node(7)) == list(range(35))

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, fill)
        natsbed.kill(nats)
    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, again)


def test_many_at_once_on_one_queue(tmp_path):
    async def test(js):
        store = await _opened(js)
        rng = random.Random(3)
        jobs = []
        for _ in range(150):
            first = rng.randrange(300)
            jobs.append(store.add(N1, QUEUE, first, _batch(first, first + rng.randrange(20))))
        answers = await asyncio.gather(*jobs)
        rows = _sequences(await _all(store))
        assert len(rows) == len(set(rows)) == store.stats()["stored"]
        assert set(rows) == {i for a, b in store.ranges(N1, QUEUE) for i in range(a, b + 1)}
        assert all(answers)

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_two_writers_by_mistake(tmp_path):
    async def test(js):
        one, two = await _opened(js), await _opened(js)
        # Same first sequence, overlapping with another one, and new queues on either side.
        await one.add(N1, QUEUE, 0, _batch(0, 9))
        assert await two.add(N1, QUEUE, 0, _batch(0, 9)) == [(0, 9)]
        assert await one.add(N1, QUEUE, 10, _batch(10, 19)) == [(0, 19)]
        assert await two.add(N1, QUEUE, 5, _batch(5, 24)) == [(0, 24)]
        # Borders that no subject repeats: only the compare and set over the queue can tell.
        other = b"queue-01"
        await one.add(N1, other, 0, _batch(0, 9))
        assert await two.add(N1, other, 5, _batch(5, 14)) == [(0, 14)]
        assert _sequences(await _all(two), N1, other) == list(range(15))
        jobs = [
            store.add(N2, QUEUE, f, _batch(f, f + 6))
            for f in range(0, 60, 3)
            for store in (one, two)
        ]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert all(isinstance(d, (list, StoreAway)) for d in done)
        for store in (one, two):  # what was answered "not now" comes again
            assert await store.add(N2, QUEUE, 0, _batch(0, 63)) == [(0, 63)]
        rows = await _all(one)
        assert _sequences(rows) == list(range(25))
        assert _sequences(rows, N2) == list(range(64))
        assert one.stats()["conflicts"] + two.stats()["conflicts"] > 0

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_a_writer_that_knows_nothing_of_ranges_cannot_double_a_batch(tmp_path):
    async def test(js):
        store = await _opened(js)
        subject = "l4r.%s.%s.0" % (N1.hex(), QUEUE.hex())
        await js.publish(subject, b"junk", headers={"L4-Last": "3"})
        assert await store.add(N1, QUEUE, 0, _batch(0, 5)) == [(0, 5)]  # corrected by reading
        with pytest.raises(Exception, match="maximum messages per subject"):
            await js.publish(subject, b"x")
        assert (await js.stream_info("L4_READINGS")).state.messages == 2

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_store_away_is_told_and_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(connect_module, "WRITE_S", 0.4)
    with natsbed.server(tmp_path) as nats:

        async def test(js):
            store = await _opened(js)
            await store.add(N1, QUEUE, 0, _batch(0, 4))
            natsbed.kill(nats)
            with pytest.raises(StoreAway):
                await store.add(N1, QUEUE, 5, _batch(5, 9))
            assert store.ranges(N1, QUEUE) == [(0, 4)]  # still true
            assert store.stats()["refused"] == 1
            nats.start()
            while not js._nc.is_connected:
                await asyncio.sleep(0.01)
            assert await store.add(N1, QUEUE, 5, _batch(5, 9)) == [(0, 9)]
            assert _sequences(await _all(store)) == list(range(10))

        natsbed.run(nats, test)


def test_a_full_store_refuses_and_keeps_what_it_has(tmp_path):
    async def test(js):
        store = await _opened(js, max_bytes=2000)
        good = 0
        with pytest.raises(StoreAway):
            for i in range(100):
                await store.add(N1, QUEUE, i, _batch(i, i))
                good = i
        assert store.ranges(N1, QUEUE) == [(0, good)] and 0 < good < 99
        assert await store.add(N1, QUEUE, 0, _batch(0, good)) == [(0, good)]
        assert _sequences(await _all(store)) == list(range(good + 1))

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_in_the_middle_loses_and_doubles_nothing(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(connect_module, "WRITE_S", 0.4)
    rng = random.Random(seed)
    nodes = [natsbed.node(i) for i in range(20)]
    acknowledged = {n: set() for n in nodes}

    with natsbed.server(tmp_path) as nats:

        async def writer(store, node_id, end):
            # As a node does: from what is acknowledged on, cut anew each time, again and again.
            while len(acknowledged[node_id]) < end:
                first = next(i for i in range(end) if i not in acknowledged[node_id])
                last = min(end, first + 1 + rng.randrange(9)) - 1
                try:
                    stored = await store.add(node_id, QUEUE, first, _batch(first, last))
                except StoreAway:
                    await asyncio.sleep(0.02)
                    continue
                acknowledged[node_id] = {i for a, b in stored for i in range(a, b + 1)}

        async def test(js):
            store = await _opened(js)

            async def killer():
                for wanted in (150, 450):
                    while sum(map(len, acknowledged.values())) < wanted:
                        await asyncio.sleep(0.001)
                    natsbed.kill(nats)
                    await asyncio.sleep(0.05)
                    nats.start()

            await asyncio.gather(killer(), *(writer(store, n, 50) for n in nodes))

        async def check(js):
            store = await _opened(js)  # a new one: from the disk alone
            rows = await _all(store)
            for node_id in nodes:
                assert store.ranges(node_id, QUEUE) == [(0, 49)]
                assert _sequences(rows, node_id) == list(range(50))

        natsbed.run(nats, test)
        natsbed.kill(nats)
        nats.start()
        natsbed.run(nats, check)


def test_a_time_out_that_was_stored_all_the_same(tmp_path):
    # The acknowledgement is lost, the message is not: the next try must find it, not repeat it.
    async def test(js):
        store = await _opened(js)
        await store.add(N1, QUEUE, 0, _batch(0, 4))
        publish = js.publish

        async def deaf(*args, **kw):
            await publish(*args, **kw)
            raise TimeoutError

        js.publish = deaf
        with pytest.raises(StoreAway):
            await store.add(N1, QUEUE, 5, _batch(5, 9))
        assert store.ranges(N1, QUEUE) == [(0, 4)]
        js.publish = publish
        assert await store.add(N1, QUEUE, 7, _batch(7, 11)) == [(0, 11)]
        assert _sequences(await _all(store)) == list(range(12))

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_stream_name_and_two_clients(tmp_path):
    with natsbed.server(tmp_path) as nats:

        async def test(js):
            one = await _opened(js, stream="OTHER", prefix="other")
            await one.add(N1, QUEUE, 0, _batch(0, 0))
            nc = await connect([nats.url], nats.user, nats.password)
            try:
                two = await _opened(nc.jetstream(), stream="OTHER", prefix="other")
                assert two.ranges(N1, QUEUE) == [(0, 0)]
            finally:
                await nc.close()

        natsbed.run(nats, test)


def test_misuse_is_said_early_and_bad_stored_data_is_not_fatal(tmp_path):
    async def test(js):
        store = await _opened(js)
        for bad in (
            (b"short", QUEUE, 0, _batch(0, 0)),
            (N1, b"short", 0, _batch(0, 0)),
            (N1, QUEUE, 2**32 - 1, _batch(0, 1)),
            (N1, QUEUE, -1, _batch(0, 0)),
            (N1, QUEUE, 0, [b""]),
            (N1, QUEUE, 0, [bytes(256)]),
        ):
            with pytest.raises(ValueError):
                await store.add(*bad)
        assert await store.add(N1, QUEUE, 0, []) == []
        assert await store.add(N1, QUEUE, 2**32 - 1, _batch(7, 7)) == [(2**32 - 1, 2**32 - 1)]
        for subject, headers in (
            ("l4r.zz.00.0", {"L4-Last": "0"}),
            ("l4r.00.00.x", {"L4-Last": "0"}),
            ("l4r.00.00.5", {"L4-Last": "4"}),
            ("l4r.00.01.5", None),
        ):
            await js.publish(subject, b"\x05ab", headers=headers)
        again = await _opened(js)
        assert again.stats()["stored"] == 1
        assert [r[6] for r in await _all(again)] == ["t=7 C"]

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_decoding_never_raises():
    assert split_readings(b"\x02ab\x01c") == [b"ab", b"c"]
    assert split_readings(b"") == split_readings(b"\x02a") == split_readings(b"\0") == []
    assert parse_reading(b"") == (0, 0, None, "")
    assert parse_reading(b"\x01" + bytes(8) + b"x=\xff")[3] == "x=�"
