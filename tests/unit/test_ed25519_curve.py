from l4mesh import ed25519_curve as c
from l4mesh.sha512 import finish

# The base point (RFC 8032 section 5.1): y = 4/5, encoded.
BASE = b"\x58" + b"\x66" * 31
IDENTITY = b"\x01" + bytes(31)


def _times(k):
    """k * base point, encoded, through combine."""
    return finish(c.encode(*finish(c.combine(k, c.windows(0), _table()))))


def _table():
    return finish(c.multiples(*finish(c.negated(BASE))))


def test_one_times_the_base_point_is_the_base_point():
    assert _times(1) == BASE


def test_the_group_order_times_the_base_point_is_nothing():
    assert _times(c.L) == IDENTITY or _times(0) == IDENTITY


def test_a_point_and_its_negative_cancel():
    # s * B + k * (-B) with s = k
    for k in (1, 2, 12345, c.L - 1):
        p = finish(c.combine(k, c.windows(k), _table()))
        assert finish(c.encode(*p)) == IDENTITY


def test_windows_stand_for_their_scalar():
    for k in (0, 1, 15, 16, 255, 2**200 + 77, c.L - 1):
        assert len(list(c.windows(k))) == 255
    # Different scalars, different sums: 3B - 1B = 2B.
    p = finish(c.combine(3, c.windows(1), _table()))
    assert finish(c.encode(*p)) == _times(2)


def test_what_is_no_point_is_none():
    # y = 2 is on no point of the curve; y >= p is no canonical encoding.
    assert finish(c.negated(b"\x02" + bytes(31))) is None
    assert finish(c.negated(b"\xff" * 32)) is None


def test_a_point_of_small_order_has_no_multiples():
    x_y = finish(c.negated(IDENTITY))
    assert x_y is None or finish(c.multiples(*x_y)) is None
