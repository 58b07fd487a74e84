"""`python -m l4tools.vboard --folder DIR SPEC`: boards and their hub in one process.

SPEC is JSON: {"hub": {"seed":.., "jitter":.., "loss":.., "delays":{..}, "forwards":{..}},
"boards": [{"name":"n01", "ip":"10.77.1.11", "image":"PATH", "keep":false, "world":{..}}]}.
DIR/control takes the operations of hub and rack (lan/control.py). SIGTERM ends it.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.lan.control import ControlServer
from l4tools.lan.hub import Hub
from l4tools.lan.loop import Loop
from l4tools.vboard.rack import Rack


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.vboard", description=__doc__)
    parse.add_argument("--folder", type=Path, required=True, help="state of the boards")
    parse.add_argument("spec", type=Path)
    args = parse.parse_args()
    loop = Loop()
    try:
        spec = json.loads(args.spec.read_text())
        hub = Hub(loop, **spec.get("hub", {}))
        rack = Rack(args.folder, hub, loop=loop)
        for one in spec["boards"]:
            world = one.pop("world", {})
            board = rack.add(one.pop("name"), one.pop("ip"), **one)
            board.world.set(**world)
            board.power_on()
        ops = {**hub.control_ops(), **rack.control_ops()}
        control = ControlServer(loop, args.folder / "control", ops)
    except (ToolError, OSError, ValueError, KeyError, TypeError) as exc:
        print(exc, file=sys.stderr)
        return 1
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: loop.stop())
    print(json.dumps({"hub": "%s:%d" % hub.address, "control": control.path}), flush=True)
    loop.run()
    control.close()
    rack.close()
    hub.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
