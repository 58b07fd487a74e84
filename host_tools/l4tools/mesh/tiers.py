"""Upstream tiers on the virtual LAN: where they are, and the processes that serve there."""

from pathlib import Path

from l4tools.network import Network
from l4tools.upstream.config import tier_config
from l4tools.upstream.process import TierProcess

PORT = 4104
UPSTREAM = [[t, "10.77.0.%d:%d" % (t, PORT)] for t in (3, 2, 1)]
MQTT = "10.77.0.3:1883"


def tier_on_hub(network: Network, level: int, hub, folder: Path, log: Path) -> TierProcess:
    """Tier `level` attached to the hub at `hub` (host, port); L3 has the MQTT listener.

    Everything it says goes to the file `log`. Not started yet.
    """
    above = {t: a for t, a in UPSTREAM if t < level}
    config = tier_config(
        network, level, folder, above, hub="%s:%d" % tuple(hub),
        vaddr="10.77.0.%d:%d" % (level, PORT), mqtt_port=0 if level == 3 else None,
    )  # fmt: skip

    def say(line):
        with open(log, "a") as f:
            f.write(line + "\n")

    return TierProcess(config, say)
