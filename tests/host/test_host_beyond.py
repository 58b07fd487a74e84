"""Hosts that cannot send each other a datagram, and real tiers: relayed, by TCP, by the next."""

import pytest
from l4tools.commands.path import find
from l4tools.errors import Unavailable
from tierbed import Bed, run, until


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("beyond"), tcp_port=0) as bed:
        yield bed


def wall(n, *others):
    """Nothing that `n` sends reaches these nodes, nor what they send `n`."""
    ends = {o.link.local for o in others}
    send = n.link.send
    n.link.send = lambda buf, k, addr: addr in ends or send(buf, k, addr)


def blocked(n):
    """No datagram of `n` gets out."""
    n.link.send = lambda buf, k, addr: True


def tcp(bed):
    return [[t, bed.up[t].replace(":" + bed.up[t].rpartition(":")[2],
                                  ":%d" % bed.tiers[t].ready["tcp"])] for t in (3, 1)]  # fmt: skip


async def standing(n, levels=(3, 1)):
    await n.join()
    await until(lambda: n.node.ways is not None, "its ways are made")
    places = n.node.ways.asks
    await until(lambda: {p.level for p in places.list if p.ok} >= set(levels), "its places")


def test_a_question_by_a_relay(bed):
    async def main():
        async with bed.node("a") as a, bed.node("b", config={"nat": "always"}) as b:
            wall(a, b)
            wall(b, a)
            await a.join()
            await standing(b)
            addr = await a.beyond.reach(b.ident.id)
            assert addr is not None and addr[:2] == b"\0\x01"
            assert (await a.pong(b.ident.id, addr=addr))["mode"]
            doc = await a.info(b.ident.id, "status", addr=addr)
            assert doc["name"] == "host"
            (row,) = await a.info(b.ident.id, "ways", addr=addr)
            assert row["state"] == "relayed" and row["by"] == "l3"
            assert row["peer"] == a.ident.id[:8].hex()
            relay = (await a.info(bed.network.tier_id(3), "status"))["relay"]
            assert relay["channels"] == 1 and relay["carried"] > 0

    run(main())


def test_what_l4_path_says(bed):
    async def main():
        async with bed.node("a") as a, bed.node("b", config={"nat": "always"}) as b:
            await a.join()
            await standing(b)
            doc = await find(a, b.ident.id)
            assert doc["state"] == "direct" and doc["why"] is None
            wall(a, b)
            wall(b, a)
            doc = await find(a, b.ident.id, wait_s=0.5)
            assert doc["state"] == "relayed" and doc["by"] == "l3", doc
            outcomes = [(what, outcome) for what, outcome, _ in doc["tried"]]
            assert outcomes[0][1] == "silent" and ("l3", "works") in outcomes

    run(main())


def test_nobody_is_there(bed):
    async def main():
        async with bed.node("a") as a:
            await a.join()
            assert await a.beyond.reach(bytes(range(16)), 1) is None
            assert a.beyond.way(bytes(range(16))).tried[0][1] == 2
            with pytest.raises(Unavailable):
                await a.pong(bytes(range(16)), 0.3, b"\x7f\0\0\x01\x10\x01")

    run(main())


def test_udp_blocked_on_both_sides(bed):
    async def main():
        options = {"tcp": tcp(bed), "nat": "always"}
        async with bed.node("a", config=options) as a, bed.node("b", config=options) as b:
            blocked(a)
            blocked(b)
            await a.join(15)
            await standing(b)
            assert b.node.tiers.list[0].addr[:2] == b"\0\x03"
            found = await a.lookup(b.ident.id)
            assert found.status == "found"
            addr = await a.beyond.reach(b.ident.id)
            assert addr is not None
            assert (await a.pong(b.ident.id, addr=addr))["mode"]
            status = await a.info(bed.network.tier_id(3), "status")
            assert status["tcp"] == 2

    run(main())


def test_one_l3_dead_then_l1(bed):
    async def main():
        async with bed.node("a") as a, bed.node("b", config={"nat": "always"}) as b:
            wall(a, b)
            wall(b, a)
            await a.join()
            await standing(b)
            addr = await a.beyond.reach(b.ident.id)
            assert (await a.pong(b.ident.id, addr=addr))["mode"]
            bed.cut_power(3)
            try:

                async def again():
                    try:
                        return await a.pong(b.ident.id, 1.0, addr)
                    except Unavailable:
                        return None

                assert await until(again, "it answers by L1")
                assert a.beyond.way(b.ident.id).use.relay.level == 1
                async with bed.node("c") as c:
                    wall(c, b)
                    wall(b, c)
                    await c.join()
                    addr = await c.beyond.reach(b.ident.id)
                    assert (await c.pong(b.ident.id, addr=addr))["mode"]
            finally:
                bed.restart(3)

    run(main())
