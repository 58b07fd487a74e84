"""Measure the heap that the firmware needs, on the 64-bit unix port; docs/memory.md says how.

    python -m l4tools.heap                      core profile, optimised: live heap, smallest heap
    python -m l4tools.heap --plain --all        sources as they are; everything on
    python -m l4tools.heap --romfs              modules run from a ROMFS image, where they lie
    python -m l4tools.heap --frozen --interpreter FILE     a MicroPython with our modules frozen in
    python -m l4tools.heap --keep FOLDER        leave image and keys there

The board runs in memory and in virtual time: 20 neighbours whose records it checks, 1,000 look-ups
it answers, readings every 10 s to flash and upstream. Smallest heap = the least `-X heapsize` at
which all of that still happens, less what the stand-ins themselves take (and the ROMFS image: on
a board it is flash, here it is a block of the heap).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.frozen import build_romfs
from l4tools.image import build_image, compile_mpy, project_files
from l4tools.paths import LIB, build_dir, micropython_argv
from l4tools.shrink import AS_IS, project

WORLD = [Path(__file__).with_name(n) for n in ("chips.py", "world.py")]
PEERS = 20
TRIES = 3  # chance moves the garbage about: a size counts when it does so often in a row
REPORT = (
    "failed ms served hits taken acked joined fetched lost told world live free "
    "mode sensor_errors checked refused"
).split()
STEP = 4


def make_keys(path: Path) -> None:
    """The keys of a small network, and the signed records of the neighbours."""
    sys.path.insert(0, str(LIB))
    from l4mesh import ed25519, keys, record

    owner = bytes(range(32))
    group, seed = sha256(b"group").digest(), sha256(b"board").digest()
    public = ed25519.public_key(seed)
    net = keys.network_id(owner)
    node_key = keys.node_key(sha256(b"master").digest(), keys.node_id(public))
    kept = (
        keys.mac_key(group), keys.mac_key(node_key), keys.seal_key(node_key),
        seed, public, net, node_key, b"\0" + group,
    )  # fmt: skip
    out = json.dumps([k.hex() for k in kept]).encode() + b"\n"
    for i in range(PEERS):
        s = sha256(b"peer %d" % i).digest()
        b = bytearray(record.SIZE)
        lan = bytes((10, 77, 1, 20 + i, 16, 8))
        nothing = bytes(6)
        record.encode_body(
            b, 0, net, 1, 1, ed25519.public_key(s), 4, 1, lan, nothing, bytes(8), 30
        )
        b[record.BODY :] = ed25519.sign(s, record.signed_text(b, 0))
        out += bytes(b)
    path.write_bytes(out)


CONFIG = {
    "upstream": [[3, "10.9.9.9:4104"]], "wifi": [["net", "secret12"]], "interval_s": 10,
    "battery_pin": 1, "led_pin": 2,
}  # fmt: skip


def make_flash(folder: Path, small: bool, everything: bool = False, modules: bool = True) -> Path:
    """`modules` False: boot files, app.py and settings only, as beside frozen or ROMFS code."""
    files = {p: s for p, s in project_files().items() if modules or p in AS_IS}
    image = folder / "flash"
    config = CONFIG | ({"mqtt": "10.9.9.9:1883"} if everything else {})
    build_image(image, config, files, umqtt=everything, shrink=small)
    return image


_interpreter: list[str] = []  # instead of the unix port that pip installed


def run(folder: Path, image: Path, heap_kib: int, more: str = "") -> dict | None:
    """What the run reports, None when it did not get through."""
    if not (folder / "world.mpy").exists():
        small = project({p.name: p for p in WORLD}, bundles={}, steps="fold names")
        for name, source in small.items():
            (folder / name).with_suffix(".mpy").write_bytes(compile_mpy(source, name))
    used = folder / "used"
    used.write_bytes(image.read_bytes())
    start = folder / "start.py"
    start.write_text("import world\n")
    files = [str(x) for x in (start, used, folder / "keys")]
    heap = ("-X", "heapsize=%dk" % heap_kib)
    args = [*(_interpreter or micropython_argv()), *heap, *files, *more.split()]
    try:
        done = subprocess.run(args, capture_output=True, text=True, timeout=300, cwd=folder)
    except subprocess.TimeoutExpired:
        return None
    (folder / "log").write_text(done.stdout + done.stderr)
    line = [x for x in done.stdout.splitlines() if x.startswith("HEAP ")]
    if done.returncode or not line or "MemoryError" in done.stdout:
        return None
    got = dict(zip(REPORT, json.loads(line[-1][5:]), strict=False))
    good = got["failed"] == 0 and got["served"] >= 1000 and got["acked"] > 0
    return got if good and got.get("checked", 0) >= PEERS and not got["sensor_errors"] else None


def smallest(folder: Path, image: Path, more: str = "", mode: int = 1) -> tuple[int, dict]:
    """(KiB, report): the least heap, in steps of 4 KiB, that does TRIES times in a row.

    `mode` 2: the node must also find room enough to answer look-ups (24 KiB free).
    """

    def good(size):
        got = run(folder, image, size, more)
        return got if got and got["mode"] >= mode else None

    low, high = 60, 512
    best = good(high)
    if best is None:
        raise ToolError("The run fails with %d KiB: see %s/log." % (high, folder))
    while high - low > STEP:
        mid = (low + high) // 2 // STEP * STEP
        if mid in (low, high):
            break
        if all(good(mid) for _ in range(TRIES)):
            high = mid
        else:
            low = mid
    return high, best


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.heap", description=__doc__)
    parse.add_argument("--plain", action="store_true", help="without the build-time optimiser")
    parse.add_argument("--all", action="store_true", help="everything on, not the core profile")
    parse.add_argument("--romfs", action="store_true", help="modules from a ROMFS image")
    parse.add_argument("--frozen", action="store_true", help="no modules: --interpreter has them")
    parse.add_argument("--interpreter", help="the MicroPython to run")
    parse.add_argument("--keep", type=Path, help="leave image, keys and log in this folder")
    parse.add_argument("--size", type=int, help="one run with this many KiB, and its report")
    args = parse.parse_args()
    more = "all" if args.all else ""
    if args.interpreter:
        _interpreter[:] = [args.interpreter]
    with tempfile.TemporaryDirectory(dir=build_dir()) as tmp:
        folder = args.keep or Path(tmp)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "keys").exists():
            make_keys(folder / "keys")
        image = make_flash(folder, not args.plain, args.all, not (args.romfs or args.frozen))
        if args.romfs:
            build_romfs(folder / "romfs")
            more += " romfs"
        if args.size:
            got = run(folder, image, args.size, more)
            print(got or (folder / "log").read_text())
            return 0 if got else 1
        least, report = smallest(folder, image, more)
        world = report["world"] / 1024
        serves, _ = smallest(folder, image, more, 2)
        print("%d B live, smallest heap %d KiB, without the stand-ins %.1f KiB"
              % (report["live"], least, least - world))  # fmt: skip
        print("answering look-ups (mode standard): without the stand-ins %.1f KiB"
              % (serves - world))  # fmt: skip
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ToolError as e:
        sys.exit(str(e))
