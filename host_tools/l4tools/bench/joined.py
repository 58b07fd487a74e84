"""From the start of a virtual board's node to the upstream's word that it is registered."""

import shutil

from l4tools.bench.load import median
from l4tools.bench.rows import Report, Skip
from l4tools.paths import build_dir

ROWS = ["start to joined"]


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
    times = []
    try:
        for tier in tiers:
            tier.start()
        boards.add("one", "10.77.1.11", {}, keep=True)
        for _ in range(2 if quick else 6):
            boards.power_on("one")
            boards.wait_joined(["one"], 40)
            times.append(boards.joined["one"])
            boards.power_cut("one")
    finally:
        boards.close()
        for tier in reversed(tiers):
            tier.stop()
        hub.close()
    report.put(ROWS[0], median(times), times)
