# floor 3: codecs
# What an update says of itself: files, hashes, version, target, signature. RAM: its bytes.
"""The manifest of a bundle (docs/ota.md), kept as bytes: a board has no room for lists of files.

     0 "L4O" 1 | 4 version counter 4 (1 to 2**30 - 1) | 8 bytes of all files 4
    12 least MicroPython: major, minor | 14 .mpy format | 15 number of files 1 to 255
    16 length, target ("any", "esp32", "esp32c3" ..) | length, name of the version
       each file: length, path | size 3 | SHA-256 32     paths ascending
       signature 64: Ed25519 by the owner over "l4-ota-v1" 00 SHA-256(what is before)

Paths are `name.mpy` with at most two folders, lower case letters, digits and _, nothing else:
no "..", no drive, no place to hide. What the board starts with is never among them.
"""

from hashlib import sha256

from .compat import const
from .wire import u30

MAX = const(14336)
MAX_TOTAL = const(786432)
SIGNATURE = const(64)
HEAD = const(16)
_MAX_FILES = const(255)
_MAX_PATH = const(48)
_MAX_TEXT = const(32)
_GOOD = b"abcdefghijklmnopqrstuvwxyz0123456789_/"
# Started by name before any update is looked at; these stay what the factory put there.
FACTORY = ("boot.mpy", "main.mpy", "safe_mode.mpy", "ota_boot.mpy")

# Why a node wants nothing: the code of a WANT that asks for nothing (docs/protocol.md 4).
N_HAVE = const(0)  # it runs this version
N_SOON = const(1)  # it is there and verified: the node starts it, or is trying it
N_OLD = const(2)  # not above the highest counter it has seen
N_BUSY = const(3)  # something else is under way
N_OWNER = const(4)  # no owner's key in its store
N_FORM = const(5)
N_SIGNATURE = const(6)
N_TARGET = const(7)  # another chip, an older MicroPython, another .mpy format
N_ROOM = const(8)
N_HASH = const(9)  # a file was not what the manifest says, three times
N_FLASH = const(10)
N_EXTRA = const(11)  # a file in the slot that is not in the manifest
N_LATER = const(12)  # it refused something a moment ago and rests
N_WORK = const(13)  # this very bundle is under way


def counter(m) -> int:
    return u30(m, 4)


def total(m) -> int:
    return u30(m, 8)


def text(m, i: int) -> str:
    """0: the target, 1: the name of the version."""
    o = HEAD
    while i:
        o += 1 + m[o]
        i -= 1
    return bytes(m[o + 1 : o + 1 + m[o]]).decode()


def bundle_id(m) -> bytes:
    """16 bytes that stand for this manifest and all that it names."""
    return sha256(m).digest()[:16]


def signed_text(m) -> bytes:
    return b"l4-ota-v1\x00" + sha256(m[:-SIGNATURE]).digest()


def files(m):
    """(path, size, offset of its hash) of each file of a manifest that was checked."""
    o = HEAD
    o += 1 + m[o]
    o += 1 + m[o]
    for _ in range(m[15]):
        n = m[o]
        path = bytes(m[o + 1 : o + 1 + n]).decode()
        o += 1 + n
        yield path, m[o] << 16 | m[o + 1] << 8 | m[o + 2], o + 3
        o += 35


def good_path(p: bytes) -> bool:
    if not 5 <= len(p) <= _MAX_PATH or p[-4:] != b".mpy":
        return False
    for c in p[:-4]:
        if c not in _GOOD:
            return False
    for part in p[:-4].split(b"/"):
        if not part:
            return False
    return p.count(b"/") <= 2


def _text_end(m, o, end):
    """After a length and so many printable bytes; -1 when that is not what stands there."""
    if o >= end or m[o] > _MAX_TEXT or o + 1 + m[o] > end:
        return -1
    for c in m[o + 1 : o + 1 + m[o]]:
        if not 32 <= c < 127:
            return -1
    return o + 1 + m[o]


def well_formed(m) -> bool:
    """Any bytes: is it a manifest, and nothing more? The signature is not looked at."""
    end = len(m) - SIGNATURE
    if not HEAD + 2 < end <= MAX - SIGNATURE or m[:4] != b"L4O\x01":
        return False
    if counter(m) < 1 or not 0 < total(m) <= MAX_TOTAL or not 1 <= m[15] <= _MAX_FILES:
        return False
    o = _text_end(m, HEAD, end)
    o = _text_end(m, o, end) if o > HEAD + 1 else -1  # an empty target is none
    return o > 0 and _good_files(m, o, end)


def _good_files(m, o, end):
    last = b""
    rest = total(m)
    for _ in range(m[15]):
        if o >= end or o + 36 + m[o] > end:
            return False
        p = bytes(m[o + 1 : o + 1 + m[o]])
        o += 1 + m[o]
        size = m[o] << 16 | m[o + 1] << 8 | m[o + 2]
        if p <= last or not good_path(p) or not size or p.decode() in FACTORY:
            return False
        last = p
        rest -= size
        o += 35
    return rest == 0 and o == end
