"""Pages of the log."""

from binascii import crc32

from l4mesh_io import logpage, recorder
from test_io_recorder import Rtc, Time, entries


def head(page):
    return [page[i] << 8 | page[i + 1] for i in range(0, 10, 2)]


def test_pages_follow_the_log():
    t = Time(0)
    recorder.begin(Rtc(), 3, t.now)
    for k in range(30):
        recorder.add(recorder.E_LINE, "line %d" % k)
    t.at = 61500
    whole = logpage.page(65536, 1100)
    assert head(whole) == [0, 30, 3, 1, 1500]
    assert [e[4] for e in entries(whole[10:])] == ["line %d" % k for k in range(30)]
    got = []
    since = 0
    for _ in range(30):
        p = logpage.page(since, 100)
        assert len(p) <= 100 and head(p)[0] == since
        some = entries(p[10:])
        got += some
        since += len(some)
        if not some:
            break
    assert got == entries(whole[10:]) and since == 30
    # What went out of the log meanwhile is skipped: the page says where it starts.
    for k in range(100):
        recorder.add(recorder.E_LINE, "later %d" % k)
    p = logpage.page(30, 1100)
    assert head(p)[1] == 130 and head(p)[0] > 30
    assert entries(p[10:])[-1][4] == "later 99"
    assert len(logpage.page(130, 100)) == 10


def test_numbers_wrap():
    t = Time(0)
    rtc = Rtc()
    recorder.begin(rtc, 1, t.now)
    m = bytearray(32)
    m[16:20] = b"L4R1"
    m[24:32] = bytes((0, 1, 255, 254, 0, 0, 0, 0))
    m[20:24] = (crc32(bytes(m[24:32])) & 0xFFFFFFFF).to_bytes(4, "big")
    rtc.m = bytes(m)
    for k in range(5):
        recorder.add(recorder.E_LINE, "line %d" % k)
    p = logpage.page(65534, 500)
    assert head(p)[:2] == [65534, 3] and len(entries(p[10:])) == 5
    p = logpage.page(1, 500)
    assert head(p)[:2] == [1, 3] and [e[4] for e in entries(p[10:])] == ["line 3", "line 4"]
