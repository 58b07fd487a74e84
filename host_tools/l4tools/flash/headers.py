"""What the first bytes of a bootloader or application say of it, and whether all of it is there.

An image (ESP-IDF, "App Image Format"): 24 bytes of header (E9, segments, .., chip id at 12, least
revisions at 14 and 15, 1 at 23 if a SHA-256 follows), segments of 8 + n bytes, zeros and a
checksum up to a multiple of 16, then the SHA-256. An application's first segment begins with its
description (magic ABCD5432): version, project name. MicroPython's banner is in it as text, too.
"""

import hashlib
import re
import struct
from dataclasses import dataclass

from ..errors import ToolError

HEADER = 24
DESCRIPTION_AT = HEADER + 8
DESCRIPTION_LEN = 112  # up to the end of the project's name
_DESCRIPTION_MAGIC = 0xABCD5432
_MAX_SEGMENTS = 16
_BANNER = re.compile(rb"MicroPython (v?\d+\.\d+[0-9A-Za-z.+-]*) on \d{4}-\d\d-\d\d")
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
CHIPS = {0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6"}
CHIPS |= {16: "esp32h2", 18: "esp32p4", 20: "esp32c61", 23: "esp32c5"}


@dataclass(frozen=True)
class Header:
    chip_id: int
    min_rev: int  # as major * 100 + minor
    segments: int
    hashed: bool


def header(data: bytes) -> Header | None:
    """Of the image that `data` begins with; None: it is none."""
    if len(data) < HEADER or data[0] != 0xE9 or not 0 < data[1] <= _MAX_SEGMENTS:
        return None
    chip_id, old_rev, min_full, max_full = struct.unpack_from("<HBHH", data, 12)
    # Images from before the full fields count C3 by minor, the others by major revisions.
    rev = min_full if max_full else old_rev if chip_id == 5 else old_rev * 100
    return Header(chip_id, rev, data[1], data[23] == 1)


def length(data: bytes) -> int:
    """Bytes of the image at the start of `data`; -1: some are missing."""
    head = header(data)
    at = HEADER
    for _ in range(head.segments if head else 0):
        if at + 8 > len(data):
            return -1
        at += 8 + struct.unpack_from("<I", data, at + 4)[0]
    at = (at // 16 + 1) * 16 + (32 if head and head.hashed else 0)
    return at if head and at <= len(data) else -1


def is_whole(data: bytes) -> bool:
    """Do checksum and SHA-256 of the image at the start of `data` agree with it?"""
    head, end = header(data), length(data)
    if head is None or end < 0:
        return False
    if head.hashed:
        end -= 32
        if hashlib.sha256(data[:end]).digest() != data[end : end + 32]:
            return False
    check, at = 0xEF, HEADER
    for _ in range(head.segments):
        n = struct.unpack_from("<I", data, at + 4)[0]
        check ^= _xor(data[at + 8 : at + 8 + n])
        at += 8 + n
    return check == data[end - 1]


def _xor(data: bytes) -> int:
    """All bytes combined; as one large number, for an application has more than a million."""
    value, size = int.from_bytes(data, "little"), len(data)
    while size > 1:
        half = (size + 1) // 2
        value = (value >> (8 * half)) ^ (value & ((1 << (8 * half)) - 1))
        size = half
    return value


def described(data: bytes) -> tuple[str, str]:
    """(project, version) from the description in an application's first bytes; or empty."""
    if len(data) < DESCRIPTION_AT + DESCRIPTION_LEN:
        return "", ""
    if struct.unpack_from("<I", data, DESCRIPTION_AT)[0] != _DESCRIPTION_MAGIC:
        return "", ""
    at = DESCRIPTION_AT + 16
    return _text(data[at + 32 : at + 64]), _text(data[at : at + 32])


def micropython(data: bytes) -> str:
    """The version of MicroPython in an application, as `v1.26.0`; "" if it is something else."""
    m = _BANNER.search(data)
    if m:
        return m[1].decode()
    project, version = described(data)
    return version if project == "micropython" and _VERSION.match(version) else ""


def numbers(version: str) -> tuple[int, ...]:
    """(1, 26, 0) of v1.26.0 or v1.26.0-preview.12; ToolError: it is no version."""
    m = _VERSION.match(version)
    if not m:
        raise ToolError(
            f"{version!r} is no version of MicroPython. Take a release of 1.24 or later."
        )
    return tuple(int(n or 0) for n in m.groups())


def chip_name(chip_id: int) -> str:
    return CHIPS.get(chip_id, f"a chip with the id {chip_id}")


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("ascii", "replace")
