"""`make nat-report`: the full matrix and 3,000 set-ups; build/nat.html and build/nat.json.

    python -m l4tools.natlab.report [--setups N] [--only PART ..] [--out DIR]

Parts: baselines (naive, simultaneous), matrix (ours, every pair of kinds, held-out ones too; in
every tenth set-up L3 is killed), nodes (the same assisted by nodes only), far (other round trips).
It takes about a quarter of an hour on two cores that have nothing else to do: times are real ones.
The nodes of a lab are in one process, its tiers are processes.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from ..bench.rows import machine
from ..errors import ToolError
from ..paths import BUILD
from . import needs, parts
from .figures import Figures, verdict
from .kinds import HELD_OUT, KINDS
from .page import render
from .populations import POPULATIONS
from .shard import Shard
from .trials import NAIVE, OURS, SIMULTANEOUS, Cells, plain

PARTS = ("baselines", "matrix", "nodes", "far")
RTT_MS, LOSS = 60, 0.01

METHOD = (
    "Latency, jitter of 4 ms and loss are made by a switch in user space; NAT is the kernel's. "
    "Times count from asking for the way to the first answered PING over it, or to the confirmed "
    "direct one. Rates are those of this lab, weighed by stated populations: docs/nat.md."
)


def gather(only, setups: int, shards: int, note) -> dict:
    """{part: trials}. What counts time runs by itself, the long parts side by side."""
    found = {}
    path = {"rtt_ms": RTT_MS, "loss": LOSS}
    if "baselines" in only:
        note("baselines")
        found["baselines"] = parts.baselines(RTT_MS, LOSS, 4)
    if "far" in only:
        note("other round trips")
        far = [Shard("far", rtt_ms=rtt, loss=LOSS) for rtt in (20, 140, 240)]
        found["far"] = [t for s in far for t in s.result()]
    note("matrix, and nodes as assistants")
    running = {}
    if "matrix" in only:
        share = -(-setups // shards)
        running["matrix"] = [
            Shard("matrix", setups=share, seed=5 + k, **path) for k in range(shards)
        ]
    if "nodes" in only:
        running["nodes"] = [Shard("by_nodes", **path)]
    for name, some in running.items():
        found[name] = [t for s in some for t in s.result()]
    return found


def judge(found: dict) -> tuple[list[dict], dict[str, Cells]]:
    """The rows, and the cells of the page."""
    figures, cells = Figures(), {}
    tuned = lambda trials: [t for t in trials if not {t.a, t.b} & set(HELD_OUT)]
    all_of = found.get("matrix", [])
    calm = [t for t in all_of if not t.killed]
    if all_of:
        cells[OURS] = Cells(calm)
    for method in (SIMULTANEOUS, NAIVE):
        trials = [t for t in found.get("baselines", []) if t.method == method]
        if trials:
            cells[method] = Cells(trials)
    figures.populations(cells)
    if all_of:
        figures.ours(tuned(calm))
        figures.relays(tuned(calm))
        figures.dead(tuned(all_of))
        figures.setups(all_of)
        held = [t for t in calm if {t.a, t.b} & set(HELD_OUT)]
        for kind in HELD_OUT:
            figures.share("direct, held-out kind %s with all but UDP blocked" % kind,
                          [t for t in held if kind in (t.a, t.b) and "udpblk" not in (t.a, t.b)],
                          lambda t: t.direct)  # fmt: skip
        figures.share("usable path, held-out kinds", held, lambda t: t.usable, 99.5)
    figures.far(found.get("far", []))
    if found.get("nodes"):
        cells["nodes"] = Cells(found["nodes"])
        figures.populations({"nodes": cells["nodes"]})
        figures.ours(found["nodes"], ", assisted by nodes")
    return figures.rows, cells


def curves(found) -> list:
    """[(name, sorted ms, of how many)] for the drawing."""
    ours = [t for t in found.get("matrix", []) if not t.killed]
    udp = [t for t in ours if "udpblk" not in (t.a, t.b)]
    simul = [t for t in found.get("baselines", []) if t.method == SIMULTANEOUS]
    out = []
    for name, trials, key in (
        ("first usable path", ours, "first_ms"),
        ("direct, with UDP", udp, "direct_ms"),
        ("direct, simultaneous", simul, "direct_ms"),
    ):
        if trials:
            values = sorted(v for t in trials if (v := getattr(t, key)) is not None)
            out.append((name, [round(v) for v in values], len(trials)))
    return out


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.natlab.report")
    parse.add_argument("--setups", type=int, default=3000)
    parse.add_argument("--shards", type=int, default=3, help="labs of the matrix side by side")
    parse.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parse.add_argument("--out", type=Path, default=BUILD)
    options = parse.parse_args()
    why = needs.cannot()
    if why is not None:
        print(why, file=sys.stderr)
        return 1 if needs.required() else 0
    if os.geteuid() != 0 and not os.environ.get(needs.SMALL):
        argv = needs.entered([sys.executable, "-m", "l4tools.natlab.report", *sys.argv[1:]])
        os.execvpe(argv[0], argv, needs.environment())
    started = time.monotonic()
    note = lambda text: print("%5.0f s  %s" % (time.monotonic() - started, text), flush=True)
    found = gather(options.only, options.setups, options.shards, note)
    rows, cells = judge(found)
    kinds = list(KINDS)
    took = time.monotonic() - started
    doc = {
        "rows": rows,
        "method": METHOD,
        "machine": machine(),
        "about": {"setups": sum(len(v) for k, v in found.items() if k != "baselines"),
                  "took": "%d min %d s" % (took // 60, took % 60), "rtt_ms": RTT_MS,
                  "loss": LOSS},
        "kinds": kinds,
        "populations": POPULATIONS,
        "cells": {name: c.table(kinds) for name, c in cells.items()},
        "curves": curves(found),
        "trials": {name: plain(trials) for name, trials in found.items() if name != "baselines"},
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "nat.json").write_text(json.dumps(doc) + "\n")
    (options.out / "nat.html").write_text(render(doc))
    for row in rows:
        target = "" if row["target"] is None else "target %g" % row["target"]
        value = "-" if row["value"] is None else "%g" % row["value"]
        print("%-66s %8s %-5s %-12s %s"
              % (row["name"], value, row["unit"], target, verdict(row)))  # fmt: skip
    print("%s and nat.json are written." % (options.out / "nat.html"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ToolError as e:
        sys.exit(str(e))
