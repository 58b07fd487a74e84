# floor 2: values
# Addresses and node ids as bytes, and as text for people. RAM: none.
"""An endpoint is 6 bytes, IPv4 then port, big endian: hashable, and as it stands on the wire.

`usable` is what a peer may claim as its address; everything else could make a node send to
a crowd (multicast, broadcast), to itself, or to a system service (ports below 1024).
"""

from binascii import hexlify, unhexlify


def _number(text, top):
    """Plain decimal 0..top without leading zeros, or -1."""
    if not 0 < len(text) < 6 or (text[0] == "0" and len(text) > 1):
        return -1
    for c in text:
        if not "0" <= c <= "9":
            return -1
    value = int(text)
    return value if value <= top else -1


def parse_endpoint(text: str) -> bytes:
    """ "192.168.1.5:4104" -> 6 bytes. ValueError says what is wrong."""
    host, _, port = text.partition(":")
    parts = [_number(p, 255) for p in host.split(".")]
    number = _number(port, 65535)
    if len(parts) != 4 or min(parts) < 0 or number < 1:
        raise ValueError("%r is no endpoint; write it like 192.168.1.5:4104." % text)
    return bytes(parts) + bytes((number >> 8, number & 255))


def format_endpoint(b6: bytes) -> str:
    """6 bytes -> "192.168.1.5:4104"."""
    return "%d.%d.%d.%d:%d" % (b6[0], b6[1], b6[2], b6[3], (b6[4] << 8) | b6[5])


def usable(b6: bytes, loopback: bool = False) -> bool:
    """True for a unicast address with a port of 1024 or above; 127/8 only with `loopback`.

    Host numbers 0 and 255 count as broadcast: the mask is not known, /24 is what LANs use.
    """
    if len(b6) != 6 or b6[4] < 4:
        return False
    a = b6[0]
    if a == 127:
        return loopback
    if not 0 < a < 224 or (a == 169 and b6[1] == 254):
        return False
    return 0 < b6[3] < 255


def same_lan(a6: bytes, b6: bytes) -> bool:
    """True when both are in the same /24."""
    return a6[2] == b6[2] and a6[1] == b6[1] and a6[0] == b6[0]


def id_text(b: bytes) -> str:
    """An id, or a prefix of one, as lower-case hex."""
    return hexlify(b).decode()


def parse_id(text: str) -> bytes:
    """32 hex digits -> the 16 bytes of a node id. ValueError says what is wrong."""
    try:
        b = unhexlify(text)
    except ValueError:
        b = b""
    if len(b) != 16:
        raise ValueError("%r is no node id; it has 32 hex digits." % text)
    return b
