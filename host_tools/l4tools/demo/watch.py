"""What the boards say, kept as figures: the only source of the demo's table and report besides the
LED pulses (taken) and the upstream's stream (stored)."""

import json
import re
import threading
import time
from dataclasses import dataclass, field

SOURCES = ("own", "lan", "p2p", "l3", "l2", "l1")
_LOOK = re.compile(r"^L4 look ([0-9a-f]{32}) (\w+) ([\w-]+) (-?\d+)$")
_MODE = re.compile(
    r"^L4 mode (\S+) -> (\S+): (\S+) is (\S+), threshold (\S+), judged again in (\d+)"
)
_JOINED = re.compile(r"^L4 joined by tier (\d) after (\d+) ms")
_NODE = re.compile(r"^L4 node ([0-9a-f]{32}) epoch (\d+)")


@dataclass
class Seen:
    """One board, as it appears from outside."""

    id: str = ""
    epoch: int = 0
    mode: str = "-"
    joined_ms: int | None = None
    tier: int = 0
    upstream: bool = False
    neighbours: set = field(default_factory=set)
    looks: dict = field(default_factory=dict)
    stat: dict = field(default_factory=dict)
    last: str = ""


class Watch:
    def __init__(self):
        self.boards: dict[str, Seen] = {}
        self.looks: list[tuple] = []  # (seconds, board, target, status, source, us)
        self.modes: list[dict] = []
        self.events: list[tuple[float, str, str]] = []
        self.start = time.monotonic()
        self._said = threading.Condition()

    def line(self, board: str, text: str) -> None:
        if not text.startswith("L4 "):
            if text.startswith(("Traceback", "MemoryError", "  File")):
                self.events.append((time.monotonic() - self.start, board, text))
            return
        with self._said:
            self._take(self.boards.setdefault(board, Seen()), board, text)
            self._said.notify_all()

    def _take(self, b, board, text):
        at = time.monotonic() - self.start
        if m := _LOOK.match(text):
            target, status, source, us = m[1], m[2], m[3], int(m[4])
            self.looks.append((at, board, target, status, source, us))
            key = source if status in ("found", "unknown") else status
            b.looks[key] = b.looks.get(key, 0) + 1
            return
        if text.startswith("L4 stat "):
            b.stat = json.loads(text[8:])
            return
        if not text.endswith(" stored upstream"):
            b.last = text[3:]
        if m := _MODE.match(text):
            b.mode = m[2]
            why = "%s is %s, threshold %s" % (m[3], m[4], m[5])
            self.modes.append(
                {"node": board, "from": m[1], "to": m[2], "why": why, "at_s": round(at, 1)}
            )
        elif m := _JOINED.match(text):
            b.joined_ms, b.tier, b.upstream = int(m[2]), int(m[1]), True
        elif m := _NODE.match(text):
            b.id, b.epoch = m[1], int(m[2])
            b.joined_ms, b.mode, b.neighbours = None, "passive", set()
        elif text.startswith("L4 upstream is silent"):
            b.upstream = False
        elif text.startswith("L4 upstream is there"):
            b.upstream = True
        elif text.startswith("L4 neighbour "):
            (b.neighbours.discard if text.endswith("gone") else b.neighbours.add)(text.split()[2])
        self.events.append((at, board, text[3:]))

    def wait(self, condition, seconds: float) -> bool:
        """Until `condition()` is true (looked at after each line), at most `seconds`."""
        end = time.monotonic() + seconds
        with self._said:
            while not condition():
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._said.wait(min(left, 0.25))
            return True

    def answer(self, board: str, target: str, since: int):
        """(status, source, us) of the first answer to `board` on `target` after `since` looks."""
        for _, b, t, status, source, us in self.looks[since:]:
            if b == board and t == target:
                return status, source, us
        return None

    def changed(self, board: str, to: str) -> bool:
        return any(m["node"] == board and m["to"] == to for m in self.modes)

    def counts(self) -> dict[str, int]:
        n = dict.fromkeys(SOURCES + ("unknown", "unavailable", "failed"), 0)
        for _, _, _, status, source, _ in self.looks:
            n[source if status == "found" else status] += 1
        return n

    def latencies(self) -> dict[str, dict[str, float]]:
        """ms by source, p50 and p99, of the answers that found something."""
        out = {}
        for source in SOURCES:
            us = sorted(x[5] for x in self.looks if x[3] == "found" and x[4] == source)
            if us:
                out[source] = {
                    "p50": round(us[len(us) // 2] / 1000, 2),
                    "p99": round(us[min(len(us) - 1, len(us) * 99 // 100)] / 1000, 2),
                    "n": len(us),
                }
        return out
