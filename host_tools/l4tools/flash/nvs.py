"""Which network a board belongs to, from the NVS partition in its flash. Nothing else is read.

NVS (ESP-IDF, "Non-Volatile Storage"): pages of 4096 bytes: header 32 (state, sequence, version,
CRC), 126 entry states of 2 bits in 32 bytes (2 = written), 126 entries of 32: namespace 1, type 1,
span 1, chunk 1, CRC-32 4, key 16, data 8. Type 1 in namespace 0 names a namespace. A blob is one
entry of type 42 (hex) a chunk, its bytes in the entries that follow, CRC-32 of them in its data.
"""

import struct
from binascii import crc32

_PAGE, _ENTRY, _COUNT, _FIRST = 4096, 32, 126, 64
_U8, _BLOB = 0x01, 0x42
_WRITTEN = 2


def network_id(data: bytes) -> bytes | None:
    """The network that the board holds keys of; None: none, or this is no NVS."""
    found = blob(data, "l4mesh", "network")
    return found if found and len(found) == 4 else None


def blob(data: bytes, namespace: str, key: str) -> bytes | None:
    """A blob of one chunk; the newest, if an older copy is still there."""
    index, found = None, None
    for entry, _ in _entries(data):
        if entry[0] == 0 and entry[1] == _U8 and _key(entry) == namespace:
            index = entry[24]
    for entry, more in _entries(data):
        if index is None or entry[0] != index or entry[1] != _BLOB or _key(entry) != key:
            continue
        size, check = struct.unpack_from("<HxxI", entry, 24)
        if size <= len(more) and crc32(more[:size], 0xFFFFFFFF) & 0xFFFFFFFF == check:
            found = more[:size]
    return found


def _entries(data: bytes):
    """(entry, the bytes behind it that belong to it), oldest page first."""
    pages = [data[at : at + _PAGE] for at in range(0, len(data) - _PAGE + 1, _PAGE)]
    good = [p for p in pages if p[:4] != b"\xff\xff\xff\xff"]
    for page in sorted(good, key=lambda p: struct.unpack_from("<I", p, 4)[0]):
        n = 0
        while n < _COUNT:
            state = (page[32 + n // 4] >> (2 * (n % 4))) & 3
            entry = page[_FIRST + n * _ENTRY :][:_ENTRY]
            span = entry[2] if state == _WRITTEN and 0 < entry[2] <= _COUNT - n else 1
            if state == _WRITTEN and crc32(entry[:4] + entry[8:], 0xFFFFFFFF) == _crc(entry):
                yield entry, page[_FIRST + (n + 1) * _ENTRY : _FIRST + (n + span) * _ENTRY]
            n += span


def _crc(entry: bytes) -> int:
    return struct.unpack_from("<I", entry, 4)[0]


def _key(entry: bytes) -> str:
    return entry[8:24].split(b"\0")[0].decode("ascii", "replace")
