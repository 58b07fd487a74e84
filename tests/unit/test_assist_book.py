from l4mesh.assist_book import CROWDED, FULL, KEPT, Book, private, row_of
from l4mesh.endpoint import parse_endpoint
from l4mesh.ticks import MASK


def row(addr="203.0.113.1:4104", nat=bytes(8)):
    return parse_endpoint(addr) + nat + bytes(8)


def sid(i):
    return bytes((i >> 8, i & 255)) + b"member"


def test_kept_for_so_long():
    b = Book(32, 2, 60)
    for start in (5, MASK - 20000):
        assert b.keep(sid(1), row(), start) == KEPT
        assert b.where(sid(1), start) == row()
        assert b.where(sid(1), (start + 59999) & MASK) == row()
        assert b.where(sid(1), (start + 60000) & MASK) is None
    assert b.where(sid(2), 5) is None


def test_said_again_it_stays_and_moves():
    b = Book(32, 2, 60)
    b.keep(sid(1), row(), 0)
    b.keep(sid(1), row(nat=b"12345678"), 50000)
    assert b.where(sid(1), 109999)[6:14] == b"12345678" and len(b) == 1
    assert b.keep(sid(1), row("198.51.100.9:700"), 60000) == KEPT
    assert b.where(sid(1), 60001)[:6] == parse_endpoint("198.51.100.9:700")
    for i in (2, 3):  # its old address is free again
        assert b.keep(sid(i), row(), 60000) == KEPT


def test_two_of_an_address_and_so_many_in_all():
    b = Book(4, 2, 60)
    assert [b.keep(sid(i), row(), 0) for i in range(3)] == [KEPT, KEPT, CROWDED]
    assert b.keep(sid(1), row("203.0.113.1:5000"), 0) == KEPT  # another port is no other member
    assert b.keep(sid(5), row("203.0.113.2:4104"), 0) == KEPT
    assert b.keep(sid(6), row("203.0.113.3:4104"), 0) == KEPT
    assert b.keep(sid(7), row("203.0.113.4:4104"), 0) == FULL
    assert b.where(sid(7), 0) is None and len(b) == 4


def test_those_whose_time_is_over_make_room():
    b = Book(2, 1, 60)
    b.keep(sid(1), row(), 0)
    b.keep(sid(2), row("203.0.113.2:4104"), 30000)
    assert b.keep(sid(3), row(), 60000) == KEPT
    assert len(b) == 2 and b.where(sid(2), 60000) is not None


def test_forgotten_on_request():
    b = Book(2, 1, 60)
    b.keep(sid(1), row(), 0)
    b.drop(sid(1))
    b.drop(sid(9))
    assert b.where(sid(1), 1) is None and b.keep(sid(2), row(), 1) == KEPT


def test_a_thousand_strangers_cost_no_memory():
    b = Book(32, 2, 60)
    for i in range(1000):
        b.keep(sid(i), row("203.0.%d.%d:4104" % (i >> 8, i & 255)), i)
    assert len(b) == 32 and len(b._ips) == 32
    assert b.where(sid(5), 900) is not None  # who was first stays


def test_where_a_tier_heard_a_member_otherwise():
    heard = {sid(1): parse_endpoint("203.0.113.9:9999")}
    b = Book(32, 2, 60, heard.get)
    assert b.where(sid(1), 0) == heard[sid(1)] + bytes(16)
    assert b.where(sid(2), 0) is None
    b.keep(sid(1), row(nat=b"12345678"), 0)
    assert b.where(sid(1), 1) == heard[sid(1)] + b"12345678" + bytes(8)
    del heard[sid(1)]
    assert b.where(sid(1), 1) == row(nat=b"12345678")


def test_a_row_has_the_address_it_came_from_and_no_foreign_lan():
    addr = parse_endpoint("203.0.113.9:9999")
    for lan, kept in (
        ("192.168.1.10:4104", True), ("10.1.2.3:4104", True), ("172.16.0.1:4104", True),
        ("172.32.0.1:4104", False), ("100.64.0.9:4104", True), ("100.128.0.9:4104", False),
        ("8.8.8.8:4104", False), ("127.0.0.1:4104", True), ("192.169.1.1:4104", False),
    ):  # fmt: skip
        six = parse_endpoint(lan)
        assert private(six) == kept, lan
        r = row_of(b"??12345678" + six + b"\x00\x2a", 2, addr)
        assert r == addr + b"12345678" + (six if kept else bytes(6)) + b"\x00\x2a"
