"""Our device code as custom firmware holds it: frozen sources, or a ROMFS image.

    write_sources(board) -> Path    build/frozen/BOARD: optimised sources for its manifest.py
    build_romfs(out) -> bytes       image of the partition `romfs`: compiled modules in / and /lib
    held_by(firmware) -> str        "frozen", "romfs" or "stock": what a firmware has of ours
    beside(files, held) -> files    those that belong on the file system with such a firmware

Neither holds settings or keys: they stay on the file system, as does the user's app.py. The one in
here is the default; a file /app.py comes before it in sys.path.
`python -m l4tools.frozen --romfs OUT` writes an image, for `mpremote romfs deploy OUT`.
"""

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from l4tools.boards import load
from l4tools.errors import ToolError
from l4tools.image import OPT, Files, compile_mpy, project_files
from l4tools.paths import build_dir
from l4tools.shrunk import small

ROMFS_START = 0x1C0000  # boards/partitions-romfs.csv
ROMFS_SIZE = 0x40000
# MicroPython starts these two by name, from files or frozen code: they stay source.
_STARTED = ("boot.py", "main.py")


def sources(files: Files | None = None) -> dict[str, bytes]:
    """{path below a root that is in sys.path: optimised source}: lib/ is such a root, too."""
    every = small(project_files() if files is None else files)
    return {p.removeprefix("lib/"): d for p, d in every.items() if p.endswith(".py")}


def write_sources(board: str, root: Path | None = None) -> Path:
    """Write build/frozen/`board` anew: what boards/`board`/manifest.py freezes."""
    folder = (root or build_dir("frozen")) / load(board).name
    if folder.exists():
        shutil.rmtree(folder)  # a module that is gone must not stay in the firmware
    for path, data in sources().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def build_romfs(
    out: Path | str | None = None, files: Files | None = None, opt: int = OPT
) -> bytes:
    """ROMFS image of our compiled modules, by mpremote's own builder."""
    from mpremote.romfs import make_romfs

    every = small(project_files() if files is None else files)
    with tempfile.TemporaryDirectory(dir=build_dir()) as tmp:
        for path, data in every.items():
            if path.endswith(".py") and path not in _STARTED:
                data = compile_mpy(data, path.rpartition("/")[2], opt)
                path = path[:-3] + ".mpy"
            target = Path(tmp) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        with contextlib.redirect_stdout(io.StringIO()):  # it lists every file
            image = make_romfs(tmp, mpy_cross=False)
    image = bytes(image)
    if len(image) > ROMFS_SIZE:
        raise ToolError(
            "The ROMFS image has %d bytes, its partition %d. Leave modules out, or freeze them: "
            "`make firmware BOARD=..` without VARIANT." % (len(image), ROMFS_SIZE)
        )
    if out is not None:
        out.write_bytes(image)
    return image


def beside(files: dict[str, bytes], held: str) -> dict[str, bytes]:
    """Which of an image's files go on the file system beside a firmware that holds `held`.

    Modules in / come before frozen ones: left there, they would be mixed with the firmware's.
    """
    return files if held == "stock" else {p: d for p, d in files.items() if p == "app.py"}


def held_by(firmware: bytes) -> str:
    """What a MicroPython .bin has of ours. Frozen modules are listed in it by file name."""
    # The list is one long string, names apart by zero bytes.
    if b"\0supervisor.py\0" in firmware:
        return "frozen"
    return "romfs" if b"\0main.py\0" in firmware and b"/rom/lib" in firmware else "stock"


def held_after(firmware: bytes | None, old: Collection[str], ours: bool) -> str:
    """What the firmware that a board will run holds. None: the one on it stays, and is not read
    (a megabyte over a serial line). Then the `old` files tell, if it ran a node before (`ours`).
    """
    if firmware is not None:
        return held_by(firmware)
    return "frozen" if ours and "supervisor.mpy" not in old else "stock"


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.frozen", description=__doc__)
    parse.add_argument("--romfs", type=Path, help="write the image of the partition `romfs` here")
    parse.add_argument("--board", help="write the sources that this board's manifest freezes")
    args = parse.parse_args()
    try:
        if args.romfs:
            size = len(build_romfs(args.romfs))
            print("%s: %d bytes of %d. Next: mpremote romfs deploy %s"
                  % (args.romfs, size, ROMFS_SIZE, args.romfs))  # fmt: skip
        if args.board:
            folder = write_sources(args.board)
            print("%s: %d files" % (folder, sum(1 for _ in folder.rglob("*.py"))))
        if not (args.romfs or args.board):
            parse.error("say --romfs FILE or --board NAME")
    except (ToolError, OSError) as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
