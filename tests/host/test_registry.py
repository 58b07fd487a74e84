"""The registry and the tiers' record cache, on a real server with real expiry."""

import asyncio
import random
import time

import natsbed
import pytest
from l4tools.upstream import connect as connect_module
from l4tools.upstream.connect import Conflict, StoreAway, write
from l4tools.upstream.record_cache import Cache
from l4tools.upstream.registry import Registry, order
from natsbed import node, record

AT = b"\x7f\0\0\1\x13\x88"


async def _opened(js, **options):
    registry = Registry(js, **options)
    await registry.start()
    return registry


async def _until(condition, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.01)


def test_order_only_moves_forward(tmp_path):
    async def test(js):
        reg = await _opened(js)
        one = node(1)
        assert await reg.get(one) is None and reg.newest(one) is None
        assert await reg.put(one, record(2, 5), AT, 60) == "stored"
        kept, endpoint, remaining_s = await reg.get(one)
        assert (kept, endpoint) == (record(2, 5), AT) and 58 <= remaining_s <= 60
        assert await reg.put(one, record(2, 4), AT, 60) == "older"
        assert await reg.put(one, record(1, 99), AT, 60) == "older"
        assert await reg.put(one, record(2, 5, fill=1), AT, 60) == "older"  # two of one number
        assert await reg.put(one, record(2, 5), AT, 90) == "refreshed"
        assert (await reg.get(one))[2] > 60
        assert await reg.put(one, record(2, 256), bytes(6), 60) == "stored"
        assert await reg.put(one, record(3, 1), AT, 60) == "stored"
        assert reg.newest(one) == record(3, 1) and reg.full_id(one[:8]) == one
        assert await reg.count() == 1
        for bad in ((one[:8], record(1, 1), AT), (one, b"R", AT), (one, record(1, 1), b"")):
            with pytest.raises(ValueError):
                await reg.put(*bad, 60)
        await reg.stop()

    assert order(record(1, 2**29)) < order(record(2, 1))
    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_expiry_the_marker_and_what_is_remembered(tmp_path):
    async def test(js):
        reg = await _opened(js)
        one, seen = node(1), []
        await reg.watch(lambda *change: seen.append(change))
        await reg.put(one, record(7, 7), AT, 1)
        await reg.put(node(2), record(1, 1), AT, 60)

        async def gone():
            return (one, None, None) in seen

        await _until(gone)
        assert await reg.get(one) is None and await reg.count() == 1
        # The key still has a message, the marker: nats-py's own get says "there, value None".
        entry = await (await js.key_value("l4_registry")).get(one.hex())
        assert entry.value is None
        # An old record does not come back; the newest one does, over the marker.
        assert await reg.put(one, record(7, 6), AT, 60) == "older"
        assert await reg.get(one) is None and reg.newest(one) == record(7, 7)
        assert await reg.put(one, record(7, 7), AT, 60) == "refreshed"
        assert (await reg.get(one))[0] == record(7, 7)
        assert [c[1] is None for c in seen if c[0] == one] == [False, True, False]
        await reg.stop()

        fresh = await _opened(js)  # and not after a restart either
        assert await fresh.put(one, record(7, 6), AT, 60) == "older"
        await fresh.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_the_marker_itself_expires(tmp_path):
    async def test(js):
        reg = await _opened(js, marker_s=1)
        await reg.put(node(1), record(1, 1), AT, 1)

        async def empty():
            return (await js.stream_info("KV_l4_registry")).state.messages == 0

        await _until(empty)
        assert await reg.put(node(1), record(1, 2), AT, 60) == "stored"
        assert (await reg.get(node(1)))[0] == record(1, 2)
        await reg.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_a_thousand_nodes_and_a_restart(tmp_path):
    ids = [node(i) for i in range(1000)]

    async def fill(js):
        reg = await _opened(js)
        done = await asyncio.gather(*(reg.put(i, record(1, 1, i[7]), AT, 600) for i in ids))
        assert set(done) == {"stored"} and await reg.count() == 1000
        await reg.put(ids[0], record(2, 1), AT, 1)
        await reg.stop()

    async def check(js):
        reg = await _opened(js)
        found = [await reg.get(i) for i in ids]
        assert [f[0] for f in found[1:]] == [record(1, 1, i[7]) for i in ids[1:]]
        assert all(550 < f[2] <= 600 for f in found[1:])
        assert reg.newest(ids[0]) == record(2, 1)

        async def expired():  # due while the server was down, or soon after
            return await reg.get(ids[0]) is None and await reg.count() == 999

        await _until(expired)
        seen = []
        stop = await reg.watch(lambda *change: seen.append(change))
        assert {s[0] for s in seen} == set(ids[1:])
        stop()
        await reg.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, fill)
        natsbed.kill(nats)
        nats.start()
        natsbed.run(nats, check)


def test_delete(tmp_path):
    async def test(js):
        reg, other, seen = await _opened(js), await _opened(js), []
        await other.watch(lambda *change: seen.append(change))

        async def told(wanted):
            async def condition():
                return [c[1] for c in seen] == wanted

            await _until(condition)

        await reg.put(node(1), record(1, 5), AT, 60)
        await told([record(1, 5)])
        assert await reg.delete(node(1)) and not await reg.delete(node(1))
        assert await reg.get(node(1)) is None and await reg.count() == 0
        await told([record(1, 5), None])
        assert await reg.put(node(1), record(1, 4), AT, 60) == "older"
        assert await reg.put(node(1), record(1, 6), AT, 60) == "stored"
        await told([record(1, 5), None, record(1, 6)])
        await reg.stop()
        await other.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_racing_writers_end_with_the_newest(tmp_path):
    async def test(js):
        regs = [await _opened(js, shared=True) for _ in range(3)]
        rng = random.Random(4)
        jobs = [(n, c) for n in range(5) for c in range(1, 13)]
        rng.shuffle(jobs)
        done = await asyncio.gather(
            *(rng.choice(regs).put(node(n), record(1, c), AT, 60) for n, c in jobs)
        )
        assert set(done) <= {"stored", "older"}
        for n in range(5):
            for reg in regs:
                assert (await reg.get(node(n)))[0] == record(1, 12)
                assert await reg.put(node(n), record(1, 11), AT, 60) == "older"
            for bucket, length in (("l4_registry", 142), ("l4_epochs", 136)):
                key = "$KV.%s.%s" % (bucket, node(n).hex())
                data = (await js.get_last_msg("KV_" + bucket, key)).data
                assert data[:136] == record(1, 12) and len(data) == length
        for reg in regs:
            await reg.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_shared_misses_ask_the_bucket_and_leave_nothing_behind(tmp_path):
    async def test(js):
        one, two = await _opened(js, shared=True), await _opened(js, shared=True)
        await one.put(node(1), record(1, 1), AT, 60)
        assert (await two.get(node(1)))[0] == record(1, 1)  # at once, whatever the mirror knows
        for i in range(2, 50):
            assert await two.get(node(i)) is None
        assert len(two._entries) == 1
        await one.stop()
        await two.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_foreign_things_in_the_bucket_are_skipped(tmp_path):
    async def test(js):
        reg = await _opened(js)
        for key, data in (("zz", b"x"), ("00" * 16, b"short"), ("a.b", bytes(142))):
            await js.publish("$KV.l4_registry." + key, data)
            await js.publish("$KV.l4_epochs." + key, data)
        forever = record(1, 1) + AT  # written without an expiry: never counts as registered
        await js.publish("$KV.l4_registry." + node(5).hex(), forever)
        await reg.put(node(1), record(1, 1), AT, 60)
        fresh = await _opened(js)
        assert await fresh.count() == 1 and await fresh.get(node(5)) is None
        assert await fresh.put(node(5), record(1, 1), AT, 60) == "stored"
        await reg.stop()
        await fresh.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


def test_write_tells_conflict_from_absence(tmp_path):
    async def test(js):
        await _stopped(await _opened(js))
        seq = await write(js, "$KV.l4_registry.k", b"1", expect=0, ttl_s=60)
        for wrong in (0, seq + 1):
            with pytest.raises(Conflict):
                await write(js, "$KV.l4_registry.k", b"2", expect=wrong, ttl_s=60)
        with pytest.raises(StoreAway):
            await write(js, "no.stream.here", b"")

    async def _stopped(registry):
        await registry.stop()

    with natsbed.server(tmp_path) as nats:
        natsbed.run(nats, test)


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_in_the_middle_loses_no_registration(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(connect_module, "WRITE_S", 0.4)
    rng = random.Random(seed)
    acknowledged = {}

    with natsbed.server(tmp_path) as nats:

        async def joiner(reg, i):
            for counter in range(1, 6):
                while True:
                    try:
                        answer = await reg.put(node(i), record(1, counter), AT, 600)
                        break
                    except StoreAway:
                        await asyncio.sleep(0.02 * rng.random())
                assert answer in ("stored", "refreshed")  # refreshed: epochs had it, then the cut
                acknowledged[i] = counter

        async def test(js):
            reg = await _opened(js)

            async def killer():
                for wanted in (40, 120):
                    while sum(acknowledged.values()) < wanted:
                        await asyncio.sleep(0.001)
                    natsbed.kill(nats)
                    before = dict(acknowledged)
                    for i, counter in before.items():  # look-ups go on meanwhile
                        assert (await reg.get(node(i)))[0] >= record(1, counter)
                    await asyncio.sleep(0.05)
                    nats.start()

            await asyncio.gather(killer(), *(joiner(reg, i) for i in range(60)))

            # The mirror's own consumer was forgotten by the server; it must follow again.
            other, seen = await _opened(js), []
            await reg.watch(lambda *change: seen.append(change[0]))
            await other.put(node(99), record(1, 1), AT, 60)

            async def followed():
                return node(99) in seen

            await _until(followed)
            await reg.stop()
            await other.stop()

        async def check(js):
            reg = await _opened(js)
            for i in range(60):
                assert (await reg.get(node(i)))[0] == reg.newest(node(i)) == record(1, 5)
            await reg.stop()

        natsbed.run(nats, test)
        natsbed.kill(nats)
        nats.start()
        natsbed.run(nats, check)


# -- the cache of L3 and L2 ----------------------------------------------------------------------


def test_cache_remaining_only_falls():
    cache = Cache()
    one = node(1)
    assert cache.get(one, 0) is None
    assert cache.put(one, record(1, 1), 10, 1000)
    assert cache.get(one, 1000) == (record(1, 1), 10)
    assert cache.get(one, 1001) == (record(1, 1), 9)  # rounded down
    assert cache.get(one, 0) == (record(1, 1), 10)  # a clock set back gives no more than told
    assert cache.get(one, 1599) == (record(1, 1), 0) and cache.get(one, 1600) is None
    assert not cache.put(one, record(1, 1), 0, 1000)
    assert cache.put(one, record(1, 1, lifetime_min=5), 1000, 1000)
    assert cache.get(one, 1000)[1] == 5  # no longer than signed
    assert not cache.put(one, record(0, 9), 60, 1000)  # older
    assert cache.put(one, record(1, 2), 1, 1000) and cache.get(one, 1000) == (record(1, 2), 1)
    assert cache.put(one, record(0, 9), 60, 2000)  # what was there has expired


def test_cache_is_bounded_and_least_used_goes():
    cache = Cache(size=3)
    for i in range(3):
        cache.put(node(i), record(1, 1), 60, 0)
    cache.get(node(0), 0)
    cache.put(node(3), record(1, 1), 60, 0)
    assert len(cache) == 3 and cache.get(node(1), 0) is None and cache.get(node(0), 0)
    assert not cache.refresh_if_present(node(1), record(1, 2), 60, 0)
    assert cache.refresh_if_present(node(0), record(1, 2), 60, 0)
    assert cache.get(node(0), 0)[0] == record(1, 2)


def test_cache_unknown_is_believed_briefly():
    cache = Cache(size=2, negative_s=10)
    cache.put_unknown(node(1), None, 100)
    assert cache.unknown_s(node(1), 100.5) == 10 and cache.unknown_s(node(1), 110) == 0
    cache.put_unknown(node(1), 10**6, 0)
    assert cache.unknown_s(node(1), 0) <= 301
    cache.put(node(1), record(1, 1), 60, 0)
    assert cache.unknown_s(node(1), 0) == 0
    for i in range(5):
        cache.put_unknown(node(i), 5, 0)
    assert [cache.unknown_s(node(i), 0) > 0 for i in range(5)] == [False] * 3 + [True] * 2


def test_cache_outlives_a_restart_and_a_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(connect_module, "WRITE_S", 0.4)
    now_s = time.time()

    with natsbed.server(tmp_path) as nats:

        async def fill(js):
            cache = Cache(js)
            assert await cache.start() == 0
            for i in range(300):
                cache.put(node(i), record(1, 1), 30, now_s)
            cache.put(node(0), record(1, 2), 30, now_s)
            cache.put(node(1), record(1, 2), 1, now_s - 59)  # a second left
            natsbed.kill(nats)
            await asyncio.sleep(0.1)
            assert cache.get(node(5)) == (record(1, 1), 29)  # away or not
            nats.start()
            while not js._nc.is_connected:
                await asyncio.sleep(0.01)
            await cache.stop()

        async def check(js):
            cache = Cache(js)
            await asyncio.sleep(max(0, now_s + 1 - time.time()))
            assert await cache.start() == 299
            assert cache.get(node(0)) == (record(1, 2), 29) and cache.get(node(1)) is None
            await cache.stop()
            small = Cache(js, size=10)
            assert await small.start() == 10
            await small.stop()

        natsbed.run(nats, fill)
        natsbed.kill(nats)
        nats.start()
        natsbed.run(nats, check)
