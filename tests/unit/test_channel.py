from l4mesh.channel import Channel, pair_of

FIGURES = {"packets_s": 20, "kbit_s": 16, "kib": 4, "life_s": 120}
A, B = b"\x0a\x00\x00\x01\x10\x08", b"\x0a\x00\x00\x02\x10\x08"


def made(now=1000, **more):
    f = dict(FIGURES)
    f.update(more)
    return Channel(f, b"channel8", b"a" * 8, A, b"b" * 8, B, A[:4], now)


def test_packets_a_second():
    c = made(kib=1000)
    took = sum(c.within(60, 1000) is True for _ in range(100))
    assert took == 40  # what two seconds save up
    assert sum(c.within(60, 2000) is True for _ in range(100)) == 20
    assert sum(c.within(60, 900000 % 2**30) is True for _ in range(100)) == 0  # its time is over


def test_bytes_a_second():
    c = made(kib=1000, packets_s=1000)
    took = sum(c.within(1000, 1000) is True for _ in range(100))
    assert took == 8  # 16 kbit/s for 4 s
    assert sum(c.within(1000, 2000) is True for _ in range(100)) == 2
    assert c.within(1000, 2001) is False


def test_the_quota():
    c = made(now=0, packets_s=1000, kbit_s=8000)
    assert [c.within(1024, 0) for _ in range(5)] == [True] * 4 + [None]
    assert c.left == 0
    c.fill(5)
    assert c.within(1024, 5) is True and c.left == 3 * 1024


def test_the_time():
    c = made(now=2**30 - 1000)
    assert c.good_s(2**30 - 1000) == 120 and c.within(60, 118000) is True
    assert c.good_s(118000) == 1 and not c.over(118999)
    assert c.over(119000) and c.within(60, 119000) is None and c.good_s(500000) == 0


def test_ends():
    c = made()
    assert c.other(b"a" * 8) == b"b" * 8 and c.other(b"b" * 8) == b"a" * 8
    assert c.at(b"a" * 8) == A and c.at(b"b" * 8) == B
    elsewhere = A[:3] + bytes((A[3] ^ 8,)) + A[4:]
    c.place(b"b" * 8, elsewhere)
    c.place(b"c" * 8, B)
    assert (c.at_a, c.at_b) == (A, elsewhere)
    c.place(b"b" * 8, A)  # where its other end is
    c.place(b"a" * 8, elsewhere)
    assert (c.at_a, c.at_b) == (A, elsewhere)
    assert pair_of(b"b", b"a") == pair_of(b"a", b"b") == b"ab"
