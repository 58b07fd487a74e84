"""Real MicroPython nodes, pair by pair: `python -m l4tools.natlab.live`, a line of JSON.

28 pairs that can become direct, seven at a time, then six that cannot. A process a node, tiers
with their own NATS; `--loss`, `--rtt` choose the path between any two homes.
"""

import argparse
import asyncio
import json
import tempfile

from .lab import Lab
from .matrix import Matrix, twice
from .parts import LEVELS
from .trials import plain, rounds
from .world import World

KINDS = ("pub", "fc", "rc", "pr", "clash", "symseq", "sym")
RELAYED = (
    (("symhi", "sym"), ("udpblk", "pr"), ("sym", "symhi"), ("pr", "udpblk")),
    (("symhi", "symhi"), ("udpblk", "udpblk")),
)


async def run(folder, rtt_ms=60.0, loss=0.01, micropython=True) -> dict:
    lab = Lab(rtt_ms=rtt_ms, jitter_ms=4, loss=loss)
    kinds = (*KINDS, "symhi", "udpblk")
    hosts = {side + k: k for side in ("a-", "b-") for k in kinds}
    for host, kind in hosts.items():
        lab.home(host, kind)
    world = World(lab, folder, levels=LEVELS)
    out = {"direct": [], "relayed": []}
    with lab, world:
        async with Matrix(lab, world, hosts, micropython=micropython) as live:
            out["ready"] = sorted(live.ready)
            out["nat"] = live.ready
            # The first half of the table: each pair once, whoever of the two asks.
            half = rounds(["a-" + k for k in KINDS], ["b-" + k for k in KINDS])
            for pairs in half[: len(KINDS) // 2 + 1]:
                out["direct"] += plain(await twice(live, pairs))
            for pairs in RELAYED:
                named = [("a-" + a, "b-" + b) for a, b in pairs]
                out["relayed"] += plain(await live.round(named))
            out["log"] = live.log
    return out


def main() -> None:
    parse = argparse.ArgumentParser(prog="python -m l4tools.natlab.live")
    parse.add_argument("--rtt", type=float, default=60)
    parse.add_argument("--loss", type=float, default=0.01)
    parse.add_argument("--here", action="store_true", help="all nodes in this process instead")
    o = parse.parse_args()
    with tempfile.TemporaryDirectory(prefix="natlab-") as folder:
        print(json.dumps(asyncio.run(run(folder, o.rtt, o.loss, not o.here))))


if __name__ == "__main__":
    main()
