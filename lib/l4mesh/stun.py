# floor 3: codecs
# STUN messages of the Binding method, read and written. RAM: 2 kB, with the first of them.
"""STUN (RFC 8489): "which address do you see me at?", 20 bytes, and the answer, 32 bytes.

    m = Message()
    m.read(buf, n)                 False: malformed, or its FINGERPRINT is wrong; forget it
    m.answer(buf, addr, out)       length of the answer to the request just read; 0: none
    m.mapped, m.code, m.unknown    of the answer just read
    ask(id12, out)                 a request with FINGERPRINT, 28 bytes

Attributes below 0x8000 must be understood: an unknown one in a request is answered by error 420,
which names it. Credentials are not ours to check (RFC 8489 12), so USERNAME, MESSAGE-INTEGRITY and
the like are passed over, and so is what follows an integrity.
Without the magic cookie it is a message of RFC 3489 (`old`): the answer carries MAPPED-ADDRESS
then, and there is none where such a request wants it to come from, or go to, another address.
"""

from binascii import crc32

from .compat import const
from .wire import put16, u16

REQUEST = const(0x0001)
SUCCESS = const(0x0101)
ERROR = const(0x0111)
OUT = const(64)  # room for the longest answer
ASK = const(28)

_HEAD = const(20)
_LONGEST = const(548)  # what needs no fragments anywhere (RFC 8489 6.1)
_ATTRIBUTES = const(16)  # more than that nobody has; it bounds the work for a stranger
_UNKNOWN = const(16)  # bytes: that many unknown types, two bytes each, are named
_MAPPED = const(0x0001)
_CHANGE_REQUEST = const(0x0003)
_INTEGRITY = const(0x0008)
_ERROR_CODE = const(0x0009)
_UNKNOWN_ATTRIBUTES = const(0x000A)
_INTEGRITY_SHA256 = const(0x001C)
_XOR_MAPPED = const(0x0020)
_FINGERPRINT = const(0x8028)
# MAPPED-ADDRESS USERNAME MESSAGE-INTEGRITY ERROR-CODE UNKNOWN-ATTRIBUTES REALM NONCE
# MESSAGE-INTEGRITY-SHA256 PASSWORD-ALGORITHM USERHASH XOR-MAPPED-ADDRESS
_KNOWN = (1, 6, 8, 9, 0xA, 0x14, 0x15, 0x1C, 0x1D, 0x1E, 0x20)
_OLD_ANSWERS = (2, 4, 5, 0xB)  # servers of RFC 3489 send these
_COOKIE = b"\x21\x12\xa4\x42"


def fingerprint(buf, n: int) -> bytes:
    """The value of FINGERPRINT behind buf[:n], whose length field counts it already."""
    # The sum is a heap object on a board; a few a second are no matter.
    return (crc32(memoryview(buf)[:n]) ^ 0x5354554E).to_bytes(4, "big")


def _close(b, n, marked):
    """Write the length, and FINGERPRINT if it is wanted -> length of the whole message."""
    end = n + 8 if marked else n
    put16(b, 2, end - _HEAD)
    if marked:
        put16(b, n, _FINGERPRINT)
        put16(b, n + 2, 4)
        b[n + 4 : end] = fingerprint(b, n)
    return end


def ask(id12: bytes, out) -> int:
    """Write a Binding request; FINGERPRINT tells it from other traffic on the port."""
    put16(out, 0, REQUEST)
    out[4:8] = _COOKIE
    out[8:20] = id12
    return _close(out, _HEAD, True)


class Message:
    def __init__(self):
        self.kind = 0
        self.old = False
        self.marked = False  # with a FINGERPRINT, and it was right
        self.mapped = None  # endpoint, 6 bytes
        self.code = 0  # of ERROR-CODE
        self.unknown = bytearray()  # types, 2 bytes each

    def read(self, buf, n: int) -> bool:
        """Take buf[:n] apart; of what was read before nothing is left."""
        self.marked = False
        self.mapped = None
        self.code = 0
        self.unknown = bytearray()
        if not _HEAD <= n <= _LONGEST or n & 3 or u16(buf, 2) != n - _HEAD:
            return False
        self.kind = u16(buf, 0)
        self.old = bytes(buf[4:8]) != _COOKIE
        o = _HEAD
        left = _ATTRIBUTES
        over = False  # what follows an integrity is not protected by it: ignored
        while o < n:
            kind = u16(buf, o)
            size = u16(buf, o + 2)
            value = o + 4
            end = value + ((size + 3) & ~3)
            left -= 1
            if end > n or left < 0:
                return False
            if kind == _FINGERPRINT and not self.old:
                if size != 4 or end != n or fingerprint(buf, o) != bytes(buf[value:end]):
                    return False
                self.marked = True
            elif not over:
                self._attribute(kind, buf, value, size)
                over = kind == _INTEGRITY or kind == _INTEGRITY_SHA256
            o = end
        return True

    def _attribute(self, kind, buf, o, size):
        if kind == _XOR_MAPPED or (kind == _MAPPED and self.mapped is None):
            if size == 8 and buf[o + 1] == 1:  # IPv4
                self.mapped = bytes(buf[o + 4 : o + 8]) + bytes(buf[o + 2 : o + 4])
                if kind == _XOR_MAPPED:
                    self.mapped = _crossed(self.mapped)
        elif kind == _ERROR_CODE:
            if size >= 4:
                self.code = (buf[o + 2] & 7) * 100 + buf[o + 3]
        elif kind == _CHANGE_REQUEST and self.old:
            if size != 4 or any(buf[o : o + 4]):
                self._refuse(kind)
        elif kind < 0x8000 and kind not in _KNOWN:
            if self.kind != SUCCESS or kind not in _OLD_ANSWERS:
                self._refuse(kind)

    def _refuse(self, kind):
        u = self.unknown
        for i in range(0, len(u), 2):
            if u16(u, i) == kind:
                return
        if len(u) < _UNKNOWN:
            u.extend(bytes((kind >> 8, kind & 255)))

    def answer(self, buf, addr: bytes, out) -> int:
        """Write the answer to the request in `buf`, for who sent it from `addr`; its length."""
        u = self.unknown
        if self.kind != REQUEST or (self.old and u):
            return 0
        out[:_HEAD] = buf[:_HEAD]
        put16(out, 0, ERROR if u else SUCCESS)
        o = _HEAD + 4
        if u:
            put16(out, _HEAD, _ERROR_CODE)
            put16(out, _HEAD + 2, 4)
            out[o : o + 4] = b"\x00\x00\x04\x14"  # 420, and no text: an answer stays short
            put16(out, o + 4, _UNKNOWN_ATTRIBUTES)
            put16(out, o + 6, len(u))
            o += 8
            out[o : o + len(u) + 2] = u + b"\x00\x00"
            return _close(out, o + ((len(u) + 3) & ~3), self.marked)
        put16(out, _HEAD, _MAPPED if self.old else _XOR_MAPPED)
        put16(out, _HEAD + 2, 8)
        seen = addr if self.old else _crossed(addr)
        out[o : o + 2] = b"\x00\x01"
        out[o + 2 : o + 4] = seen[4:]
        out[o + 4 : o + 8] = seen[:4]
        return _close(out, o + 8, self.marked)


def _crossed(b6):
    """An endpoint XORed with the cookie, so that no NAT on the way finds and changes it."""
    c = _COOKIE
    return bytes((
        b6[0] ^ c[0], b6[1] ^ c[1], b6[2] ^ c[2], b6[3] ^ c[3], b6[4] ^ c[0], b6[5] ^ c[1],
    ))  # fmt: skip
