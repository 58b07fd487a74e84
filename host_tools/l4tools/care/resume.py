"""Where a restored node goes on: behind all that it may have used up since the backup was made.

An epoch must never come again: peers would refuse its frames as old, and what it seals would be
sealed with a key stream that was used before. Nor a sequence of its queue: L1 would take the new
reading for one that it has, and acknowledge it.
"""

from binascii import crc32
from struct import pack

from l4mesh.counters import Counters
from l4mesh.queue import Queue

from ..flash import keep

_BOOTS = 1 << 16
_READINGS = 1 << 20
_TOP = (1 << 30) - 1


def keys(kept: dict[str, bytes], now: dict[str, bytes]) -> dict[str, bytes]:
    """Keys to write, of a backup, onto a board that has the keys `now`."""
    out = dict(kept)
    same = kept.get("public") == now.get("public")
    if same and kept.get("network") == now.get("network"):
        out["group"] = now.get("group", kept.get("group", b""))  # it may have been rotated
        if not out["group"]:
            del out["group"]
    if "epoch" in out:
        epoch = int.from_bytes(out["epoch"], "big")
        if same:
            epoch = max(epoch, int.from_bytes(now.get("epoch", b""), "big"))
        else:
            epoch = min(epoch + _BOOTS, _TOP - 1)
        out["epoch"] = epoch.to_bytes(4, "big")
    return out


def queue(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files to add to a queue's, so that its next reading has a sequence far behind the last."""
    port = keep.Segments(files)
    if not port.files:
        return {}
    found = Queue(port, lambda n: bytes(n), Counters(), 64)
    found.open()
    if found.id is None:
        return {}
    # A segment without a reading; a number is left out before it, so nothing counts as lost.
    number = max(port.files) + 2
    first = min(found._s.next + _READINGS, _TOP - 1)
    head = pack(">4sI8sI", b"L4Q\x01", number, found.id, first)
    return {"queue/%08x.l4q" % number: head + crc32(head).to_bytes(4, "big")}
