from l4mesh.cookie import Cookies
from l4mesh.ticks import MASK
from world import Entropy

A = bytes((10, 77, 1, 5, 16, 8))
SID = b"12345678"


def test_a_cookie_is_for_one_address_and_one_sender():
    c = Cookies(Entropy(1), 0)
    k = c.make(A, SID)
    assert len(k) == 8 and k == c.make(A, SID)
    assert c.good(A, SID, b"xx" + k, 2)
    for i in range(6):
        other = bytearray(A)
        other[i] ^= 1
        assert not c.good(bytes(other), SID, k, 0)
    assert not c.good(A, b"12345679", k, 0)
    for i in range(8):
        bad = bytearray(k)
        bad[i] ^= 128
        assert not c.good(A, SID, bad, 0)


def test_it_lives_one_to_two_minutes():
    c = Cookies(Entropy(1), 0)
    k = c.make(A, SID)
    alive = []
    for s in range(0, 200, 10):
        c.turn(s * 1000)
        alive.append(c.good(A, SID, k, 0))
    assert alive == [True] * 12 + [False] * 8  # 0 .. 110 s, over from 120 s on


def test_the_last_moment_of_a_secret():
    c = Cookies(Entropy(1), 1000)
    c.turn(60999)
    k = c.make(A, SID)
    c.turn(61000)
    assert c.make(A, SID) != k and c.good(A, SID, k, 0)
    c.turn(120999)
    assert c.good(A, SID, k, 0)
    c.turn(121000)
    assert not c.good(A, SID, k, 0)


def test_after_a_long_silence_nothing_old_is_good():
    for gap in (120000, 3600000, MASK // 2 + 1000, MASK - 5):
        c = Cookies(Entropy(1), 0)
        k = c.make(A, SID)
        c.turn(gap & MASK)
        assert not c.good(A, SID, k, 0), gap


def test_ticks_wrap():
    c = Cookies(Entropy(1), MASK - 10000)
    k = c.make(A, SID)
    c.turn(20000)
    assert c.good(A, SID, k, 0) and c.make(A, SID) == k
    c.turn(50000)
    assert c.good(A, SID, k, 0) and c.make(A, SID) != k


def test_secrets_come_from_entropy():
    assert Cookies(Entropy(1), 0).make(A, SID) != Cookies(Entropy(2), 0).make(A, SID)
