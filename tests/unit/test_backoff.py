from l4mesh.backoff import Backoff
from l4mesh.prng import XorShift


class _Fixed:
    def __init__(self, bits):
        self._bits = bits

    def getrandbits(self, k):
        return self._bits


def test_doubles_up_to_the_cap():
    b = Backoff(1000, 60000)
    low = [b.next(_Fixed(0)) for _ in range(9)]
    assert low == [750, 1500, 3000, 6000, 12000, 24000, 45000, 45000, 45000]


def test_jitter_is_a_quarter_either_way():
    b = Backoff(1000, 8000)
    rng = XorShift(3)
    for ms in (1000, 2000, 4000) + (8000,) * 200:
        assert ms * 3 // 4 <= b.next(rng) <= ms * 5 // 4
    at_cap = [b.next(rng) for _ in range(300)]
    assert min(at_cap) < 6200 and max(at_cap) > 9800
    assert len(set(at_cap)) > 250


def test_reset_starts_again():
    b = Backoff(100, 1000)
    for _ in range(5):
        b.next(_Fixed(0))
    b.reset()
    assert b.next(_Fixed(0)) == 75


def test_same_seed_same_waits():
    a, b = Backoff(500, 9000), Backoff(500, 9000)
    ra, rb = XorShift(9), XorShift(9)
    assert [a.next(ra) for _ in range(20)] == [b.next(rb) for _ in range(20)]


def test_figures_that_make_no_sense_are_refused():
    for base, cap in ((0, 10), (-1, 10), (20, 10), (1, 1 << 29)):
        try:
            Backoff(base, cap)
        except ValueError as e:
            assert "base_ms" in str(e)
        else:
            raise AssertionError((base, cap))
