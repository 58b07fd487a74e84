"""`python -m l4tools.vchip --chip esp32c3 --folder DIR`: a virtual ESP32 to try esptool on.

Prints its ports and then its console, until Ctrl-C. On the terminal esptool cannot pull DTR and
RTS: start with --boot there, and give esptool `--before no-reset --after no-reset`.

The chip's WiFi is "bench" (password "bench-pass"). It leads to this machine's loopback and nowhere
else: there `l4 upstream` listens. The node in it, once it runs, is reached at the last address
that is printed: l4 status NODE --via 127.0.0.1:4104
"""

import argparse
import contextlib
import sys
import threading
from functools import partial
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.lan.hub import Hub
from l4tools.vchip.chip import VChip
from l4tools.vchip.chips import CHIPS
from l4tools.vchip.firmware import LAYOUTS, firmware_bin


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.vchip", description=__doc__)
    parse.add_argument("--chip", choices=sorted(CHIPS), default="esp32")
    parse.add_argument("--folder", type=Path, required=True, help="keeps the flash between runs")
    parse.add_argument("--flash", type=int, default=4, metavar="MIB", help="size of a new flash")
    parse.add_argument("--boot", action="store_true", help="hold BOOT: start in download mode")
    parse.add_argument("--strict", action="store_true", help="refuse what would not boot")
    parse.add_argument("--firmware", type=Path, help="write a double of the firmware here; end")
    parse.add_argument("--layout", choices=sorted(LAYOUTS), default="4MiBplus")
    args = parse.parse_args()
    try:
        if args.firmware:
            args.firmware.write_bytes(firmware_bin(args.chip, layout=args.layout))
            return 0
        with (
            contextlib.closing(Hub(outside=True).start()) as hub,
            VChip(
                args.chip,
                args.flash << 20,
                args.folder,
                hub,
                strict=args.strict,
                on_line=partial(print, flush=True),
            ) as chip,
        ):
            for name in ("terminal", "socket", "rfc2217"):
                print("%-9s %s" % (name, chip.pty if name == "terminal" else chip.url(name)))
            print("%-9s %s" % ("node", hub.way_in("%s:4104" % chip.board.ip)))
            sys.stdout.flush()
            chip.power_on(boot=args.boot)
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except (ToolError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
