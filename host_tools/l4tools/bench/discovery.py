"""Discovery by Bluetooth: how soon, at which share of radio time, in how much memory.

How soon is a matter of a model (tests/sim/air.py: intervals, windows, chance, loss, collisions, on
a virtual clock) with the real machines in it: a board's own time adds some milliseconds.
"""

import sys
from dataclasses import dataclass

from l4tools.bench.device import Device
from l4tools.bench.rows import Report
from l4tools.paths import ROOT

_SIM = ROOT / "tests" / "sim"
_TRIES = 1000
_EVENT_MS = 1.5  # an advertising event: three channels


@dataclass(frozen=True)
class Mode:
    name: str
    scan: dict
    losses: tuple[float, ...]


MODES = (
    Mode("at the start", {"window_ms": 60, "interval_ms": 60}, (0.0, 0.2, 0.5)),
    Mode("with WiFi", {}, (0.0, 0.2, 0.5)),
    Mode("on battery", {"round_ms": 5000, "rest_ms": 5000}, (0.2,)),
)
ALL = "64 boards know each other, at the start"
CODE = "heap of discovery: code and keys"
TABLE = "heap of discovery: 50 neighbours"
STRANGERS = "heap of discovery: 10,000 strangers"


def _name(mode: Mode, loss: float, which: str) -> str:
    return "advert to discovery %s, %d %% loss, %s" % (mode.name, 100 * loss, which)


def _share(mode: Mode) -> str:
    return "radio on for discovery %s" % mode.name


ROWS = [
    *(_name(m, x, w) for m in MODES for x in m.losses for w in ("p50", "p95")),
    ALL,
    *(_share(m) for m in MODES),
    CODE,
    TABLE,
    STRANGERS,
]


def _air():
    if str(_SIM) not in sys.path:
        sys.path.insert(0, str(_SIM))
    import air

    return air


def delays(mode: Mode, loss: float, tries: int) -> list[int]:
    """Sorted ms until one board has heard another, from any moment on."""
    air = _air()
    out = []
    for seed in range(tries):
        world = air.Air(seed, loss)
        a, b = world.add(**mode.scan), world.add(**mode.scan)
        world.run(120_000, lambda found=a.found: bool(found))
        out.append(a.found.get(b.addr, 120_000))
    return sorted(out)


def all_know_all(seed: int, boards: int = 64) -> int:
    """Ms until each has all others in its table, with 20 % loss."""
    world = _air().Air(seed, 0.2)
    for _ in range(boards):
        world.add(window_ms=60, interval_ms=60, slots=boards)
    ms = 0
    while any(len(b.near.table) < boards - 1 for b in world.boards) and ms < 60_000:
        ms += 100
        world.run(100)
    return ms


def share(mode: Mode) -> float:
    """Percent of the time that the radio is on: listening, and three channels an advert."""
    world = _air().Air(1)
    b = world.add(**mode.scan)
    world.run(120_000)
    listening = b.window / b.interval * b.round / (b.round + b.rest)
    return 100 * min(1.0, listening + b.spoken * _EVENT_MS / 120_000)


def measure(report: Report, quick: bool) -> None:
    tries = 30 if quick else _TRIES
    for mode in MODES:
        for loss in mode.losses:
            d = delays(mode, loss, tries)
            report.put(_name(mode, loss, "p50"), d[tries // 2])
            report.put(_name(mode, loss, "p95"), d[tries * 95 // 100])
        report.put(_share(mode), share(mode))
    took = [all_know_all(seed) for seed in range(1 if quick else 5)]
    report.put(ALL, sorted(took)[len(took) // 2], took)
    with Device("discovery.py", 50, heap="2m") as device:
        said = device.read(60)
    report.put(CODE, said["code"])
    report.put(TABLE, said["table"] + said["full"])
    report.put(STRANGERS, said["strangers"])
