"""NOR flash in a file: a program only clears bits, an erase sets whole sectors of 4 KiB.

The file is mapped into memory shared, so the virtual board's process, which opens the same file,
sees what esptool wrote, and the other way round.
"""

import hashlib
import mmap
from pathlib import Path

from l4tools.errors import ToolError

SECTOR = 4096
SIZES = {1 << 20: 0x14, 2 << 20: 0x15, 4 << 20: 0x16, 8 << 20: 0x17, 16 << 20: 0x18}


class Nor:
    """`size` bytes at `path`, all 0xFF when new. IndexError: past the end."""

    def __init__(self, path: Path, size: int):
        if size not in SIZES:
            raise ToolError("No flash of %d bytes here. There are 1, 2, 4, 8, 16 MiB." % size)
        self.path, self.size = path, size
        if not path.exists():
            path.write_bytes(b"\xff" * size)
        elif path.stat().st_size != size:
            raise ToolError(
                "%s has %d bytes, the chip %d. Give the size it was made with, or another folder."
                % (path, path.stat().st_size, size)
            )
        with open(path, "r+b") as f:
            self._map = mmap.mmap(f.fileno(), size)
        self.programmed = self.erased = 0  # bytes, for tests and the bench

    @property
    def rdid(self) -> int:
        """Winbond's maker, type and capacity, first byte lowest."""
        return SIZES[self.size] << 16 | 0x40EF

    def _check(self, at: int, n: int):
        if at < 0 or n < 0 or at + n > self.size:
            raise IndexError("flash ends at %#x" % self.size)

    def read(self, at: int, n: int) -> bytes:
        self._check(at, n)
        return self._map[at : at + n]

    def program(self, at: int, data: bytes) -> None:
        """Clear bits. On a sector that was not erased, old and new bits mix."""
        n = len(data)
        self._check(at, n)
        old = self._map[at : at + n]
        if old.count(0xFF) != n:
            both = int.from_bytes(old, "little") & int.from_bytes(data, "little")
            data = both.to_bytes(n, "little")
        self._map[at : at + n] = data
        self.programmed += n

    def erase(self, at: int, n: int) -> None:
        """Every sector that a byte of at..at+n is in."""
        start, end = at & -SECTOR, (at + n + SECTOR - 1) & -SECTOR
        self._check(start, end - start)
        self._map[start:end] = b"\xff" * (end - start)
        self.erased += end - start

    def blank(self, at: int, n: int) -> bool:
        return self.read(at, n).count(0xFF) == n

    def md5(self, at: int, n: int) -> bytes:
        return hashlib.md5(self.read(at, n)).digest()

    def close(self) -> None:
        self._map.close()
