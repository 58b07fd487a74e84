# floor 4: tables
# The segments a reading queue consists of. RAM: 512 B scratch + 37 B a segment (16: 1.1 KiB).
"""Segment files of the reading queue: their format, the table of live ones, recovery at boot.

Segment port `port`; ids are ints below 2**30, and no method ever raises:
  list() -> list of ids in any order; None when the medium cannot be read
  append(id, buf, n) -> bool    buf[:n] behind what is there; True = durable (flushed, closed)
  read(id, off, buf) -> n       fills buf from offset off; n < len(buf) = end of file, -1 = error
  delete(id) -> bool

Segment, 4 KiB at most: "L4Q" 01, number 4, queue id 8, first sequence 4, CRC-32 of these 20 bytes.
Record: CRC-32 of the rest 4, sequence 4, reading (docs/protocol.md 5, 11 to 110 B). Big endian.
Why a power cut loses nothing that was taken and gives no number twice:
- A new segment's header and first record are one append. Nothing is ever rewritten.
- After a failed append, or behind a damaged tail, the next reading starts a new segment. If two
  hold the same sequence the later one counts: the earlier copy was refused and never sent.
- The newest segment stays even when all of it is acknowledged: it carries id and sequence on.
- Behind damage at the end, as many sequences are skipped as may have been there.
"""

from array import array
from binascii import crc32
from struct import pack_into, unpack_from

from .compat import const

_MAGIC = b"L4Q\x01"
_SIZE = const(4096)
_HEAD = const(24)
_MIN = const(19)  # the shortest record
_PER = const(214)  # records a segment holds at most: (4096 - 24) // 19
_BITS = const(27)  # bytes of bitmap for them
_EMPTY = const(-1)
_DAMAGED = const(-2)
_UNREADABLE = const(-3)
_FOREIGN = const(-4)


class Segments:
    """The live segments of one queue. A *row* is a segment's place in the arrays."""

    def __init__(self, port, cap):
        self.port = port
        self._cap = cap
        self.b = memoryview(bytearray(512))  # one record being made, or a piece of a segment
        self.number = array("I", bytes(4 * cap))
        self.first = array("I", bytes(4 * cap))
        self.count = bytearray(cap)
        self.done = bytearray(cap)  # how many bits are set below
        self._bits = bytearray(_BITS * cap)  # 1 = acknowledged, or damaged and given up
        self.lost = self.faults = 0  # readings given up, troubles met; the owner may zero them
        self.dropping = None  # f(self, row) says how many readings of it are lost another way
        self._forget()

    def _forget(self):
        self.id = None  # queue id, 8 bytes
        self.live = []  # rows in use, oldest segment first
        self.next = -1  # sequence of the next reading; -1 = not opened
        self.pending = 0  # readings nobody acknowledged
        self._no = -1  # the highest segment number seen
        self._off = _SIZE  # where the newest segment goes on; _SIZE = in a new one
        self.pos = self._end = _HEAD

    def open(self):
        """Recover what is on the medium. -> False when it cannot be read."""
        self._forget()
        ids = self.port.list()
        if ids is None:
            self.faults += 1
            return False
        ids = sorted(ids)
        for no in reversed(ids):  # the newest good header names the queue
            if self._head(no) >= 0:
                self.id = bytes(self.b[8:16])
                break
        end = skip = 0
        chain = False  # no number is missing since the last good segment
        for no in ids:
            first = self._head(no)
            chain = chain and no == self._no + 1
            self._no = no
            if first < 0:
                skip += self._refuse(no, first)
                continue
            # A start at end + skip was made by the last lines of this function: nothing is lost.
            if chain and first > end and first != end + skip:
                self.lost += first - end
            chain = True
            self._clip(first)
            end, skip = self._scan(no, first)
        self.next = end + skip if self.id else 0
        if skip or not self.live or self.number[self.live[-1]] != self._no:
            self._off = _SIZE
        self.tidy()
        return True

    def _head(self, no):
        """First sequence of a segment, its header in `b`; negative when it is not ours."""
        b = self.b
        n = self.port.read(no, 0, b)
        if n <= 0:
            return _UNREADABLE if n else _EMPTY
        magic, number = unpack_from(">4sI", b)
        first, crc = unpack_from(">II", b, 16)
        if n < _HEAD or magic != _MAGIC or number != no or crc != crc32(b[:20]):
            return _DAMAGED
        return first if self.id is None or self.id == b[8:16] else _FOREIGN

    def _refuse(self, no, why):
        """A file that is no segment of this queue: -> sequences that may have been in it."""
        if why == _EMPTY or why == _DAMAGED:
            self.port.delete(no)
        self.faults += why != _EMPTY  # made, then the power went: usual on littlefs
        return _PER if why == _DAMAGED or why == _UNREADABLE else 0

    def _scan(self, no, first):
        """Take a segment into the table: -> (sequence after it, how many damage may hide)."""
        row, n, lost = self._row(no, first), 0, 0
        for i in self.walk(no, _HEAD):
            at = unpack_from(">I", self.b, i + 4)[0] - first
            if n <= at < _PER:
                if at > n:
                    lost += self._set(row, n, at - 1)
                self.count[row] = n = at + 1
        self.pending += n - lost
        self.lost += lost
        self._off = self.pos
        torn = _SIZE if self._end < 0 else self._end - self.pos
        self.faults += bool(torn or lost)
        return first + n, torn // _MIN + 1 if torn else 0

    def walk(self, no, pos):
        """Yield where in `b` each undamaged record from file offset pos on begins.

        pos 0 = the first. `self.pos` = end of the last good one; `_end` = end of file, -1 = error.
        """
        b = self.b
        self.pos = pos = pos or _HEAD
        while True:
            n = self.port.read(no, pos, b)
            last = n < len(b)
            i = 0
            while i + _MIN <= n:
                k = i + 9 + b[i + 8]
                if 10 <= b[i + 8] <= 109:
                    if k > n and not last:
                        break  # cut by the buffer, not by damage: read on from here
                    if k <= n and crc32(b[i + 4 : k]) == unpack_from(">I", b, i)[0]:
                        self.pos = pos + k
                        yield i
                        i = k
                        continue
                i += 1  # damaged: look for the next good one
            if last:
                self._end = pos + n if n >= 0 else -1
                return
            pos += i

    def add(self, buf, n, flags, entropy):
        """Make a reading durable as sequence `next`. -> bytes written, 0 = failed."""
        b, size = self.b, n + 8
        fresh = not self.live or self._off + size > _SIZE
        o = _HEAD if fresh else 0
        off = 0 if fresh else self._off
        self._off = _SIZE  # never write behind a failed append
        b[o + 8 : o + size] = memoryview(buf)[:n]
        b[o + 9] |= flags
        pack_into(">I", b, o + 4, self.next)
        pack_into(">I", b, o, crc32(b[o + 4 : o + size]))
        if fresh:
            self._no += 1
            if self.id is None:
                self.id = bytes(entropy(8))
            pack_into(">4sI8sI", b, 0, _MAGIC, self._no, self.id, self.next)
            pack_into(">I", b, 20, crc32(b[:20]))
        if not self.port.append(self._no, b, o + size):
            self.faults += 1
            if fresh:
                self.port.delete(self._no)
            return 0
        self._off = off + o + size
        if fresh:
            self._row(self._no, self.next)
            self.tidy()
        self.count[self.live[-1]] += 1
        self.next += 1
        self.pending += 1
        return o + size

    def _row(self, no, first):
        """A row for a new segment, which becomes the newest; the oldest makes room, counted."""
        live = self.live
        if len(live) == self._cap:
            self.lost -= self.dropping(self, live[0]) if self.dropping else 0
            self.lost += self._free(live[0])
        row = min(r for r in range(self._cap) if r not in live)
        self.number[row] = no
        self.first[row] = first
        self.count[row] = self.done[row] = 0
        self._bits[row * _BITS : (row + 1) * _BITS] = bytes(_BITS)
        live.append(row)
        return row

    def _free(self, row):
        """Delete a segment: -> readings in it that nobody acknowledged."""
        self.port.delete(self.number[row])  # if that fails, the next boot sends it again
        self.live.remove(row)
        left = self.count[row] - self.done[row]
        self.pending -= left
        return left

    def tidy(self):
        """Free every segment of which all is done, but the newest."""
        for row in self.live[:-1]:
            if self.done[row] == self.count[row]:
                self._free(row)

    def _clip(self, first):
        """A later segment begins at `first`: what earlier ones hold from there on was refused."""
        for row in self.live:
            at = max(first - self.first[row], 0)
            while self.count[row] > at:
                self.count[row] -= 1
                if self.is_done(row, self.count[row]):
                    self.done[row] -= 1
                else:
                    self.pending -= 1

    def is_done(self, row, at):
        """Is the reading at this place acknowledged, or given up?"""
        return self._bits[row * _BITS + (at >> 3)] & (1 << (at & 7))

    def _set(self, row, at, last):
        new = 0
        for i in range(at, last + 1):
            if not self.is_done(row, i):
                self._bits[row * _BITS + (i >> 3)] |= 1 << (i & 7)
                new += 1
        self.done[row] += new
        return new

    def cover(self, first, last):
        """The sequences first..last are done: -> how many of them were open."""
        new = 0
        for row in self.live:
            if self.done[row] < self.count[row]:
                end = min(last - self.first[row], self.count[row] - 1)
                new += self._set(row, max(first - self.first[row], 0), end)
        self.pending -= new
        return new
