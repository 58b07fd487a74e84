from l4mesh.dedup import Dedup
from l4mesh.ticks import MASK, add


def test_second_sight_is_seen():
    d = Dedup(4, 3, 1000)
    for base in (0, MASK - 100):
        key = bytes((1, 2, base & 255))
        assert not d.seen(key, base)
        assert d.seen(key, base)
        assert d.seen(key, add(base, 999))


def test_a_key_is_new_again_after_its_time():
    d = Dedup(4, 2, 1000)
    start = MASK - 500
    assert not d.seen(b"ab", start)
    assert d.seen(b"ab", add(start, 999))
    assert not d.seen(b"ab", add(start, 1000))
    assert d.seen(b"ab", add(start, 1999))
    assert not d.seen(b"ab", add(start, 7 * 86400000))


def test_the_oldest_makes_room():
    d = Dedup(3, 1, 10000)
    for i in range(3):
        assert not d.seen(bytes((i,)), i)
    assert not d.seen(b"\x09", 3)
    assert d.seen(b"\x01", 4) and d.seen(b"\x02", 4) and d.seen(b"\x09", 4)
    assert not d.seen(b"\x00", 5)


def test_a_hit_across_two_keys_is_none():
    d = Dedup(4, 4, 1000)
    d.seen(b"\x01\x02\x03\x04", 0)
    d.seen(b"\x05\x06\x07\x08", 0)
    assert not d.seen(b"\x03\x04\x05\x06", 0)
    assert d.seen(b"\x03\x04\x05\x06", 0)
    assert d.seen(b"\x05\x06\x07\x08", 0)


def test_misaligned_twins_do_not_hide_the_real_one():
    d = Dedup(4, 2, 1000)
    d.seen(b"\x00\x01", 0)
    d.seen(b"\x02\x00", 0)
    d.seen(b"\x01\x02", 0)
    assert d.seen(b"\x01\x02", 0)


def test_the_search_goes_on_right_behind_a_misaligned_hit():
    d = Dedup(4, 2, 1000)
    d.seen(b"\x05\x01", 0)
    d.seen(b"\x01\x01", 0)
    assert d.seen(b"\x01\x01", 0)


def test_empty_slots_match_nothing():
    d = Dedup(4, 2, 1000)
    assert not d.seen(b"\x00\x00", 5)
    assert d.seen(b"\x00\x00", 5)


def test_keys_of_another_size_are_refused():
    d = Dedup(4, 2, 1000)
    for key in (b"", b"a", b"abc"):
        try:
            d.seen(key, 0)
        except ValueError as e:
            assert "2 bytes" in str(e)
        else:
            raise AssertionError(key)
