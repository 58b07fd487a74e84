"""What a custodian keeps: on flash before it says so, within its limits, there after a boot."""

from hashlib import sha256

from kit import b4
from l4mesh.shelf import Shelf
from l4mesh_io.store_ram import RamSegments


def blob(owner=1, first=0, count=5, n=400, queue=b"queue-id"):
    body = bytes((owner,)) * 16 + queue + b4(first) + bytes((count,))
    fill = sha256(body).digest() * 40
    return body + fill[: n - len(body)]


def put(s, b):
    """A blob as it comes, somewhere in a frame."""
    frame = bytes(28) + b
    if not s.room(frame, 28, len(b)):
        return None
    return s.add(frame, 28, len(b))


def here(s, b):
    return s.has(bytes(28) + b, 28, len(b))


def reopened(port):
    s = Shelf(port)
    assert s.open()
    return s


def got(s):
    out = []
    for e in s.list:
        b = bytearray(1300)
        end = s.read(e, b, 44)
        out.append(bytes(b[44:end]) if end >= 0 else None)
    return out


def test_what_is_added_is_there_after_a_boot():
    port = RamSegments(5)
    s = reopened(port)
    blobs = [blob(i % 3, 5 * i, n=56 + 90 * i) for i in range(12)]
    for b in blobs:
        assert not here(s, b) and put(s, b) and here(s, b)
    assert got(s) == blobs
    t = reopened(port)
    assert got(t) == blobs
    more = blob(9, n=1132)
    assert put(t, more) and got(t) == blobs + [more] == got(reopened(port))


def test_the_longest_and_the_shortest():
    s = reopened(RamSegments(5))
    for n in (56, 1132):
        b = blob(n=n, first=n)
        assert put(s, b) and got(s)[-1] == b


def test_one_owner_gets_half():
    s = reopened(RamSegments(5))
    n = 0
    while put(s, blob(1, n, n=1000)):
        n += 1
    assert n == 8 and put(s, blob(2, n=1000))
    s = reopened(RamSegments(5))
    n = 0
    while put(s, blob(1, n, n=60)):
        n += 1
    assert n == 12


def test_all_owners_together_get_the_cap():
    port = RamSegments(5)
    s = reopened(port)
    n = 0
    while put(s, blob(n, n=1132)):
        n += 1
    assert n == 12 and len(port.list()) == 4
    s = reopened(RamSegments(5))
    n = 0
    while put(s, blob(n, n=60)):
        n += 1
    assert n == 24


def test_a_segment_goes_when_all_in_it_is_done():
    port = RamSegments(5)
    s = reopened(port)
    for i in range(6):
        assert put(s, blob(i, n=1132))
    assert len(port.list()) == 2
    for e in s.list[:2]:
        s.done(e)
    assert len(port.list()) == 2
    s.done(s.list[0])
    assert len(port.list()) == 1
    for e in list(s.list):
        s.done(e)
    assert port.list() == [] and s.list == []
    b = blob(7)
    assert put(s, b) and got(reopened(port)) == [b]


def test_ranges_free_what_they_cover_whole():
    s = reopened(RamSegments(5))
    for first in (0, 5, 10, 20):
        assert put(s, blob(1, first))
    assert put(s, blob(2, 5)) and put(s, blob(1, 5, queue=b"other-id"))
    q = blob(1)[:24]
    assert s.covered(q, [(0, 3), (6, 40)]) == 2  # 10 and 20
    assert s.covered(q, [(0, 3), (6, 40)]) == 0
    assert s.covered(q, [(4, 9)]) == 1 and s.covered(q, [(0, 4)]) == 1
    assert len(s.list) == 2


class Failing(RamSegments):
    def __init__(self):
        RamSegments.__init__(self, 5)
        self.fails = 0

    def append(self, no, buf, n):
        if self.fails:
            self.fails -= 1
            RamSegments.append(self, no, buf, n // 2)  # half of it, as when the power goes
            return False
        return RamSegments.append(self, no, buf, n)


def test_a_failed_append_takes_nothing_and_spoils_nothing():
    port = Failing()
    s = reopened(port)
    a, b, c = blob(1), blob(2), blob(3)
    port.fails = 1
    assert put(s, a) is False and s.list == []
    assert put(s, a)
    port.fails = 1
    assert put(s, b) is False and got(s) == [a]
    assert put(s, b) and put(s, c)
    assert got(s) == [a, b, c] and got(reopened(port)) == [a, b, c]


def test_damage_costs_what_is_behind_it_in_a_segment():
    port = RamSegments(5)
    s = reopened(port)
    blobs = [blob(i, n=1000) for i in range(5)]  # 4 in the first segment
    for b in blobs:
        assert put(s, b)
    assert len(port.list()) == 2
    b = bytearray(1)
    no = min(port.list())
    i = port._ids.index(no)
    port._slab[i * 4096 + 8 + 1006 + 100] ^= 1
    t = reopened(port)
    assert got(t) == [blobs[0], blobs[4]]
    assert put(t, b"" + blobs[1]) and got(reopened(port)) == [blobs[0], blobs[4], blobs[1]]
    assert port.read(no, 0, b) == 1


def test_what_is_no_segment_of_ours_goes():
    port = RamSegments(5)
    assert port.append(3, b"L4Q\x01" + bytes(60), 64) and port.append(9, b"L4C", 3)
    s = reopened(port)
    assert s.list == [] and port.list() == []
    assert put(s, blob()) and port.list() == [10]


def test_a_medium_that_cannot_be_read():
    class Broken(RamSegments):
        def list(self):
            return None

    assert not Shelf(Broken()).open()


def test_flash_that_changed_is_not_passed_on():
    port = RamSegments(5)
    s = reopened(port)
    assert put(s, blob())
    i = port._ids.index(0)
    port._slab[i * 4096 + 8 + 6 + 399] ^= 1
    assert got(s) == [None]
