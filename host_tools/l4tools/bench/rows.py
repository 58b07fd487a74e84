"""The rows of build/bench.json: what is measured, in which unit, and what it should be.

The targets are those of the design (docs/bench.md says where each comes from). A row without a
target is there to be read beside the others.
"""

import json
import os
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from l4tools.errors import ToolError

LOWER, HIGHER = "lower", "higher"

# name: (unit, better, target, stretch)
KNOWN: dict[str, tuple[str, str, float | None, float | None]] = {
    "raw C UDP ping-pong, p50": ("us", LOWER, None, None),
    "raw C UDP ping-pong, p99": ("us", LOWER, None, None),
    "served look-up, p50": ("us", LOWER, None, None),
    "served look-up, p99": ("us", LOWER, None, None),
    "served look-up, p50 / raw C": ("ratio", LOWER, 3.2, 2.5),
    "served look-up, p99 / its own p50": ("ratio", LOWER, 2.0, 1.4),
    "served look-up, own time p50": ("us", LOWER, None, None),
    "served look-up, own time p99": ("us", LOWER, None, None),
    "served look-up, wire time p50": ("us", LOWER, None, None),
    "served look-ups a second": ("1/s", HIGHER, None, None),
    "served look-ups a second / raw C": ("ratio", HIGHER, 0.20, 0.26),
    "CPU time a served look-up": ("us", LOWER, None, None),
    "CPU time a served look-up / raw C": ("ratio", LOWER, 5.0, 3.8),
    "served look-up of 256 records, p50 / raw C": ("ratio", LOWER, 3.2, 2.5),
    "instructions a served look-up": ("instructions", LOWER, 95000, 75000),
    "SHA-256 among those": ("instructions", LOWER, None, None),
    "garbage a served look-up": ("B", LOWER, 1600, 1312),
    "neighbour look-up, p50": ("us", LOWER, None, None),
    "neighbour look-up, p99": ("us", LOWER, None, None),
    "umqtt through mosquitto, p50": ("us", LOWER, None, None),
    "umqtt through mosquitto, p99": ("us", LOWER, None, None),
    "neighbour look-up / umqtt through mosquitto": ("ratio", LOWER, 0.45, 0.35),
    "zenoh get, p50": ("us", LOWER, None, None),
    "neighbour look-up / zenoh get": ("ratio", LOWER, 0.35, 0.25),
    "aiocoap GET, p50": ("us", LOWER, None, None),
    "neighbour look-up / aiocoap GET": ("ratio", LOWER, 0.05, 0.03),
    "heap retained after start, core profile": ("B", LOWER, None, None),
    "smallest heap, core profile": ("KiB", LOWER, 160, 128),
    "smallest heap, everything on": ("KiB", LOWER, 256, 200),
    "stand-ins of a virtual board": ("B", LOWER, None, None),
    ".mpy bytes, core profile": ("B", LOWER, 32768, 26624),
    ".mpy bytes, all": ("B", LOWER, 73728, 57344),
    "power-on to joined": ("ms", LOWER, 3000, 1000),
    "node start to joined": ("ms", LOWER, None, None),
    "deploy one changed file (virtual ESP32)": ("s", LOWER, 2.0, 1.0),
    "bytes of files it sent": ("B", LOWER, None, None),
    "deploy one changed file of the firmware": ("s", LOWER, None, None),
    "bytes of files that sent": ("B", LOWER, None, None),
    "image build, after an edit": ("s", LOWER, 3.0, 1.5),
    "image build, as before": ("s", LOWER, None, None),
    "first flash (virtual ESP32-C3)": ("s", LOWER, None, None),
    "bytes a first flash wrote": ("B", LOWER, None, None),
    "second flash, nothing changed": ("s", LOWER, None, None),
    "bytes a second flash wrote": ("B", LOWER, 65535, 0),
    "longest turn of the loop outside connect": ("ms", LOWER, None, None),
    "turns of the loop above 50 ms": ("turns", LOWER, None, None),
    "readings queued a second": ("1/s", HIGHER, None, None),
    "reading queued / plain littlefs append": ("ratio", LOWER, None, None),
    "readings drained a second": ("1/s", HIGHER, None, None),
    "flash bytes a reading": ("B", LOWER, None, None),
    "flash bytes / queue bytes": ("ratio", LOWER, None, None),
    "years of flash at one reading in 10 s": ("years", HIGHER, None, None),
    "messages saved, room": ("%", HIGHER, None, None),
    "error of the sink (RMSE / band), room": ("ratio", LOWER, None, None),
    "largest error / band, room": ("ratio", LOWER, 1.0, 0.9995),
    "messages saved, door": ("%", HIGHER, None, None),
    "error of the sink (RMSE / band), door": ("ratio", LOWER, None, None),
    "largest error / band, door": ("ratio", LOWER, 1.0, 0.9995),
    "messages saved, power": ("%", HIGHER, None, None),
    "error of the sink (RMSE / band), power": ("ratio", LOWER, None, None),
    "largest error / band, power": ("ratio", LOWER, 1.0, 0.9995),
    "advert to discovery at the start, 0 % loss, p50": ("ms", LOWER, None, None),
    "advert to discovery at the start, 0 % loss, p95": ("ms", LOWER, None, None),
    "advert to discovery at the start, 20 % loss, p50": ("ms", LOWER, None, None),
    "advert to discovery at the start, 20 % loss, p95": ("ms", LOWER, None, None),
    "advert to discovery at the start, 50 % loss, p50": ("ms", LOWER, None, None),
    "advert to discovery at the start, 50 % loss, p95": ("ms", LOWER, None, None),
    "advert to discovery with WiFi, 0 % loss, p50": ("ms", LOWER, None, None),
    "advert to discovery with WiFi, 0 % loss, p95": ("ms", LOWER, None, None),
    "advert to discovery with WiFi, 20 % loss, p50": ("ms", LOWER, 1000, None),
    "advert to discovery with WiFi, 20 % loss, p95": ("ms", LOWER, 4000, None),
    "advert to discovery with WiFi, 50 % loss, p50": ("ms", LOWER, None, None),
    "advert to discovery with WiFi, 50 % loss, p95": ("ms", LOWER, None, None),
    "advert to discovery on battery, 20 % loss, p50": ("ms", LOWER, None, None),
    "advert to discovery on battery, 20 % loss, p95": ("ms", LOWER, None, None),
    "64 boards know each other, at the start": ("ms", LOWER, 5000, None),
    "radio on for discovery at the start": ("%", LOWER, None, None),
    "radio on for discovery with WiFi": ("%", LOWER, None, None),
    "radio on for discovery on battery": ("%", LOWER, None, None),
    "heap of discovery: code and keys": ("B", LOWER, None, None),
    "heap of discovery: 50 neighbours": ("B", LOWER, None, None),
    "heap of discovery: 10,000 strangers": ("B", LOWER, 0, None),
    "record exchange over GATT, 30 ms interval, p50": ("ms", LOWER, 1000, None),
    "record exchange over GATT, 30 ms interval, worst": ("ms", LOWER, None, None),
    "own time of both sides of that": ("ms", LOWER, 10, None),
    "heap of meetings: code": ("B", LOWER, None, None),
    "heap of a link that is met": ("B", LOWER, None, None),
    "Ed25519 sign": ("ms", LOWER, None, None),
    "Ed25519 verify": ("ms", LOWER, None, None),
    "Ed25519 longest slice": ("ms", LOWER, None, None),
    "SHA-512 of one block": ("us", LOWER, None, None),
    "HMAC tag of a QUERY": ("us", LOWER, None, None),
    "HMAC tag of an ANSWER": ("us", LOWER, None, None),
}


class Skip(Exception):
    """A row can't be measured here: the reason, and the cure."""


@dataclass
class Report:
    """What was measured so far. `skipped`: name -> reason and cure; `notes`: figures raised."""

    values: dict[str, float] = field(default_factory=dict)
    spread: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    raised: dict[str, object] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)

    def put(self, name: str, value: float, spread: list[float] | None = None) -> None:
        """A value; `spread` are the samples behind it, of which lowest and highest are kept."""
        if name not in KNOWN:
            raise ValueError("%r is no row; add it to KNOWN in rows.py." % name)
        self.values[name] = tidy(value)
        if spread:
            self.spread[name] = [tidy(min(spread)), tidy(max(spread))]

    def skip(self, names: list[str], why: str) -> None:
        for name in names:
            if name not in self.values:
                self.skipped[name] = why

    def rows(self) -> list[dict]:
        out = []
        for name, (unit, better, target, stretch) in KNOWN.items():
            if name in self.values or name in self.skipped:
                row = {"name": name, "value": self.values.get(name), "unit": unit,
                       "better": better, "target": target, "stretch": stretch}  # fmt: skip
                if name in self.spread:
                    row["spread"] = self.spread[name]
                if name in self.skipped and name not in self.values:
                    row["skipped"] = self.skipped[name]
                out.append(row)
        return out

    def document(self, quick: bool) -> dict:
        return {
            "rows": self.rows(),
            "method": METHOD,
            "machine": machine(),
            "raised": self.raised,
            "quick": quick,
            "mpy_bytes": self.files,
        }


METHOD = (
    "Ratios are medians of pairs of one run, interleaved. Latency: client and server are pinned "
    "on the same CPU. Capacity: server on CPU 0, busy client with 16 under way on another. CPU "
    "time by schedstat. Instructions and garbage: difference of two run lengths. docs/bench.md."
)


def tidy(value: float) -> float:
    return value if isinstance(value, int) else float("%.4g" % value)


def verdict(row: dict) -> str:
    """stretch, met, MISSED, skipped, or nothing where there is no target."""
    if row["value"] is None:
        return "skipped"
    if row["target"] is None:
        return ""

    def reached(limit):
        return row["value"] <= limit if row["better"] == LOWER else row["value"] >= limit

    if row["stretch"] is not None and reached(row["stretch"]):
        return "stretch"
    return "met" if reached(row["target"]) else "MISSED"


def machine() -> dict:
    cpu = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x.split(":", 1)[1].strip() for x in info.read_text().splitlines()
                 if x.startswith("model name")]  # fmt: skip
        cpu = names[0] if names else ""
    return {
        "cores": os.cpu_count(),
        "cpu": cpu,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": [round(x, 2) for x in os.getloadavg()],
    }


def need(command: str, package: str = "") -> str:
    """Path of a system command, or Skip with the cure."""
    found = shutil.which(command) or shutil.which(command, path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise Skip("%s is not installed. Run `make bench-deps` as root." % (package or command))
    return found


def write(report: Report, path: Path, quick: bool) -> dict:
    doc = report.document(quick)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(doc, indent=1) + "\n")
    return doc


def show(doc: dict) -> None:
    """The table, and in plain words which targets were missed."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="l4mesh bench", title_justify="left")
    for name, justify in (("what", "left"), ("value", "right"), ("unit", "left"),
                          ("target", "right"), ("stretch", "right"), ("", "left")):  # fmt: skip
        table.add_column(name, justify=justify)
    styles = {"stretch": "green", "met": "green", "MISSED": "red", "skipped": "yellow", "": ""}
    for row in doc["rows"]:
        v = verdict(row)
        cells = ["" if row[k] is None else "%g" % row[k] for k in ("value", "target", "stretch")]
        table.add_row(row["name"], cells[0], row["unit"], cells[1], cells[2], v, style=styles[v])
    console = Console()
    console.print(table)
    said = [(verdict(row), row) for row in doc["rows"]]
    met = sum(1 for v, _ in said if v in ("met", "stretch"))
    missed = [row for v, row in said if v == "MISSED"]
    console.print("%d targets met, %d missed." % (met, len(missed)))
    for row in missed:
        console.print("missed: %s is %g, target %g" % (row["name"], row["value"], row["target"]))
    for why in dict.fromkeys(r["skipped"] for r in doc["rows"] if r.get("skipped")):
        names = [r["name"] for r in doc["rows"] if r.get("skipped") == why]
        console.print("skipped: %s (%s)" % (why, "; ".join(names)))


def check_names(names: list[str], groups: list[str]) -> None:
    for name in names:
        if name not in groups:
            raise ToolError(
                "%r is no part of the bench. There are: %s." % (name, ", ".join(groups))
            )
