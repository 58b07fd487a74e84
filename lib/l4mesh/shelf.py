# floor 4: tables
# Blobs of neighbours on flash: append-only segments. RAM: 1.2 kB, and 130 B a blob (24 at most).
"""What a custodian keeps. `port` is a queue's segment port (segments.py) on a folder of its own.

Segment, 4 KiB at most: "L4C" 01, number 4, then entries: CRC-32 of what follows 4, length 2, blob.
A segment's head and its first entry are one append, nothing is rewritten, and behind a failed
append or a damaged tail a new segment begins. So a blob for which `add` said True is there after a
power cut. What is done is known in RAM only: a segment goes when all in it is done, and after a
boot what was left of one is delivered once more, which the upstream notices.

    shelf.list      what there is, oldest first: (segment number, offset, length, head 29 + tag 16)
"""

from binascii import crc32
from struct import pack_into, unpack_from

from .compat import const

_MAGIC = b"L4C\x01"
_SIZE = const(4096)
_HEAD = const(8)
_ENTRY = const(6)
_LEAST = const(56)
_MOST = const(1132)
_BLOBS = const(24)
_EACH_BLOBS = const(12)  # for one owner
_BLOB_HEAD = const(29)


class Shelf:
    def __init__(self, port, cap=4):
        self._port = port
        self._cap = cap
        self._each = cap * _SIZE // 2  # bytes for one owner
        self._b = memoryview(bytearray(_HEAD + _ENTRY + _MOST))
        self.list = []
        self._no = -1
        self._off = _SIZE  # where the newest segment goes on; _SIZE: in a new one

    def open(self) -> bool:
        """Find what an earlier boot left. False: the medium cannot be read."""
        numbers = self._port.list()
        if numbers is None:
            return False
        self.list.clear()
        self._off = _SIZE
        for no in sorted(numbers):
            self._no = no
            n = len(self.list)
            self._off = self._scan(no)
            if len(self.list) == n:
                self._port.delete(no)
                self._off = _SIZE
        return True

    def _scan(self, no):
        """List what is good in a segment: -> where it goes on."""
        b = self._b
        n = self._port.read(no, 0, b[:_HEAD])
        if n < _HEAD or b[:4] != _MAGIC or unpack_from(">I", b, 4)[0] != no:
            return _SIZE
        pos = _HEAD
        while True:
            n = self._port.read(no, pos, b)
            if n <= 0:
                return _SIZE if n else pos
            size = b[4] << 8 | b[5]
            if n < _ENTRY + size or not _LEAST <= size <= _MOST:
                return _SIZE
            end = _ENTRY + size
            if unpack_from(">I", b)[0] != crc32(b[4:end]):
                return _SIZE
            self._note(no, pos + _ENTRY, size, b, _ENTRY)
            pos += end

    def _note(self, no, pos, n, buf, off):
        key = bytes(buf[off : off + _BLOB_HEAD]) + bytes(buf[off + n - 16 : off + n])
        self.list.append((no, pos, n, key))

    def has(self, buf, off, n):
        """Is this very blob here?"""
        for e in self.list:
            if e[3][_BLOB_HEAD:] == buf[off + n - 16 : off + n]:
                return e[2] == n and e[3][:_BLOB_HEAD] == buf[off : off + _BLOB_HEAD]
        return False

    def room(self, buf, off, n):
        """May this owner leave so much more?"""
        blobs = size = 0
        for e in self.list:
            if e[3][:16] == buf[off : off + 16]:
                blobs += 1
                size += e[2]
        if blobs >= _EACH_BLOBS or size + n > self._each or len(self.list) >= _BLOBS:
            return False
        fits = self._off + _ENTRY + n <= _SIZE
        return fits or len(set(e[0] for e in self.list)) < self._cap

    def add(self, buf, off, n):
        """Take the blob buf[off:off+n], for which there is room(). True: it is on flash."""
        b = self._b
        o = 0
        if self._off + _ENTRY + n > _SIZE:
            o = _HEAD
            self._off = 0
            self._no += 1
            b[:4] = _MAGIC
            pack_into(">I", b, 4, self._no)
        end = o + _ENTRY + n
        b[o + 4] = n >> 8
        b[o + 5] = n & 255
        b[o + _ENTRY : end] = memoryview(buf)[off : off + n]
        pack_into(">I", b, o, crc32(b[o + 4 : end]))
        at = self._off
        self._off = _SIZE  # never write behind a failed append
        if not self._port.append(self._no, b, end):
            if o:
                self._port.delete(self._no)
            return False
        self._off = at + end
        self._note(self._no, at + o + _ENTRY, n, buf, off)
        return True

    def read(self, e, buf, off):
        """Write a blob of the list to buf[off:]: -> its end, -1 when it cannot be had."""
        end = off + e[2]
        n = self._port.read(e[0], e[1], memoryview(buf)[off:end])
        return end if n == e[2] and buf[end - 16 : end] == e[3][_BLOB_HEAD:] else -1

    def done(self, e):
        """Nobody needs this one any more."""
        self.list.remove(e)
        for other in self.list:
            if other[0] == e[0]:
                return
        self._port.delete(e[0])
        if e[0] == self._no:
            self._off = _SIZE

    def covered(self, queue, ranges):
        """Stored upstream: (first, last) pairs of `queue` (origin and queue id): -> how many."""
        n = 0
        for e in list(self.list):
            if e[3][:24] == queue:
                first = unpack_from(">I", e[3], 24)[0]
                last = first + e[3][28] - 1
                for low, high in ranges:
                    if low <= first and last <= high:
                        self.done(e)
                        n += 1
                        break
        return n
