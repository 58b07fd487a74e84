"""Ascending, disjoint, non-touching inclusive ranges [(first, last), ..] of sequence numbers."""

from bisect import bisect_left


def add(ranges: list, first: int, last: int) -> None:
    """Put first..last in, in place, merging what overlaps or touches."""
    low = bisect_left(ranges, first, key=lambda r: r[1] + 1)  # first one that isn't left of it
    high = low
    while high < len(ranges) and ranges[high][0] <= last + 1:
        first, last = min(first, ranges[high][0]), max(last, ranges[high][1])
        high += 1
    ranges[low:high] = [(first, last)]


def missing(ranges: list, first: int, last: int) -> list:
    """The parts of first..last that no range covers, ascending."""
    parts = []
    for a, b in ranges[bisect_left(ranges, first, key=lambda r: r[1]) :]:
        if a > last:
            break
        if a > first:
            parts.append((first, a - 1))
        first = b + 1
    if first <= last:
        parts.append((first, last))
    return parts


def total(ranges: list) -> int:
    """How many numbers the ranges hold."""
    return sum(b - a + 1 for a, b in ranges)
