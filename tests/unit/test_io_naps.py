"""What survives a deep sleep, and that nothing of it is ever used twice."""

import os

from l4mesh.prng import XorShift
from l4mesh_io import naps
from l4mesh_io.naps import Nap


class Rtc:
    def __init__(self, m=b"\x17\x99" * 1024):
        self.m = m

    def memory(self, data=None):
        if data is None:
            return self.m
        assert len(data) <= 2048
        self.m = bytes(data)


def full():
    n = Nap(7, 1234567, 3)
    n.number, n.parent, n.addr = 15, b"parentid", bytes((10, 0, 0, 5, 16, 8))
    n.failed, n.wakes, n.mails = 2, 70000, b"abcdefgh"
    n.queue, n.stored, n.silent = b"quid", 0x3FFFFFFF, 1
    return n


def same(a, b):
    names = "epoch counter signed number parent addr failed wakes mails queue stored silent"
    return [getattr(a, k) for k in names.split()] == [getattr(b, k) for k in names.split()]


def test_kept_and_taken_once():
    rtc = Rtc()
    before = rtc.m
    assert naps.take(rtc) is None
    for n in (full(), Nap(1, 1, 0)):
        assert n.keep(rtc)
        assert rtc.m[:1088] == before[:1088] and rtc.m[1152:] == before[1152:]
        assert same(naps.take(rtc), n)
        assert naps.take(rtc) is None
    assert len(rtc.m) == 2048


def test_an_empty_memory_is_enlarged():
    rtc = Rtc(b"")
    assert naps.take(rtc) is None and full().keep(rtc)
    assert same(naps.take(rtc), full())


def test_any_flipped_bit_is_no_nap():
    rtc = Rtc()
    full().keep(rtc)
    good = rtc.m
    for i in range(1088, 1152):
        for bit in (1, 16, 128):
            rtc.m = good[:i] + bytes((good[i] ^ bit,)) + good[i + 1 :]
            assert naps.take(rtc) is None


def test_garbage_is_no_nap():
    rng = XorShift(3)
    for _ in range(200):
        rtc = Rtc(bytes([rng.getrandbits(8) for _ in range(1160)]))
        assert naps.take(rtc) is None


def test_a_counter_near_its_end_is_not_kept():
    rtc = Rtc()
    n = full()
    n.counter = 0x20000000
    assert not n.keep(rtc) and naps.take(rtc) is None
    n.counter = 0
    assert not n.keep(rtc)


def test_the_last_four_mails_are_kept():
    rtc = Rtc()
    n = full()
    n.mails = b"aaaabbbbccccddddeeee"
    n.keep(rtc)
    assert naps.take(rtc).mails == b"bbbbccccddddeeee"


def clean(name):
    for x in (name, name + ".tmp"):
        try:
            os.remove(x)
        except OSError:
            pass


def test_the_record_is_written_when_it_is_another_one():
    name = "naps-%d.tmp" % id(object())
    writes = []

    class Os:
        def rename(self, a, b):
            writes.append(b)
            os.rename(a, b)

    try:
        naps.os = Os()
        assert naps.record(name) is None
        one, two = bytes(range(136)), bytes(136)
        for r in (one, one, bytearray(two), two):
            assert naps.keep_record(r, name) and naps.record(name) == bytes(r)
        assert len(writes) == 2
        with open(name, "rb") as f:
            b = f.read()
        for bad in (b[:-1], b + b"x", b[:20] + b"\xff" + b[21:], b""):
            with open(name, "wb") as f:
                f.write(bad)
            assert naps.record(name) is None
        assert not naps.keep_record(one, "/nowhere/at/all")
    finally:
        naps.os = os
        clean(name)
