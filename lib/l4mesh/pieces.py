# floor 3: codecs
# Frames in pieces, for a link that carries less than a frame at a time. RAM: 1.2 kB a joiner.
"""A piece is one byte and what it carries: bit 7 no piece (the link's own message), bit 6 the last
of its frame, bits 5 to 0 its number from 0. A link keeps the order and loses nothing, or ends.

    piece(frame, n, k, room) -> bytes      piece k of frame[:n] in at most `room` bytes, or None
    j = Joiner()
    j.push(data) -> 0 more is to come, -1 no piece of anything, or the length of j.buf's frame
"""

from .compat import const
from .wire import MAX_FRAME

OWN = const(0x80)
LAST = const(0x40)
_NUMBER = const(0x3F)
_LEAST = const(20)  # 64 pieces of 19 bytes are a frame


def piece(frame, n: int, k: int, room: int):
    """Piece `k` of frame[:n], None after the last one. `room`: what the link takes at once."""
    if room < _LEAST or n > MAX_FRAME:
        raise ValueError("a frame has at most 1200 bytes, a piece 20 or more; exchange the MTU")
    room -= 1
    at = k * room
    if at >= n:
        return None
    end = min(at + room, n)
    return bytes((k | (LAST if end == n else 0),)) + bytes(frame[at:end])


class Joiner:
    def __init__(self):
        self.buf = bytearray(MAX_FRAME)
        self._n = 0
        self._next = 0

    def push(self, data) -> int:
        n = len(data) - 1
        if n < 1 or data[0] & OWN:
            self._next = 0
            return -1
        k = data[0] & _NUMBER
        if not k:
            self._n = self._next = 0
        at = self._n
        if k != self._next or at + n > MAX_FRAME:
            self._next = 0
            return -1
        self.buf[at : at + n] = data[1:]
        if data[0] & LAST:
            self._next = self._n = 0
            return at + n
        self._n = at + n
        self._next = k + 1
        return 0
