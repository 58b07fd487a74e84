"""The owner's orders over real frames: to nodes, and to the tiers, which then keep a node out."""

import os

import pytest
from l4mesh import orders as do
from l4tools.errors import Refused, ToolError, Unavailable
from l4tools.network import Network
from l4tools.orders import Orders
from tierbed import Bed, events_of, run, until


class Care:
    """What a board does with orders, for a node on this machine."""

    def __init__(self, owner):
        self.owner = owner
        self.done = []

    def do(self, kind, arg, room):
        self.done.append((kind, arg))
        return do.DONE, 7, b"x" * room if kind == do.DO_LOG else b""


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("orders"), mqtt=True) as made:
        yield made


def test_orders_to_a_node(bed):
    async def main():
        async with bed.node("board") as board, bed.node("tool") as tool:
            care = Care(bed.network.owner_public)
            board.node.caring = lambda: care
            await board.join()
            await tool.join()
            target, addr = board.ident.id, board.link.local
            async with Orders(tool) as orders:
                assert (await orders.give(target, do.DO_IDENTIFY, 30, addr=addr)).arg == 7
                page = await orders.give(target, do.DO_LOG, 3, addr=addr, room=1000)
                assert 1000 <= len(page.data) <= 1030
                # by a look-up, and with the owner's signature
                assert (await orders.give(target, do.DO_RESTART)).arg == 7
                assert care.done == [(1, 30), (3, 3), (2, 0)]
                care.owner = os.urandom(32)
                with pytest.raises(Refused):
                    await orders.give(target, do.DO_FORGET, addr=addr)
                board.node.inbox._orders = None
                board.node.caring = None
                with pytest.raises(ToolError, match="cannot do that"):
                    await orders.give(target, do.DO_LOG, addr=addr)
            # The tool's other questions go on as before.
            assert await tool.ping(target, addr=addr) < 1000
            assert len(care.done) == 3

    run(main())


def test_an_owner_without_the_master_key_gets_no_answer(bed):
    async def main():
        stranger = Network.create("stranger")
        stranger.owner_seed, stranger.groups = bed.network.owner_seed, bed.network.groups
        async with bed.node("board2") as board:
            await board.join()
            async with bed.node("tool2", network=stranger, up={}) as tool, Orders(tool) as orders:
                with pytest.raises(Unavailable):
                    await orders.give(
                        board.ident.id, do.DO_LOG, addr=board.link.local, timeout_s=0.3
                    )

    run(main())


async def revoke(bed, tool, node_id, kind=do.DO_REVOKE, levels=(1, 2, 3)):
    async with Orders(tool) as orders:
        return [
            (await orders.give(bed.network.tier_id(t), kind, body=node_id)).arg for t in levels
        ]


def test_a_revoked_node_is_out_and_can_come_back(bed):
    async def main():
        async with bed.node("tool") as tool:
            await tool.join()
            async with bed.node("gone") as gone, bed.node("stays") as stays:
                await gone.join()
                await stays.join()
                assert (await stays.lookup(gone.ident.id)).status == "found"
                node_id = gone.ident.id
                had = await revoke(bed, tool, node_id)
                assert had[0] & 1 and had[2] & 4
                found = await tool.lookup(node_id, authority=True)
                assert found.status == "unknown"
                assert await stays.ping(bed.network.tier_id(3)) < 1000
            # With its node key it comes in nowhere: not by L3, not at L1 itself.
            for up in (bed.up, {1: bed.up[1]}):
                async with bed.node("gone", up=up) as gone:
                    assert gone.ident.id == node_id
                    with pytest.raises(Unavailable):
                        await gone.join(1.0)
            bed.tiers[1].stop()
            bed.restart(1)  # it is on disk
            async with bed.node("gone", up={1: bed.up[1]}) as gone:
                with pytest.raises(Unavailable):
                    await gone.join(0.7)
            await revoke(bed, tool, node_id, do.DO_READMIT)
            async with bed.node("gone") as gone:
                await gone.join(20)
                found = await until_found(tool, node_id)
                assert found.status == "found"

    run(main())


async def until_found(tool, node_id):
    async def look():
        found = await tool.lookup(node_id, authority=True)
        return found if found.status == "found" else None

    return await until(look, "the node is known again")


def test_a_tier_that_was_not_reached_lets_nothing_through(bed):
    """Only L1 was told: L3 still has the node's key for a while, but not L1's consent."""

    async def main():
        async with bed.node("tool") as tool, bed.node("late") as late:
            await tool.join()
            await late.join()
            await revoke(bed, tool, late.ident.id, levels=(1,))
            with events_of(late) as seen:
                late.node.member.register(0)
                late.node.member._due = late.node._now
                late._wake.set()
                await until(lambda: [e for e in seen if e[0] == 9], "it is refused")

    run(main())


def test_tiers_take_orders_of_the_owner_only(bed):
    async def main():
        async with bed.node("tool") as tool, bed.node("safe") as safe:
            await tool.join()
            await safe.join()
            with pytest.raises(Refused):  # of a tier itself
                await revoke(bed, tool, bed.network.tier_id(3), levels=(1,))
            with pytest.raises(ToolError, match="cannot do that"):
                async with Orders(tool) as orders:
                    await orders.give(bed.network.tier_id(1), do.DO_LOG)
            right = tool.network.owner_seed
            try:
                tool.network.owner_seed = os.urandom(32)
                for level in (1, 2, 3):
                    with pytest.raises(Refused):
                        await revoke(bed, tool, safe.ident.id, levels=(level,))
            finally:
                tool.network.owner_seed = right
            assert (await tool.lookup(safe.ident.id, authority=True)).status == "found"

    run(main())
