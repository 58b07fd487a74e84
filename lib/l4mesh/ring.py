# floor 2: values
# Bounded rings: bytes in one slab, and small event tuples. RAM: slots * (size + 2); 4 B an event.
"""Ring keeps what came first and refuses more; Events keeps what came last. Both count drops."""

from array import array


class Ring:
    """First in, first out; at most `slots` items of at most `size` bytes, all in one bytearray."""

    def __init__(self, slots: int, size: int):
        self._buf = bytearray(slots * size)
        self._view = memoryview(self._buf)
        self._len = array("H", bytes(2 * slots))
        self._slots = slots
        self._size = size
        self._first = 0
        self.count = 0
        self.dropped = 0

    def put(self, buf, n: int) -> bool:
        """Copy buf[:n] behind the others. False (and counted) when it does not fit."""
        if self.count == self._slots or n > self._size:
            self.dropped += 1
            return False
        slot = (self._first + self.count) % self._slots
        self._len[slot] = n
        off = slot * self._size
        self._view[off : off + n] = memoryview(buf)[:n]
        self.count += 1
        return True

    def peek(self, out) -> int:
        """Copy the first item to the start of `out` -> its length; -1 when the ring is empty."""
        if not self.count:
            return -1
        n = self._len[self._first]
        off = self._first * self._size
        memoryview(out)[:n] = self._view[off : off + n]
        return n

    def pop(self):
        """Forget the first item, if there is one."""
        if self.count:
            self._first = (self._first + 1) % self._slots
            self.count -= 1


class Events:
    """The newest `n` tuples, oldest first; what a slow reader misses is counted in `dropped`."""

    def __init__(self, n: int):
        self._slots = [None] * n
        self._first = 0
        self.count = 0
        self.dropped = 0

    def put(self, event: tuple):
        slots = self._slots
        if self.count == len(slots):
            self.get()
            self.dropped += 1
        slots[(self._first + self.count) % len(slots)] = event
        self.count += 1

    def get(self):
        """The oldest event, or None."""
        if not self.count:
            return None
        first = self._first
        event = self._slots[first]
        self._slots[first] = None
        self._first = (first + 1) % len(self._slots)
        self.count -= 1
        return event
