"""The time of readings whose board did not know it: by the marks of its clock's runs.

A stamp without flag 1 is `run 2, ms 4` (docs/protocol.md 5). `resolve` goes through one queue in
the order of sequence and gives each reading its time: exact where a mark of its run is in the
queue, else None and the span it lies in, by its neighbours. A time is never guessed.

Run numbers are short, and may come again after years. So a mark counts for the newest stretch of
its number only: stamps of one number in a row, rising.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

KNOWN, VOLATILE, CONTROL = 1, 4, 8  # flags of a reading
_MARK = re.compile(r"#clock ([0-9a-f]{4}) (\d{1,15}) (\d{1,9})")


class Stored(NamedTuple):
    """As upstream.readings.parse_reading gives it; `time` is the 6-byte field as an int."""

    sequence: int
    flags: int
    time: int
    error_s: int | None
    text: str
    via: bytes | None = None  # the neighbour that brought it, 16 bytes


class Dated(NamedTuple):
    """`time_ms` since 1970 within `error_ms`, or None: then between `earliest_ms` and
    `latest_ms`, where those are known.
    """

    stored: Stored
    time_ms: int | None
    error_ms: int | None
    earliest_ms: int | None
    latest_ms: int | None


class _Stretch:
    """Readings in a row of one run."""

    def __init__(self, run: int, after_ms: int | None):
        self.run, self.after_ms, self.before_ms = run, after_ms, None
        self.begin: tuple[int, int] | None = None
        self.first = self.last = -1  # ms of the run

    def takes(self, run: int, ms: int) -> bool:
        return run == self.run and ms >= self.last

    def date(self, r: Stored) -> Dated:
        ms = r.time & 0xFFFFFFFF
        if self.begin:
            t = self.begin[0] + ms
            return _dated(r, t, self.begin[1])
        earliest = None if self.after_ms is None else self.after_ms + ms - self.first
        latest = None if self.before_ms is None else self.before_ms - (self.last - ms)
        if earliest is not None and latest is not None and earliest > latest:
            earliest, latest = self.after_ms, self.before_ms  # the clocks disagree: say less
        return Dated(r, None, None, earliest, latest)


def _dated(r, t, error_ms):
    known = error_ms is not None
    return Dated(r, t, error_ms, t - error_ms if known else t, t + error_ms if known else t)


def resolve(readings: Iterable[Stored]) -> Iterator[Dated]:
    """Readings of one queue, ascending -> the same, dated. Control readings come out too."""
    waiting: list[tuple[Stored, _Stretch | None]] = []
    newest: dict[int, _Stretch] = {}
    current: _Stretch | None = None
    open_: list[_Stretch] = []  # no reading with a time after them yet
    after_ms = None
    for r in readings:
        if r.flags & CONTROL and (mark := _MARK.fullmatch(r.text)):
            stretch = newest.get(int(mark[1], 16))
            if stretch is not None and stretch.begin is None:
                stretch.begin = int(mark[2]), int(mark[3])
        if r.flags & KNOWN:
            error_ms = None if r.error_s is None else r.error_s * 1000
            after_ms = r.time - (error_ms or 0)
            for stretch in open_:
                stretch.before_ms = r.time + (error_ms or 0)
            open_.clear()
            current = None
            waiting.append((r, None))
        else:
            run, ms = r.time >> 32, r.time & 0xFFFFFFFF
            if current is None or not current.takes(run, ms):
                same = newest.get(run)
                if same is None or same.begin is not None or not same.takes(run, ms):
                    same = _Stretch(run, after_ms)
                    same.first = ms
                    newest[run] = same
                current = same
                if current not in open_:
                    open_.append(current)
            current.last = ms
            waiting.append((r, current))
        # Whatever has its time, or will never have a better one, can go.
        done = 0
        for item, stretch in waiting:
            if stretch is not None and stretch.begin is None:
                break
            yield _date(item, stretch)
            done += 1
        del waiting[:done]
    for item, stretch in waiting:
        yield _date(item, stretch)


def _date(r, stretch):
    if stretch is not None:
        return stretch.date(r)
    return _dated(r, r.time, None if r.error_s is None else r.error_s * 1000)
