# floor 8: effects
# Keys and queue segments in RAM: for tests and the volatile mode. RAM: 4 KiB a segment.
"""RamStore: the store of keys. RamSegments: the queue's segment port (l4mesh/segments.py)."""


class RamStore:
    def __init__(self):
        self._d = {}

    def load(self, key):
        return self._d.get(self._check(key))

    def save(self, key, data):
        self._d[self._check(key)] = bytes(data)
        return True

    def _check(self, key):
        if not 0 < len(key) <= 15 or not key.isalpha():
            raise ValueError("a store key is 1 to 15 letters; choose another name")
        return key


class RamSegments:
    """A slab of `segments` x 4 KiB. The queue makes room after an append: pass its cap + 1."""

    def __init__(self, segments=5, size=4096):
        self._size = size
        self._slab = memoryview(bytearray(segments * size))
        self._ids = [-1] * segments
        self._len = [0] * segments

    def list(self):
        return [no for no in self._ids if no >= 0]

    def append(self, no, buf, n):
        ids = self._ids
        if no not in ids:
            if -1 not in ids:
                return False
            i = ids.index(-1)
            self._len[i] = 0
        else:
            i = ids.index(no)
        at = self._len[i]
        if at + n > self._size:
            return False
        at += i * self._size
        self._slab[at : at + n] = memoryview(buf)[:n]
        self._len[i] += n
        ids[i] = no
        return True

    def read(self, no, off, buf):
        if no not in self._ids:
            return -1
        i = self._ids.index(no)
        n = max(min(len(buf), self._len[i] - off), 0)
        at = i * self._size + off
        memoryview(buf)[:n] = self._slab[at : at + n]
        return n

    def delete(self, no):
        if no not in self._ids:
            return False
        self._ids[self._ids.index(no)] = -1
        return True
