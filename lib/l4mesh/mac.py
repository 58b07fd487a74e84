# floor 3: codecs
# HMAC-SHA256 with the key's pads kept: 4 SHA blocks for a short frame. RAM: 250 B a key.
"""HMAC-SHA256 (RFC 2104), the shape the hot path wants.

A `Mac` keeps both padded key blocks. `tag(mv)` takes a memoryview of what is signed and
returns 32 bytes; `good(mv, buf, off)` compares the first 16 with buf[off:off+16] in a time that
does not depend on where they differ.
"""

from hashlib import sha256


class Mac:
    def __init__(self, key: bytes):
        if len(key) != 32:
            raise ValueError("a tag key has 32 bytes; derive it with keys.mac_key()")
        self._inner = bytes([b ^ 0x36 for b in key]) + b"\x36" * 32
        # Outer block and room for the inner digest, so that one call hashes both.
        self._outer = bytearray(bytes([b ^ 0x5C for b in key]) + b"\x5c" * 32 + bytes(32))
        self._digest = memoryview(self._outer)[64:]

    def tag(self, mv) -> bytes:
        h = sha256(self._inner)
        h.update(mv)
        self._digest[:] = h.digest()
        return sha256(self._outer).digest()

    def good(self, mv, buf, off: int) -> bool:
        mv = self.tag(mv)
        # Written out, and few locals: a loop would take half as long again.
        d = mv[0] ^ buf[off] | mv[1] ^ buf[off + 1] | mv[2] ^ buf[off + 2] | mv[3] ^ buf[off + 3]
        off += 4
        d |= mv[4] ^ buf[off] | mv[5] ^ buf[off + 1] | mv[6] ^ buf[off + 2] | mv[7] ^ buf[off + 3]
        off += 4
        d |= (
            mv[8] ^ buf[off] | mv[9] ^ buf[off + 1] | mv[10] ^ buf[off + 2] | mv[11] ^ buf[off + 3]
        )
        off += 4
        d |= (
            mv[12] ^ buf[off]
            | mv[13] ^ buf[off + 1]
            | mv[14] ^ buf[off + 2]
            | mv[15] ^ buf[off + 3]
        )
        return d == 0
