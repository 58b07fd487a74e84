"""NOR flash in RAM that loses power at operation k; for powercut.py and otacut.py (unix port)."""

BLOCK = 4096
ERASED = b"\xff" * BLOCK


class Flash:
    """Erase sets a block to FF, a write only follows an erase. Counts both."""

    def __init__(self, blocks=40):
        self.blocks = blocks
        self.data = bytearray(b"\xff" * (BLOCK * blocks))
        self.view = memoryview(self.data)
        self.ops = 0
        self.log = None  # list of (address, bytes) or (address, None) = erase
        self.cut = -1  # operations from this one on fail
        self.half = False  # the operation at the cut is half done

    def readblocks(self, block, buf, off=0):
        if 0 <= self.cut <= self.ops:
            return -5
        at = block * BLOCK + off
        buf[:] = self.view[at : at + len(buf)]

    def writeblocks(self, block, buf, off=0):
        return self.change(block * BLOCK + off, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6:
            return self.change(arg * BLOCK, None)
        return 0

    def change(self, at, buf):
        if 0 <= self.cut <= self.ops:
            if self.half:
                self.half = False
                self.apply(at, buf, True)
            return -5  # an OSError; raising one would need memory, and a collection calls this too
        self.ops += 1
        if self.log is not None:
            self.log.append((at, None if buf is None else bytes(buf)))
        self.apply(at, buf, False)
        return 0

    def apply(self, at, buf, half):
        data = ERASED if buf is None else buf
        n = len(data) // 2 if half else len(data)
        self.view[at : at + n] = memoryview(data)[:n]
