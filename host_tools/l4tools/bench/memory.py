"""Heap and code size: the measurements of `l4tools.heap` and `l4tools.image`, as rows."""

import tempfile
from pathlib import Path

from l4tools import image
from l4tools.bench.rows import Report
from l4tools.errors import ToolError
from l4tools.paths import build_dir

HEAP = ["heap retained after start, core profile", "smallest heap, core profile"]
ALL_ON = "smallest heap, everything on"
STANDINS = "stand-ins of a virtual board"
SIZES = [".mpy bytes, core profile", ".mpy bytes, all"]


def sizes(report: Report) -> None:
    rows = image.sizes()
    report.files.update({path: size for path, size, _ in rows})
    report.put(SIZES[0], sum(size for _, size, core in rows if core))
    report.put(SIZES[1], sum(size for _, size, _ in rows))


def smallest(report: Report, quick: bool) -> None:
    """Bisects the heap with `l4tools.heap`: 20 neighbours, checks, 1,000 look-ups, readings."""
    from l4tools.heap import __main__ as runs

    with tempfile.TemporaryDirectory(dir=build_dir()) as tmp:
        folder = Path(tmp)
        runs.make_keys(folder / "keys")
        flash = runs.make_flash(folder, True)
        if quick:
            got = runs.run(folder, flash, 512)
        else:
            least, got = runs.smallest(folder, flash)
            report.put(HEAP[1], least - got["world"] / 1024)
    if got is None:
        raise ToolError("The firmware did not get through its hour. Run `python -m l4tools.heap`.")
    report.put(HEAP[0], got["live"] - got["world"])
    report.put(STANDINS, got["world"])


def everything_on(report: Report) -> None:
    """The same run with MQTT, status and far peers."""
    from l4tools.heap import __main__ as runs

    with tempfile.TemporaryDirectory(dir=build_dir()) as tmp:
        folder = Path(tmp)
        runs.make_keys(folder / "keys")
        flash = runs.make_flash(folder, True, True)
        least, got = runs.smallest(folder, flash, "all")
    report.put(ALL_ON, least - got["world"] / 1024)


def measure(report: Report, quick: bool) -> None:
    sizes(report)
    smallest(report, quick)
    if quick:
        report.skip([ALL_ON], "it takes a minute; run `make bench` without --quick")
    else:
        everything_on(report)
