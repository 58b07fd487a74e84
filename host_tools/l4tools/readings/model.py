"""The values that a node kept to itself because its line told them (lib/l4mesh/predict.py).

A reading of a sensor with a dead band ends with what the sink has to know:

    name=value unit \\t k[!] level slope band every

`Lines.feed(time_ms, text)` gives the reading without that, and the values before it that were not
sent: each lies within `band` of what was measured. Lines are kept for each sensor of a node; feed
the readings in the order of their sequence. `ahead()` draws the line on from the newest reading:
values that nobody has confirmed yet.
"""

import math
import re
from typing import NamedTuple

HEARTBEAT_S = 900  # the longest silence of a sensor that lives: predict.py
_SUFFIX = re.compile(r"(\d{1,3})(!?) (\S+) (\S+) (\S+) (\S+)")


class Point(NamedTuple):
    """A value that was not sent. `time_ms` is None where the time of its neighbours is."""

    time_ms: int | None
    value: float


class Told(NamedTuple):
    """`text`: the reading for people. `before`: [Point] oldest first. `gap`: values are missing
    between those and this reading. `band`: None when the sensor has none.
    """

    text: str
    before: list[Point]
    gap: bool
    band: float | None


class _Line(NamedTuple):
    time_ms: int | None
    level: float
    slope: float
    every_s: float
    band: float


class Lines:
    """The lines of one node's queue. Text that is not as described is passed on as it is."""

    def __init__(self):
        self._lines: dict[str, _Line] = {}

    def feed(self, time_ms: int | None, text: str) -> Told:
        plain, tab, suffix = text.partition("\t")
        found = _SUFFIX.fullmatch(suffix) if tab else None
        if found is None:
            return Told(text, [], False, None)
        try:
            level, slope, band, every_s = (float(x) for x in found.groups()[2:])
        except ValueError:
            return Told(text, [], False, None)
        if not all(map(math.isfinite, (level, slope, band, every_s))) or not every_s > 0:
            return Told(text, [], False, None)
        name = plain.partition("=")[0]
        line = self._lines.get(name)
        broken = found[2] == "!"
        before = _points(line, int(found[1]), time_ms, broken) if line else []
        self._lines[name] = _Line(time_ms, level, slope, every_s, band)
        return Told(plain, before, broken, band)

    def ahead(self, name: str, until_ms: int) -> list[Point]:
        """The line of a sensor from its newest reading to `until_ms`, a heartbeat at most."""
        line = self._lines.get(name)
        if line is None or line.time_ms is None:
            return []
        end = min(until_ms - line.time_ms, HEARTBEAT_S * 1000)
        n = max(0, int(end / (line.every_s * 1000)))
        return _points(line, n, None, True)


def _points(line: _Line, k: int, time_ms: int | None, broken: bool) -> list[Point]:
    """`k` values on the line, evenly up to the reading at `time_ms` if nothing is missing."""
    step = line.every_s * 1000
    if not broken and line.time_ms is not None and time_ms is not None:
        step = (time_ms - line.time_ms) / (k + 1)  # the node's clock may run fast or slow
    return [
        Point(
            None if line.time_ms is None else line.time_ms + round(step * i),
            line.level + line.slope * i,
        )
        for i in range(1, k + 1)
    ]
