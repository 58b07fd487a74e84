"""Which files a board starts with; three boots on trial; anything odd means factory files."""

import os
import sys

import ota_boot as b
from otakit import ACTIVE, PENDING, SEEN, TRIES, WHY

FIELDS = {"active": ACTIVE, "pending": PENDING, "tries": TRIES, "seen": SEEN}
_count = 0


class Here:
    """A root of its own with slots that hold a manifest, and a sys.path that is put back."""

    def __init__(self, *slots):
        global _count
        _count += 1
        self.base = "/tmp/l4-boot-%s-%d" % (_nonce(), _count)
        self.root = self.base + "/ota"
        os.mkdir(self.base)
        os.mkdir(self.root)
        for slot in slots:
            os.mkdir(b.folder(slot, self.root))
            with open(b.folder(slot, self.root) + "/manifest", "wb") as f:
                f.write(b"m")

    def __enter__(self):
        self.path = sys.path[:]
        return self

    def __exit__(self, *exc):
        sys.path[:] = self.path
        _sweep(self.base)

    def boot(self):
        """ "a", "b" or "" for the factory's; checked against sys.path."""
        sys.path[:] = ["", "/lib"]
        at = b.pick(self.root)
        want = [at + "/lib", at] if at else []
        assert sys.path == want + ["", "/lib"]
        return at[-1:]

    def state(self, **fields):
        s = b.load(self.root) or b.fresh()
        for name, value in fields.items():
            s[FIELDS[name]] = value
        assert b.save(s, self.root)


def _nonce():
    return "%d" % (os.getpid() if hasattr(os, "getpid") else id(Here) & 0xFFFFFF)


def _sweep(path):
    for name in os.listdir(path):
        inner = path + "/" + name
        if os.stat(inner)[0] & 0x4000:
            _sweep(inner)
        else:
            os.remove(inner)
    os.rmdir(path)


def test_no_state_is_the_factory():
    with Here(1, 2) as h:
        assert h.boot() == ""
    assert b.pick("/there/is/no/such/folder") == "" and b.load("/nowhere") is None


def test_the_active_slot():
    with Here(1, 2) as h:
        for active, letter in ((0, ""), (1, "a"), (2, "b")):
            h.state(active=active)
            assert h.boot() == letter


def test_three_tries_then_the_files_before():
    for active, letter in ((0, ""), (2, "b")):
        with Here(1, 2) as h:
            h.state(active=active, pending=1, tries=3)
            assert [h.boot() for _ in range(5)] == ["a", "a", "a", letter, letter]
            s = b.load(h.root)
            assert s[PENDING] == 0 and s[WHY] == 1 and s[ACTIVE] == active


def test_a_good_one_stays():
    with Here(1, 2) as h:
        h.state(active=1, pending=2, tries=3)
        assert h.boot() == "b"
        h.state(active=2, pending=0)
        assert [h.boot() for _ in range(6)] == ["b"] * 6


def test_each_try_is_on_flash_before_it_begins():
    with Here(1) as h:
        h.state(pending=1, tries=3)
        for left in (2, 1, 0):
            h.boot()
            assert b.load(h.root)[TRIES] == left


def test_a_try_that_can_not_be_counted_is_none():
    with Here(1) as h:
        h.state(pending=1, tries=3)
        os.mkdir(h.root + "/state.tmp")  # so that it can't be written
        assert [h.boot() for _ in range(9)] == [""] * 9


def test_every_flipped_bit_and_every_length_is_the_factory():
    with Here(1, 2) as h:
        h.state(active=1, seen=9)
        with open(h.root + "/state", "rb") as f:
            good = f.read()
        for i in range(8 * len(good)):
            bad = bytearray(good)
            bad[i >> 3] ^= 1 << (i & 7)
            with open(h.root + "/state", "wb") as f:
                f.write(bad)
            assert h.boot() == "", i
        for n in list(range(len(good))) + [40, 400]:
            with open(h.root + "/state", "wb") as f:
                f.write((good * 20)[:n])
            assert h.boot() == "", n
        with open(h.root + "/state", "wb") as f:
            f.write(good)
        assert h.boot() == "a"


def test_numbers_of_slots_that_do_not_exist():
    with Here(1, 2) as h:
        for field in ("active", "pending"):
            h.state(active=1, pending=0, tries=3)
            h.state(**{field: 3})
            assert h.boot() == ""


def test_a_slot_that_is_being_emptied_is_not_used():
    with Here(1) as h:
        h.state(active=1)
        os.remove(h.root + "/a/manifest")
        assert h.boot() == ""


def test_back():
    with Here(1) as h:
        h.state(pending=1, tries=2, active=0)
        assert b.back(b.load(h.root), 2, h.root)
        assert h.boot() == "" and b.load(h.root)[WHY] == 2


def test_the_watchdog_is_on_while_an_update_is_tried():
    class Machine:
        timeouts = []

        def WDT(self, timeout):
            self.timeouts.append(timeout)

    before = sys.modules.get("machine")
    sys.modules["machine"] = Machine()
    try:
        with Here(1) as h:
            h.state(pending=1, tries=1)
            assert h.boot() == "a" and Machine.timeouts == [120000]
            assert h.boot() == "" and len(Machine.timeouts) == 1
    finally:
        sys.modules.pop("machine")
        if before is not None:
            sys.modules["machine"] = before
