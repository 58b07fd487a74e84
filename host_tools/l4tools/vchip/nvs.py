"""A virtual board's surroundings whose NVS lies in the flash, in the `nvs` partition.

So it goes when esptool erases it, stays when only firmware and file system are written, and comes
back with a copy of the flash. (The format is the double's own, not ESP-IDF's.)
"""

import json
import struct
import zlib

from l4tools.vboard.world import NVS_BYTES, World
from l4tools.vchip.nor import Nor

_HEAD = struct.Struct("<IIII")
_ACTIVE, _MAGIC = 0xFFFFFFFE, 0x44565053


class ChipWorld(World):
    def __init__(self, nor: Nor):
        self._nor = nor
        self._region: tuple[int, int] | None = None
        super().__init__()

    def find_nvs(self, region: tuple[int, int] | None) -> None:
        """At boot: what the partition at (offset, size) holds now."""
        self._region = region
        self._pending.clear()
        self._nvs = self._stored()
        # A page of it is kept free, and names take room.
        self.nvs_bytes = min(NVS_BYTES, region[1] * 2 // 3) if region else 0

    def _stored(self) -> dict:
        if not self._region:
            return {}
        at, size = self._region
        active, magic, n, crc = _HEAD.unpack(self._nor.read(at, _HEAD.size))
        if (active, magic) != (_ACTIVE, _MAGIC) or n > size - _HEAD.size:
            return {}  # erased, or not ours: the port starts a new one
        data = self._nor.read(at + _HEAD.size, n)
        return json.loads(zlib.decompress(data)) if zlib.crc32(data) == crc else {}

    def _keep_nvs(self) -> None:
        if not self._region:
            return
        at, size = self._region
        data = zlib.compress(json.dumps(self._nvs).encode())
        if len(data) + _HEAD.size > size:
            raise ValueError("NVS of %d bytes in a partition of %d" % (len(data), size))
        self._nor.erase(at, size)
        self._nor.program(at + _HEAD.size, data)
        self._nor.program(at, _HEAD.pack(_ACTIVE, _MAGIC, len(data), zlib.crc32(data)))
