"""Readings: what one costs on flash and in time, and what a dead band saves."""

from l4mesh.predict import Predictor

from l4tools.bench import traces
from l4tools.bench.device import Device
from l4tools.bench.rows import Report
from l4tools.readings.model import Lines

_N = 1000
_EVERY_S = 10  # the figure for flash life: one reading in ten seconds
_YEAR_S = 365.25 * 86400
_VFS = 2 << 20
_CYCLES = 100_000

ROWS = [
    "readings queued a second",
    "reading queued / plain littlefs append",
    "readings drained a second",
    "flash bytes a reading",
    "flash bytes / queue bytes",
    "years of flash at one reading in 10 s",
    *("%s, %s" % (what, name) for name in traces.NAMES for what in
      ("messages saved", "error of the sink (RMSE / band)", "largest error / band")),
]  # fmt: skip


def measure(report: Report, quick: bool) -> None:
    n = 100 if quick else _N
    with Device("readings.py", n, heap="8m") as device:
        said = device.read(120)
    report.put("readings queued a second", n * 1e6 / said["taken_us"])
    report.put("reading queued / plain littlefs append", said["taken_us"] / said["plain_us"])
    report.put("readings drained a second", n * 1e6 / said["drained_us"])
    # A sector is erased before it is written again: what wears is the erase.
    worn = said["erases"] * said["block"]
    report.put("flash bytes a reading", said["flash_bytes"] / n)
    report.put("flash bytes / queue bytes", worn / said["queue_bytes"])
    erases_a_year = said["erases"] / n * _YEAR_S / _EVERY_S
    sectors = _VFS / said["block"]
    report.put("years of flash at one reading in 10 s", sectors * _CYCLES / erases_a_year)
    for name in traces.NAMES:
        saved, rmse, worst = predicted(name)
        report.put("messages saved, " + name, 100 * saved)
        report.put("error of the sink (RMSE / band), " + name, rmse)
        report.put("largest error / band, " + name, worst)


def predicted(name: str) -> tuple[float, float, float]:
    """(share of messages not sent, RMSE / band, largest error / band) of a trace."""
    values, band, every_s = traces.trace(name)
    p, lines, drawn, sent = Predictor(band, every_s), Lines(), [], 0
    for i, v in enumerate(values):
        if p.due(v):
            told = lines.feed(i * every_s * 1000, "x=%.6g%s" % (v, p.suffix(v)))
            p.sent()
            sent += 1
            drawn += [point.value for point in told.before]
            drawn.append(v)
    errors = [abs(a - b) / band for a, b in zip(drawn, values, strict=False)]
    rmse = (sum(e * e for e in errors) / len(errors)) ** 0.5
    return 1 - sent / len(values), rmse, max(errors)
