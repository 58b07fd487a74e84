"""Neighbours on hard networks, and one that sleeps: virtual boards, a real tier, a real host node.

One bench for all of it: boards `a` and `b` are awake, `nap` is added by who needs it.
"""

import asyncio
import time
from collections import defaultdict
from types import SimpleNamespace

import pytest
from l4mesh import wire
from l4mesh.events import EV_MAIL
from l4tools.hostnode import HostNode
from l4tools.lan import addr as A
from l4tools.lan.hub import Hub
from l4tools.mesh.asleep import asleep
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import tier_on_hub
from l4tools.mesh.way import Target
from l4tools.network import Network
from l4tools.vboard.board import DEEP_SLEEP

PATIENCE = 60
L1 = [1, "10.77.0.1:4104"]
APP = """
from sensors import Sensor

def sensors(board):
    return [Sensor("t", "C", 1 if board.sleep_s else 60, lambda: 21)]

def event(node, e):
    if e[0] == 17:
        print("L4 mail", e[1:3])
"""


class Bench:
    def __init__(self, folder):
        self.lines = defaultdict(list)
        self.frames = []  # of nap
        self.hub = Hub().start()
        self.network = Network.create("near")
        app = folder / "app.py"
        app.write_text(APP)
        on_line = lambda name, text: self.lines[name].append(text)
        self.boards = Boards(folder / "b", self.hub, self.network, on_line=on_line, app=app)
        self.boards.start()
        self.tier = tier_on_hub(
            self.network, 1, self.hub.address, folder / "l1", folder / "l1.log"
        )
        self.hub.tap(self._frame)

    def _frame(self, t, src, dst, payload, fate):
        if src[:4] == bytes((10, 77, 1, 13)):
            self.frames.append(bytes(payload))

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

    def stored(self):
        return sum(int(x.split(" ")[1]) for x in self.said("nap", " stored upstream"))

    def host(self):
        return HostNode(
            self.network, self.hub.address, "10.77.1.99:4104", upstream=dict([L1])
        )  # fmt: skip

    def close(self):
        self.boards.close()
        self.tier.stop()
        self.hub.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    b = Bench(tmp_path_factory.mktemp("near"))
    try:
        b.tier.start()
        b.add("a", 11)
        b.add("b", 12)
        b.boards.wait_joined(["a", "b"], PATIENCE)
        yield b
    finally:
        b.close()


def test_the_group_is_joined_again_after_the_wifi_was_away(bench):
    bench.hub.filter(1, "broadcast")
    b = "neighbour %s" % bench.boards.ids["b"].hex()[:8]
    bench.until(lambda: bench.said("a", b), "no neighbour")
    bench.boards.rack.wifi("a", False)  # its access point forgets who is in the group
    up = len(bench.said("a", "WiFi is up"))
    bench.until(lambda: bench.boards.rack.board("a").world.wifi_status() != 1010, "still up")
    time.sleep(0.5)  # the driver looks every 250 ms
    bench.boards.rack.wifi("a", True)
    bench.until(lambda: len(bench.said("a", "WiFi is up")) > up, "no WiFi")
    bench.boards.rack.stop("b")
    bench.until(lambda: bench.said("a", b + " is gone"), "its goodbye was not heard")
    bench.until(lambda: bench.boards.rack.board("b").state == "off", "it is still on")
    heard = len([x for x in bench.said("a", b) if "gone" not in x])
    bench.boards.power_on("b")  # its hellos come by the group, or not at all
    bench.until(
        lambda: len([x for x in bench.said("a", b) if "gone" not in x]) > heard, "not heard"
    )
    bench.hub.filter(1)


def test_a_host_and_a_board_meet_where_neither_multicast_nor_broadcast_passes(bench):
    bench.hub.filter(1, "multicast,broadcast")

    async def meet():
        async with bench.host() as host:
            await host.join(PATIENCE)
            me, rows = host.ident.id.hex()[:16], {}
            end = time.monotonic() + PATIENCE
            while not (me in rows and rows[me][6]):
                assert time.monotonic() < end, rows
                said = await host.info(
                    bench.boards.ids["a"], "neighbours", 10, A.pack("10.77.1.11:4104")
                )
                rows = {r[0]: r for r in said}
            return rows[me]

    row = asyncio.run(meet())
    bench.hub.filter(1)
    # The board's word: the host said hello to it alone, and its round trip was measured.
    assert row[2] == "unicast" and 10 <= row[6] < 20000


def test_a_board_that_sleeps(bench):
    bench.add("nap", 13, sleep_s=1, good_s=5)
    nap = bench.boards.rack.board("nap")
    bench.boards.wait_joined(["nap"], PATIENCE)
    bench.until(lambda: nap.starts[DEEP_SLEEP], "it does not sleep")
    writes = nap.world.counts["nvs!"]
    told, row = asyncio.run(letter(bench))
    sid = bench.boards.ids["nap"].hex()[:16]
    assert told[0] == (EV_MAIL, bench.boards.ids["nap"][:8], None, told[0][3], 0)  # kept first
    assert len(bench.said("nap", "good morning")) == 1
    assert row[10] == 1 and row[9] == 16 and row[3] == "passive"
    # A wake-up without an upstream: what is read stays on flash, and goes up in the next one.
    bench.until(lambda: nap.state == "sleeping", "it does not sleep")
    bench.hub.cut("upstream")
    woken, taken = nap.starts[DEEP_SLEEP], bench.boards.rack.taken()["nap"]
    bench.until(lambda: nap.starts[DEEP_SLEEP] > woken and nap.state == "sleeping", "no wake-up")
    assert bench.boards.rack.taken()["nap"] > taken >= bench.stored()
    bench.hub.heal("upstream")
    bench.until(lambda: bench.stored() == bench.boards.rack.taken()["nap"], "readings stay")
    bench.until(lambda: nap.state == "sleeping", "it does not sleep")
    assert bench.stored() == bench.boards.rack.taken()["nap"]  # each was sent once
    assert not bench.said("a", "%s is gone" % sid[:8]) and not bench.said("nap", "Traceback")
    # No wake-up wrote to NVS; the epoch stays, and no counter came twice.
    assert nap.world.counts["nvs!"] == writes
    epochs = [x.rsplit(" ", 1)[1] for x in bench.said("nap", "L4 node ")]
    assert len(epochs) >= 3 and len(set(epochs)) == 1
    no_counter_twice([f for f in bench.frames if f[20:24] == int(epochs[0]).to_bytes(4, "big")])
    hellos = [f for f in bench.frames if f[1] == wire.T_HELLO and f[28] & 4]
    assert len({f[34:42] for f in hellos[-2:]}) == 1  # one record, signed once


async def letter(bench):
    """Mail for nap from a host: what became of it, and how `a` sees nap."""
    async with bench.host() as host:
        await host.join(PATIENCE)
        nap, a = bench.boards.ids["nap"], bench.boards.ids["a"]
        end = time.monotonic() + PATIENCE
        while min(host.node.peers.find(nap[:8]), host.node.peers.find(a[:8])) < 0:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        told = []
        host.on_event = lambda e: told.append(e) if e[0] == EV_MAIL else None
        number = host.mail(nap, b"good morning")
        while (EV_MAIL, None, None, number, 1) not in told:
            assert time.monotonic() < end, told
            await asyncio.sleep(0.1)
        awake = Target(a, "a", A.pack("10.77.1.11:4104"))
        rows = await host.info(a, "neighbours", 10, awake.addr)
        said = await asleep(SimpleNamespace(known=lambda: [awake]), host, Target(nap, "nap", None))
        assert said.doc["by"] == "a" and said.doc["back_s"] <= 16  # what `l4 status nap` says
        return told, next(r for r in rows if r[0] == nap.hex()[:16])


def no_counter_twice(frames):
    seen = {}
    last = 0
    for f in frames:
        if f[1] == wire.T_HELLO:
            f = f[:28] + bytes((f[28] & ~8,)) + f[29:-16]  # its copy by broadcast
        counter = int.from_bytes(f[24:28], "big")
        assert counter >= last and seen.setdefault(counter, f) == f
        last = counter
    assert last > 50
