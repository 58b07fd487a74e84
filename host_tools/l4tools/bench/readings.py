"""Readings: what one costs on flash and in time, and what a dead band saves."""

import os
import signal
import time

from l4mesh.predict import Predictor

from l4tools.bench import traces
from l4tools.bench.device import Device
from l4tools.bench.load import one_cpu
from l4tools.bench.peers import Mosquitto, umqtt_path
from l4tools.bench.rows import Report, Skip
from l4tools.errors import ToolError
from l4tools.readings.model import Lines

_N = 1000
_EVERY_S = 10  # the figure for flash life: one reading in ten seconds
_YEAR_S = 365.25 * 86400
_VFS = 2 << 20
_CYCLES = 100_000

LOOP = ["longest turn of the loop outside connect", "turns of the loop above 50 ms"]
ROWS = [
    *LOOP,
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
    try:
        said = held_up(3 if quick else 15)
        report.put(LOOP[0], said["longest_us"] / 1000)
        report.put(LOOP[1], said["over"])
    except Skip as e:
        report.skip(LOOP, str(e))
    for name in traces.NAMES:
        saved, rmse, worst = predicted(name)
        report.put("messages saved, " + name, 100 * saved)
        report.put("error of the sink (RMSE / band), " + name, rmse)
        report.put("largest error / band, " + name, worst)


def held_up(seconds: int) -> dict:
    """A busy node on a broker that is stopped for a third of the time."""
    cpu = one_cpu()
    with (
        Mosquitto(cpu) as broker,
        Device("loop.py", broker.port, seconds, heap="8m", extra_path=umqtt_path()) as node,
    ):
        pid = broker._process.pid
        time.sleep(seconds / 3)
        os.kill(pid, signal.SIGSTOP)  # half dead: the socket is open and nobody reads
        time.sleep(seconds / 3)
        os.kill(pid, signal.SIGCONT)
        said = node.read(seconds + 60)
    if not said["turns"] or not said["sent"]:
        raise ToolError("The node never connected to mosquitto: %r." % said)
    return said


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
