"""A board that nobody told the date: its readings get their own time once somebody does."""

import asyncio
import json
import time

from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import UPSTREAM, tier_on_hub
from l4tools.network import Network
from l4tools.readings.clocks import CONTROL, Stored, resolve
from l4tools.upstream.connect import connect
from l4tools.upstream.readings import Readings

PATIENCE = 60
SLACK_MS = 1500  # the bound that a tier's time has, and this machine's own delays


async def stored(tier, folder):
    state = json.loads((folder / "nats/state.json").read_text())
    nc = await connect(tier.ready["nats"], state["user"], state["password"])
    try:
        return [r async for r in Readings(nc.jetstream()).iter_all()]
    finally:
        await nc.close()


def wait(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_readings_before_the_first_sync_get_their_time_over_a_reset(tmp_path):
    network = Network.create("time")
    hub = Hub().start()
    lines, taken = [], []
    boards = Boards(
        tmp_path / "b", hub, network, on_line=lambda name, text: lines.append(text)
    ).start()
    tier = tier_on_hub(network, 1, hub.address, tmp_path / "l1", tmp_path / "l1.log")

    def note(n):
        """Wait until `n` readings were taken, noting when this machine saw each."""

        def enough():
            new = boards.rack.taken()["a"] - len(taken)
            taken.extend([time.time() * 1000] * new)
            return len(taken) >= n

        wait(enough, "the board takes no readings: %s" % lines[-5:])

    try:
        config = {"interval_s": 1, "upstream": [u for u in UPSTREAM if u[0] == 1]}
        boards.add("a", "10.77.1.11", config)
        boards.rack.board("a").world.set(clock="unset")
        boards.power_on("a")
        note(4)
        boards.rack.reset("a")  # the reset line: the chip's clock runs on
        note(8)
        tier.start()
        wait(lambda: any("joined" in text for text in lines), "it never joined")
        note(len(taken) + 2)
        want = len(taken)
        found = []

        def all_stored():
            found[:] = asyncio.run(stored(tier, tmp_path / "l1"))
            return sum(not r[3] & CONTROL for r in found) >= want

        wait(all_stored, "readings were not stored")
    finally:
        boards.close()
        tier.stop()
        hub.close()
    assert len({r[1] for r in found}) == 1  # one queue
    found.sort(key=lambda r: r[2])
    dated = list(resolve(Stored(*r[2:]) for r in found))
    marks = [d for d in dated if d.stored.flags & CONTROL]
    assert len(marks) == 1 and marks[0].stored.text.startswith("#clock ")
    own = [d for d in dated if not d.stored.flags & CONTROL]
    assert sum(not d.stored.flags & 1 for d in own) >= 6  # were stamped without a date
    for d, seen_ms in zip(own, taken, strict=False):
        assert d.time_ms is not None and abs(d.time_ms - seen_ms) <= d.error_ms + SLACK_MS
