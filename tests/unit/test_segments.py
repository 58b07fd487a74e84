"""Recovery of the reading queue's segments: damage of every kind, on a segment port in RAM."""

from l4mesh.segments import Segments
from l4mesh_io.store_ram import RamSegments


def entropy(n):
    return bytes(range(1, n + 1))


def reading(i, size=12):
    """A well-formed reading that says its number."""
    data = b"%05d" % i + b"." * size
    return bytes([9 + len(data), 1]) + bytes(8) + data


def fill(port, count, start=0, cap=16):
    s = Segments(port, cap)
    assert s.open()
    for i in range(start, start + count):
        r = reading(i)
        assert s.add(r, len(r), 0, entropy) > 0
    return s


def content(s):
    """{sequence: number in the reading}; no sequence may be there twice."""
    found = {}
    for row in s.live:
        for i in s.walk(s.number[row], 0):
            seq = int.from_bytes(bytes(s.b[i + 4 : i + 8]), "big")
            at = seq - s.first[row]
            if 0 <= at < s.count[row]:
                assert seq not in found
                found[seq] = int(bytes(s.b[i + 18 : i + 23]))
    return found


def file_of(port, no):
    """Address of a segment within the slab, and its length."""
    i = port._ids.index(no)
    return i * 4096, port._len[i]


def reopened(port, cap=16):
    s = Segments(port, cap)
    assert s.open()
    return s


def test_a_clean_stop_goes_on_in_the_same_segment():
    port = RamSegments(5)
    fill(port, 10)
    s = fill(port, 10, 10)
    assert content(s) == {i: i for i in range(20)}
    assert port.list() == [0] and s.next == 20 and s.pending == 20 and s.faults == 0
    assert s.id == entropy(8)


def test_a_wiped_medium_gives_a_new_name():
    s = Segments(RamSegments(3), 2)
    assert s.open() and s.id is None and s.next == 0
    r = reading(0)
    s.add(r, len(r), 0, lambda n: b"\xaa" * n)
    assert s.id == b"\xaa" * 8


def test_torn_at_every_byte_of_the_last_record():
    size = 8 + len(reading(0))
    for cut in range(1, size + 1):
        port = RamSegments(5)
        fill(port, 5)
        port._len[port._ids.index(0)] -= cut
        s = reopened(port)
        assert content(s) == {i: i for i in range(4)}, cut
        assert s.next >= 4 and s.lost == 0
        after = s.next
        r = reading(77)
        assert s.add(r, len(r), 0, entropy)
        again = reopened(port)
        want = {i: i for i in range(4)}
        want[after] = 77
        assert content(again) == want and again.next == after + 1, cut
        assert again.lost == 0, cut  # never taken, so never lost
        assert (len(again.live) == 1) == (cut == size)  # only a whole record leaves no trace


def test_a_bit_flip_costs_one_reading_and_is_counted():
    size = 8 + len(reading(0))
    for byte in range(size):
        port = RamSegments(5)
        fill(port, 9)
        at, _ = file_of(port, 0)
        port._slab[at + 24 + 4 * size + byte] ^= 0x40
        s = reopened(port)
        want = {i: i for i in range(9)}
        del want[4]
        assert content(s) == want, byte
        assert s.lost == 1 and s.faults == 1 and s.pending == 8 and s.next == 9


def test_a_flip_in_the_very_last_record_never_gives_its_number_again():
    size = 8 + len(reading(0))
    for byte in range(size):
        port = RamSegments(5)
        fill(port, 5)
        at, n = file_of(port, 0)
        port._slab[at + n - size + byte] ^= 0x10
        s = reopened(port)
        assert content(s) == {i: i for i in range(4)} and s.next > 4 and s.faults == 1


def test_flipped_end_of_a_segment_that_has_a_successor_is_counted_exactly():
    port = RamSegments(5)
    s = fill(port, 300)
    first = s.first[s.live[1]]
    at, n = file_of(port, 0)
    size = 8 + len(reading(0))
    port._slab[at + n - size] ^= 1
    port._slab[at + n - 2 * size] ^= 1
    s = reopened(port)
    assert s.lost == 2 and s.pending == 298 and s.next == 300
    assert first - 1 not in content(s) and first - 2 not in content(s)


def test_a_damaged_header_loses_its_segment_and_counts_it():
    port = RamSegments(5)
    s = fill(port, 300)
    per = s.first[s.live[1]]
    for byte in range(24):
        copy = RamSegments(5)
        copy._slab[:] = port._slab
        copy._ids, copy._len = list(port._ids), list(port._len)
        at, _ = file_of(copy, 1)
        copy._slab[at + byte] ^= 0x20
        s = reopened(copy)
        assert s.lost == per and s.next == 300 and sorted(copy.list()) == [0, 2], byte
        # the newest damaged: nobody knows how many were in it, so as many are skipped as can be
        at, _ = file_of(copy, 2)
        copy._slab[at + byte] ^= 0x20
        s = reopened(copy)
        assert s.next >= 300 and s.next > per and s.pending == per


def test_an_empty_file_is_removed_without_a_gap():
    port = RamSegments(5)
    fill(port, 5)
    port.append(1, b"", 0)
    s = reopened(port)
    assert s.next == 5 and s.faults == 0 and port.list() == [0]


def test_segments_of_another_queue_are_let_be():
    port = RamSegments(5)
    fill(port, 5)
    other = RamSegments(5)
    s = Segments(other, 4)
    s.open()
    r = reading(50)
    for _ in range(300):
        s.add(r, len(r), 0, lambda n: b"\xbb" * n)
    buf = bytearray(4096)
    n = other.read(1, 0, buf)
    port.append(1, buf, n)
    s = reopened(port)  # the newest good header names the queue
    assert s.id == b"\xbb" * 8 and len(s.live) == 1 and s.faults == 1
    assert sorted(port.list()) == [0, 1]


def test_a_medium_that_cannot_be_read():
    class Away(RamSegments):
        away = True

        def list(self):
            return None if self.away else RamSegments.list(self)

    port = Away(5)
    s = Segments(port, 4)
    assert not s.open() and s.next == -1 and s.faults == 1
    port.away = False
    assert s.open() and s.next == 0


def test_a_segment_that_cannot_be_read_is_kept_and_its_numbers_are_not_used():
    class Blind(RamSegments):
        blind = -1

        def read(self, no, off, buf):
            return -1 if no == self.blind else RamSegments.read(self, no, off, buf)

    port = Blind(6)
    fill(port, 300)
    newest = port.blind = max(port.list())
    s = reopened(port)
    assert s.next >= 300 and newest in port.list() and s.faults == 1
    after = s.next
    r = reading(9)
    assert s.add(r, len(r), 0, entropy)
    port.blind = -1
    s = reopened(port)
    want = {i: i for i in range(300)}
    want[after] = 9
    assert content(s) == want


def test_the_later_copy_of_a_refused_append_counts():
    class Liar(RamSegments):
        lie = False

        def append(self, no, buf, n):
            return RamSegments.append(self, no, buf, n) and not self.lie

    port = Liar(8)
    s = fill(port, 5)
    port.lie = True
    r = reading(90)
    assert s.add(r, len(r), 0, entropy) == 0
    r = reading(91)
    assert s.add(r, len(r), 0, entropy) == 0 and s.next == 5
    port.lie = False
    r = reading(5)
    assert s.add(r, len(r), 0, entropy) > 0
    want = {i: i for i in range(6)}
    assert content(s) == want
    s = reopened(port)
    assert content(s) == want and s.next == 6 and s.lost == 0 and s.pending == 6


def test_more_files_than_the_cap():
    port = RamSegments(8)
    s = fill(port, 600)
    assert len(s.live) == 6
    oldest = s.first[s.live[4]]
    s = reopened(port, 2)
    assert s.lost == oldest and s.pending == 600 - oldest and len(port.list()) == 2


def test_the_newest_segment_stays_and_numbers_go_on():
    port = RamSegments(5)
    s = fill(port, 300)
    assert s.cover(0, 0x3FFFFFFF) == 300 and s.pending == 0
    s.tidy()
    assert port.list() == [2]
    s = reopened(port)
    assert s.next == 300 and s.id == entropy(8)
