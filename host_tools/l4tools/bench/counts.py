"""Instructions (callgrind) and garbage of one served look-up: differences of two run lengths."""

import re
from pathlib import Path

from l4tools.bench.device import Device
from l4tools.bench.rows import Report, need
from l4tools.bench.world import Asker, Identity, World, free_port
from l4tools.errors import ToolError
from l4tools.paths import build_dir

ROWS = ["instructions a served look-up", "SHA-256 among those", "garbage a served look-up"]
_SHA = "mbedtls_internal_sha256_process"


_HEAP = "64m"  # so large that nothing is collected while it counts


def run(world: World, n: int, mode: str, before: tuple[str, ...] = ()) -> dict:
    """The node's last word after `n` look-ups, one at a time."""
    me = Identity("server")
    port = free_port()
    path = world.write(build_dir("bench") / "counted.json", me)
    group = "127.0.0.1:%d" % port
    with Device("served.py", path, port, group, mode, before=before, heap=_HEAP) as node:
        node.read(120)
        asker = Asker(world, me, port)
        try:
            asker.prove(120, 10)
            for _ in range(n):
                reply = asker.ask(10)
                if reply is None or reply[1] != 5 or reply[32]:
                    raise ToolError("A counted look-up was not answered. Run the bench again.")
        finally:
            asker.close()
        return node.finish(120)


def functions(path: Path) -> tuple[int, dict[str, int]]:
    """(all instructions, those of each function itself) of a callgrind file."""
    cost: dict[str, int] = {}
    names: dict[str, str] = {}
    here = ""
    total = 0
    called = False
    for line in path.open():
        found = re.match(r"(c?fn)=(\(\d+\))(?: (.*))?", line)
        if found:
            if found[3]:
                names[found[2]] = found[3].strip()
            if found[1] == "fn":
                here = found[2]
        elif line.startswith("calls="):
            called = True  # the next line is what the callee cost
        elif line.startswith(("summary:", "totals:")):
            total = int(line.split()[1])
        elif line[:1].isdigit() or line[:1] in "+-*":
            parts = line.split()
            if not called and len(parts) > 1:
                cost[here] = cost.get(here, 0) + int(parts[1])
            called = False
    out: dict[str, int] = {}
    for key, value in cost.items():
        name = names.get(key, key)
        out[name] = out.get(name, 0) + value
    return total, out


def profile(short: int, long: int) -> tuple[float, dict[str, float]]:
    """Instructions a look-up, in all and of each C function of the interpreter."""
    valgrind = need("valgrind")
    world = World(50)
    got = []
    for n in (short, long):
        out = build_dir("bench") / ("callgrind.%d" % n)
        out.unlink(missing_ok=True)
        run(world, n, "count", (valgrind, "--tool=callgrind", "--callgrind-out-file=%s" % out))
        if not out.exists():
            raise ToolError("callgrind wrote no result. Read build/bench/served.log.")
        got.append(functions(out))
    (a, fa), (b, fb) = got
    n = long - short
    each = {k: (fb[k] - fa.get(k, 0)) / n for k in fb if fb[k] != fa.get(k, 0)}
    return (b - a) / n, each


def garbage(short: int, long: int) -> float:
    world = World(50)
    a, b = (run(world, n, "garbage") for n in (short, long))
    return (b["allocated"] - a["allocated"]) / (long - short)


def measure(report: Report, quick: bool) -> None:
    short, long = (50, 150) if quick else (1000, 3000)
    report.put(ROWS[2], round(garbage(short, long)))
    total, each = profile(short, long)
    report.put(ROWS[0], round(total))
    report.put(ROWS[1], round(each.get(_SHA, 0)))
