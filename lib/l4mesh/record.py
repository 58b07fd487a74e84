# floor 3: codecs
# A node's signed record: 136 B, slow facts only (docs/protocol.md 3). RAM: none.
"""Reading, building and comparing records. A record is 136 bytes in a caller's buffer at an
offset.

`check_form` says what is wrong with a peer's record before any signature is looked at; the
signature itself is Ed25519 (RFC 8032) over DOMAIN + body and is checked by checker.py in slices.
"""

from hashlib import sha256

from .compat import const
from .endpoint import usable
from .wire import put16, put30, u16, u30

SIZE = const(136)
BODY = const(72)
LIMIT = const(200)
O_NET = const(2)
O_EPOCH = const(6)
O_COUNTER = const(10)
O_KEY = const(14)
O_TIER = const(46)
O_CAPS = const(47)
O_LAN = const(49)
O_PUBLIC = const(55)
O_RELAY = const(61)
O_LIFE = const(69)
DOMAIN = b"l4-record-v1\x00"
NO_ENDPOINT = bytes(6)

CAP_ANSWERS = const(1)
CAP_NAT = const(2)
CAP_RELAYS = const(4)
CAP_SLEEPS = const(8)
CAP_BLE = const(16)


def encode_body(buf, off, net, epoch, counter, key, tier, caps, lan, public, relay, life):
    """Write the 72 unsigned bytes of a record at buf[off:]; the caller signs DOMAIN + body."""
    if not 1 <= life <= 1440 or not 1 <= tier <= 4:
        raise ValueError("lifetime is 1 to 1440 minutes, tier 1 to 4; check the config")
    buf[off] = 0x52
    buf[off + 1] = 1
    buf[off + 2 : off + 6] = net
    put30(buf, off + O_EPOCH, epoch)
    put30(buf, off + O_COUNTER, counter)
    buf[off + O_KEY : off + O_TIER] = key
    buf[off + O_TIER] = tier
    put16(buf, off + O_CAPS, caps)
    buf[off + O_LAN : off + O_PUBLIC] = lan
    buf[off + O_PUBLIC : off + O_RELAY] = public
    buf[off + O_RELAY : off + O_LIFE] = relay
    put16(buf, off + O_LIFE, life)
    buf[off + 71] = 0


def _endpoint_ok(buf, off, loopback):
    b = bytes(buf[off : off + 6])
    return b == NO_ENDPOINT or usable(b, loopback)


def check_form(buf, off: int, n: int, net: bytes, loopback: bool = False) -> bool:
    """True when buf[off:off+n] has the form of a record of `net` (not yet its signature)."""
    if n != SIZE or buf[off] != 0x52 or buf[off + 1] != 1 or buf[off + 71] != 0:
        return False
    if bytes(buf[off + O_NET : off + O_EPOCH]) != net:
        return False
    if u30(buf, off + O_EPOCH) < 0 or u30(buf, off + O_COUNTER) < 0:
        return False
    if not 1 <= buf[off + O_TIER] <= 4 or not 1 <= u16(buf, off + O_LIFE) <= 1440:
        return False
    return _endpoint_ok(buf, off + O_LAN, loopback) and _endpoint_ok(buf, off + O_PUBLIC, loopback)


def id_of(buf, off: int) -> bytes:
    """Node id of the record: SHA-256("l4-id-v1" || public key)[:16]."""
    return sha256(b"l4-id-v1" + bytes(buf[off + O_KEY : off + O_TIER])).digest()[:16]


def hash_of(buf, off: int) -> bytes:
    """First 8 bytes of the record's SHA-256: what a HELLO names."""
    return sha256(bytes(buf[off : off + SIZE])).digest()[:8]


def newer(a, ao: int, b, bo: int) -> int:
    """1 when the record at a[ao:] is newer than the one at b[bo:], 0 same age, -1 older."""
    for o in range(O_EPOCH, O_KEY):
        d = a[ao + o] - b[bo + o]
        if d:
            return 1 if d > 0 else -1
    return 0


def signed_text(buf, off: int) -> bytes:
    """What the signature covers."""
    return DOMAIN + bytes(buf[off : off + BODY])
