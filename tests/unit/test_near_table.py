"""The table of neighbours by Bluetooth: finding, naming, room, silence."""

from l4mesh.near_table import NearTable

TOP = 1 << 30


def addr(n):
    return bytes((1, 2, 3, 4, n >> 8, n & 255))


def ident(n):
    return bytes((9, n & 255, 7, 7, n >> 8, n & 255))


def sid(n):
    return bytes((0xA0, 0, 0, 0, 0, 0, n >> 8, n & 255))


def full(n, named=True):
    t = NearTable(n)
    for k in range(n):
        i = t.room(named, 0)
        t.put(i, addr(k), 1, ident(k), sid(k) if named else None)
        t.sign(i, -60, k)
    return t


def test_found_by_address_and_by_name():
    t = full(5)
    assert len(t) == 5
    for k in range(5):
        i = t.at_addr(addr(k))
        assert i >= 0 and t.named(sid(k)) == i
        assert t.addr(i) == addr(k) and t.part(i, 9, 6) == ident(k) and t.part(i, 0, 8) == sid(k)
    assert t.at_addr(addr(9)) == -1 and t.named(sid(9)) == -1


def test_bytes_between_two_slots_are_not_found():
    t = NearTable(3)
    t.put(0, b"\1\2\3\4\5\6", 1, ident(0), None)
    t.put(1, b"\7\x08\x09\x0a\x0b\x0c", 1, ident(1), None)
    assert t.at_addr(b"\4\5\6\7\x08\x09") == -1
    assert t.named(ident(0) + b"\0\0") == -1
    assert t.at_addr(b"\7\x08\x09\x0a\x0b\x0c") == 1


def test_empty_slots_are_not_found():
    t = NearTable(3)
    assert t.at_addr(bytes(6)) == -1 and t.named(bytes(8)) == -1
    t.put(0, addr(1), 1, ident(1), None)
    assert t.named(bytes(8)) == -1  # no name yet is no name


def test_a_full_table_keeps_names_and_refuses_who_has_none():
    t = full(4)
    assert t.room(True, 100) == -1 and t.room(False, 100) == -1


def test_a_name_displaces_the_longest_unheard_without_one():
    t = full(4, named=False)
    assert t.room(False, 100) == -1
    i = t.at_addr(addr(0))
    assert t.room(True, 100) == i and not t.flags(i) and t.at_addr(addr(0)) == -1
    t.put(i, addr(7), 1, ident(7), sid(7))
    t.sign(i, -60, 100)
    t.sign(t.at_addr(addr(1)), -60, 101)
    assert t.room(True, 102) == t.at_addr(addr(2)) or t.at_addr(addr(2)) == -1


def test_rotation_keeps_the_name_and_remembers_two_salts():
    t = full(1)
    for n in (20, 21, 22):
        t.put(0, addr(n), 1, ident(n), None)
        assert t.named(sid(0)) == 0 and t.at_addr(addr(n)) == 0
    assert all(t.had(0, ident(n)[:2]) for n in (20, 21, 22))
    assert not t.had(0, ident(0)[:2]) and not t.had(0, b"\0\0")


def test_a_new_slot_had_no_salt_but_its_own():
    t = full(1)
    assert t.had(0, ident(0)[:2]) and not t.had(0, b"\0\0")


def test_signal_follows_by_a_quarter():
    t = full(1)
    assert t.get(0, 31) == 60
    t.sign(0, -100, 5)
    assert t.get(0, 31) == 70
    for _ in range(20):
        t.sign(0, -100, 6)
    assert 98 <= t.get(0, 31) <= 100
    for rssi in (-500, 0, 30):
        t.sign(0, rssi, 7)
        assert 1 <= t.get(0, 31) <= 127


def test_silence_through_the_end_of_the_ticks():
    t = full(1)
    t.sign(0, -60, TOP - 1000)
    assert not t.silent(0, TOP - 1) and not t.silent(0, 29000)
    assert t.silent(0, 29001)


def test_size():
    t = NearTable(50)
    assert len(t.b) == 2600 and t.slots == 50
