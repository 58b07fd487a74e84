"""The partition table of an ESP32 (at 0x8000), and the place of the file system by it.

The table is 3072 bytes: entries of 32 (magic AA 50, type, subtype, offset, size, label, flags),
then one with magic EB EB that holds the MD5 of those before it, then FF (ESP-IDF, "Partition
Tables"). The place never comes from a board's name: the table is what the board itself goes by.

MicroPython takes the data partition labelled `vfs` or `ffat`. From 1.26 on the generic tables have
neither: then it is everything from the end of the last partition to the physical end of the flash.
"""

import hashlib
import struct
from dataclasses import dataclass

from ..errors import ToolError

TABLE_AT = 0x8000
TABLE_LEN = 0xC00
SECTOR = 4096
APP, DATA = 0, 1
FACTORY, OTA_0 = 0x00, 0x10
OTADATA, PHY, NVS = 0x00, 0x01, 0x02
_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC, _SUM = b"\xaa\x50", b"\xeb\xeb"
_LABELS = ("vfs", "ffat")
_FREE_FLASH_SINCE = (1, 26)


@dataclass(frozen=True)
class Row:
    label: str
    kind: int  # APP or DATA
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def stays(self) -> bool:
        """Never written: the key store, and the radio's calibration."""
        return self.kind == DATA and self.subtype in (NVS, PHY)

    @property
    def is_vfs(self) -> bool:
        return self.kind == DATA and self.label in _LABELS


@dataclass(frozen=True)
class Place:
    """The file system: where it begins, and its blocks of 4096 bytes."""

    offset: int
    blocks: int

    @property
    def size(self) -> int:
        return self.blocks * SECTOR


def parse(data: bytes, where: str = "The board") -> list[Row]:
    """The rows of a table; ToolError: there is none, or its MD5 is wrong."""
    rows: list[Row] = []
    for at in range(0, min(len(data), TABLE_LEN) - _ENTRY.size + 1, _ENTRY.size):
        magic, kind, subtype, offset, size, label, _ = _ENTRY.unpack_from(data, at)
        if magic == _SUM:
            if data[at + 16 : at + 32] != hashlib.md5(data[:at]).digest():
                raise ToolError(
                    f"{where} has a damaged partition table (its MD5 is wrong). "
                    "Pass --firmware FILE to write a good one."
                )
            break
        if magic != _MAGIC:
            break
        name = label.split(b"\0")[0].decode("ascii", "replace")
        rows.append(Row(name, kind, subtype, offset, size))
    if not rows:
        raise ToolError(
            f"{where} has no partition table at {TABLE_AT:#x}. "
            "Pass --firmware FILE: the .bin of MicroPython for this chip."
        )
    return rows


def app(rows: list[Row]) -> Row:
    """The application that boots when nothing else was chosen: factory, else ota_0."""
    for subtype in (FACTORY, OTA_0):
        for row in rows:
            if row.kind == APP and row.subtype == subtype:
                return row
    raise ToolError(
        "The partition table has no place for an application (factory or ota_0). "
        "Take the .bin of MicroPython for this board."
    )


def otadata(rows: list[Row]) -> Row | None:
    """Which OTA slot boots; blank: the first."""
    return next((r for r in rows if r.kind == DATA and r.subtype == OTADATA), None)


def nvs(rows: list[Row]) -> Row | None:
    return next((r for r in rows if r.kind == DATA and r.subtype == NVS), None)


def vfs(rows: list[Row], flash_size: int, version: tuple[int, ...] | None) -> Place:
    """Where the file system is for MicroPython `version` (None: unknown, taken as a new one)."""
    last = max(rows, key=lambda row: row.end)
    row = next((r for label in _LABELS for r in rows if r.is_vfs and r.label == label), None)
    if last.end > flash_size:
        raise ToolError(
            f"This firmware is laid out for {mib(last.end)} of flash, the board has "
            f"{mib(flash_size)}. Take a .bin built for {mib(flash_size)}."
        )
    if row is not None:
        offset, size = row.offset, row.size
    elif version is not None and version < _FREE_FLASH_SINCE:
        raise ToolError(
            "The partition table has no vfs, and MicroPython before 1.26 makes none by itself. "
            "Take the .bin of MicroPython for this board."
        )
    else:
        offset = -(-last.end // SECTOR) * SECTOR
        size = flash_size - offset
    if size < 2 * SECTOR:
        raise ToolError(
            f"This firmware leaves no room for files: it takes all {mib(flash_size)} of flash. "
            f"Take a .bin built for {mib(flash_size)}."
        )
    return Place(offset, size // SECTOR)


def mib(size: int) -> str:
    """A size as people say it: 4 MiB, 960 KiB."""
    whole = -(-size // SECTOR) * SECTOR
    return f"{whole >> 20} MiB" if whole % (1 << 20) == 0 else f"{whole >> 10} KiB"
