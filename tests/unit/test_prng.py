from l4mesh.prng import XorShift


def _columns(bits, step):
    """The linear map of one state step as a list of images of the unit vectors."""
    return [step(1 << i) for i in range(bits)]


def _apply(m, v):
    out = 0
    i = 0
    while v:
        if v & 1:
            out ^= m[i]
        v >>= 1
        i += 1
    return out


def _power(m, n):
    result = [1 << i for i in range(32)]
    while n:
        if n & 1:
            result = [_apply(m, c) for c in result]
        m = [_apply(m, c) for c in m]
        n >>= 1
    return result


def _state_step(s):
    r = XorShift(0)
    r._x, r._y = s & 0xFFFF, s >> 16
    r.getrandbits(16)
    return r._x | (r._y << 16)


def test_known_bits():
    r = XorShift(1)
    assert [r.getrandbits(30) for _ in range(4)] == [407158494, 852241046, 291865364, 931000830]


def test_full_period():
    m = _columns(32, _state_step)
    assert _apply(m, 0x12345678) == _state_step(0x12345678)
    one = [1 << i for i in range(32)]
    assert _power(m, 0xFFFFFFFF) == one
    for p in (3, 5, 17, 257, 65537):
        assert _power(m, 0xFFFFFFFF // p) != one


def test_every_width_stays_in_bounds_and_fills_them():
    for k in range(1, 31):
        r = XorShift(k)
        seen = 0
        for _ in range(200):
            v = r.getrandbits(k)
            assert 0 <= v < 1 << k
            seen |= v
        assert seen == (1 << k) - 1


def test_state_is_never_a_heap_int():
    r = XorShift(0xFFFFFFFF)
    for _ in range(1000):
        r.getrandbits(30)
        assert 0 <= r._x < 65536 and 0 <= r._y < 65536 and r._x | r._y


def test_seeds_give_streams_of_their_own():
    first = set()
    for seed in range(2000):
        r = XorShift(seed)
        first.add((r.getrandbits(30), r.getrandbits(30)))
    assert len(first) == 2000


def test_neighbouring_seeds_are_spread_evenly():
    bins = [0] * 16
    for seed in range(3200):
        bins[XorShift(seed).getrandbits(4)] += 1
    assert min(bins) > 140 and max(bins) < 260


def test_bits_are_balanced():
    r = XorShift(7)
    ones = 0
    for _ in range(4000):
        ones += r.getrandbits(1)
    assert 1850 < ones < 2150


def test_too_many_bits_are_refused():
    try:
        XorShift(1).getrandbits(31)
    except ValueError as e:
        assert "30" in str(e)
    else:
        raise AssertionError("31 bits were given")
