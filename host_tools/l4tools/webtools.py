"""Flash boards from a browser: a folder for ESP Web Tools, to be put on any web server.

    python -m l4tools.webtools OUT                        what `make firmware` has built
    python -m l4tools.webtools OUT ESP32_GENERIC_C3=FILE  a custom firmware built elsewhere

Writes manifest.json (one build a chip family), index.html with the button, and the parts of each
firmware: bootloader, table, application, each at its place. What lies between them is not written:
there is NVS with the board's keys. Browsers allow this over https or from http://localhost only.

Custom firmware (frozen or romfs) only: it makes its file system itself, at the size of the flash
it finds. Stock firmware needs a file system image of exactly the flash's size, and the page cannot
know that: use `l4 flash`.
"""

import argparse
import html
import json
import sys
from pathlib import Path

from l4tools import __version__
from l4tools.boards import BoardSpec, all_boards, load
from l4tools.errors import ToolError
from l4tools.firmware import VARIANTS, folder_of
from l4tools.flash import firmware as bins
from l4tools.frozen import held_by

_SCRIPT = "https://unpkg.com/esp-web-tools@10/dist/web/install-button.js?module"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%(name)s</title>
<script type="module" src="%(script)s"></script>
<h1>%(name)s %(version)s</h1>
<p>Plug the board in and press the button. For %(chips)s.</p>
<esp-web-install-button manifest="manifest.json">
<span slot="unsupported">This browser cannot reach USB: take Chrome or Edge on a computer.</span>
<span slot="not-allowed">Browsers allow this over https or from http://localhost only.</span>
</esp-web-install-button>
<p>WiFi is asked for afterwards. Then give the board its keys: <code>l4 provision</code>.</p>
</html>
"""


def family(spec: BoardSpec) -> str:
    """ESP Web Tools' name of a chip: "esp32c3" -> "ESP32-C3"."""
    return "ESP32" + ("-" + spec.chip[5:].upper() if spec.chip != "esp32" else "")


def built() -> dict[str, Path]:
    """{board: firmware.bin} that `make firmware` left; frozen before romfs."""
    out: dict[str, Path] = {}
    for spec in all_boards().values():
        for variant in VARIANTS if spec.port == "esp32" else ():
            path = folder_of(spec, variant) / "firmware.bin"
            if path.exists():
                out.setdefault(spec.name, path)
    return out


def parts(spec: BoardSpec, path: Path) -> list[tuple[str, int, bytes]]:
    """[(name, offset in flash, bytes)] of a firmware file; ToolError when it is none of ours."""
    fw = bins.load(path, spec.bootloader_offset, family(spec))
    if fw.chip_id != spec.chip_id:
        raise ToolError(
            "%s is for chip id %d, but %s has %d. Take the file of this board."
            % (path, fw.chip_id, spec.name, spec.chip_id)
        )
    held = held_by(fw.app.data)
    if held == "stock":
        raise ToolError(
            "%s has none of our modules. Use `l4 flash` for stock MicroPython, or build with "
            "`make firmware BOARD=%s`." % (path, spec.name)
        )
    out = [(p.name, p.addr, p.data) for p in fw.parts]
    if held == "romfs":
        image = path.with_name("romfs.img")
        places = [row for row in fw.rows if row.label == "romfs"]
        if not places or not image.exists():
            raise ToolError(
                "%s needs a partition `romfs` and %s beside it. Build both with `make firmware "
                "BOARD=%s VARIANT=romfs`." % (path, image.name, spec.name)
            )
        out.append(("romfs", places[0].offset, image.read_bytes()))
    return out


def write(out: Path, files: dict[str, Path], name: str = "l4mesh node") -> dict:
    """Fill the folder `out`; the manifest."""
    if not files:
        raise ToolError(
            "There is no firmware to offer. Run `make firmware BOARD=ESP32_GENERIC_C3` first, or "
            "name a file: ESP32_GENERIC_C3=FILE."
        )
    out.mkdir(parents=True, exist_ok=True)
    builds, chips = [], []
    for board, firmware in sorted(files.items()):
        spec = load(board)
        if spec.port != "esp32":
            raise ToolError("%s is no ESP32 board. Leave it out." % board)
        if family(spec) in chips:
            raise ToolError("Two files are for %s. A page has one for each chip." % family(spec))
        entries = []
        for part, offset, data in parts(spec, firmware):
            path = "%s-%s.bin" % (board, part)
            (out / path).write_bytes(data)
            entries.append({"path": path, "offset": offset})
        chips.append(family(spec))
        builds.append({"chipFamily": chips[-1], "parts": entries})
    manifest = {
        "name": name,
        "version": __version__,
        # Asked, not done: who declines keeps keys, settings and unsent readings.
        "new_install_prompt_erase": True,
        "new_install_improv_wait_time": 20,  # s: a first start makes file system and identity
        "builds": builds,
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    words = {"name": name, "version": __version__, "chips": ", ".join(chips)}
    page = _PAGE % {k: html.escape(v) for k, v in (words | {"script": _SCRIPT}).items()}
    (out / "index.html").write_text(page)
    return manifest


def main(argv: list[str] | None = None) -> int:
    parse = argparse.ArgumentParser(prog="python -m l4tools.webtools", description=__doc__)
    parse.add_argument("out", type=Path, help="the folder to fill")
    parse.add_argument("files", nargs="*", metavar="BOARD=FILE", help="firmware built elsewhere")
    args = parse.parse_args(argv)
    try:
        files = {}
        for text in args.files:
            board, equals, path = text.partition("=")
            if not equals:
                raise ToolError("Say BOARD=FILE, like ESP32_GENERIC_C3=fw.bin, not %r." % text)
            files[board] = Path(path)
        manifest = write(args.out, files or built())
    except (ToolError, OSError) as e:
        print(e, file=sys.stderr)
        return 1
    for b in manifest["builds"]:
        print("%-9s %s" % (b["chipFamily"], ", ".join(p["path"] for p in b["parts"])))
    print("Try it: python3 -m http.server -d %s 8000, then http://localhost:8000" % args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
