"""SLIP frames and the packets of Espressif's loaders in them.

Request: 00 op len16 checksum32 data. Reply: 01 op len16 value32 data status.
"""

import struct

HEAD = struct.Struct("<BBHI")
_MAX = 1 << 16


def frame(packet: bytes) -> bytes:
    return b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def reply(op: int, status: bytes, value: int = 0, data: bytes = b"") -> bytes:
    """A whole frame; `status` is 4 bytes of a ROM, 2 of a stub."""
    return frame(HEAD.pack(1, op, len(data) + len(status), value) + data + status)


def checksum(data: bytes) -> int:
    """XOR of all bytes and 0xEF, as the loaders have it."""
    # Words first: a byte at a time is too slow in Python.
    n = len(data) & -8
    word = 0
    for w in struct.unpack("<%dQ" % (n // 8), data[:n]):
        word ^= w
    x = 0xEF
    for b in word.to_bytes(8, "little") + data[n:]:
        x ^= b
    return x


class Decoder:
    """`feed(bytes)` -> the frames that are complete now. Bytes between frames are noise."""

    def __init__(self):
        self._buf: bytearray | None = None

    def feed(self, data: bytes) -> list[bytes]:
        out = []
        while data:
            if self._buf is None:
                _, found, data = data.partition(b"\xc0")
                if found:
                    self._buf = bytearray()
                continue
            part, found, data = data.partition(b"\xc0")
            self._buf += part
            if found:
                # An empty frame is the end of one whose start was lost: the next starts here.
                if self._buf:
                    out.append(bytes(self._buf).replace(b"\xdb\xdc", b"\xc0"))
                    out[-1] = out[-1].replace(b"\xdb\xdd", b"\xdb")
                    self._buf = None
            elif len(self._buf) > _MAX:
                self._buf = None
        return out
