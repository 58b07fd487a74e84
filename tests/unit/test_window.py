from l4mesh.ticks import MASK, add
from l4mesh.window import Window


def test_counts_and_percent():
    w = Window(300000, 0)
    assert w.requests() == 0 and w.hits_pct() is None
    w.count(10, 4)
    w.count(10, 7)
    assert w.requests() == 20 and w.hits_pct() == 55
    w.count(0, 0)
    assert w.requests() == 20


def test_parts_fall_out_one_by_one():
    for start in (0, MASK - 120000):
        w = Window(60000, start)
        for i in range(6):
            w.slide(add(start, i * 10000))
            w.count(1 << i, 0)
        assert w.requests() == 63
        left = 63
        for i in range(6):
            now = add(start, 60000 + i * 10000)
            w.slide(add(now, -1))
            assert w.requests() == left
            w.slide(now)
            left -= 1 << i
            assert w.requests() == left
        assert w.hits_pct() is None


def test_uneven_samples_keep_the_parts_in_step():
    w = Window(60000, 0)
    now = 0
    for i in range(1000):
        now += 3700 + i % 7 * 100
        w.slide(now)
        w.count(1, 1)
        if i > 30:
            assert 11 <= w.requests() <= 16
    assert w.hits_pct() == 100


def test_a_long_gap_forgets_all():
    for gap in (60000, 61000, 3600000, 5 * 86400000, 7 * 86400000, 12 * 86400000):
        w = Window(60000, 5)
        w.count(100, 100)
        w.slide(add(5, gap & MASK))
        assert w.requests() == 0
        w.count(3, 1)
        w.slide(add(5, (gap + 9000) & MASK))
        assert w.requests() == 3


def test_a_call_a_little_late_forgets_nothing():
    w = Window(60000, 100)
    w.count(5, 5)
    w.slide(95)
    assert w.requests() == 5


def test_a_flood_stays_in_small_ints():
    w = Window(60000, 0)
    for i in range(6):
        w.slide(i * 10000)
        w.count(900000000, 900000000)
    assert w.requests() == 6000000 and w.hits_pct() == 100
