"""A board that no upstream hears delivers by its neighbour; no reading dies with that one."""

import asyncio
import json
import os
import signal
import time
from collections import Counter

from l4tools.lan import addr as A
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import UPSTREAM, tier_on_hub
from l4tools.network import Network
from l4tools.upstream.connect import connect
from l4tools.upstream.readings import Readings

PATIENCE = 60
OWNER, KEEPER = "10.77.1.11", "10.77.1.12"
RECEIPT, CARRY = 26, 27


async def stored(tier, folder, node_id):
    """{sequence: custodian or None} of a node's readings; each must be there once."""
    state = json.loads((folder / "nats/state.json").read_text())
    nc = await connect(tier.ready["nats"], state["user"], state["password"])
    try:
        rows = [r async for r in Readings(nc.jetstream()).iter_all(node_id)]
    finally:
        await nc.close()
    assert len({(r[1], r[2]) for r in rows}) == len(rows) and len({r[1] for r in rows}) <= 1
    return {r[2]: r[7] for r in rows}


def wait(condition, what, lines=()):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "%s %s" % (what, list(lines)[-12:])
        time.sleep(0.1)


def test_readings_arrive_by_a_neighbour_once_whatever_becomes_of_it(tmp_path):
    network = Network.create("custody")
    hub = Hub().start()
    lines, seen = [], Counter()

    def tap(t, src, dst, payload, fate):
        if fate == "sent" and payload[1] in (RECEIPT, CARRY):
            seen[A.text(src).split(":")[0], payload[1], len(payload) > 100] += 1

    hub.tap(tap)
    boards = Boards(
        tmp_path / "b", hub, network, on_line=lambda name, text: lines.append((name, text))
    ).start()
    tier = tier_on_hub(network, 1, hub.address, tmp_path / "l1", tmp_path / "l1.log")
    config = {"interval_s": 1, "hello_max_s": 4, "upstream": [u for u in UPSTREAM if u[0] == 1]}

    def rows():
        return asyncio.run(stored(tier, tmp_path / "l1", boards.ids["owner"]))

    try:
        tier.start()
        hub.cut(OWNER + "-upstream")
        boards.add("keeper", KEEPER, config)
        boards.add("owner", OWNER, config)
        boards.power_on("keeper")
        boards.power_on("owner")
        boards.wait_joined(["keeper"], PATIENCE)
        wait(lambda: "owner" in boards.ids and len(rows()) >= 10, "nothing came", lines)
        got = rows()
        assert set(got.values()) == {boards.ids["keeper"]} and sorted(got) == list(range(len(got)))

        # The tier stops for a moment, so that the custodian takes what it cannot deliver. It dies.
        os.kill(tier.pid, signal.SIGSTOP)
        try:
            before = seen[KEEPER, RECEIPT, True]
            wait(lambda: seen[KEEPER, RECEIPT, True] > before, "no receipt", lines)
            boards.rack.power_cut("keeper")
        finally:
            os.kill(tier.pid, signal.SIGCONT)
        n = boards.rack.taken()["owner"]
        assert n > len(rows())
        hub.heal()
        boards.rack.reset("owner")  # it forgets what was handed over, and looks at once
        wait(lambda: set(range(n)) <= set(rows()), "it did not deliver by itself", lines)
        got = rows()
        assert None in got.values()

        # Back, it delivers what it found on its flash, and nothing is there twice.
        before = seen[KEEPER, CARRY, True]
        boards.power_on("keeper")
        wait(lambda: seen[KEEPER, CARRY, True] > before, "nothing on its flash?", lines)
        n = boards.rack.taken()["owner"] + 3
        wait(lambda: set(range(n)) <= set(rows()), "the owner goes on by itself", lines)
        after = rows()
        assert {s: after[s] for s in got} == got
    finally:
        boards.close()
        tier.stop()
        hub.close()
