"""`python -m l4tools.chaos`: hurt a mesh of virtual boards, count; build/chaos/report.json."""

import argparse
import json
import random
import sys

from l4tools.chaos.run import chaos, summary
from l4tools.chaos.stage import Stage
from l4tools.errors import ToolError
from l4tools.paths import build_dir


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m l4tools.chaos", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--boards", type=int, default=20)
    parser.add_argument("--times", type=int, help="harms of each kind (one in 25 s)")
    parser.add_argument("--seed", type=int, help="of the plan; random otherwise, and told")
    parser.add_argument("--only", help="kinds of harm, comma separated")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.randrange(1_000_000)
    times = args.times or max(2, args.seconds // 25)
    folder = build_dir("chaos")
    say = lambda text: print(text, flush=True)
    say("seed %d" % seed)
    try:
        with Stage(folder / "run", args.boards, seed=seed) as stage:
            say("%d boards have joined" % args.boards)
            which = args.only.split(",") if args.only else None
            report = chaos(stage, args.seconds, seed, times, which, say)
    except ToolError as e:
        print("chaos: %s" % e, file=sys.stderr)
        return 1
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    say("\n".join(summary(report)))
    return 1 if report["lost"] or report["doubled"] or report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
