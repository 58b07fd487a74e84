"""Which sensor hung the board: what RTC memory says after a reset by the watchdog."""

from hangs import Hangs

NAMES = ["a", "b", "c"]
MINUTE = 60000


class Rtc:
    def __init__(self, size=2048):
        self.m = bytes(range(256)) * 8
        self.m = self.m[:size]
        self.writes = 0

    def memory(self, data=None):
        if data is None:
            return self.m
        assert len(data) <= 2048
        self.m = bytes(data)
        self.writes += 1


def reads(h, i, n=1, now=0):
    for _ in range(n):
        assert h.begin(i, now) == 0
        h.end(i)


def test_marks_are_made_at_the_first_two_reads_only():
    rtc = Rtc()
    before = rtc.m
    h = Hangs(rtc, False, NAMES)
    assert h.hung is None and h.why() == [] and rtc.writes == 0
    for i in (0, 1):
        reads(h, i, 2)
    assert rtc.writes == 8
    assert h.begin(2, 0) == 0 and not h.end(2)
    h.begin(2, 0)
    assert h.end(2)  # nothing is left to watch
    assert rtc.m[:1056] == before[:1056] and rtc.m[1064:] == before[1064:]
    assert len(rtc.m) == 2048


def test_the_one_that_was_read_is_left_out_by_a_growing_pause():
    rtc = Rtc(100)  # never written that far
    h = Hangs(rtc, False, NAMES)
    reads(h, 0)
    h.begin(1, 0)
    pauses = []
    for _ in range(10):
        h = Hangs(rtc, True, NAMES)  # the watchdog
        assert "b hung the board" in h.hung
        assert h.why() == ["b is left out for up to %d min: it hung the board" % h_minutes(h)]
        reads(h, 0)
        reads(h, 2)
        left = h.begin(1, 1000)
        pauses.append(left // MINUTE)
        assert h.begin(1, 1000 + left - 1) == 1
        assert h.begin(1, 1000 + left) == 0  # read at last, and it hangs again
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]


def h_minutes(h):
    return int(h.hung.split()[-2])


def test_it_is_back_when_it_answers():
    rtc = Rtc()
    Hangs(rtc, False, NAMES).begin(1, 0)
    h = Hangs(rtc, True, NAMES)
    reads(h, 0)
    left = h.begin(1, 0)
    assert left == 10 * MINUTE
    reads(h, 1, 1, left)
    assert h.why() == []
    h = Hangs(rtc, False, NAMES)
    assert h.hung is None and h.begin(1, 0) == 0
    # From now on all reads are marked: this board was bitten since power-on.
    reads(h, 0, 5)
    h.begin(0, 0)
    assert "a hung the board" in Hangs(rtc, True, NAMES).hung


def test_several_are_remembered():
    rtc = Rtc()
    Hangs(rtc, False, NAMES).begin(0, 0)
    h = Hangs(rtc, True, NAMES)
    assert h.begin(0, 0) > 0
    h.begin(2, 0)
    h = Hangs(rtc, True, NAMES)
    assert "c hung" in h.hung and len(h.why()) == 2
    assert h.begin(0, 0) > 0 and h.begin(1, 0) == 0 and h.begin(2, 0) > 0


def test_a_late_hang_costs_two_resets():
    rtc = Rtc()
    h = Hangs(rtc, False, NAMES)
    for i in range(3):
        reads(h, i, 2)
    h.begin(1, 0)  # unmarked: it hangs
    h = Hangs(rtc, True, NAMES)
    assert h.hung is None and h.why() == []
    reads(h, 1, 100)
    h.begin(1, 0)
    assert "b hung" in Hangs(rtc, True, NAMES).hung


def test_only_the_watchdog_blames():
    rtc = Rtc()
    Hangs(rtc, False, NAMES).begin(1, 0)  # Reset was pressed during a read
    h = Hangs(rtc, False, NAMES)
    assert h.hung is None and h.why() == []
    assert Hangs(rtc, True, NAMES).hung is None  # the mark is gone


def test_garbage_and_another_list_of_sensors_count_for_nothing():
    rtc = Rtc()
    assert Hangs(rtc, True, NAMES).hung is None
    Hangs(rtc, False, NAMES).begin(1, 0)
    m = rtc.m
    for i in range(1056, 1064):
        rtc.m = m[:i] + bytes((m[i] ^ 1,)) + m[i + 1 :]
        assert Hangs(rtc, True, NAMES).hung is None
    rtc.m = m
    assert Hangs(rtc, True, ["a", "x", "c"]).hung is None
    rtc.m = m
    assert Hangs(rtc, True, NAMES).hung is not None


def test_more_than_24_are_read_unwatched():
    rtc = Rtc()
    h = Hangs(rtc, False, [str(i) for i in range(30)])
    reads(h, 29)
    assert rtc.writes == 0
    for i in range(24):
        reads(h, i, 2)
    assert h.end(29)


def test_without_room_a_read_goes_unmarked():
    class Full(Rtc):
        def memory(self, data=None):
            if data is not None:
                raise MemoryError
            return self.m

    h = Hangs(Full(), True, NAMES)
    reads(h, 0, 3)
