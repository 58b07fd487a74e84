from l4mesh.ticks import MASK, add, diff


def test_differences_within_half_a_period():
    for base in (0, 1, 123456, MASK - 1000, MASK):
        for span in (0, 1, 999, 60000, 86400000, (1 << 29) - 1):
            later = add(base, span)
            assert 0 <= later <= MASK
            assert diff(later, base) == span
            assert diff(base, later) == -span


def test_wraps_at_two_to_the_thirty():
    assert MASK == (1 << 30) - 1
    assert add(MASK, 1) == 0
    assert add(0, -1) == MASK
    assert diff(0, MASK) == 1
    assert diff(MASK, 0) == -1


def test_half_a_period_is_the_past():
    assert diff(1 << 29, 0) == -(1 << 29)
