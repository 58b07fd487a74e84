"""Build custom firmware: MicroPython with our modules in it, by MicroPython's own makefiles.

    python -m l4tools.firmware BOARD [--variant romfs] [NAME=VALUE ..]     make firmware BOARD=..

Needs a MicroPython checkout (MPY_DIR) and, for the chips, ESP-IDF (IDF_PATH, idf.py);
docs/firmware.md says how to get both. What is missing is told at once, each in a sentence with the
next step. The result is build/firmware/BOARD/firmware.bin, or BOARD-romfs/ with romfs.img too.
NAME=VALUE goes to MicroPython's makefile as it is.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from l4tools.boards import BoardSpec, load
from l4tools.errors import ToolError
from l4tools.frozen import ROMFS_START, build_romfs, held_by, write_sources
from l4tools.paths import build_dir

VARIANTS = ("", "romfs")
_OLDEST = {"": (1, 24), "romfs": (1, 26)}  # 1.26: the table leaves the file system's size open
_CLONE = "git clone --depth 1 -b v1.28.0 https://github.com/micropython/micropython"


def version_of(mpy: Path) -> tuple[int, int] | None:
    """(major, minor) of a MicroPython checkout."""
    try:
        text = (mpy / "py" / "mpconfig.h").read_text()
    except OSError:
        return None
    found = [re.search(r"#define MICROPY_VERSION_%s (\d+)" % n, text) for n in ("MAJOR", "MINOR")]
    return (int(found[0][1]), int(found[1][1])) if all(found) else None


def _missing_micropython(spec: BoardSpec, variant: str, env: Mapping[str, str]) -> list[str]:
    if not env.get("MPY_DIR"):
        return [
            "MPY_DIR is not set. Get MicroPython with `%s`, then `export "
            "MPY_DIR=$PWD/micropython`." % _CLONE
        ]
    mpy = Path(env["MPY_DIR"])
    version = version_of(mpy)
    if version is None or not (mpy / "ports" / spec.port / "Makefile").exists():
        return [
            "There is no MicroPython in MPY_DIR=%s. Get it with `%s` and set MPY_DIR to that "
            "folder." % (mpy, _CLONE)
        ]
    if version < _OLDEST[variant]:
        return [
            "MicroPython in %s is %d.%d, too old: this needs %d.%d. Run `git fetch --tags && git "
            "checkout v1.28.0` there." % (mpy, *version, *_OLDEST[variant])
        ]
    return []


def _missing_idf(env: Mapping[str, str]) -> list[str]:
    idf = env.get("IDF_PATH")
    if not idf:
        return [
            "ESP-IDF is not set up: IDF_PATH is empty. Install the version that "
            "$MPY_DIR/ports/esp32/README.md names, then run `. esp-idf/export.sh` in this shell."
        ]
    if not (Path(idf) / "tools" / "cmake" / "project.cmake").exists():
        return [
            "There is no ESP-IDF in IDF_PATH=%s. Run `. export.sh` of the folder it was cloned "
            "into." % idf
        ]
    if not shutil.which("idf.py", path=env.get("PATH")):
        return [
            "idf.py is not on PATH. Run `. %s/export.sh` in this shell; if that complains, "
            "`%s/install.sh` first." % (idf, idf)
        ]
    return []


def missing(spec: BoardSpec, variant: str, env: Mapping[str, str]) -> list[str]:
    """A sentence with the next step for each thing that the build needs and this machine lacks."""
    out = _missing_micropython(spec, variant, env)
    if spec.port == "esp32":
        out += _missing_idf(env)
    for name, package in (("make", "make"), ("cc", "gcc")):
        if not shutil.which(name, path=env.get("PATH")):
            out.append(
                "The command %s is missing; mpy-cross is built with it. Install it, on Debian "
                "with `apt install %s`." % (name, package)
            )
    return out


def folder_of(spec: BoardSpec, variant: str) -> Path:
    return build_dir("firmware") / (spec.name + ("-" + variant if variant else ""))


def commands(spec: BoardSpec, variant: str, mpy: Path, more: list[str]) -> list[list[str]]:
    """What runs, in order. A release archive (no .git) brings its submodules along."""
    port = ["make", "-C", str(mpy / "ports" / spec.port), "BUILD=%s" % folder_of(spec, variant)]
    if spec.port == "esp32":
        port += ["BOARD=" + spec.name, "BOARD_DIR=%s" % spec.folder]
        port += ["BOARD_VARIANT=" + variant] if variant else []
    else:
        port += ["FROZEN_MANIFEST=%s" % (spec.folder / "manifest.py")]
    port += more
    out = [["make", "-C", str(mpy / "mpy-cross")]]
    if (mpy / ".git").exists():
        out.append([*port, "submodules"])
    return [*out, [*port, "all"]]


def build(spec: BoardSpec, variant: str, env: Mapping[str, str], more: list[str]) -> Path:
    """Run the build; the firmware's file."""
    if variant and spec.port != "esp32":
        raise ToolError("%s has no variant %s. Leave VARIANT out." % (spec.name, variant))
    lacking = missing(spec, variant, env)
    if lacking:
        raise ToolError("\n".join(lacking))
    folder = folder_of(spec, variant)
    folder.mkdir(parents=True, exist_ok=True)
    if variant == "romfs":
        build_romfs(folder / "romfs.img")
    else:
        write_sources(spec.name)
    for command in commands(spec, variant, Path(env["MPY_DIR"]), more):
        print("$", " ".join(command), flush=True)
        if subprocess.run(command, env=dict(env)).returncode:
            raise ToolError(
                "The build stopped, see above. Correct that and run the same command again: it "
                "goes on where it stopped."
            )
    out = folder / ("firmware.bin" if spec.port == "esp32" else "micropython")
    if not out.exists():
        raise ToolError("The build made no %s. Remove %s and try again." % (out.name, folder))
    if held_by(out.read_bytes()) != (variant or "frozen"):
        raise ToolError(
            "The build left our modules out of %s. Remove %s and try again." % (out, folder)
        )
    return out


def next_step(spec: BoardSpec, variant: str, out: Path) -> str:
    if spec.port != "esp32":
        return "Next: %s -m main" % out
    if variant == "romfs":
        return (
            "Next: l4 flash --firmware %s, and its modules:\n"
            "esptool --chip %s write-flash 0x%X %s"
            % (out, spec.chip, ROMFS_START, out.with_name("romfs.img"))
        )
    return "Next: l4 flash --firmware %s" % out


def main(argv: list[str] | None = None) -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.firmware", description=__doc__)
    parse.add_argument("board", nargs="?", default="", help="like ESP32_GENERIC_C3")
    parse.add_argument("--variant", choices=VARIANTS, default="", help="romfs; none: frozen")
    parse.add_argument("more", nargs="*", metavar="NAME=VALUE", help="for MicroPython's makefile")
    args = parse.parse_intermixed_args(argv)
    try:
        if not args.board:
            raise ToolError("Which board? For example: make firmware BOARD=ESP32_GENERIC_C3")
        spec = load(args.board)
        out = build(spec, args.variant, os.environ, args.more)
        print("%s: %d bytes\n%s" % (out, out.stat().st_size, next_step(spec, args.variant, out)))
    except (ToolError, OSError) as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
