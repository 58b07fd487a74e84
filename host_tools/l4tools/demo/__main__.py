"""`python -m l4tools.demo`: run the scenes, print the summary, write build/demo/report.json."""

import argparse
import sys

from l4tools.demo import report, scenes
from l4tools.demo.stage import Stage
from l4tools.errors import ToolError
from l4tools.paths import build_dir


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--only", help="scenes to run, by name, comma separated")
    parser.add_argument("--svg", help="save the last table as a picture")
    args = parser.parse_args()
    wanted = scenes.ALL
    if args.only:
        names = {"join", "settle", *args.only.split(",")}
        known = [f.__name__ for f in scenes.ALL]
        if names - set(known):
            parser.error("scenes are " + ", ".join(known))
        wanted = [f for f in scenes.ALL if f.__name__ in names]
    folder = build_dir() / "demo"
    (folder / "report.json").unlink(missing_ok=True)  # that of another run would pass for ours
    stage = Stage(folder / "run")
    try:
        with stage.show:
            stage.prepare()
            for scene in wanted:
                scene(stage)
        r = report.build(stage)
        if args.svg:
            stage.show.save_svg(args.svg)
    except ToolError as e:
        print("\ndemo: %s" % e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        stage.close()
    report.save(r, folder / "report.json")
    print("\n".join(report.summary(r)))
    print("report         %s" % (folder / "report.json"))
    missing = report.faults(r)
    for text in missing:
        print("NOT SHOWN: " + text, file=sys.stderr)
    return 1 if missing and not args.only else 0


if __name__ == "__main__":
    sys.exit(main())
