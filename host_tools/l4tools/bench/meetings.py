"""Meetings by Bluetooth: a record exchange over GATT, the radio's part of it and the boards' own.

The radio is the simulated one, with real connection events of 30 ms; the own time is that of both
sides on one CPU of this machine, without any radio.
"""

import sys

from l4tools.bench.device import Device
from l4tools.bench.rows import Report, Skip
from l4tools.paths import ROOT

EXCHANGE = "record exchange over GATT, 30 ms interval, p50"
WORST = "record exchange over GATT, 30 ms interval, worst"
OWN = "own time of both sides of that"
CODE = "heap of meetings: code"
LINK = "heap of a link that is met"
ROWS = [EXCHANGE, WORST, OWN, CODE, LINK]

_NODE = """
from blenode import *
h = number(%d)
met = h.faces._met
def timed(f, t):
    met(f, t)
    if f.m.asks:
        print("TOOK", time.ticks_diff(now(), f.began))
h.faces._met = timed
print("READY")
spin(h, 30000, lambda: h.faces.met)
sid = [h.node.peers.short_id(i) for i in range(56) if h.node.peers.flags(i)][0]
for k in range(%d):
    before = h.faces.met
    spin(h, 30000, lambda: not h.faces.list)
    ping(h, sid)
    spin(h, 30000, lambda: h.faces.met > before)
spin(h, %d)
"""


def exchanges(count: int) -> list[int]:
    """Ms from the begin of connecting until the asker has met the other one, `count` times."""
    for name in ("host", "sim"):
        if str(ROOT / "tests" / name) not in sys.path:
            sys.path.insert(0, str(ROOT / "tests" / name))
    from radiobed import AIOBLE, bed

    paths = [AIOBLE, ROOT / "lib", ROOT / "firmware", ROOT / "tests" / "sim"]
    with bed(paths, conn_interval=0.03) as air:
        a = air.run("10.77.1.11", _NODE % (41, count, 0), heap=2000000)
        b = air.run("10.77.1.12", _NODE % (42, 0, 60000), heap=2000000)
        a.ended(60 + 15 * count)
        took = [int(x.split()[1]) for p in (a, b) for x in p.lines if x.startswith("TOOK")]
        if len(took) < count:
            raise Skip("Only %d of %d exchanges came about: %s" % (len(took), count, a.lines[-3:]))
        return sorted(took)


def measure(report: Report, quick: bool) -> None:
    took = exchanges(1 if quick else 8)
    report.put(EXCHANGE, took[len(took) // 2], took)
    report.put(WORST, took[-1])
    path = str(ROOT / "tests" / "sim")
    with Device("meetings.py", 5 if quick else 200, heap="3m", extra_path=path) as device:
        said = device.read(60)
    us = sorted(said["us"])
    report.put(OWN, us[len(us) // 2] / 1000, [x / 1000 for x in us])
    report.put(CODE, said["code"])
    report.put(LINK, said["link"])
