from l4mesh.minutes import Minutes
from l4mesh.ticks import MASK, add

_DAY_MS = 86400000


def test_counts_whole_minutes():
    m = Minutes(0)
    assert m.advance(59999) == 0
    assert m.advance(60000) == 1
    assert m.advance(119999) == 1
    assert m.advance(120000) == 2
    assert m.minute == 2


def test_forty_days_of_uneven_polls_over_three_wraps():
    for start in (0, MASK - 5000, 1 << 29):
        m = Minutes(start)
        passed = 0
        step = 1
        while passed < 40 * _DAY_MS:
            step = (step * 73 + 41) % 5000000 + 1
            passed += step
            assert m.advance(add(start, passed & MASK)) == passed // 60000
        assert m.minute >= 40 * 1440


def test_one_call_in_six_days_is_enough():
    m = Minutes(MASK - 1)
    now = MASK - 1
    for day in range(6, 61, 6):
        now = add(now, 6 * _DAY_MS)
        assert m.advance(now) == day * 1440


def test_calls_a_little_out_of_order_do_not_count_twice():
    m = Minutes(0)
    m.advance(60000)
    assert m.advance(59000) == 1
    for i in range(100):
        m.advance(60000 + i * 10)
        m.advance(60000 + i * 10 - 5)
    assert m.advance(119999) == 1
    assert m.advance(120000) == 2


def test_a_gap_too_long_to_tell_does_not_stop_the_clock():
    m = Minutes(0)
    now = 8 * _DAY_MS
    assert m.advance(now & MASK) == 0
    assert m.advance((now + 60000) & MASK) == 1
