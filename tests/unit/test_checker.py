from kit import Person
from l4mesh import ed25519
from l4mesh.checker import Checker
from l4mesh.counters import C_BAD_SIG, C_SIG_OK, C_SIG_QUEUE_FULL, Counters
from l4mesh.ticks import MASK, add

PEOPLE = [Person(n) for n in range(3)]


class Quick:
    """A check of three slices: good when the signature does not begin with a zero byte."""

    def __init__(self):
        self.began = []
        self.now = 0

    def Verify(self, public, msg, sig):
        self.began.append(self.now)
        self.n = 0
        self.good = sig[0] != 0
        return self

    def step(self):
        self.n += 1
        return self.good if self.n > 2 else None


class Bed:
    def __init__(self, crypto=None, every=1000):
        self.done = []
        self.crypto = crypto or Quick()
        self.count = Counters()
        self.c = Checker(self.crypto, self.count, self._done, every)

    def _done(self, buf, off, life, good):
        self.done.append((bytes(buf[off : off + 136]), life, good))

    def run(self, start, ms, minute=0):
        now = start
        end = add(start, ms)
        while now != end:
            self.crypto.now = now
            assert 0 <= self.c.poll(now, minute) <= 60000
            now = add(now, 1)
        return now


def rec(n, good=True):
    return bytes([n & 255, n >> 8]) * 36 + (b"\x01" if good else b"\x00") + bytes(63)


def test_real_signatures():
    b = Bed(ed25519, 1)
    good = PEOPLE[0].record()
    forged = PEOPLE[1].record(good=False)
    mixed = PEOPLE[2].record()[:72] + good[72:]
    for r in (good, forged, mixed):
        assert b.c.add(b"xx" + r, 2, 30, 0)
    now = 0
    while len(b.done) < 3:
        now += 1
        b.c.poll(now, 0)
        assert now < 1000
    assert b.done == [(good, 30, True), (forged, 30, False), (mixed, 30, False)]
    assert b.count.get(C_SIG_OK) == 1 and b.count.get(C_BAD_SIG) == 2


def test_one_a_second_and_eight_wait():
    b = Bed()
    for n in range(8):
        assert b.c.add(rec(n), 0, 30, 0)
    assert not b.c.add(rec(8), 0, 30, 0)
    assert b.count.get(C_SIG_QUEUE_FULL) == 1 and len(b.c) == 8
    start = MASK - 3000
    b.run(start, 10000)
    assert [r for r, _, _ in b.done] == [rec(n) for n in range(8)]
    assert b.crypto.began == [add(start, 1000 * n) for n in range(8)]
    assert len(b.c) == 0


def test_a_flood_of_bad_signatures_stays_bounded():
    b = Bed()
    now = 0
    for n in range(1000):
        b.c.add(rec(n, False), 0, 30, 0)
        now = b.run(now, 10)
        assert len(b.c) <= 8
    assert len(b.crypto.began) == 10
    assert b.count.get(C_SIG_QUEUE_FULL) > 900


def test_the_wait_is_told():
    b = Bed()
    assert b.c.poll(0, 0) == 60000
    b.c.add(rec(1), 0, 30, 0)
    b.c.add(rec(2), 0, 30, 0)
    assert [b.c.poll(t, 0) for t in (100, 101, 102, 103)] == [0, 0, 0, 0]
    assert len(b.done) == 1
    assert b.c.poll(104, 0) == 996


def test_the_same_record_waits_once_and_keeps_the_shorter_life():
    b = Bed()
    for life in (30, 20, 25):
        assert b.c.add(rec(1), 0, life, 0)
    assert len(b.c) == 1
    b.run(0, 20)
    assert b.done == [(rec(1), 20, True)]


def test_results_are_kept():
    b = Bed()
    b.c.add(rec(1), 0, 30, 0)
    b.c.add(rec(2, False), 0, 30, 0)
    b.run(0, 2000)
    b.done = []
    assert b.c.add(rec(1), 0, 7, 0) and b.c.add(rec(2, False), 0, 7, 0)
    assert b.done == [(rec(1), 7, True), (rec(2, False), 7, False)]
    assert len(b.crypto.began) == 2 and len(b.c) == 0


def test_thirty_two_results_are_kept_and_no_more():
    b = Bed(every=1)
    now = 0
    for n in range(33):
        b.c.add(rec(n), 0, 30, 0)
        now = b.run(now, 10)
    assert len(b.crypto.began) == 33
    b.c.add(rec(1), 0, 30, 0)
    b.c.add(rec(32), 0, 30, 0)
    assert len(b.c) == 0
    b.c.add(rec(0), 0, 30, 0)
    assert len(b.c) == 1


def test_one_flipped_bit_is_another_record():
    b = Bed()
    b.c.add(rec(1), 0, 30, 0)
    b.run(0, 20)
    for i in (0, 71, 72, 135):
        other = bytearray(rec(1))
        other[i] ^= 2
        n = len(b.c)
        assert b.c.add(other, 0, 30, 0) and len(b.c) == n + 1


def test_waiting_spends_life():
    b = Bed()
    b.c.add(rec(1), 0, 10, 100)
    b.c.add(rec(2), 0, 10, 103)
    b.run(0, 3000, 112)
    assert [(life, good) for _, life, good in b.done] == [(0, True), (1, True)]
