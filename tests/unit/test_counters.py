from l4mesh import counters
from l4mesh.counters import C_BAD_TAG, C_MEM_ERROR, C_RX, Counters

_TOP = (1 << 30) - 1


def _public():
    return [n for n in dir(counters) if n.startswith("C_")]


def test_numbers_are_dense_and_unique():
    numbers = sorted(getattr(counters, n) for n in _public())
    assert numbers == list(range(len(numbers)))
    c = Counters()
    c.inc(numbers[-1])
    try:
        c.inc(len(numbers))
    except IndexError:
        pass
    else:
        raise AssertionError("room for more counters than names")


def test_counts_and_names():
    c = Counters()
    assert c.items() == []
    c.inc(C_RX)
    c.inc(C_RX)
    c.add(C_BAD_TAG, 7)
    c.inc(C_MEM_ERROR)
    assert c.get(C_RX) == 2 and c.get(C_BAD_TAG) == 7
    assert c.items() == [("rx", 2), ("bad_tag", 7), ("mem_error", 1)]


def test_every_counter_has_its_own_name():
    c = Counters()
    for n in _public():
        c.add(getattr(counters, n), getattr(counters, n) + 1)
    items = c.items()
    assert len(items) == len(_public())
    for i, (name, value) in enumerate(items):
        assert value == i + 1
        assert getattr(counters, "C_" + name.upper()) == i


def test_saturates_below_two_to_the_thirty():
    c = Counters()
    for _ in range(3):
        c.add(C_RX, (1 << 29) - 1)
    assert c.get(C_RX) == _TOP
    c.inc(C_RX)
    c.add(C_RX, 5)
    assert c.get(C_RX) == _TOP
    c.add(C_BAD_TAG, _TOP - 1)
    c.inc(C_BAD_TAG)
    assert c.get(C_BAD_TAG) == _TOP


def test_two_nodes_count_apart():
    a, b = Counters(), Counters()
    a.inc(C_RX)
    assert b.get(C_RX) == 0
