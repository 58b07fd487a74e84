from l4mesh.prng import XorShift
from l4mesh.shuffled import Shuffled


def test_each_number_once():
    for n in (1, 2, 3, 16, 424, 512, 608, 1000, 64512, 65535):
        for seed in (1, 2, 3):
            order = Shuffled(n, XorShift(seed))
            seen = bytearray(n)
            for i in range(n):
                seen[order.at(i)] = 1
            assert sum(seen) == n, (n, seed)


def test_rounds_go_on_alike():
    order = Shuffled(424, XorShift(5))
    assert [order.at(i) for i in range(424, 500)] == [order.at(i) for i in range(76)]


def test_another_seed_another_order():
    a, b = (Shuffled(64512, XorShift(s)) for s in (1, 2))
    assert sum(a.at(i) == b.at(i) for i in range(1000)) < 10


def test_neighbours_come_far_apart():
    order = Shuffled(512, XorShift(9))
    near = sum(abs(order.at(i) - order.at(i + 1)) < 8 for i in range(511))
    assert near < 50


def test_no_product_leaves_thirty_bits():
    order = Shuffled(65535, XorShift(3))
    assert 65534 * order._k + order._c < 1 << 30


def test_what_it_does_not_take():
    for n in (0, -1, 65536):
        try:
            Shuffled(n, XorShift(1))
        except ValueError as e:
            assert "1 to 65535" in str(e)
        else:
            raise AssertionError(n)
