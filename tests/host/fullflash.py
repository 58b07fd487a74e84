"""A flash that is full, on VfsLfs2: what is taken survives, what is refused is never stored.

    micropython tests/host/fullflash.py [soak]

A file of somebody else's grows until nothing fits; readings are pushed all the time, some batches
are acknowledged, boots come in between; then the file goes, and the rest is delivered.
"""

import os
import sys

import vfs

_here = sys.argv[0].rsplit("/", 1)[0] if "/" in sys.argv[0] else "."
sys.path.insert(0, _here + "/../../lib")
sys.path.insert(0, _here)

from cutflash import Flash  # noqa: E402
from l4mesh.counters import C_DROPPED, C_FLASH_FAIL, Counters  # noqa: E402
from l4mesh.prng import XorShift  # noqa: E402
from l4mesh.queue import Queue, encode_reading  # noqa: E402
from l4mesh_io.store_fs import FileSegments  # noqa: E402

MOUNT = "/full"
_one = bytearray(128)
_buf = bytearray(1200)


def entropy(n):
    return bytes(range(9, 9 + n))


class Upstream:
    """Stores by (queue, sequence); a number under two of them is doubled."""

    def __init__(self):
        self.stored = {}

    def deliver(self, q, batches, rng):
        """Some batches; of some the acknowledgement is lost."""
        q.rewind()
        for _ in range(batches):
            made = q.batch(_buf, 0, 1127)
            if made is None:
                return
            first, count, end = made
            off = 0
            for seq in range(first, first + count):
                k = _buf[off] + 1
                key = (q.id, seq)
                text = bytes(_buf[off + 10 : off + k])
                assert self.stored.get(key, text) == text, ("another reading under", key)
                self.stored[key] = text
                off += k
            assert off == end
            if rng.getrandbits(2):
                q.ack(q.id, ((first, first + count - 1),))


def life(seed):
    rng = XorShift(seed)
    flash = Flash(24)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), MOUNT)
    up = Upstream()
    taken = set()
    refused = full = boots = number = 0
    counters = Counters()

    def boot():
        q = Queue(FileSegments(MOUNT + "/q"), entropy, counters, 64)
        assert q.open()
        return q

    q = boot()
    for turn in range(8):
        other = open(MOUNT + "/other", "wb")
        try:
            while True:  # somebody fills the flash
                other.write(bytes(256 << (turn & 1)))
                other.flush()
        except OSError:
            full += 1
        try:
            other.close()
        except OSError:
            pass
        for _ in range(40 + rng.getrandbits(5)):
            number += 1
            text = b"n=%d %s" % (number, b"x" * rng.getrandbits(6))
            if q.push(_one, encode_reading(_one, 0, text, len(text), bytes(6))):
                taken.add(text)
            else:
                refused += 1
            if rng.getrandbits(5) == 0:
                up.deliver(q, 1 + rng.getrandbits(1), rng)
            if rng.getrandbits(6) == 0:
                boots += 1
                q = boot()
        if turn & 1:
            os.remove(MOUNT + "/other")
            for _ in range(5):
                number += 1
                text = b"n=%d" % number
                assert q.push(_one, encode_reading(_one, 0, text, len(text), bytes(6))), turn
                taken.add(text)
            while q.pending:
                up.deliver(q, 20, rng)
    assert counters.get(C_DROPPED) == 0 and counters.get(C_FLASH_FAIL) > 0
    vfs.umount(MOUNT)
    got = sorted(up.stored.values())
    lost = len(taken - set(got))
    doubled = len(got) - len(set(got))
    wrong = len(set(got) - taken)
    assert (lost, doubled, wrong) == (0, 0, 0), (seed, lost, doubled, wrong)
    return len(taken), refused, full, boots


def main():
    total = [0, 0, 0, 0]
    lives = 60 if "soak" in sys.argv else 6
    for seed in range(1, lives + 1):
        for i, n in enumerate(life(seed)):
            total[i] += n
    taken, refused, full, boots = total
    assert refused > lives and full >= 8 * lives and boots > lives
    print("ok full: %d taken, %d refused, %d boots; lost 0, doubled 0" % (taken, refused, boots))


main()
