"""Crash files."""

import os

from l4mesh_io import crashlog, logpage, recorder
from test_io_recorder import Rtc, entries

PWRON, HARD, WDT, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5
FOLDER = "/tmp/l4-crashlog-%d"


class Chip:
    def __init__(self):
        self.rtc = Rtc(b"\xa5" * 64)
        self.cause = PWRON

    def RTC(self):
        return self.rtc

    def reset_cause(self):
        return self.cause

    def boot(self, cause, folder, planned=False):
        self.cause = cause
        return crashlog.begin(planned, self, folder)


def folder():
    """A new folder's name; not made yet."""
    n = 0
    while True:
        n += 1
        path = FOLDER % (id(object) % 100000 * 1000 + n)
        try:
            os.stat(path)
        except OSError:
            return path


def clean(path):
    for name in os.listdir(path):
        os.remove(path + "/" + name)
    os.rmdir(path)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def test_a_crash_is_kept_once():
    f = folder()
    c = Chip()
    assert c.boot(PWRON, f) is None  # garbage: nothing to keep
    recorder.add(recorder.E_LINE, "about to hang")
    recorder.flush()
    said = c.boot(WDT, f)
    assert "watchdog" in said and said.endswith("/crash.1")
    data = read(f + "/crash.1")
    assert data[:4] == b"L4C1" and data[4:8] == bytes((0, 1, WDT, 0))
    assert [e[4] for e in entries(data[8:])] == ["boot 1 after power", "about to hang"]
    # The boot that saved it is fine, and ends as it was meant to.
    recorder.flush()
    assert c.boot(HARD, f, planned=True) is None
    assert crashlog.crashes(f) == [1]
    clean(f)


def test_ends_that_were_meant_are_no_crash():
    f = folder()
    c = Chip()
    c.boot(PWRON, f)
    for cause, planned, code in (
        (SOFT, False, recorder.E_LINE),
        (DEEPSLEEP, False, recorder.E_LINE),
        (HARD, True, recorder.E_LINE),
        (HARD, False, recorder.E_PLANNED),
    ):
        recorder.add(code, "the last word")
        recorder.flush()
        assert c.boot(cause, f, planned) is None
    assert crashlog.crashes(f) == []


def test_four_are_kept():
    f = folder()
    c = Chip()
    c.boot(PWRON, f)
    for k in range(7):
        recorder.flush()
        assert c.boot(HARD, f).endswith("/crash.%d" % (k + 1))
    assert crashlog.crashes(f) == [4, 5, 6, 7]
    n, part = logpage.crash(7, 0, 20, f)
    assert n == len(read(f + "/crash.7")) and part == read(f + "/crash.7")[:20]
    assert logpage.crash(7, 20, 2000, f)[1] == read(f + "/crash.7")[20:]
    clean(f)


def test_flash_that_takes_nothing():
    c = Chip()
    c.boot(PWRON, "/nowhere/at/all")
    recorder.flush()
    assert "could not be kept" in c.boot(WDT, "/nowhere/at/all")
    assert logpage.crash(1, 0, 100, "/nowhere/at/all") == (0, b"")


def test_no_rtc_memory_no_crash_log():
    class Bare:
        pass

    assert crashlog.begin(False, Bare(), "/nowhere") is None
