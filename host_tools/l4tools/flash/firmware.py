"""A MicroPython .bin: what it is, whether it is whole and for this chip, and its parts.

The file is bootloader, partition table and application with FF between them. Written in one piece
it would wipe what lies between, and that is NVS with the board's identity. So it is cut into
parts, and NVS and calibration are in none of them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolError
from . import headers, partitions
from .partitions import SECTOR, TABLE_AT, TABLE_LEN, Row

LEAST = (1, 24)
_C3, _C3_LEAST = 5, 3
_FETCH = "Download it again: https://micropython.org/download"


@dataclass(frozen=True)
class Part:
    """Bytes for one place of the flash; whole sectors."""

    name: str
    addr: int
    data: bytes

    @property
    def end(self) -> int:
        return self.addr + len(self.data)


@dataclass(frozen=True)
class Firmware:
    source: str  # the file's name, for messages
    chip_id: int
    min_rev: int
    version: str  # v1.26.0
    sha256: str
    rows: list[Row]
    parts: list[Part]  # as they lie in flash; the application is named "app"

    @property
    def numbers(self) -> tuple[int, ...]:
        return headers.numbers(self.version)

    @property
    def app(self) -> Part:
        return next(p for p in self.parts if p.name == "app")


def load(path: Path, boot_at: int, chip: str = "") -> Firmware:
    """The firmware in a file. `boot_at`: where the bootloader of the board's chip begins."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise ToolError(
            f"{path} could not be read ({e.strerror or e}). Check --firmware."
        ) from None
    return parse(data, boot_at, path.name, chip)


def parse(data: bytes, boot_at: int, source: str, chip: str = "") -> Firmware:
    """The same of bytes; ToolError says what is wrong with them."""
    base = _base(data, boot_at, source, chip)
    boot = data[boot_at - base :]
    head = headers.header(boot)
    assert head is not None  # _base has looked
    table = data[TABLE_AT - base :][:TABLE_LEN]
    rows = partitions.parse(table, source)
    slot = partitions.app(rows)
    app = data[slot.offset - base :] if slot.offset >= base else b""
    _check_app(app, slot, head.chip_id, source)
    version = headers.micropython(app)
    if not version:
        raise ToolError(
            f"{source} is a firmware, but not MicroPython. Take the .bin of MicroPython for this "
            "chip from https://micropython.org/download"
        )
    check_version(version, source)
    return Firmware(
        source=source,
        chip_id=head.chip_id,
        min_rev=max(head.min_rev, headers.header(app).min_rev),  # type: ignore[union-attr]
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        rows=rows,
        parts=_parts(data, base, boot_at, rows),
    )


def check_version(version: str, source: str) -> None:
    if headers.numbers(version)[:2] < LEAST:
        raise ToolError(
            f"{source} is MicroPython {version}; l4 needs 1.24 or later. "
            "Take a newer one from https://micropython.org/download and pass it with --firmware."
        )


def check_chip(fw: Firmware, chip: str, chip_id: int, revision: int) -> None:
    """ToolError if it is another chip's, or the chip is too old a revision (major*100 + minor)."""
    if fw.chip_id != chip_id:
        raise ToolError(
            f"{fw.source} is for {headers.chip_name(fw.chip_id)}, the board is an {chip}. "
            f"Take the .bin of MicroPython for {chip}."
        )
    least = max(fw.min_rev, _C3_LEAST if chip_id == _C3 else 0)
    if revision < least:
        raise ToolError(
            f"This {chip} has revision v{revision // 100}.{revision % 100}, MicroPython needs "
            f"v{least // 100}.{least % 100} or later. Take a newer board."
        )


def _base(data: bytes, boot_at: int, source: str, chip: str) -> int:
    """The flash address of the file's first byte: the bootloader's, or 0 for a whole image."""
    if len(data) < 512:
        raise ToolError(f"{source} has {len(data)} bytes and is no firmware. {_FETCH}")
    for base in dict.fromkeys((boot_at, 0)):
        at = TABLE_AT - base
        if headers.header(data[boot_at - base :]) and data[at : at + 2] == b"\xaa\x50":
            return base
    head = headers.header(data)
    if head is None:
        raise ToolError(
            f"{source} is no firmware for an ESP32 (it does not begin with E9). "
            "Take a .bin file from https://micropython.org/download"
        )
    if headers.described(data)[0] or source.endswith(".app-bin"):
        raise ToolError(
            f"{source} is an application alone (.app-bin), without bootloader and partition "
            "table. Take the .bin file of the same release."
        )
    for other in (0, 0x1000, 0x2000):
        if data[TABLE_AT - other :][:2] == b"\xaa\x50":
            raise ToolError(
                f"{source} is for {headers.chip_name(head.chip_id)}, the board is another chip"
                f"{chip and ', ' + chip}. Take the .bin of MicroPython for the board's chip."
            )
    raise ToolError(
        f"{source} is cut short: it ends before the partition table, or has none. {_FETCH}"
    )


def _check_app(app: bytes, slot: Row, chip_id: int, source: str) -> None:
    head = headers.header(app)
    if not app or (head and headers.length(app) < 0):
        raise ToolError(f"{source} is cut short: the application is not all there. {_FETCH}")
    if head is None or not headers.is_whole(app):
        raise ToolError(f"{source} is damaged: its application has a wrong checksum. {_FETCH}")
    if head.chip_id != chip_id:
        raise ToolError(
            f"{source} holds a bootloader for {headers.chip_name(chip_id)} and an application for "
            f"{headers.chip_name(head.chip_id)}. {_FETCH}"
        )
    if headers.length(app) > slot.size:
        raise ToolError(
            f"{source} holds an application larger than its partition of {slot.size} bytes. "
            + _FETCH
        )


def _parts(data: bytes, base: int, boot_at: int, rows: list[Row]) -> list[Part]:
    """Bootloader, table, and what the file holds for each partition that may be written."""
    slot = partitions.app(rows)
    places = [("bootloader", boot_at, TABLE_AT), ("table", TABLE_AT, TABLE_AT + SECTOR)]
    for row in rows:
        if not row.stays and not row.is_vfs and row is not partitions.otadata(rows):
            places.append(("app" if row is slot else row.label, row.offset, row.end))
    parts = []
    for name, start, end in places:
        piece = data[start - base : end - base].rstrip(b"\xff")
        if piece:
            parts.append(Part(name, start, piece + b"\xff" * (-len(piece) % SECTOR)))
    other = partitions.otadata(rows)
    if other is not None:  # blank: the application just written is the one that boots
        parts.append(Part("otadata", other.offset, b"\xff" * other.size))
    return sorted(parts, key=lambda part: part.addr)
