# floor 5: machines
# Readings taken and not yet stored upstream. RAM: its segments table and a few numbers.
"""The reading queue: taken means durable, gone means acknowledged, everything else is counted.

`push` returns True when the reading is in flash. `batch` hands out readings that nobody
acknowledged, once: first what was taken since `split`, which is called when an outage ends, then
the history before it, each from the oldest on; what is `handed` over last. `again` writes a batch
once more; `rewind` starts over. A batch never crosses a segment and never a hole, so its
boundaries can always be repeated.
Acknowledgements live in RAM: after a boot, what was acknowledged but not freed is sent once more.

Sequences are ints below 2**30 and run on over boots, within the 8-byte queue id `id`. Both, the
files and what survives a power cut, are in segments.py, with the port that `segs` must offer.
A reading is as in docs/protocol.md section 5: 11 to 110 B, its first byte counts the others.
"""

from struct import unpack_from

from .counters import C_ACK_FOREIGN, C_ACKED, C_DROPPED, C_FLASH_FAIL, C_TAKEN, C_VOLATILE
from .segments import Segments


def encode_reading(buf, off, data, dlen, time6, flags=1, error_s=65535):
    """Write a reading to buf[off:]: -> end. `time6`: ms, big endian (flag 1: since 1970)."""
    if not 0 < dlen <= 100:
        raise ValueError("a reading is 1 to 100 bytes; shorten its name or value")
    buf[off] = 9 + dlen
    buf[off + 1] = flags
    buf[off + 2 : off + 8] = time6
    buf[off + 8] = error_s >> 8
    buf[off + 9] = error_s & 255
    off += 10
    buf[off : off + dlen] = memoryview(data)[:dlen]
    return off + dlen


class Queue:
    """Readings of one node. `volatile`: segs is RAM, so each reading says so and is counted."""

    def __init__(self, segs, entropy, counters, cap_segments=16, volatile=False):
        if not 2 <= cap_segments <= 64:
            raise ValueError("queue_segments must be 2 to 64; 16 keeps 64 KiB of readings")
        self._s = Segments(segs, cap_segments)
        self._entropy = entropy
        self._counters = counters
        self.volatile = volatile
        self.readings = self.bytes_written = self.dropped = 0
        self._live = 0  # readings from this sequence on are no history
        self.handed = 0  # those before it a neighbour has, too (hand.py)
        self._out = self._new = 0  # where batch() goes on in history, and from _live on
        self._end = 0  # where that history ends: before _live, then before `handed`
        self._mark_no = self._mark_seq = self._mark_pos = 0  # where the last batch ended

    @property
    def id(self):
        """8 bytes, None before the first reading."""
        return self._s.id

    @property
    def pending(self):
        """Readings that nobody acknowledged."""
        return self._s.pending

    @property
    def segments(self):
        return len(self._s.live)

    def open(self):
        """Recover what the medium holds. False = it cannot be read; push tries again by itself."""
        self._live = self._out = self._new = self._end = self.handed = 0
        self._mark_no = self._mark_seq = self._mark_pos = 0
        ok = self._s.open()
        self._settle()
        return ok

    def _settle(self):
        """Bring what the table gave up or met into the counters."""
        s = self._s
        if s.lost:
            self.dropped += s.lost
            self._counters.add(C_DROPPED, s.lost)
        if s.faults:
            self._counters.add(C_FLASH_FAIL, s.faults)
        s.lost = s.faults = 0

    def push(self, buf, n):
        """Take the reading buf[:n]. True = durable. False = not taken, counted, try the next."""
        if not 11 <= n <= 110 or buf[0] != n - 1:
            raise ValueError("not a reading; make it with encode_reading()")
        if self._s.next < 0 and not self.open():
            return False
        size = self._s.add(buf, n, 4 if self.volatile else 0, self._entropy)
        self._settle()
        if not size:
            return False
        self.readings += 1
        self.bytes_written += size
        self._counters.inc(C_TAKEN)
        if self.volatile:
            self._counters.inc(C_VOLATILE)
        return True

    def oldest(self):
        """Sequence of the oldest pending reading, -1 when there is none."""
        row, at, n = self._open_run(0, 1)
        return self._s.first[row] + at if n else -1

    def _open_run(self, seq, limit, below=0x40000000):
        """The first pending readings of seq..below-1: -> (row, place in it, how many in a row)."""
        s = self._s
        for row in s.live:
            at = max(seq - s.first[row], 0)
            end = min(s.count[row], below - s.first[row])
            while at < end and s.is_done(row, at):
                at += 1
            if at < end:
                n = 1
                while n < limit and at + n < end and not s.is_done(row, at + n):
                    n += 1
                return row, at, n
        return 0, 0, 0

    def batch(self, buf, off, room):
        """Write the next readings to buf[off:off+room]: -> (first, count, end) or None."""
        if room < 110:
            raise ValueError("a batch needs room for the longest reading; pass 110 bytes or more")
        s = self._s
        while True:
            live = True
            row, at, n = self._open_run(max(self._new, self._live), 255)
            if not n:
                live = False
                row, at, n = self._open_run(self._out, 255, self._end)
                if not n:
                    if not self.handed or self._end <= self.handed:
                        return None
                    self._out, self._end = 0, self.handed
                    continue
            first = s.first[row] + at
            pos = 0  # or where the last batch ended, which saves reading the segment up to there
            if self._mark_no == s.number[row] and first >= self._mark_seq:
                pos = self._mark_pos
            n, end, pos = self._copy(row, pos, first, n, buf, off, off + room)
            if n:
                self._mark_seq = first + n
                self._mark_no, self._mark_pos = s.number[row], pos
            else:
                # Unreadable now: step over it until the next rewind; the next boot decides.
                self._counters.inc(C_FLASH_FAIL)
            if live:
                self._new = first + (n or 1)
            else:
                self._out = first + (n or 1)
            if n:
                return first, n, end

    def again(self, first, count, buf, off, room):
        """Write the batch (first, count) once more: -> end, or -1 when it cannot be had."""
        s = self._s
        for row in s.live:
            if 0 <= first - s.first[row] < s.count[row]:
                n, end, _ = self._copy(row, 0, first, count, buf, off, off + room)
                return end if n == count else -1
        return -1

    def on_drop(self, f):
        """f(segments, row) counts what the cap takes and `dropped` does not; None: nobody."""
        self._s.dropping = f

    def since(self, seq, buf, off, room):
        """Write the oldest pending readings from `seq` on: -> (first, count, end) or None."""
        row, at, n = self._open_run(seq, 255)
        if not n:
            return None
        first = self._s.first[row] + at
        n, end, _ = self._copy(row, 0, first, n, buf, off, off + room)
        return (first, n, end) if n else None

    def _copy(self, row, pos, first, limit, buf, off, stop):
        """Readings first.. of a row to buf: -> (how many, end, file offset behind them)."""
        s = self._s
        b = s.b
        n = 0
        for i in s.walk(s.number[row], pos):
            seq = unpack_from(">I", b, i + 4)[0]
            if seq < first:
                continue
            k = b[i + 8] + 1
            if seq != first + n or off + k > stop:
                break
            buf[off : off + k] = b[i + 8 : i + 8 + k]
            off += k
            n += 1
            pos = s.pos
            if n == limit:
                break
        return n, off, pos

    def rewind(self):
        """Hand out again what was handed out and is not acknowledged."""
        self._out, self._end = self.handed, self._live
        self._new = 0

    def split(self):
        """What is in the queue now is history: what is taken from now on goes before it."""
        self._live = self._end = max(self._s.next, 0)
        self._out = max(self._out, self.handed)

    def ack(self, queue_id, ranges):
        """Stored upstream: (first, last) pairs. -> readings newly done, -1 for another queue."""
        if queue_id != self._s.id:
            self._counters.inc(C_ACK_FOREIGN)
            return -1
        new = 0
        for first, last in ranges:
            new += self._s.cover(first, last)
        self._s.tidy()
        self._counters.add(C_ACKED, new)
        return new

    def settled(self, first, count):
        """Is nothing of the batch (first, count) pending any more?"""
        s = self._s
        for row in s.live:
            at = first - s.first[row]
            if 0 <= at < s.count[row]:
                for i in range(at, at + count):
                    if not s.is_done(row, i):
                        return False
        return True
