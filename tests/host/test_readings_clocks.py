"""Readings without a date: a time by their marks or an honest span, never a wrong one."""

import random

from l4tools.readings.clocks import CONTROL, KNOWN, Stored, resolve

T = 1_800_000_000_000


def stamp(run, ms):
    return run << 32 | ms


def reading(sequence, time, flags=0, text="t=1", error_s=0):
    return Stored(sequence, flags, time, error_s, text)


def mark(sequence, run, begin, error_ms=1000, flags=KNOWN | CONTROL):
    return reading(sequence, T + 90000, flags, "#clock %04x %d %d" % (run, begin, error_ms), 1)


def dated(*readings):
    return [(d.time_ms, d.error_ms, d.earliest_ms, d.latest_ms) for d in resolve(readings)]


def test_a_known_time_is_passed_on():
    assert dated(reading(0, T, KNOWN, error_s=2)) == [(T, 2000, T - 2000, T + 2000)]
    assert dated(reading(0, T, KNOWN, error_s=None)) == [(T, None, T, T)]


def test_a_mark_dates_what_came_before_it():
    got = dated(
        reading(0, stamp(7, 1000)), reading(1, stamp(7, 5000)), mark(2, 7, T), mark(3, 8, T)
    )
    assert [g[0] for g in got] == [T + 1000, T + 5000, T + 90000, T + 90000]
    assert got[0][1:] == (1000, T, T + 2000)


def test_a_number_that_comes_again_after_its_mark_is_another_run():
    assert dated(reading(0, stamp(7, 1)), mark(1, 7, T), reading(2, stamp(7, 9)))[2][0] is None


def test_a_run_without_a_mark_gets_a_span_by_its_neighbours():
    got = dated(
        reading(0, T, KNOWN, error_s=1),
        reading(1, stamp(7, 500)),
        reading(2, stamp(7, 10500)),
        reading(3, T + 60000, KNOWN, error_s=2),
    )
    assert got[1] == (None, None, T - 1000, T + 62000 - 10000)
    assert got[2] == (None, None, T - 1000 + 10000, T + 62000)


def test_without_neighbours_nothing_is_known():
    assert dated(reading(0, stamp(7, 1))) == [(None, None, None, None)]


def test_a_mark_counts_for_the_newest_stretch_of_its_number_only():
    got = dated(
        reading(0, stamp(7, 900000)),  # another run, years ago, with the same number
        reading(1, T - 10**9, KNOWN),
        reading(2, stamp(7, 1000)),
        mark(3, 7, T),
    )
    assert got[0][0] is None and got[0][3] == T - 10**9
    assert got[2][0] == T + 1000


def test_a_mark_of_the_run_before_comes_late():
    marks = mark(2, 7, T), mark(3, 9, T + 50)
    got = dated(reading(0, stamp(7, 1)), reading(1, stamp(9, 2)), *marks)
    assert [g[0] for g in got][:2] == [T + 1, T + 52]


def test_only_the_firmware_may_mark():
    got = dated(reading(0, stamp(7, 1)), mark(1, 7, T, flags=KNOWN), reading(2, stamp(7, 9)))
    assert got[0][0] is None and got[2][0] is None


def test_nonsense_marks_are_readings_like_others():
    for text in ("#clock", "#clock 7 1 1", "#clock 0007 x 1", "#clock 0007 1 1 1"):
        got = dated(reading(0, stamp(7, 1)), reading(1, T, KNOWN | CONTROL, text))
        assert got[0][0] is None


def test_order_is_kept_and_nothing_is_lost_or_wrong_for_any_life_of_a_board():
    for seed in range(60):
        rng = random.Random(seed)
        now, runs, out, truth = T, iter(rng.sample(range(1, 65536), 50)), [], []
        base, run, told, used = now, next(runs), False, False
        for _ in range(200):
            now += rng.randrange(1, 60000)
            what = rng.random()
            if what < 0.03:  # power lost
                base, run, told, used = now, next(runs), False, False
            elif what < 0.06 and not told:
                told = True
                if used:
                    out.append(mark(len(out), run, base + rng.randrange(-999, 999)))
                    out[-1] = out[-1]._replace(time=now)
                    truth.append(now)
            else:
                out.append(
                    reading(len(out), now, KNOWN, error_s=1)
                    if told
                    else reading(len(out), stamp(run, now - base))
                )
                used = used or not told
                truth.append(now)
        got = list(resolve(out))
        assert [d.stored for d in got] == out
        for d, right in zip(got, truth, strict=True):
            if d.time_ms is not None:
                assert abs(d.time_ms - right) <= d.error_ms
            assert d.earliest_ms is None or d.earliest_ms <= right
            assert d.latest_ms is None or d.latest_ms >= right
