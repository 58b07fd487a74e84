"""From power-on of a virtual board to the upstream's word that it is registered."""

import shutil
import time

from l4tools.bench.load import median
from l4tools.bench.rows import Report, Skip
from l4tools.paths import build_dir

ROWS = ["power-on to joined", "node start to joined"]


def measure(report: Report, quick: bool) -> None:
    try:
        from l4tools.lan.hub import Hub
        from l4tools.mesh.boards import Boards
        from l4tools.mesh.tiers import tier_on_hub
        from l4tools.network import Network
    except ImportError as e:
        raise Skip("the mesh of virtual boards is not here (%s)" % e)
    folder = build_dir("bench") / "joined"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    hub = Hub().start()
    network = Network.create("bench")
    tiers = [tier_on_hub(network, level, hub.address, folder / ("l%d" % level),
                         folder / ("l%d.log" % level)) for level in (1, 2, 3)]  # fmt: skip
    boards = Boards(folder / "boards", hub, network).start()
    times: list[float] = []
    own: list[float] = []
    try:
        for tier in tiers:
            tier.start()
        boards.add("one", "10.77.1.11", {}, keep=True)
        for k in range(2 if quick else 6):
            start = time.monotonic()
            boards.power_on("one")
            boards.wait_joined(["one"], 40)
            if k:  # at the first power-on it has no keys yet and waits for somebody to give them
                times.append((time.monotonic() - start) * 1000)
                own.append(boards.joined["one"])
            boards.power_cut("one")
    finally:
        boards.close()
        for tier in reversed(tiers):
            tier.stop()
        hub.close()
    report.put(ROWS[0], median(times), times)
    report.put(ROWS[1], median(own), own)
