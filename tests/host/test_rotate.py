"""A new group key: from the owner's file to the tiers, and from L1 to the nodes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from l4mesh import orders as do
from l4tools import network as networks
from l4tools.errors import Refused, ToolError
from l4tools.network import Network
from l4tools.orders import Orders
from tierbed import Bed, run, until

L4 = Path(sys.executable).with_name("l4")
PHRASE = "five easy words for tests"


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("rotate")) as made:
        made.network.save(networks.path_of("test"), PHRASE, new=True)
        yield made


def l4(bed, *args):
    ups = [x for t, a in sorted(bed.up.items()) for x in ("--upstream", "L%d=%s" % (t, a))]
    done = subprocess.run(
        [str(L4), "--json", "network", "rotate", *args, *ups],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "L4_PASSPHRASE": PHRASE, "L4_HOME": str(bed.folder / "home")},
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout), done.stderr


def test_nodes_get_the_new_key_and_the_old_one_is_good_for_a_while(bed):
    old = bed.network.group

    async def main():
        async with bed.node("a") as a, bed.node("b") as b:
            await a.join()
            await b.join()
            code, doc, err = await asyncio.to_thread(l4, bed)
            assert code == 0, err
            number = (old[0] + 1) & 255
            assert doc["group"] == number and [s["done"] for s in doc["steps"]] == [True] * 3
            assert [s["where"] for s in doc["steps"]] == ["l3", "l2", "l1"]
            new = Network.load(networks.path_of("test"), PHRASE)
            assert [g[0] for g in new.groups] == [old[0], number] and new.groups[0] == old
            # The next JOINED brings the new one.
            assert a.node.keys.number == old[0]
            a.node.member.register(0)
            a._wake.set()
            await until(lambda: a.node.keys.number == number, "no new key")
            assert a.node.keys.key == new.group[1]
            l3 = bed.network.tier_id(3)
            assert await a.ping(l3) < 5000
            # The other still speaks under the old one: it is heard, and by the answer it knows
            # that there is a newer one, which it then asks for.
            b.node.member._sent -= 60000
            await until(lambda: _answers(b, l3), "it did not ask")
            assert b.node.keys.key == new.group[1]

    run(main())


async def _answers(node, other):
    try:
        await node.ping(other, 0.5)
    except ToolError:
        return False
    return True


def test_the_tiers_keep_it_over_a_restart_and_take_it_twice(bed):
    new = Network.load(networks.path_of("test"), PHRASE)
    bed.tiers[3].kill()
    bed.restart(3)  # with the settings of before
    code, doc, err = l4(bed, "--again")
    assert code == 0 and doc["group"] == new.group[0], err

    async def main():
        async with bed.node("c", network=new) as c:
            await c.join()
            assert c.node.keys.number == new.group[0]
            assert await c.ping(bed.network.tier_id(3)) < 5000

    run(main())


def test_only_the_owner_and_only_forward(bed):
    new = Network.load(networks.path_of("test"), PHRASE)

    async def refused(orders, number, key=bytes(32), error=ToolError, match="cannot"):
        with pytest.raises(error, match=match):
            await orders.give(bed.network.tier_id(3), do.DO_GROUP, body=bytes((number,)) + key)

    async def main():
        number = new.group[0]
        async with bed.node("tool", network=new) as tool, Orders(tool) as orders:
            await tool.join()
            await refused(orders, (number - 1) & 255)
            await refused(orders, (number + 9) & 255)
            await refused(orders, number)  # another key under the number in use
            await refused(orders, (number + 1) & 255, bytes(31))
            stranger = Network.create("stranger")
            orders._network.owner_seed, seed = stranger.owner_seed, orders._network.owner_seed
            await refused(orders, (number + 1) & 255, error=Refused, match="not signed")
            orders._network.owner_seed = seed
            assert await tool.ping(bed.network.tier_id(3)) < 5000

    run(main())


def test_a_tier_that_is_away_is_told_of_and_gets_it_later(bed):
    bed.tiers[2].stop()
    code, doc, err = l4(bed)
    assert code == 0 and [s["done"] for s in doc["steps"]] == [True, False, True]
    bed.restart(2)
    for _ in range(8):  # it may need a moment until it has L1's word on who is asking
        code, again, err = l4(bed, "--again")
        assert code == 0 and again["group"] == doc["group"], err
        if again["steps"][1]["done"]:
            break
    assert [s["done"] for s in again["steps"]] == [True] * 3, again
