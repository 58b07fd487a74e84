"""Images and partition tables as ESP-IDF lays them out: made, read, and checked.

A row is 32 bytes: AA 50, type, subtype, offset, size, label[16], flags; the rows end with an MD5
of them behind EB EB FF... . An image has a header of 24 bytes with the chip's id in it, segments,
a checksum in the last byte of a block of 16, and a SHA-256 of everything before it.
"""

import hashlib
import struct
from dataclasses import dataclass

from l4tools.vchip.slip import checksum

TABLE, TABLE_SIZE, SECTOR = 0x8000, 0xC00, 0x1000
MAGIC = 0xE9
_ROW = struct.Struct("<HBBII16sI")
_ROW_MAGIC, _MD5_MAGIC = 0x50AA, b"\xeb\xeb" + b"\xff" * 14
_HEADER = struct.Struct("<BBBBIB3sHBHH4sB")
APP, DATA = 0, 1
_SIZES = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4}


@dataclass(frozen=True)
class Row:
    label: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


def table_bytes(rows: list[Row]) -> bytes:
    """The table with its MD5 row, filled up to its sector's part."""
    out = b"".join(
        _ROW.pack(_ROW_MAGIC, r.type, r.subtype, r.offset, r.size, r.label.encode(), 0)
        for r in rows
    )
    return (out + _MD5_MAGIC + hashlib.md5(out).digest()).ljust(TABLE_SIZE, b"\xff")


def read_table(data: bytes) -> list[Row]:
    """The rows; ValueError with the second stage's words when the table is not good."""
    rows: list[Row] = []
    for i in range(0, len(data) - 31, 32):
        row = data[i : i + 32]
        if row[:16] == _MD5_MAGIC:
            if row[16:] != hashlib.md5(data[:i]).digest():
                raise ValueError("MD5 check failed")
            return rows
        magic, kind, sub, offset, size, label, _ = _ROW.unpack(row)
        if row == b"\xff" * 32 and rows:
            return rows
        if magic != _ROW_MAGIC:
            raise ValueError("partition %d invalid magic number 0x%x" % (len(rows), magic))
        name = label.partition(b"\0")[0].decode("ascii", "replace")
        rows.append(Row(name, kind, sub, offset, size))
    raise ValueError("partition table has no terminating entry, not valid")


def vfs_region(rows: list[Row], flash_size: int) -> tuple[int, int]:
    """(offset, size) of the file system, as MicroPython finds it: a partition `vfs` or `ffat`,
    else (since 1.26) from the last partition's end to the flash's."""
    for name in ("vfs", "ffat"):
        for row in rows:
            if row.type == DATA and row.label == name:
                return row.offset, row.size
    start = max(row.end for row in rows)
    return start, max(0, flash_size - start)


def row_of(rows: list[Row], label: str) -> Row | None:
    return next((row for row in rows if row.label == label), None)


def image(
    chip_id: int, segments: list[tuple[int, bytes]], flash_mib: int, entry: int, min_rev: int = 0
) -> bytes:
    """An image of (address, data) segments that esptool accepts as one of the chip."""
    out = _HEADER.pack(
        MAGIC,
        len(segments),
        2,  # DIO
        _SIZES[flash_mib] << 4,
        entry,
        0xEE,
        bytes(3),
        chip_id,
        0,
        min_rev,
        0xFFFF,
        bytes(4),
        1,
    )
    total = 0
    for at, data in segments:
        data += bytes(-len(data) % 4)
        out += struct.pack("<II", at, len(data)) + data
        total ^= checksum(data) ^ 0xEF
    out += bytes(15 - len(out) % 16) + bytes([total ^ 0xEF])
    return out + hashlib.sha256(out).digest()


@dataclass(frozen=True)
class Header:
    """Of an image in flash. `flash_size` is what the image was made for, in bytes."""

    chip_id: int
    flash_size: int
    length: int  # with checksum and SHA-256
    good: bool  # checksum and SHA-256 are right


def read_header(read, at: int) -> Header | None:
    """`read(at, n)` -> bytes. None: no image here; IndexError when it runs past the flash."""
    head = read(at, _HEADER.size)
    fields = _HEADER.unpack(head)
    if fields[0] != MAGIC or not 0 < fields[1] <= 16:
        return None
    end = at + _HEADER.size
    total = 0
    for _ in range(fields[1]):
        _, n = struct.unpack("<II", read(end, 8))
        total ^= checksum(read(end + 8, n)) ^ 0xEF
        end += 8 + n
    end += 16 - (end - at) % 16
    good = read(end - 1, 1)[0] == total ^ 0xEF
    if fields[12]:
        good = good and read(end, 32) == hashlib.sha256(read(at, end - at)).digest()
        end += 32
    return Header(fields[7], 1 << 20 + (fields[3] >> 4), end - at, good)
