"""A board that sleeps: readings arrive, nobody takes it for dead, mail waits, counters go on."""

import asyncio
import time
from collections import defaultdict

import pytest
from l4mesh import wire
from l4mesh.events import EV_MAIL
from l4tools.hostnode import HostNode
from l4tools.lan import addr as A
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import tier_on_hub
from l4tools.network import Network
from l4tools.vboard.board import DEEP_SLEEP

PATIENCE = 60
L1 = [1, "10.77.0.1:4104"]
APP = """
from sensors import Sensor

def sensors(board):
    return [Sensor("t", "C", 1, lambda: 21)]

def event(node, e):
    if e[0] == 17:
        print("L4 mail", e[1:3])
"""


class Bench:
    def __init__(self, folder):
        self.lines = defaultdict(list)
        self.frames = []
        self.hub = Hub().start()
        self.network = Network.create("naps")
        app = folder / "app.py"
        app.write_text(APP)
        on_line = lambda name, text: self.lines[name].append(text)
        self.boards = Boards(
            folder / "b", self.hub, self.network, on_line=on_line, app=app
        ).start()
        self.tier = tier_on_hub(
            self.network, 1, self.hub.address, folder / "l1", folder / "l1.log"
        )
        self.hub.tap(self._frame)

    def _frame(self, t, src, dst, payload, fate):
        if src[:4] == bytes((10, 77, 1, 12)):
            self.frames.append((time.monotonic(), bytes(payload)))

    def add(self, name, host, **config):
        self.boards.add(name, "10.77.1.%d" % host, {"upstream": [L1], "hello_max_s": 3, **config})
        self.boards.power_on(name)

    def until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                pytest.fail("%s: %s" % (what, {k: v[-12:] for k, v in self.lines.items()}))
            time.sleep(0.05)

    def said(self, name, part):
        return [x for x in self.lines[name] if part in x]

    def close(self):
        self.boards.close()
        self.tier.stop()
        self.hub.close()


@pytest.fixture
def bench(tmp_path):
    b = Bench(tmp_path)
    yield b
    b.close()


def test_a_board_that_sleeps(bench):
    bench.tier.start()
    bench.add("up", 11, interval_s=60)
    bench.add("nap", 12, sleep_s=1, good_s=5)
    nap = bench.boards.rack.board("nap")
    bench.boards.wait_joined(["up", "nap"], PATIENCE)
    bench.until(lambda: nap.starts[DEEP_SLEEP], "it does not sleep")
    writes = nap.world.counts["nvs!"]

    async def mail():
        async with HostNode(
            bench.network, bench.hub.address, "10.77.1.99:4104", upstream=dict([L1])
        ) as host:
            await host.join(PATIENCE)
            sid = bench.boards.ids["nap"][:8]
            end = time.monotonic() + PATIENCE
            while (
                host.node.peers.find(sid) < 0
                or host.node.peers.find(bench.boards.ids["up"][:8]) < 0
            ):
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
            told = []
            host.on_event = lambda e: told.append(e) if e[0] == EV_MAIL else None
            number = host.mail(bench.boards.ids["nap"], b"good morning")
            while (EV_MAIL, None, None, number, 1) not in told:
                assert time.monotonic() < end, told
                await asyncio.sleep(0.1)
            rows = await host.info(
                bench.boards.ids["up"], "neighbours", 10, A.pack("10.77.1.11:4104")
            )
            return told, {r[0]: r for r in rows}

    told, rows = asyncio.run(mail())
    sid = bench.boards.ids["nap"].hex()[:16]
    assert told[0] == (EV_MAIL, bench.boards.ids["nap"][:8], None, told[0][3], 0)  # kept first
    assert len(bench.said("nap", "good morning")) == 1
    assert rows[sid][10] == 1 and rows[sid][9] == 16 and rows[sid][3] == "passive"
    woken = nap.starts[DEEP_SLEEP]
    bench.until(lambda: nap.starts[DEEP_SLEEP] > woken, "it does not wake")
    bench.until(lambda: nap.state == "sleeping", "it does not sleep")
    assert not bench.said("up", "%s is gone" % sid[:8]) and not bench.said("nap", "Traceback")
    # No wake-up wrote to NVS; the epoch stays, and no counter came twice.
    assert nap.world.counts["nvs!"] == writes
    epochs = [x.rsplit(" ", 1)[1] for x in bench.said("nap", "L4 node ")]
    assert len(epochs) >= 3 and len(set(epochs)) == 1
    seen = {}
    last = 0
    for _, f in bench.frames:
        if f[20:24] != int(epochs[0]).to_bytes(4, "big"):
            continue
        if f[1] == wire.T_HELLO:
            f = f[:28] + bytes((f[28] & ~8,)) + f[29:-16]  # its copy by broadcast
        counter = int.from_bytes(f[24:28], "big")
        assert counter >= last and seen.setdefault(counter, f) == f
        last = counter
    hellos = [f for _, f in bench.frames if f[1] == wire.T_HELLO and f[28] & 4]
    assert len({f[34:42] for f in hellos[-2:]}) == 1  # one record, signed once
    # What was taken is upstream, and was sent once.
    stored = sum(int(x.split(" ")[1]) for x in bench.said("nap", " stored upstream"))
    assert stored == bench.boards.rack.taken()["nap"]
