"""Build the file system image of a board: compiled modules, boot files, config, in littlefs.

The image holds what `mpremote cp` would put on a board: `lib/` and `firmware/` as .mpy, but
boot.py and main.py (started by name) and app.py (the file that users edit) as they are. The
firmware is made small before, which merges most of it into few files (shrink.py).
Block count and size must equal the partition's or the board will not mount it (2 MiB = 512).

`python -m l4tools.image --sizes` prints the .mpy bytes a file against the budgets of the design.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.paths import FIRMWARE, LIB, build_dir, tool
from l4tools.shrink import AS_IS
from l4tools.shrunk import small

BLOCK_SIZE = 4096
BLOCK_COUNT = 512  # vfs of a 4 MiB board
KEEP_SOURCE = AS_IS
OPT = 3  # asserts and line numbers out: 7 % fewer bytes
BUDGET_CORE = 32 * 1024
BUDGET_ALL = 72 * 1024
# Files of the built image that every board loads; the others come when configured or asked for.
CORE = (
    "boot.py main.py supervisor.py safe_mode.py timekeeper.py l4config.py l4app.py start.py "
    "start_first.py lib/l4mesh/__init__.py lib/l4mesh/core.py lib/l4mesh/ed25519.py "
    "lib/l4mesh/identity.py"
).split()

Source = Path | bytes | str
Files = dict[str, Source]


def project_files() -> Files:
    """{path in the image: source} of lib/ and firmware/."""
    files: Files = {}
    for root, prefix in ((LIB, "lib/"), (FIRMWARE, "")):
        for path in sorted(root.rglob("*.py")):
            files[prefix + path.relative_to(root).as_posix()] = path
    return files


def umqtt_files() -> Files:
    """`umqtt.simple` for the unix port: what `make deps` fetched, else the fork that pip has.

    Boards with stock firmware have it frozen in.
    """
    fetched = Path.home() / ".micropython/lib/umqtt/simple"
    for path in (fetched.with_suffix(".mpy"), fetched.with_suffix(".py")):
        if path.exists():
            return {"lib/umqtt/" + path.name: path}
    spec = importlib.util.find_spec("mha")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "umqtt" / "__init__.py"
        if path.exists():
            return {"lib/umqtt/simple.py": path}
    raise ToolError("umqtt was not found. Run `make demo` once: it installs what is needed.")


def compile_mpy(source: Source, name: str, opt: int = OPT) -> bytes:
    """.mpy bytes of a source (path or text); kept in build/mpy by content."""
    code = source.read_bytes() if isinstance(source, Path) else source
    code = code.encode() if isinstance(code, str) else code
    key = hashlib.sha256(b"%d\0%s\0" % (opt, name.encode()) + code).hexdigest()[:32]
    kept = build_dir("mpy") / (key + ".mpy")
    if kept.exists():
        return kept.read_bytes()
    with tempfile.TemporaryDirectory(dir=kept.parent) as tmp:
        src, out = Path(tmp) / "m.py", Path(tmp) / "m.mpy"
        src.write_bytes(code)
        args = [tool("mpy-cross"), "-O%d" % opt, "-s", name, "-o", str(out), str(src)]
        run = subprocess.run(args, capture_output=True, text=True)
        if run.returncode or not out.exists():
            raise ToolError(
                "%s does not compile. Correct it:\n%s" % (name, (run.stderr or run.stdout).strip())
            )
        os.replace(out, kept)
    return kept.read_bytes()


def compiled(files: Files, opt: int = OPT) -> dict[str, bytes]:
    """{path in the image: bytes}: .py becomes .mpy, except the boot files."""
    out: dict[str, bytes] = {}
    for path, source in files.items():
        if path.endswith(".py") and path not in KEEP_SOURCE:
            out[path[:-3] + ".mpy"] = compile_mpy(source, path.rpartition("/")[2], opt)
        elif isinstance(source, Path):
            out[path] = source.read_bytes()
        else:
            out[path] = source.encode() if isinstance(source, str) else source
    return out


def build_image(
    out: Path | str | None = None,
    config: dict | None = None,
    files: Files | None = None,
    *,
    umqtt: bool = True,
    shrink: bool = True,
    opt: int = OPT,
    block_count: int = BLOCK_COUNT,
    kept: dict[str, bytes] | None = None,
) -> bytes:
    """A littlefs image with `files` (default: the project) and `config` as config.json.

    Written to `out` when given; returned in any case. `shrink` False: the code as it is written.
    `kept`: files of an old board, written last and as they are.
    """
    from littlefs import LittleFS, LittleFSError

    wanted = dict(project_files() if files is None else files)
    if shrink and "supervisor.py" in wanted:
        wanted = dict(small(wanted))
    if umqtt:
        wanted.update(umqtt_files())
    contents = compiled(wanted, opt)
    if config is not None:
        contents["config.json"] = json.dumps(config).encode()
    fs = LittleFS(block_size=BLOCK_SIZE, block_count=block_count)
    try:
        for path, data in [*sorted(contents.items()), *sorted((kept or {}).items())]:
            parent = path.rpartition("/")[0]
            if parent:
                fs.makedirs(parent, exist_ok=True)
            with fs.open(path, "wb") as f:
                f.write(data)
    except (OSError, LittleFSError) as exc:
        raise ToolError("The files do not fit into %d blocks (%s)." % (block_count, exc))
    image = bytes(fs.context.buffer)
    if out is not None:
        tmp = Path("%s.%d.tmp" % (out, os.getpid()))
        tmp.parent.mkdir(parents=True, exist_ok=True)
        tmp.write_bytes(image)
        os.replace(tmp, out)
    return image


def read_image(image: bytes | Path) -> dict[str, bytes]:
    """{path: bytes} of an image: for tests and for looking into a virtual board."""
    from littlefs import LittleFS

    data = image.read_bytes() if isinstance(image, Path) else image
    count = len(data) // BLOCK_SIZE
    fs = LittleFS(block_size=BLOCK_SIZE, block_count=count, mount=False)
    fs.context.buffer = bytearray(data)
    fs.mount()
    out = {}
    for folder, _, names in fs.walk("/"):
        for name in names:
            path = (folder.rstrip("/") + "/" + name).lstrip("/")
            with fs.open(path, "rb") as f:
                out[path] = f.read()
    return out


def sizes(opt: int = OPT) -> list[tuple[str, int, bool]]:
    """(path, .mpy bytes, in the core profile) of an image's files, boot files compiled too."""
    rows = []
    for path, source in sorted(small(project_files()).items()):
        size = len(compile_mpy(source, path.rpartition("/")[2], opt))
        rows.append((path, size, path in CORE))
    return rows


def print_sizes() -> bool:
    """Print the table; True when both budgets are kept."""
    rows = sizes()
    for path, size, core in rows:
        print("%7d  %s%s" % (size, path, "" if core else "  (on demand)"))
    good = True
    for name, total, budget in (
        ("core profile", sum(n for _, n, core in rows if core), BUDGET_CORE),
        ("all", sum(n for _, n, _ in rows), BUDGET_ALL),
    ):
        verdict = "fits" if total <= budget else "TOO LARGE"
        good = good and total <= budget
        print("%7d  %s, budget %d: %s" % (total, name, budget, verdict))
    return good


def main() -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.image", description=__doc__)
    parse.add_argument("--sizes", action="store_true", help=".mpy bytes a file, and the budgets")
    parse.add_argument("--strict", action="store_true", help="exit 1 when a budget is missed")
    parse.add_argument("--out", type=Path, help="write an image here")
    parse.add_argument("--config", type=Path, help="JSON file that becomes config.json")
    args = parse.parse_args()
    try:
        if args.out:
            config = json.loads(args.config.read_text()) if args.config else None
            data = build_image(args.out, config)
            print("%s: %d files, %d bytes" % (args.out, len(read_image(data)), len(data)))
        if args.sizes or not args.out:
            return 0 if print_sizes() or not args.strict else 1
    except (ToolError, OSError, ValueError) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
