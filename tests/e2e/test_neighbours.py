"""Who finds whom on access points that make it hard, and again after the WiFi was away."""

import asyncio
import time

import pytest
from l4tools.hostnode import HostNode
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import tier_on_hub
from l4tools.network import Network

PATIENCE = 40
L1 = [1, "10.77.0.1:4104"]


class Bench:
    def __init__(self, folder):
        self.lines = {}
        self.hub = Hub().start()
        self.network = Network.create("near")
        self.boards = Boards(folder, self.hub, self.network, on_line=self._line).start()

    def _line(self, name, text):
        self.lines.setdefault(name, []).append(text)

    def add(self, name, host, **config):
        config = {"interval_s": 60, "upstream": [], "hello_max_s": 2, **config}
        self.boards.add(name, "10.77.1.%d" % host, config)
        self.boards.power_on(name)

    def wait(self, name, part, times=1):
        end = time.monotonic() + PATIENCE
        while sum(part in x for x in self.lines.get(name, [])) < times:
            if time.monotonic() > end:
                pytest.fail("%s never said %r but: %s" % (name, part, self.lines.get(name)))
            time.sleep(0.05)

    def close(self):
        self.boards.close()
        self.hub.close()


@pytest.fixture
def bench(tmp_path):
    b = Bench(tmp_path)
    yield b
    b.close()


def test_the_group_is_joined_again_after_the_wifi_was_away(bench):
    bench.hub.filter(1, "broadcast")
    bench.add("a", 11)
    bench.add("b", 12)
    bench.wait("a", "L4 neighbour")
    bench.boards.rack.wifi("a", False)  # its access point forgets who is in the group
    time.sleep(1.0)  # the driver notices
    bench.boards.rack.wifi("a", True)
    bench.wait("a", "WiFi is up", 2)
    bench.add("c", 13)  # is heard by the group only
    bench.wait("a", "L4 neighbour", 2)


def test_a_host_and_a_board_meet_where_neither_multicast_nor_broadcast_passes(bench, tmp_path):
    bench.hub.filter(1, "multicast,broadcast")
    tier = tier_on_hub(bench.network, 1, bench.hub.address, tmp_path / "l1", tmp_path / "l1.log")
    try:
        tier.start()
        bench.add("a", 11, upstream=[L1])
        bench.boards.wait_joined(["a"], PATIENCE)
        at = bytes((10, 77, 1, 11, 16, 8))

        async def meet():
            async with HostNode(
                bench.network, bench.hub.address, "10.77.1.99:4104", upstream=dict([L1])
            ) as host:
                await host.join(PATIENCE)
                a = bench.boards.ids["a"]
                end = time.monotonic() + PATIENCE
                while time.monotonic() < end:
                    rows = [r for r in await host.info(a, "neighbours", 10, at) if r[2] != "tier"]
                    if rows and rows[0][6]:
                        return host.ident.id, rows
                    await asyncio.sleep(0.3)
                return None, rows

        me, rows = asyncio.run(meet())
    finally:
        tier.stop()
    # The board's word: the host said hello to it alone, and its round trip was measured.
    assert [(r[0], r[2]) for r in rows] == [(me.hex()[:16], "unicast")]
    assert 10 <= rows[0][6] < 20000
