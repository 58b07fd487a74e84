"""The log in RTC memory: what it keeps, what it survives, what it never does to the node."""

from l4mesh_io import recorder
from l4mesh_io.recorder import E_BOOT, E_LINE, E_TRACE


class Rtc:
    """RTC memory of an ESP32: what was written last, garbage at first."""

    def __init__(self, m=b""):
        self.m = m
        self.writes = 0

    def memory(self, data=None):
        if data is None:
            return self.m
        assert len(data) <= 2048
        self.writes += 1
        self.m = bytes(data)


class Time:
    def __init__(self, at=0):
        self.at = at

    def now(self):
        return self.at & 0x3FFFFFFF


def entries(data):
    """[(boot, code, minute, ms, text)]"""
    out = []
    o = 0
    while o < len(data):
        n = data[o]
        e = data[o + 1 : o + 1 + n]
        out.append((e[0], e[1], e[2] << 8 | e[3], e[4] << 8 | e[5], bytes(e[6:]).decode()))
        o += 1 + n
    return out


def started(rtc=None, at=0x3FFFFFFF - 500, boot=7):
    rtc = rtc or Rtc()
    t = Time(at)
    recorder.begin(rtc, boot, t.now)
    return rtc, t


def test_an_event_is_in_rtc_memory_at_once():
    rtc, t = started()
    recorder.add(E_LINE, "joined")
    boot, after, data = recorder.read(rtc)
    assert (boot, after) == (7, 1)
    assert entries(data) == [(7, E_LINE, 0, 0, "joined")]


def test_a_burst_is_one_write_a_second():
    rtc, t = started()
    for k in range(6):
        recorder.add(E_LINE, "line %d" % k)
    assert rtc.writes == 1 and len(entries(recorder.read(rtc)[2])) == 1
    t.at += 1000
    assert recorder.poll(t.now()) == 1000
    assert rtc.writes == 2 and len(entries(recorder.read(rtc)[2])) == 6
    recorder.poll(t.now())
    assert rtc.writes == 2


def test_a_large_burst_does_not_wait_in_ram():
    rtc, t = started()
    for _ in range(20):
        recorder.add(E_LINE, "x" * 100)
    assert 3 <= rtc.writes <= 8


def test_the_oldest_go_first_and_numbers_go_on():
    rtc, t = started()
    for k in range(200):
        t.at += 1000
        recorder.add(E_LINE, "line %03d of many" % k)
    boot, after, data = recorder.read(rtc)
    found = entries(data)
    assert after == 200 and len(data) <= 1008 and 35 <= len(found) <= 50
    assert found[-1][4] == "line 199 of many"
    assert found[0][4] == "line %03d of many" % (200 - len(found))
    # 200 s after the start, across the wrap of the tick
    assert found[-1][2:4] == (3, 20000)


def test_what_belongs_to_others_stays():
    rtc = Rtc(b"L4B012345ABCDEFG" + b"\xa5" * 1024 + bytes(range(100)))
    rtc, t = started(rtc)
    assert recorder.read(rtc) is None
    recorder.add(E_LINE, "x")
    assert rtc.m[:16] == b"L4B012345ABCDEFG"
    assert rtc.m[1040:] == bytes(range(100)) and len(rtc.m) == 1140
    assert recorder.read(rtc)[1] == 1


def test_garbage_and_damage_are_no_log():
    for m in (b"", b"\xa5" * 9, b"\xff" * 2048, b"L4B" + bytes(13) + b"L4R1", bytes(2048)):
        assert recorder.read(Rtc(m)) is None
    rtc, t = started()
    recorder.add(E_LINE, "something")
    good = rtc.m
    n = 32 + 7 + 9
    for i in range(16, n):
        bad = bytearray(good)
        bad[i] ^= 4
        assert recorder.read(Rtc(bytes(bad))) is None, i
    for cut in range(n):
        assert recorder.read(Rtc(good[:cut])) is None
    assert recorder.read(Rtc(good[:n])) is not None


def test_it_goes_on_after_a_reset():
    rtc, t = started()
    recorder.add(E_LINE, "before")
    started(rtc, 5, 8)
    recorder.add(E_BOOT, "after")
    found = entries(recorder.read(rtc)[2])
    assert [(e[0], e[4]) for e in found] == [(7, "before"), (8, "after")]
    assert recorder.log() == recorder.read(rtc)


def test_texts_are_cut_to_what_fits():
    rtc, t = started()
    recorder.add(E_LINE, "\u00b0" * 500)
    assert len(recorder.read(rtc)[2]) == 7 + 120


def test_an_exception_with_its_place():
    rtc, t = started()

    def fails():
        raise ValueError("oops" * 100)

    try:
        fails()
    except ValueError as e:
        recorder.trace(e)
    e = entries(recorder.read(rtc)[2])[0]
    assert e[1] == E_TRACE and "oops" in e[4] and len(e[4]) <= 240


def test_no_memory_costs_the_log_only():
    class Full(Rtc):
        def memory(self, data=None):
            raise MemoryError()

    rtc, t = started(Full())
    for _ in range(50):
        t.at += 2000
        recorder.add(E_LINE, "line")
        recorder.poll(t.now())


def test_without_rtc_memory_nothing_is_kept():
    recorder.begin(None, 1, Time().now)
    recorder.add(E_LINE, "x")
    recorder.flush()
    assert recorder.log() is None and recorder.poll(0) == 60000
