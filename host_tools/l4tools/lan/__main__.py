"""`python -m l4tools.lan --control PATH`: the hub as a process of its own."""

import argparse
import json
import signal

from l4tools.lan.control import ControlServer
from l4tools.lan.hub import Hub


def main():
    parse = argparse.ArgumentParser(prog="python -m l4tools.lan", description=__doc__)
    parse.add_argument("--port", type=int, default=0, help="UDP and TCP port on 127.0.0.1")
    parse.add_argument("--control", required=True, help="path of the control socket")
    parse.add_argument("--seed", type=int, default=1)
    parse.add_argument("--jitter", type=float, default=0.0, help="ms")
    parse.add_argument("--loss", type=float, default=0.0, help="0..1")
    parse.add_argument("--delays", type=json.loads, default=None, help='{"lan": 1.0, ..} in ms')
    parse.add_argument(
        "--forward", action="append", default=[], help="10.77.0.3:1883=127.0.0.1:PORT"
    )
    args = parse.parse_args()
    hub = Hub(
        port=args.port,
        seed=args.seed,
        delays=args.delays,
        jitter=args.jitter,
        loss=args.loss,
        forwards=dict(pair.split("=", 1) for pair in args.forward),
    )
    control = ControlServer(hub.loop, args.control, hub.control_ops())
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: hub.loop.stop())
    print(json.dumps({"hub": "%s:%d" % hub.address, "control": args.control}), flush=True)
    hub.loop.run()
    control.close()
    hub.close()


if __name__ == "__main__":
    main()
