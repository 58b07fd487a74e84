"""The clock: masked ticks, the date of a board without one, both epochs."""

import sys

from l4mesh import ticks
from l4mesh_io import clock

S_2026 = 1767225600  # 2026-01-01


class Time:
    """A system clock of either epoch; the real calendar is not needed beyond gmtime(0)."""

    def __init__(self, s, year):
        self.ns = s * 1000000000
        self.year = year

    def time_ns(self):
        return self.ns

    def gmtime(self, s):
        return (self.year, 1, 1, 0, 0, 0, 5, 1) if s == 0 else (2026, 1, 1, 0, 0, 7, 3, 1)


class with_time:
    def __init__(self, s, year):
        self.fake = Time(s, year)

    def __enter__(self):
        self.old = clock.time, clock._offset, clock._error, clock._set_at
        clock.time = self.fake
        clock._offset, clock._error, clock._set_at = 0, 2, None
        return self.fake

    def __exit__(self, *_):
        clock.time, clock._offset, clock._error, clock._set_at = self.old


def ms6(ms):
    return ms.to_bytes(6, "big")


def test_now_is_below_2_30_and_moves_on():
    a = clock.now()
    b = clock.now()
    assert isinstance(a, int)
    assert 0 <= a <= ticks.MASK and 0 <= b <= ticks.MASK
    assert ticks.diff(b, a) >= 0


def test_a_board_without_a_date_says_so():
    for year in (1970, 2000):
        with with_time(12, year):
            assert clock.wall_ms6() is None
            assert clock.error_s() == 65535


def test_a_host_has_a_date_at_once():
    with with_time(S_2026, 1970):
        assert clock.wall_ms6() == ms6(S_2026 * 1000)
        assert clock.error_s() == 2


def test_epoch_2000_is_asked_not_assumed():
    with with_time(S_2026 - 946684800, 2000):
        assert clock.wall_ms6() == ms6(S_2026 * 1000)


def test_set_wall_is_kept_and_runs_on():
    for year in (1970, 2000):
        with with_time(3, year) as t:
            assert clock.set_wall(ms6(S_2026 * 1000 + 250))
            assert clock.wall_ms6() == ms6(S_2026 * 1000 + 250)
            t.ns += 1500000000
            assert clock.wall_ms6() == ms6(S_2026 * 1000 + 1750)
            assert clock.set_wall(ms6(S_2026 * 1000))  # back, too
            assert clock.wall_ms6() == ms6(S_2026 * 1000)


def test_set_wall_refuses_nonsense():
    with with_time(3, 1970):
        for bad in (b"", b"\0" * 6, b"\xff" * 6, ms6(S_2026 * 1000)[:5], b"\0" + ms6(S_2026)):
            assert not clock.set_wall(bad)
        assert clock.wall_ms6() is None


def test_the_error_bound_is_the_givers_and_grows():
    with with_time(3, 1970) as t:
        assert clock.set_wall(ms6(S_2026 * 1000), 5)
        assert clock.error_s() == 5
        t.ns += 24 * 3600 * 1000000000
        assert 9 <= clock.error_s() <= 11
        t.ns += 40000 * 24 * 3600 * 1000000000
        assert clock.error_s() == 65534


def test_the_rtc_is_set_too_and_not_counted_twice():
    said = []

    class Machine:
        class RTC:
            def datetime(self, t):
                said.append(t)
                clock.time.ns = (S_2026 - 946684800) * 1000000000 + t[7] * 1000

    old = sys.modules.get("machine")
    sys.modules["machine"] = Machine
    try:
        with with_time(3, 2000):
            assert clock.set_wall(ms6(S_2026 * 1000 + 250))
            assert clock.wall_ms6() == ms6(S_2026 * 1000 + 250)
    finally:
        del sys.modules["machine"]
        if old:
            sys.modules["machine"] = old
    # (year, month, day, weekday, hour, minute, second, microsecond)
    assert said == [(2026, 1, 1, 3, 0, 0, 7, 250000)]
