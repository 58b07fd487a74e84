# floor 4: tables
# The 31-byte Bluetooth advertisement: made, found, checked, read. RAM: 0.8 kB a group key.
"""What a node says of itself over Bluetooth, in one legacy advertisement (docs/protocol.md 11):

    02 01 06 | 1b ff company 2 (little endian) | 24 bytes:
    0 version 4 bits, mode 4 bits* | 1 tag 2 | 3 salt 2 | 5 ephemeral id 4 | 9 endpoint 6*
    15 sequence 2 | 17 first byte of the record's hash* | 18 MAC 6            (* masked)

The salt is random and new with every new address, so no two boards need a clock in common. Of the
AES block P = E(address, salt, ephemeral id, sequence) the first bytes are the tag, which nobody
outside makes for another sequence and which costs a board one call to check, the others the masks.
MAC: HMAC-SHA256 over address and bytes 0 to 17. It proves a member of the network, not which one.

    a = Advert(group_key)
    a.pack(out, addr, ident, seq, mode, endpoint, first)      out[:31]; ident = salt + a.name(..)
    o = payload(data, n, company)       where the 24 bytes begin; below 0 when it is none of ours
    a.tagged(addr, data, o)             then a.good(addr, data, o)
    a.mode, a.endpoint(), a.first       of what passed tagged() last

Peer data never raises. Source: Bluetooth Core 5.3, Vol 3, Part C, 11 (AD structures).
"""

from .compat import aes_ecb, const
from .keys import hkdf
from .mac import Mac

SIZE = const(31)
IDENT = const(3)  # offsets in the 24 bytes: salt and ephemeral id,
SEQ = const(15)
MAC = const(18)
TEST_COMPANY = const(0xFFFF)  # free for tests; who ships boards gets one from the Bluetooth SIG

_VERSION = const(0x10)
_MAKER = const(0xFF)  # AD type: data of a manufacturer
_LEN = const(24)

NOT_OURS = const(-1)
MALFORMED = const(-2)
OTHER_VERSION = const(-3)


def payload(data, n: int, company: int = TEST_COMPANY) -> int:
    """Offset of our 24 bytes in the AD structures data[:n], or a negative code."""
    i = 0
    while i + 1 < n:
        size = data[i]
        if size == 0:  # the rest is padding
            return NOT_OURS
        if i + 1 + size > n:
            return MALFORMED
        if size == _LEN + 3 and data[i + 1] == _MAKER:
            if data[i + 2] | data[i + 3] << 8 == company:
                return i + 4 if data[i + 4] & 0xF0 == _VERSION else OTHER_VERSION
        i += 1 + size
    return NOT_OURS


class Advert:
    def __init__(self, group_key: bytes, company: int = TEST_COMPANY):
        if not 0 <= company <= 0xFFFF:
            raise ValueError("a company id has 16 bits; see ble_company in the settings")
        self.company = company
        self._aes = aes_ecb(hkdf(group_key, b"l4-ble-v1")[:16])
        self._mac = Mac(hkdf(group_key, b"l4-ble-mac-v1"))
        self._block = bytearray(16)
        self._text = bytearray(6 + MAC)
        self._pad = bytes(16)
        self.mode = 0
        self.first = 0
        self._masked = bytearray(6)

    def name(self, salt: bytes, short_id: bytes) -> bytes:
        """The ephemeral id, 4 bytes, of the node `short_id` while it uses `salt`."""
        b = self._block
        b[0:2] = salt
        b[2:10] = short_id
        b[10:16] = b"\0\0\0\0\0\2"
        return bytes(self._aes(b)[:4])

    def _open(self, addr, data, o):
        b = self._block
        b[0:6] = addr
        b[6:12] = data[o + 3 : o + 9]
        b[12:14] = data[o + 15 : o + 17]
        b[14:16] = b"\0\1"
        self._pad = self._aes(b)

    def pack(self, out, addr, ident, seq, mode, endpoint, first) -> None:
        """Write the advertisement to out[:31]. `ident`: salt 2, ephemeral id 4; `first`: the
        first byte of the own record's hash. New content wants a new `seq`."""
        if len(out) < SIZE or len(addr) != 6 or len(ident) != 6 or len(endpoint) != 6:
            raise ValueError("an advertisement wants 31 bytes, and 6 of address, ident, endpoint")
        out[0:7] = b"\2\1\6\x1b\xff" + bytes((self.company & 255, self.company >> 8))
        out[7 + IDENT : 7 + IDENT + 6] = ident
        out[7 + SEQ] = seq >> 8 & 255
        out[8 + SEQ] = seq & 255
        self._open(addr, out, 7)
        p = self._pad
        out[7] = _VERSION | (mode ^ p[9]) & 15
        out[8] = p[0]
        out[9] = p[1]
        for k in range(6):
            out[16 + k] = endpoint[k] ^ p[2 + k]
        out[24] = first ^ p[8]
        out[25:31] = self._tag(addr, out, 7)[:6]

    def _tag(self, addr, data, o):
        self._text[:6] = addr
        self._text[6:] = data[o : o + MAC]
        return self._mac.tag(self._text)

    def tagged(self, addr: bytes, data, o: int) -> bool:
        """Is the tag that of our network? `addr`: the 6 bytes it was sent from."""
        self._open(addr, data, o)
        p = self._pad
        if p[0] != data[o + 1] or p[1] != data[o + 2]:
            return False
        self.mode = (data[o] ^ p[9]) & 15
        self.first = data[o + 17] ^ p[8]
        for k in range(6):
            self._masked[k] = data[o + 9 + k] ^ p[2 + k]
        return True

    def endpoint(self) -> bytes:
        """IPv4 and port; zeros: no WiFi."""
        return bytes(self._masked)

    def good(self, addr: bytes, data, o: int) -> bool:
        """Was it made by a member of our network, for this address? Four SHA blocks."""
        t = self._tag(addr, data, o)
        o += MAC
        d = t[0] ^ data[o] | t[1] ^ data[o + 1] | t[2] ^ data[o + 2] | t[3] ^ data[o + 3]
        return d | t[4] ^ data[o + 4] | t[5] ^ data[o + 5] == 0
