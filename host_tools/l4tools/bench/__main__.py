"""`make bench`: measure, write build/bench.json, print a table with the targets met and missed.

python -m l4tools.bench                 everything, some minutes; a quiet machine, please
python -m l4tools.bench served counts   only these parts
python -m l4tools.bench --quick         tiny counts: does it work at all? The figures are noise
python -m l4tools.bench --profile       C functions of the interpreter, a served look-up
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from l4tools.bench import (
    counts,
    crypto,
    deployed,
    discovery,
    flashed,
    joined,
    meetings,
    memory,
    peers,
    readings,
    served,
)
from l4tools.bench.rows import Report, Skip, check_names, show, write
from l4tools.errors import ToolError
from l4tools.paths import BUILD

# part: (rows that are skipped when it can't be measured, function)
PARTS: dict[str, tuple[list[str], Callable[[Report, bool], None]]] = {
    "served": (served.ROWS, served.measure),
    "counts": (counts.ROWS, counts.measure),
    "peers": (peers.OURS, peers.measure),
    "memory": ([memory.ALL_ON, memory.STANDINS, *memory.HEAP], memory.measure),
    "joined": (joined.ROWS, joined.measure),
    "deployed": (deployed.ROWS, deployed.measure),
    "flashed": (flashed.ROWS, flashed.measure),
    "readings": (readings.ROWS, readings.measure),
    "discovery": (discovery.ROWS, discovery.measure),
    "meetings": (meetings.ROWS, meetings.measure),
    "crypto": ([name for name, _, _ in crypto.ROWS], crypto.measure),
}


def run(parts: list[str], quick: bool, say: Callable[[str], None]) -> Report:
    """Measure `parts`. What fails is a skipped row with its reason, not the end of the rest."""
    report = Report()
    for name in parts:
        rows, measure = PARTS[name]
        start = time.monotonic()
        try:
            measure(report, quick)
        except (Skip, ToolError) as e:
            report.skip(rows, str(e))
        say("%s: %.0f s" % (name, time.monotonic() - start))
    return report


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.bench", description=__doc__)
    parse.add_argument("parts", nargs="*", help="parts to measure: " + ", ".join(PARTS))
    parse.add_argument("--quick", action="store_true", help="tiny counts, meaningless figures")
    parse.add_argument("--profile", action="store_true", help="where the instructions go")
    parse.add_argument("--out", type=Path, default=BUILD / "bench.json")
    args = parse.parse_args()
    try:
        check_names(args.parts, list(PARTS))
        if args.profile:
            total, each = counts.profile(500, 1500)
            for name, cost in sorted(each.items(), key=lambda x: -x[1])[:30]:
                print("%9.0f  %s" % (cost, name))
            print("%9.0f  in all" % total)
            return 0
        report = run(args.parts or list(PARTS), args.quick, lambda s: print(s, flush=True))
    except (ToolError, Skip) as e:
        print(e, file=sys.stderr)
        return 1
    show(write(report, args.out, args.quick))
    print("written to %s" % args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
