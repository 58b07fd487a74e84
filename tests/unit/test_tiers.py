from l4mesh.prng import XorShift
from l4mesh.ticks import MASK, add
from l4mesh.tiers import Tiers

L3, L2, L1 = [bytes((10, 77, 0, n, 16, 8)) for n in (3, 2, 1)]


def make(now=0):
    return Tiers([(1, L1), (3, L3), (2, L2)], now)


def test_nearest_first():
    t = make()
    assert [x.level for x in t.list] == [3, 2, 1]
    assert t.first_up() is t.list[0]
    assert t.of_addr(L2) is t.list[1] and t.of_addr(bytes(6)) is None
    assert Tiers([], 0).first_up() is None and Tiers([], 0).after(None) is None


def test_up_the_ladder():
    t = make()
    a, b, c = t.list
    assert t.after(None) is a and t.after(a) is b and t.after(b) is c and t.after(c) is None
    b.up = False
    assert t.after(a) is c
    a.up = c.up = False
    assert t.after(None) is None and t.first_up() is None


def test_two_misses_make_it_silent():
    t = make()
    a = t.list[0]
    rng = XorShift(1)
    assert not t.missed(a, 100, rng) and a.up and a.due == 100
    assert t.missed(a, 200, rng) and not a.up
    assert t.first_up() is t.list[1]
    assert not t.missed(a, 300, rng)  # it was silent before


def test_a_word_between_misses_counts_from_nothing():
    t = make()
    a = t.list[0]
    rng = XorShift(1)
    for _ in range(10):
        assert not t.missed(a, 0, rng)
        t.answered(a, 0)
    assert a.up


def test_a_silent_tier_is_probed_with_growing_pauses():
    t = make()
    a = t.list[0]
    rng = XorShift(1)
    now = MASK - 20000
    t.missed(a, now, rng)
    waits = []
    for _ in range(12):
        t.missed(a, now, rng)
        waits.append((a.due - now) & MASK)
        now = a.due
    assert 750 <= waits[0] <= 1250
    assert waits[3] > 3 * waits[0]
    assert 12000 <= waits[-1] <= 20000 and max(waits) <= 20000
    assert t.answered(a, now)
    t.missed(a, now, rng)
    t.missed(a, now, rng)
    assert (a.due - now) & MASK <= 1250


def test_answered_tells_who_came_back():
    t = make()
    a = t.list[0]
    assert t.answered(a, 10)  # never heard before
    assert not t.answered(a, 20)
    a.up = False
    assert t.answered(a, 30) and a.up and a.heard


def test_round_trips():
    t = make()
    a = t.list[0]
    t.answered(a, 40, 0)
    assert a.rtt == 40
    t.answered(a, add(MASK - 3, 120), MASK - 3)
    assert a.rtt == (40 * 7 + 120) >> 3
    t.answered(a, 5)
    t.answered(a, 5, 900)  # a clock that went back says nothing
    assert a.rtt == 50
