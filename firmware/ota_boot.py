# floor 8: effects
# Which files a board starts with: the factory's in /, an update's in /ota/a or b. RAM: none.
"""Called by boot.py, before anything of an update is loaded; an update never replaces this file.

pick()         puts the update's folders first in sys.path and returns it ("" = factory files)
load(), save(state)   the state file, for the modules that stage and judge updates

/ota/state, format 1 (magic included); whatever is not exactly this means factory files:

    0 "L4O" 1 | 4 active | 5 pending | 6 tries left | 7 why | 8 highest counter seen 4
    12 counter of the pending or failed update 4 | 16 flags | 17 CRC-32 of 0..16

Slots: 0 factory, 1 /ota/a, 2 /ota/b. A pending one has 3 boots to be judged good (ota_judge.py);
each is counted on flash *before* it begins, and after the third the former files are back.
"""

import binascii
import os
import sys

O_ACTIVE = 4
O_PENDING = 5
O_TRIES = 6
O_WHY = 7
O_SEEN = 8
O_COUNTER = 12
O_FLAGS = 16
TRIES = 3
W_NONE = 0
W_TRIES = 1  # why an update was taken back: it never lived through its first minute

_HANG_MS = 120000
_SIZE = 21
_MAGIC = b"L4O\x01"


def folder(slot, root="/ota"):
    return root + ("/a" if slot == 1 else "/b")


def _crc(s):
    return (binascii.crc32(s[:17]) & 0xFFFFFFFF).to_bytes(4, "big")


def load(root="/ota"):
    """The state as a bytearray, or None."""
    try:
        with open(root + "/state", "rb") as f:
            s = bytearray(f.read(64))
    except OSError:
        return None
    if len(s) != _SIZE or s[:4] != _MAGIC or s[17:] != _crc(s):
        return None
    return s if s[O_ACTIVE] < 3 and s[O_PENDING] < 3 else None


def fresh():
    """The state of a board that never had an update."""
    return bytearray(_MAGIC + bytes(_SIZE - 4))


def save(s, root="/ota"):
    """Replace the state, whole or not at all. False when flash refuses."""
    s[17:] = _crc(s)
    try:
        with open(root + "/state.tmp", "wb") as f:
            f.write(s)
            f.flush()
        os.rename(root + "/state.tmp", root + "/state")
        return True
    except OSError:
        return False


def pick(root="/ota"):
    s = load(root)
    if s is None:
        return ""
    slot = _judge(s, root)
    if not slot:
        return ""
    path = folder(slot, root)
    try:
        os.stat(path + "/manifest")  # removed last when a slot is emptied
    except OSError:
        return ""
    sys.path.insert(0, path)
    sys.path.insert(0, path + "/lib")
    return path


def _judge(s, root):
    slot = s[O_PENDING]
    if slot:
        if s[O_TRIES]:
            s[O_TRIES] -= 1
            if save(s, root):  # a try that cannot be counted is none
                _watch()
                return slot
        else:
            back(s, W_TRIES, root)
    return s[O_ACTIVE]


def _watch():
    """What hangs before the firmware has its own watchdog is a bad try as well."""
    try:
        __import__("machine").WDT(timeout=_HANG_MS)
    except Exception:
        pass  # none here


def back(s, why, root="/ota"):
    """The pending update is given up; the former files are active still."""
    s[O_PENDING] = 0
    s[O_WHY] = why
    return save(s, root)
