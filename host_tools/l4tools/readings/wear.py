"""How long a board's flash lasts at the rate its queue writes.

The queue counts the bytes it hands to littlefs; the flash sees more: littlefs copies on write, and
a flash is erased by sectors. `AMPLIFICATION` is what `make bench` measures as "flash bytes / queue
bytes" (bytes erased for each byte of the queue, one flush a reading; docs/bench.md).
"""

AMPLIFICATION = 110.0
CYCLES = 100_000  # erases of a sector that makers of NOR flash promise
VFS_BYTES = 2 << 20  # littlefs levels wear over its partition; 2 MiB on a 4 MiB board
_YEAR_MIN = 365.25 * 24 * 60


def flash_bytes(written: int) -> int:
    """Estimated bytes erased on flash, for `written` bytes of the queue."""
    return round(written * AMPLIFICATION)


def years(written: int, minutes: int, vfs_bytes: int = VFS_BYTES) -> float | None:
    """Years until each sector was erased as often as promised; None: nothing to go by yet."""
    if not written or minutes < 10:
        return None
    lifetime = vfs_bytes * CYCLES
    return round(min(lifetime / flash_bytes(written) * minutes / _YEAR_MIN, 1000.0), 1)
