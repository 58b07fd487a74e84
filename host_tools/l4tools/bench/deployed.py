"""`l4 deploy` of one changed file, on a virtual board that runs the node."""

import tempfile
import time
from pathlib import Path

from l4tools.bench.rows import Report
from l4tools.image import build_image, project_files
from l4tools.lan.hub import Hub
from l4tools.paths import build_dir
from l4tools.usb import deploy, payload
from l4tools.usb.repl import Repl
from l4tools.vboard.rack import Rack

ROWS = [
    "deploy one changed file (virtual ESP32)",
    "bytes of files it sent",
    "deploy one changed file of the firmware",
    "bytes of files that sent",
]
_CONFIG = {"wifi": [["bench", "bench-pass"]]}
_START_S = 1.5  # the node runs then, and waits for its keys


def push_once(tty: str, make) -> tuple[float, deploy.Done]:
    """(seconds, what was done) from the change to the restart; `make()` compiles."""
    start = time.perf_counter()
    what = make()
    with Repl(tty, timeout=30) as repl:
        done = deploy.push(repl, what)
        repl.hard_reset()
        return time.perf_counter() - start, done


def measure(report: Report, quick: bool) -> None:
    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory(dir=build_dir()) as tmp:
        hub = Hub().start()
        try:
            with Rack(Path(tmp), hub) as rack:
                board = rack.add("d1", "10.77.1.11", image=build_image(None, _CONFIG), on=True)
                _app(report, rounds, board.tty, Path(tmp) / "app.py")
                _firmware(report, rounds, board.tty)
        finally:
            hub.close()


def _app(report: Report, rounds: int, tty: str, app: Path) -> None:
    source = project_files()["app.py"].read_text()
    took = []
    for i in range(rounds):
        time.sleep(_START_S)
        app.write_text(source + "\n# change %d\n" % i)
        seconds, done = push_once(tty, lambda: payload.user(app))
        took.append(seconds)
    report.put(ROWS[0], sorted(took)[rounds // 2], took)
    report.put(ROWS[1], done.size)


def _firmware(report: Report, rounds: int, tty: str) -> None:
    files = project_files()
    source = files["console.py"].read_text()
    push_once(tty, payload.firmware)  # what the image has not, as the list of its files
    took = []
    for i in range(rounds):
        time.sleep(_START_S)
        # Another each time and each run, or the optimiser's result would be there already.
        text = 'say("change %d of %d") if "%d" == "" else None\n' % (i, time.time_ns(), i)
        files["console.py"] = source + "\n\n" + text
        seconds, done = push_once(tty, lambda: payload.firmware(files=files))
        took.append(seconds)
    report.put(ROWS[2], sorted(took)[rounds // 2], took)
    report.put(ROWS[3], done.size)
