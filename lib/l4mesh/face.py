# floor 6: pipeline
# One Bluetooth link: its meeting, the frames that wait for it. RAM: 1.5 kB, frames included.
"""What a link has to send next, and what is known of it (faces.py).

Who was connected to sends by notification. aioble keeps the newest one only, so the next piece
waits until the one before was taken: the other side writes TAKEN for each, the meeting's last word
among them.
"""

from .compat import const
from .meeting import MET, WRITE
from .pieces import piece

LONGEST = 244  # a write or notification; more is refused
TAKEN = b"\x84"
_QUEUE = const(4)


class Face:
    def __init__(self, m, near, now):
        self.m = m
        self.near = near  # slot of the table of neighbours, -1
        self.device = None
        self.addr = None  # its endpoint, once it is met
        self.room = 20
        self.over = ""
        self.used = False
        self.began = self.heard = now
        self.joiner = None
        self.out = []  # frames
        self._at = 0
        self.waits = False  # for TAKEN
        self.owes = False

    def fits(self, mtu) -> None:
        """What one write takes: 3 less than the MTU, which is 23 until the two agreed on more."""
        self.room = min(LONGEST, (mtu or 23) - 3)

    def queue(self, frame) -> bool:
        if len(self.out) >= _QUEUE:
            return False
        self.out.append(frame)
        self.used = True
        return True

    def next(self):
        """The meeting's word, or the next piece of a frame."""
        m = self.m
        if m.out is not None and (not m.asks or m.state == WRITE):
            data = m.out
            m.out = None
            self.waits = m.state == MET and not m.asks
            return data
        if self.owes:
            self.owes = False
            return TAKEN
        while self.out and self.addr is not None and not self.waits:
            frame = self.out[0]
            data = piece(frame, len(frame), self._at, self.room)
            if data is not None:
                self._at += 1
                self.waits = not m.asks
                return data
            self.out.pop(0)
            self._at = 0
        return None
