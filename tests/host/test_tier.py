"""Joining through real tiers, and what is refused."""

import asyncio
import dataclasses
import json
import os
import random
import secrets

import pytest
from l4mesh.events import EV_REFUSED
from l4mesh.record import O_EPOCH
from l4mesh.wire import T_KEYREQ, u30
from l4tools.errors import ToolError
from l4tools.hostnode import HostNode
from l4tools.lan.hub import Hub
from l4tools.network import Network
from l4tools.upstream.config import TierConfig, tier_config
from l4tools.upstream.process import TierProcess
from l4tools.upstream.service import next_epoch
from tierbed import Bed, events_of, kill, run, until


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("tiers")) as bed:
        yield bed


async def counters(node, bed, level):
    return await node.info(bed.network.tier_id(level), "counters")


def test_a_node_joins_through_l3_l2_l1(bed):
    async def main():
        async with bed.node("a") as a:
            assert await a.join() == 3
            assert a.node.member.joined
            assert a.node.own.public == a.link.local  # as the first tier saw it
            status = lambda: a.info(bed.network.tier_id(1), "status")
            doc = await until(lambda: registered(status), "L1 counts the registration")
            assert doc["tier"] == 1 and doc["nats"] == "ok" and doc["cache"] is None
            l3 = await a.info(bed.network.tier_id(3), "status")
            assert l3["registered"] is None and [u[:2] for u in l3["upper"]] == [
                [2, True],
                [1, True],
            ]

    async def registered(status):
        doc = await status()
        return doc["registered"] and doc

    run(main())


def test_lower_tiers_may_be_skipped(bed):
    async def main():
        for level in (1, 2):
            async with bed.node("skip%d" % level, {level: bed.up[level]}) as n:
                assert await n.join() == level

    run(main())


def test_a_node_that_lost_its_epoch_recovers(bed):
    async def main():
        folder = bed.folder / "node-lost"
        folder.mkdir()
        (folder / "epoch").write_bytes((4).to_bytes(4, "big"))
        async with bed.node("lost") as n:
            assert n.ident.epoch == 5
            await n.join()
        (folder / "epoch").write_bytes(bytes(4))  # as if the flash had been wiped
        async with bed.node("lost") as n:
            assert n.ident.epoch == 1
            await n.join()
            assert n.node.tx.epoch == 6
            assert u30(n.node.own.record, O_EPOCH) == 6
        assert int.from_bytes((folder / "epoch").read_bytes(), "big") == 6

    run(main())


def test_the_newer_group_key_comes_with_joining(tmp_path):
    with Bed(tmp_path, tiers=(1,)) as bed:
        new = (2, secrets.token_bytes(32))
        rotated = dataclasses.replace(bed.network, groups=bed.network.groups + [new])
        config = tier_config(rotated, 1, tmp_path / "l1", up={})
        bed.tiers[1].stop()
        bed.tiers[1].config.update(config)
        bed.restart(1)

        async def main():
            async with bed.node("g") as n:
                assert n.node.keys.number == 1
                await n.join()
                assert (n.node.keys.number, n.node.keys.key) == new

        run(main())


class BadSignature(HostNode):
    """Signs with nothing."""

    def _make_node(self, store):
        node = super()._make_node(store)
        node.own._crypto = Nothing
        return node


class Nothing:
    class Sign:
        def __init__(self, *args):
            pass

        def step(self):
            return bytes(63) + b"\x01"


class SaysItIsATier(HostNode):
    def _make_node(self, store):
        node = super()._make_node(store)
        node.own._tier = 3
        return node


@pytest.mark.parametrize("cls", [BadSignature, SaysItIsATier])
def test_a_forged_record_is_refused(bed, cls):
    async def main():
        async with bed.node(cls.__name__, cls=cls) as n, bed.node("witness") as witness:
            with events_of(n) as seen:
                await until(lambda: [e for e in seen if e[0] == EV_REFUSED], "JOINED status 2")
            assert {e[1] for e in seen if e[0] == EV_REFUSED} == {2}
            assert not n.node.member.joined
            await witness.join()
            assert (await witness.lookup(n.ident.id, authority=True)).status == "unknown"

    run(main())


def test_a_wrong_node_key_is_ignored(bed):
    stranger = dataclasses.replace(bed.network, master=secrets.token_bytes(32))

    async def main():
        async with bed.node("witness") as witness:
            await witness.join()
            before = (await counters(witness, bed, 3)).get("bad_tag", 0)

            async def refused():
                return (await counters(witness, bed, 3)).get("bad_tag", 0) > before

            async with bed.node("w", network=stranger) as n:
                await until(refused, "L3 counts the bad tag")
                assert not n.node.member.joined
            assert (await witness.lookup(n.ident.id, authority=True)).status == "unknown"

    run(main())


class InATiersName(HostNode):
    """Puts the short id of a tier into its frames."""

    claimed = b""

    def _make_node(self, store):
        node = super()._make_node(store)
        node.tx.buf[8:16] = self.claimed
        return node


@pytest.mark.parametrize("level", [1, 2])
def test_nobody_speaks_in_the_name_of_a_tier(bed, level):
    InATiersName.claimed = bed.network.tier_id(level)[:8]

    async def main():
        async with bed.node("witness") as witness:
            await witness.join()
            before = (await counters(witness, bed, 3)).get("bad_tag", 0)

            async def refused():
                return (await counters(witness, bed, 3)).get("bad_tag", 0) > before

            async with bed.node("claims%d" % level, cls=InATiersName) as n:
                await until(refused, "L3 counts the bad tag")
                assert not n.node.member.joined
            # .. and the tier itself is still there for L3
            l3 = await witness.info(bed.network.tier_id(3), "status")
            assert [u[1] for u in l3["upper"]] == [True, True]

    run(main())


def test_node_keys_are_for_tiers_only(bed):
    async def main():
        async with bed.node("curious") as n:
            await n.join()
            before = (await counters(n, bed, 1)).get("bad_parse", 0)
            tier = next(t for t in n.node.tiers.list if t.level == 1)
            tx = n.node.tx
            o = tx.begin(T_KEYREQ, bed.network.tier_id(1), link=True, sealed=True)
            tx.buf[o : o + 12] = bytes(4) + n.ident.id[:8]
            tx.send(o + 12, tier.addr)

            async def counted():
                return (await counters(n, bed, 1)).get("bad_parse", 0) > before

            await until(counted, "L1 counts a KEYREQ from a node")

    run(main())


def test_any_bytes_leave_a_tier_alive(bed):
    async def main():
        async with bed.node("noise") as n:
            await n.join()
            addr = next(t.addr for t in n.node.tiers.list if t.level == 3)
            rng = random.Random(7)
            for size in list(range(0, 64)) + [202, 1200, 1201, 1472]:
                data = bytearray(rng.randbytes(size))
                n.link.send(data, size, addr)
                if size > 28:  # .. and with a head that looks right
                    data[:2] = bytes((0xC4, rng.randrange(1, 20)))
                    data[2] = rng.randrange(8)
                    data[4:8] = bed.network.network_id
                    data[16:20] = bytes(4)
                    n.link.send(data, size, addr)
            assert await n.ping(bed.network.tier_id(3)) > 0

    run(main())


def test_registrations_survive_kill_9_and_nats_comes_back(tmp_path):
    with Bed(tmp_path) as bed:

        async def main():
            async with bed.node("a") as a, bed.node("b") as b:
                await a.join()
                await b.join()
                kill(bed.nats_pid(1))
                # From memory, while the store is away; then it says that all is well again.
                assert (await b.lookup(a.ident.id, authority=True)).status == "found"
                l1 = bed.network.tier_id(1)

                async def well():
                    return not await b.info(l1, "why")

                async with bed.node("c") as c:
                    await c.join(20)
                    await until(well, "L1's store is back")
                    said = [line for line in bed.tiers[1].log if "nats-server ended" in line]
                    assert len(said) == 1, list(bed.tiers[1].log)
                    for level in (1, 2, 3):
                        await asyncio.to_thread(bed.cut_power, level)
                    for level in (1, 2, 3):
                        await asyncio.to_thread(bed.restart, level)
                    for target in (a, b, c):

                        async def there(target=target):
                            found = await c.lookup(target.ident.id, authority=True)
                            return found.status == "found"

                        await until(there, "the registration is still known")

        run(main())


def test_a_clean_stop_leaves_nothing_behind(tmp_path):
    with Bed(tmp_path, tiers=(1,)) as bed:
        nats_pid = bed.nats_pid(1)
        child = bed.tiers[1]._child
        bed.tiers[1].stop()
        assert child.returncode == 0
        with pytest.raises(ProcessLookupError):
            os.kill(nats_pid, 0)


class _Store(dict):
    load = dict.get

    def save(self, key, data):
        self[key] = data
        return True


def test_a_tier_is_ahead_of_its_own_past_even_with_an_empty_folder():
    store = _Store()
    day = 1767225600 + 86400
    assert next_epoch(store, day) == 86400
    assert next_epoch(store, day) == 86401
    assert next_epoch(store, day - 1000) == 86402  # the clock was set back
    assert next_epoch(_Store(), day + 5) == 86405  # the folder was lost
    assert next_epoch(_Store(), 0) == 1


def test_wrong_settings_are_named(tmp_path, bed):
    good = tier_config(bed.network, 3, tmp_path, up=bed.up)
    TierConfig(good)
    for change, word in (
        ({"colour": 1}, "colour"),
        ({"tier": 4}, "tier"),
        ({"network": "00"}, "network"),
        ({"seed": "11" * 32}, "seed"),
        ({"up": [[2, "nowhere"]]}, "nowhere"),
    ):
        with pytest.raises(ToolError, match=word):
            TierConfig({**good, **change})
    assert bed.network.master.hex() not in json.dumps(good)
    assert bed.network.owner_seed.hex() not in json.dumps(good)


def test_tiers_and_nodes_on_a_virtual_lan(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    hub, network = Hub().start(), Network.create("virtual")
    up = {1: "10.77.0.1:4104", 3: "10.77.0.3:4104"}
    tiers = []
    try:
        where = "%s:%d" % hub.address
        for level in (1, 3):
            config = tier_config(
                network, level, tmp_path / str(level), up=up, hub=where, vaddr=up[level]
            )
            tiers.append(TierProcess(config).start())
            assert tiers[-1].ready["udp"] == up[level]

        async def main():
            at = [dict(hub=where, vaddr="10.77.1.%d:4104" % i, upstream=up) for i in (11, 12)]
            async with (
                HostNode(network, folder=tmp_path / "a", **at[0]) as a,
                HostNode(network, folder=tmp_path / "b", **at[1]) as b,
            ):
                assert [await n.join(20) for n in (a, b)] == [3, 3]
                assert await a.ping(network.tier_id(1)) > 2 * hub.delays["l1"]
                found = await a.lookup(b.ident.id, authority=True)
                assert (found.status, found.source) == ("found", "l1")
                assert found.endpoints["lan"] == "10.77.1.12:4104"
                assert await a.ping(b.ident.id) > 0

        run(main())
    finally:
        for tier in tiers:
            tier.stop()
        hub.close()
