"""Look-ups through real tiers: who answers, what is cached, what happens when a tier is gone."""

import asyncio

import pytest
from l4mesh.record import NO_ENDPOINT, O_COUNTER, O_PUBLIC
from l4mesh.wire import T_ANSWER, T_QUERY, u30
from l4tools.link import now_ms
from tierbed import Bed, run, until

NOBODY = bytes(range(16))


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("lookups")) as bed:
        yield bed


async def joined(bed, stack, *names):
    nodes = [await stack.enter_async_context(bed.node(name)) for name in names]
    for n in nodes:
        await n.join()
    for n in nodes:
        await until(lambda n=n: settled(n.node), "the record with its public endpoint registered")
    return nodes


def settled(node):
    """Joining tells a node its address as seen; then it registers once more."""
    m, own = node.member, node.own
    signed = bytes(own.record[O_PUBLIC : O_PUBLIC + 6])
    return signed != NO_ENDPOINT and m._version == own.version and m._asked is None


def nodes(bed, *names):
    """An async test with these nodes, joined."""

    def wrap(test):
        async def main():
            async with asyncio.timeout(80):
                from contextlib import AsyncExitStack

                async with AsyncExitStack() as stack:
                    await test(*await joined(bed, stack, *names))

        run(main())

    return wrap


async def count(node, bed, level, name):
    return (await node.info(bed.network.tier_id(level), "counters")).get(name, 0)


def test_first_l1_then_l3_then_the_own_cache(bed):
    @nodes(bed, "a", "b", "c")
    async def _(a, b, c):
        first = await b.lookup(a.ident.id, trace=True)
        assert (first.status, first.source) == ("found", "l1")
        assert [h.tier for h in first.hops] == [1, 2, 3]
        assert [h.id_prefix for h in first.hops] == [
            bed.network.tier_id(t).hex()[:8] for t in (1, 2, 3)
        ]
        times = [h.ms for h in first.hops]
        assert times == sorted(times)
        assert first.record == bytes(a.node.own.record)
        second = await c.lookup(a.ident.id, trace=True)
        assert (second.status, second.source) == ("found", "l3")
        assert [h.tier for h in second.hops] == [3]
        third = await c.lookup(a.ident.id, trace=True)
        assert (third.status, third.source) == ("found", "own")
        asked = await c.lookup(a.ident.id, authority=True, trace=True)
        assert (asked.status, asked.source) == ("found", "l1")
        assert [h.tier for h in asked.hops] == [1, 2, 3]


def test_a_tier_gives_its_own_record(bed):
    @nodes(bed, "b")
    async def _(b):
        for level in (3,):
            found = await b.lookup(bed.network.tier_id(level))
            assert (found.status, found.source) == ("found", "l%d" % level)
            assert found.endpoints["lan"] == bed.up[level]


def test_unknown_comes_from_the_authority_and_ends_when_the_node_joins(bed):
    @nodes(bed, "b", "c")
    async def _(b, c):
        late = bed.node("late")
        identity = late._identity(late._open_store())
        late._close()
        first = await b.lookup(identity.id)
        assert (first.status, first.source) == ("unknown", "l1")
        served = await count(b, bed, 1, "served")
        again = await c.lookup(identity.id)  # L3 believes it for some seconds
        assert (again.status, again.source) == ("unknown", "l1")
        assert await count(b, bed, 1, "served") == served
        async with late:
            await late.join()
            assert late.ident.id == identity.id
            async with bed.node("d") as d:  # b and c themselves believe it a little longer
                await d.join()
                assert (await d.lookup(identity.id)).status == "found"


def test_equal_questions_become_one(bed):
    @nodes(bed, "m", "b", "c", "d", "e")
    async def _(m, *askers):
        before = await count(m, bed, 3, "upstream_tx")
        found = await asyncio.gather(*(n.lookup(m.ident.id) for n in askers))
        assert [f.status for f in found] == ["found"] * 4
        assert await count(m, bed, 3, "upstream_tx") == before + 1


def test_a_cached_record_is_never_older_than_what_passed_by(bed):
    @nodes(bed, "mover", "b", "c")
    async def _(mover, b, c):
        old = await b.lookup(mover.ident.id)
        assert old.status == "found"
        version = mover.node.own.version
        mover.node.own.set_endpoints(bytes((127, 0, 0, 1, 77, 77)), NO_ENDPOINT)
        mover._wake.set()
        await until(lambda: mover.node.own.version > version, "a new record")

        async def seen():
            async with bed.node("fresh") as fresh:
                await fresh.join()
                found = await fresh.lookup(mover.ident.id)
                assert found.source in ("l3", "l2", "l1")
                return u30(found.record, O_COUNTER) > u30(old.record, O_COUNTER)

        await until(seen, "L3 gives the new record")


def test_answers_are_at_most_three_times_their_question(bed):
    @nodes(bed, "a", "sizes")
    async def _(a, n):
        asked, answered = [], []
        send, receive = n.link.send, n._receive

        def spy_send(buf, size, addr):
            if buf[1] == T_QUERY:
                asked.append(size)
            return send(buf, size, addr)

        n.link.send = spy_send
        n.link._receive = lambda data, addr: (
            answered.append(len(data)) if data[1] == T_ANSWER else None,
            receive(data, addr),
        )
        for trace in (False, True):
            found = await n.lookup(a.ident.id, trace=trace, authority=True)
            assert found.status == "found"
            assert answered.pop() <= 3 * min(asked)
            asked.clear()


def test_the_next_tier_answers_when_one_is_gone(tmp_path):
    with Bed(tmp_path) as bed:

        @nodes(bed, "a", "b", "c", "d")
        async def _(a, b, c, d):
            assert (await b.lookup(a.ident.id)).source == "l1"  # now L2 and L3 have it too
            # L2 gone: L3 asks L1 by itself
            await asyncio.to_thread(bed.tiers[2].stop)

            async def round_l2():
                found = await d.lookup(b.ident.id, trace=True, authority=True)
                return found.status == "found" and [h.tier for h in found.hops] == [1, 3]

            await until(round_l2, "L3 asks L1 without L2")
            await asyncio.to_thread(bed.restart, 2)

            async def two_up():
                doc = await d.info(bed.network.tier_id(3))
                return [u[1] for u in doc["upper"]] == [True, True]

            await until(two_up, "L3 hears L2 again")
            tier2 = next(t for t in c.node.tiers.list if t.level == 2)
            c.node.reach.start(now_ms())  # it pinged L2 while that was down: again, now
            c._wake.set()
            await until(lambda: tier2.up and tier2.heard, "c hears L2")
            # L3 gone: L2 answers, from the cache that it read back
            await asyncio.to_thread(bed.cut_power, 3)
            found = await c.lookup(a.ident.id)
            assert (found.status, found.source) == ("found", "l2")
            # all gone: nobody to ask
            await asyncio.to_thread(bed.cut_power, 2)
            await asyncio.to_thread(bed.cut_power, 1)
            lost = await c.lookup(d.ident.id)
            assert lost.status in ("unavailable", "failed")
            assert (await c.lookup(a.ident.id)).source == "own"
            assert not await until(lambda: not c.node.reach.up and "gone", "told") == ""
            assert (await c.lookup(d.ident.id)).status == "unavailable"


def test_unknown_and_unavailable_are_kept_apart(tmp_path):
    with Bed(tmp_path) as bed:

        @nodes(bed, "a", "b", "c")
        async def _(a, b, c):
            assert (await b.lookup(NOBODY)).status == "unknown"
            assert (await b.lookup(a.ident.id)).status == "found"
            for level in (1, 2):
                await asyncio.to_thread(bed.cut_power, level)
            # What L3 knows, it goes on answering; of the rest nobody can tell.
            assert (await c.lookup(a.ident.id)).source == "l3"
            assert (await c.lookup(NOBODY)).status == "unknown"
            lost = await c.lookup(bytes(15) + b"\x01")
            assert lost.status in ("unavailable", "failed")

            async def said():
                return [w for w in await c.info(bed.network.tier_id(3), "why") if "L1" in w]

            await until(said, "L3 says that L1 does not answer")
            for level in (1, 2):
                await asyncio.to_thread(bed.restart, level)

            async def back():
                return (await c.lookup(bytes(15) + b"\x01")).status == "unknown"

            await until(back, "the authority is asked again")
