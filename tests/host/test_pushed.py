"""Events through real tiers: from the owner or from NATS, down to the nodes that listen."""

import asyncio
import contextlib
import json
import random

import pytest
from l4mesh.listen import Listen
from l4mesh.orders import DO_PUBLISH
from l4tools.errors import Refused, ToolError
from l4tools.link import now_ms
from l4tools.network import Network
from l4tools.orders import Orders
from l4tools.upstream.connect import connect
from l4tools.upstream.pushed import MOST_DATA
from tierbed import Bed, run, until


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("pushed")) as made:
        yield made


@contextlib.asynccontextmanager
async def listening(bed, name, *topics, up=None):
    """A node that listens, joined: the list of (topic, data) it was told."""
    async with bed.node(name, up=up) as node:
        await node.join()
        told = []
        machine = Listen(
            node.node, list(topics), lambda t, d: told.append((t, d)), random.Random(1)
        )

        async def poll():
            while True:
                await asyncio.sleep(min(machine.poll(now_ms()), 50) / 1000)

        task = asyncio.create_task(poll())
        try:
            yield told
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def event(topic, data=b""):
    return bytes((len(topic),)) + topic + data


async def order(bed, tool, body):
    async with Orders(tool) as orders:
        return await orders.give(bed.network.tier_id(1), DO_PUBLISH, body=body)


async def heard(bed, tool, told, topic, data):
    """Publish until it is heard: a subscription takes a moment to reach L1."""

    async def again():
        await order(bed, tool, event(topic, data))
        await asyncio.sleep(0.2)
        return (topic, data) in told

    await until(again, "%r was not heard" % topic)


def test_the_owners_event_reaches_who_listens_and_nobody_else(bed):
    async def main():
        async with (
            listening(bed, "a", b"alarm", b"bell") as a,
            listening(bed, "b", b"bell") as b,
            bed.node("tool") as tool,
        ):
            await tool.join()
            await heard(bed, tool, a, b"alarm", b"warm-up")
            await heard(bed, tool, b, b"bell", b"warm-up")
            a.clear(), b.clear()
            await order(bed, tool, event(b"alarm", b"fire"))
            await order(bed, tool, event(b"bell", bytes(800)))
            await until(lambda: len(a) == 2 and len(b) == 1, "two events")
            assert sorted(a) == [(b"alarm", b"fire"), (b"bell", bytes(800))]
            assert b == [(b"bell", bytes(800))]

    run(main())


def test_events_come_from_nats_too(bed):
    state = json.loads((bed.folder / "l1/nats/state.json").read_text())

    async def main():
        nc = await connect(bed.tiers[1].ready["nats"], state["user"], state["password"])
        try:
            # Straight at L1, so that it is one hop.
            async with listening(bed, "c", b"stock", up={1: bed.up[1]}) as told:

                async def published():
                    await nc.publish("l4e.stock", b"42")
                    await nc.publish("l4e." + "x" * 33, b"no topic")
                    await nc.publish("l4e.stock", bytes(MOST_DATA + 1))
                    await asyncio.sleep(0.1)
                    return told

                await until(published, "an event from NATS")
                assert set(told) == {(b"stock", b"42")}
        finally:
            await nc.close()

    run(main())


def test_only_the_owner_may_publish(bed):
    async def main():
        async with listening(bed, "d", b"alarm") as told, bed.node("tool") as tool:
            await tool.join()
            await heard(bed, tool, told, b"alarm", b"mine")
            thief = Network.create("thief")
            real, tool.network = tool.network, thief
            thief.master, thief.groups = real.master, real.groups
            try:
                with pytest.raises((Refused, ToolError)):
                    async with Orders(tool) as orders:
                        await orders.give(
                            bed.network.tier_id(1), DO_PUBLISH, body=event(b"alarm", b"theirs")
                        )
            finally:
                tool.network = real
            await heard(bed, tool, told, b"alarm", b"after")
            assert (b"alarm", b"theirs") not in told

    run(main())


def test_an_edge_that_comes_back_gets_its_subscriptions_again(bed):
    async def main():
        async with listening(bed, "e", b"alarm") as told, bed.node("tool") as tool:
            await tool.join()
            await heard(bed, tool, told, b"alarm", b"before")
            bed.cut_power(3)
            # The nearest tier is another one now, or L3 again: both get a subscription.
            await heard(bed, tool, told, b"alarm", b"without L3")
            bed.restart(3)
            await heard(bed, tool, told, b"alarm", b"with L3")

    run(main())
