"""Readings as people mean them: whose, which sensor, what value, when.

Stored is what boards sent, in the order of arrival: live readings before the history of an outage,
some without a date, some standing for values that were not sent. `series` puts all of it right:

- in the order of each queue's sequence, dated by marks (clocks.py)
- with the values that a sensor's line told in place of readings (model.py), marked as predicted
- without the firmware's own readings

`Reading.time_ms` is None where the time is not known; it then lies between `earliest_ms` and
`latest_ms`, each None where nothing is known.
"""

import asyncio
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..upstream.readings import readings_of
from .clocks import CONTROL, VOLATILE, Dated, Stored, resolve
from .model import Lines

_TEXT = re.compile(r"([^=\s]+)=(.*)", re.S)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


class Reading(NamedTuple):
    """`value`: a float where the text is a number, else the text. `sequence` of a predicted value
    is that of the reading that confirmed it.
    """

    node: bytes
    queue: bytes
    sequence: int
    sensor: str
    value: float | str
    unit: str
    time_ms: int | None
    error_ms: int | None
    earliest_ms: int | None
    latest_ms: int | None
    predicted: bool
    volatile: bool
    via: bytes | None = None  # the neighbour that had it in custody

    @property
    def order(self) -> tuple:
        """For sorting by time: what has none goes by the span that is known of it."""
        for t in (self.time_ms, self.earliest_ms, self.latest_ms):
            if t is not None:
                return (t, self.node, self.queue, self.sequence, not self.predicted)
        return (0, self.node, self.queue, self.sequence, not self.predicted)


def parse(text: str) -> tuple[str, float | str, str]:
    """(sensor, value, unit) of `name=value unit`; ("", text, "") for anything else."""
    found = _TEXT.fullmatch(text)
    if not found:
        return "", text, ""
    value, _, unit = found[2].partition(" ")
    if _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return found[1], float(value), unit
    return found[1], found[2], ""  # a text: it may have blanks, and has no unit


def of_queue(node: bytes, queue: bytes, stored: Iterable[Stored]) -> Iterator[Reading]:
    """One queue's readings, in the order of sequence."""
    lines = Lines()
    for d in resolve(stored):
        if d.stored.flags & CONTROL:
            continue
        told = lines.feed(d.time_ms, d.stored.text)
        sensor, value, unit = parse(told.text)
        volatile = bool(d.stored.flags & VOLATILE)
        for point in told.before:
            yield _reading(node, queue, d, sensor, point.value, unit, volatile, point.time_ms)
        yield _reading(node, queue, d, sensor, value, unit, volatile)


_SENT = -1


def _reading(node, queue, d: Dated, sensor, value, unit, volatile, at=_SENT):
    s = d.stored
    if at == _SENT:
        when = d[1:]
    elif at is None:
        when = (None, None, None, d.latest_ms)  # before the reading that confirmed it
    else:
        when = (at, d.error_ms, at - (d.error_ms or 0), at + (d.error_ms or 0))
    sent = at == _SENT
    return Reading(node, queue, s.sequence, sensor, value, unit, *when, not sent, volatile, s.via)


async def series(
    store,
    node: bytes | None = None,
    sensor: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    predicted: bool = True,
) -> list[Reading]:
    """All readings of an upstream.readings.Readings store that match, by time.

    `node`: 16 bytes. A reading without a time matches a span that it may lie in.
    """
    queues: dict[tuple[bytes, bytes], list[Stored]] = defaultdict(list)
    async for item in store.iter_all(node):
        queues[item[:2]].append(Stored(*item[2:]))
    found = []
    for (owner, queue), stored in queues.items():
        stored.sort()
        for r in of_queue(owner, queue, stored):
            if (sensor is None or r.sensor == sensor) and (predicted or not r.predicted):
                if _within(r, since_ms, until_ms):
                    found.append(r)
    found.sort(key=lambda r: r.order)
    return found


def _within(r: Reading, since_ms, until_ms) -> bool:
    first = r.earliest_ms if r.time_ms is None else r.time_ms
    last = r.latest_ms if r.time_ms is None else r.time_ms
    if since_ms is not None and last is not None and last < since_ms:
        return False
    return until_ms is None or first is None or first <= until_ms


class Live:
    """New readings as they are stored. Each stands for itself: one without a date has none here,
    and values that a line told come with the reading that confirms them.

        async with Live(store, node) as live:
            r = await live.next()
    """

    def __init__(self, store, node: bytes | None = None):
        self._lines: dict[tuple[bytes, bytes], Lines] = defaultdict(Lines)
        self._new: asyncio.Queue[Reading] = asyncio.Queue()
        self._live = False
        self._follower = store.follower(self._item, node)

    def _item(self, item):
        for owner, queue, *stored in readings_of(item):
            s = Stored(*stored)
            if s.flags & CONTROL:
                continue
            (d,) = resolve([s])
            # What was there before is read as well: it began the lines.
            told = self._lines[owner, queue].feed(d.time_ms, s.text)
            if self._live:
                name, value, unit = parse(told.text)
                volatile = bool(s.flags & VOLATILE)
                for p in told.before:
                    point = _reading(owner, queue, d, name, p.value, unit, volatile, p.time_ms)
                    self._new.put_nowait(point)
                self._new.put_nowait(_reading(owner, queue, d, name, value, unit, volatile))

    async def __aenter__(self):
        await self._follower.start()
        self._live = True
        return self

    async def __aexit__(self, *_):
        await self._follower.stop()

    async def next(self) -> Reading:
        return await self._new.get()
