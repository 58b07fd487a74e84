"""Stamps before the time is known: runs, resets, sleeps, and the mark that resolves them."""

import sys
from binascii import hexlify, unhexlify

from l4mesh.prng import XorShift
from l4mesh_io import clock
from l4mesh_io.clockrun import ClockRun

S_2000 = 946684800
S_2026 = 1767225600


class Chip:
    """Clock and RTC memory of a chip, as time and as machine; both survive `boot()`."""

    def __init__(self):
        self.ids = [b"\0\0", b"ab", b"cd", b"ef", b"gh"]

    def power_on(self):
        self.ms = 300
        self.m = b"\x17\x99" * 700
        return self.boot()

    def boot(self, slept=False):
        clock._offset, clock._error, clock._set_at = 0, 2, None
        self.run = ClockRun(self, lambda n: self.ids.pop(0), slept)
        return self.run

    # time

    def time_ns(self):
        return self.ms * 1000000

    def gmtime(self, s):
        self.asked = s
        return (2000, 1, 1, 0, 0, 0, 5, 1)

    # machine, and its RTC

    def RTC(self):
        return self

    def memory(self, data=None):
        if data is None:
            return self.m
        self.m = bytes(data)

    def datetime(self, t):
        self.ms = self.asked * 1000 + t[7] // 1000

    def __enter__(self):
        self.old = clock.time, sys.modules.get("machine")
        clock.time = sys.modules["machine"] = self
        self.power_on()
        return self

    def __exit__(self, *_):
        clock.time = self.old[0]
        if self.old[1]:
            sys.modules["machine"] = self.old[1]
        else:
            del sys.modules["machine"]
        clock._offset, clock._error, clock._set_at = 0, 2, None


def ms6(ms):
    return ms.to_bytes(6, "big")


def resolve(stamp, mark):
    """The absolute ms of a stamp, by a mark of its run."""
    word, run, begin, error = mark.split(" ")
    assert word == "#clock" and unhexlify(run) == stamp[:2]
    return int(begin) + int.from_bytes(stamp[2:], "big"), int(error)


NOW = S_2026 * 1000


def test_stamps_count_from_the_begin_of_a_run():
    with Chip() as c:
        assert c.run.stamp() == (b"ab\0\0\0\0", False, 0)
        c.ms += 70001
        assert c.run.stamp() == (b"ab\0\x01\x11\x71", False, 0)
        assert c.run.mark() is None


def test_the_mark_gives_earlier_stamps_their_time():
    with Chip() as c:
        c.ms += 5000
        stamp = c.run.stamp()[0]
        c.ms += 60000
        assert c.run.told(ms6(NOW), 1)
        at, error = resolve(stamp, c.run.mark())
        assert at == NOW - 60000 and error == 1000
        assert c.run.stamp() == (ms6(NOW), True, 1)
        c.run.marked()
        assert c.run.mark() is None
        c.run.told(ms6(NOW + 5))
        assert c.run.mark() is None


def test_no_mark_when_no_stamp_needs_it():
    with Chip() as c:
        c.run.told(ms6(NOW))
        assert c.run.mark() is None


def test_a_run_goes_on_over_resets_and_its_stamps_are_resolved():
    with Chip() as c:
        stamps = []
        for _ in range(3):
            c.ms += 10000
            stamps.append((c.run.stamp()[0], c.ms))
            c.ms += 1500
            c.boot()
        assert c.run.id == b"ab"
        c.ms += 4000
        now = c.ms
        c.run.told(ms6(NOW))
        for stamp, at in stamps:
            assert resolve(stamp, c.run.mark())[0] == NOW - (now - at)


def test_a_loss_of_power_begins_a_new_run():
    with Chip() as c:
        c.ms += 10000
        c.run.stamp()
        c.power_on()
        assert c.run.id == b"cd"
        c.run.told(ms6(NOW))
        assert c.run.mark() is None  # the readings of the first one never get a time


def test_a_clock_that_was_set_back_begins_a_new_run():
    with Chip() as c:
        c.ms += 10000
        c.run.stamp()
        c.ms = 200  # and the memory was kept
        c.boot()
        assert c.run.id == b"cd"


def test_a_mark_that_was_not_queued_is_made_again_even_after_power_on_of_the_clock():
    with Chip() as c:
        c.ms += 10000
        stamp = c.run.stamp()[0]
        c.run.told(ms6(NOW))
        c.boot()
        assert resolve(stamp, c.run.mark())[0] == NOW
        c.ms = 100
        c.boot()
        assert c.run.id == b"cd" and resolve(stamp, c.run.mark())[0] == NOW
        c.run.marked()
        assert c.run.mark() is None


def test_deep_sleep_makes_the_time_doubtful():
    with Chip() as c:
        c.ms += 1000
        stamp = c.run.stamp()[0]
        c.ms += 1600 * 1000
        c.boot(slept=True)
        c.run.told(ms6(NOW), 1)
        at, error = resolve(stamp, c.run.mark())
        assert at == NOW - 1600000 and error == 101000
        assert clock.error_s() == 1
        c.ms += 3200 * 1000
        c.boot(slept=True)
        assert clock.error_s() >= 200
        assert c.run.stamp()[1]


def test_the_error_survives_a_reset():
    with Chip() as c:
        c.run.told(ms6(NOW), 7)
        c.ms += 20000
        c.boot()
        assert clock.error_s() == 7
        c.ms += 16384 * 1000 * 3
        assert clock.error_s() == 10


def test_a_run_ends_after_49_days():
    with Chip() as c:
        c.run.stamp()
        c.ms += 1 << 32
        assert c.run.stamp() == (b"cd\0\0\0\0", False, 0)


def test_nonsense_is_no_time():
    with Chip() as c:
        c.run.stamp()
        for bad in (bytes(6), b"\xff" * 6, b"1"):
            assert not c.run.told(bad)
        assert c.run.mark() is None and not c.run.stamp()[1]


def test_garbage_in_the_memory_is_no_run():
    with Chip() as c:
        c.run.stamp()
        for i in range(1064, 1087):
            good = c.m
            c.m = good[:i] + bytes((good[i] ^ 0x40,)) + good[i + 1 :]
            c.ids = [b"zz"]
            c.boot()
            assert c.run.id == b"zz"
            c.m = good


def test_others_keep_their_part_of_the_memory():
    with Chip() as c:
        before = c.m
        c.run.stamp()
        assert c.m[:1064] == before[:1064] and c.m[1087:] == before[1087:]


def test_without_rtc_memory_each_boot_is_a_run():
    with Chip() as c:
        ids = [b"xx", b"yy"]
        for want in (b"xx", b"yy"):
            assert ClockRun(None, lambda n: ids.pop(0)).stamp()[0][:2] == want
        assert c.run.id == b"ab"


def test_whatever_it_was_told_no_reading_has_a_time_beyond_its_error():
    dated = doubtful = 0
    for seed in range(1, 31):
        rng = XorShift(seed)
        with Chip() as c:
            c.ids = [bytes((1 + i, seed)) for i in range(40)]
            real, marks, stamps = NOW, {}, []
            for _ in range(120):
                passed = rng.getrandbits(17)
                c.ms += passed
                real += passed
                what = rng.getrandbits(4)
                if what == 0:
                    c.power_on()
                elif what == 1:
                    c.boot()
                elif what == 2:  # the chip lost its head, and then was reset
                    if not c.run.stamp()[1]:
                        c.ms = max(c.ms - rng.getrandbits(22), 300)
                    c.boot()
                elif what <= 4:  # wrong, by no more than who tells it says; later right
                    bound = 1 if what == 4 else 1 + rng.getrandbits(9)
                    off = rng.getrandbits(20) % (2000 * bound) - 1000 * bound
                    assert c.run.told(ms6(real + off), bound)
                    text = c.run.mark()
                    if text:
                        marks[text[7:11]] = text
                        c.run.marked()
                else:
                    stamps.append((c.run.stamp(), real))
        for (stamp, known, error), at in stamps:
            if known:
                doubtful += error > 1
                assert abs(int.from_bytes(stamp, "big") - at) <= 1000 * error
            else:
                text = marks.get(hexlify(stamp[:2]).decode())
                if text:
                    dated += 1
                    t, error = resolve(stamp, text)
                    assert abs(t - at) <= error
    assert dated > 100 and doubtful > 100
