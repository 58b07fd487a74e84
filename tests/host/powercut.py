"""The queue on VfsLfs2 over a flash that loses power at operation k. Runs on the unix port:

    micropython tests/host/powercut.py [soak]

One run of pushes and acknowledgements is recorded with every block operation. Then the flash is
rebuilt as it was after the first k operations, for every k, also with operation k half done, and
mounted and opened again. A second part cuts the power under a running queue, which sees OSErrors.
Prints "ok ..." lines; exit status 1 and a traceback on the first violation.
"""

import gc
import sys

import vfs

_here = sys.argv[0].rsplit("/", 1)[0] if "/" in sys.argv[0] else "."
sys.path.insert(0, _here + "/../../lib")
sys.path.insert(0, _here)

from cutflash import Flash  # noqa: E402
from l4mesh.counters import Counters  # noqa: E402
from l4mesh.prng import XorShift  # noqa: E402
from l4mesh.queue import Queue, encode_reading  # noqa: E402
from l4mesh_io.store_fs import FileSegments, FileStore  # noqa: E402

MOUNT = "/cut"
CAP = 2
_one = bytearray(128)
_buf = bytearray(1200)


def entropy(n):
    return bytes(range(7, 7 + n))


def push(q, i):
    data = b"n=%d %s" % (i, b"x" * (60 + i * 7 % 35))
    return q.push(_one, encode_reading(_one, 0, data, len(data), bytes(6)))


def drain(q):
    """{sequence: number}; asserts that no sequence comes twice."""
    got = {}
    q.rewind()
    while True:
        made = q.batch(_buf, 0, 1127)
        if made is None:
            return got
        first, count, end = made
        off = 0
        for seq in range(first, first + count):
            k = _buf[off] + 1
            assert seq not in got
            got[seq] = int(bytes(_buf[off + 12 : off + k]).split(b" ")[0])
            off += k
        assert off == end


class Told(FileSegments):
    """Notes which operations of the flash were an append, a rotation and a delete."""

    def __init__(self, folder, flash, kinds):
        FileSegments.__init__(self, folder)
        self._flash = flash
        self._kinds = kinds

    def append(self, no, buf, n):
        before = self._flash.ops
        ok = FileSegments.append(self, no, buf, n)
        self._note("rotate" if buf[0] == 76 else "append", before)
        return ok

    def delete(self, no):
        before = self._flash.ops
        ok = FileSegments.delete(self, no)
        self._note("delete", before)
        return ok

    def _note(self, kind, before):
        self._kinds[kind] = self._kinds.get(kind, 0) + self._flash.ops - before


def queue(flash=None, kinds=None):
    port = FileSegments(MOUNT + "/q") if flash is None else Told(MOUNT + "/q", flash, kinds)
    q = Queue(port, entropy, Counters(), CAP)
    return q, q.open()


class Story:
    """What happened, by number of operations: the truth that every cut is judged by."""

    def __init__(self):
        self.taken = []  # (operations done when push returned True, sequence, number)
        self.tried = []  # (operations done when push began, number)
        self.gone = []  # (operations done when it was acknowledged or dropped, sequence)
        self.drops = 0
        self.saved = []  # (operations before, after, value) of a key
        self.kinds = {}  # operations of each kind


def play(flash, steps, story):
    """Pushes, acknowledgements out of order, cap drops, key saves and two clean boots."""
    rng = XorShift(11)
    q, ok = queue(flash, story.kinds)
    store = FileStore(MOUNT + "/keys")
    assert ok
    live = []
    for i in range(steps):
        began = flash.ops
        story.tried.append((began, i))
        dropped = q.dropped
        assert push(q, i)
        story.taken.append((flash.ops, i, i))
        live.append(i)
        for _ in range(q.dropped - dropped):
            story.gone.append((began, live.pop(0)))
            story.drops += 1
        if rng.getrandbits(3) == 0:
            first = max(i - rng.getrandbits(6), 0)  # few at first, so that the cap drops some
            last = min(first + rng.getrandbits(3 if i < steps // 2 else 6), i)
            for seq in range(first, last + 1):
                if seq in live:
                    live.remove(seq)
                    story.gone.append((flash.ops, seq))
            q.ack(q.id, ((first, last),))
        if i % 20 == 10:
            value = b"epoch %d" % i
            began = flash.ops
            assert store.save("epoch", value)
            story.saved.append((began, flash.ops, value))
        if i in (steps // 3, steps * 2 // 3):
            q, ok = queue(flash, story.kinds)
            assert ok
            live = sorted(drain(q))  # acknowledged, not freed: there again
            again = set(live)
            story.gone = [g for g in story.gone if g[1] not in again]
    return q


def verify(k, story, go_on):
    """The flash is mounted as a cut at operation k left it."""
    q, ok = queue()
    assert ok
    got = drain(q)
    must = set(seq for at, seq, _ in story.taken if at <= k)
    top = max(must) if must else -1
    for at, seq in story.gone:
        if at <= k:
            must.discard(seq)
    tried = set(i for at, i in story.tried if at <= k)
    assert all(seq in got for seq in must), ("lost", k, sorted(must - set(got)))
    for seq, number in got.items():
        assert seq == number and number in tried, ("invented", k, seq, number)
    assert q.dropped == 0 or len(got) >= len(must)
    want = (None,)
    for began, done, value in story.saved:
        if done <= k:
            want = (value,)
        elif began <= k:
            want += (value,)
    assert FileStore(MOUNT + "/keys").load("epoch") in want, ("key", k)
    if not go_on:
        return
    # It goes on: new readings, new numbers, and they survive a clean boot.
    new = {}
    for i in range(900, 903):
        before = q._s.next
        assert push(q, i) and before > top and before not in got and before not in new
        new[before] = i
    q, ok = queue()
    after = drain(q)
    assert ok and all(after.get(seq) == i for seq, i in new.items())
    for seq, number in after.items():
        assert new.get(seq, got.get(seq)) == number, ("changed", k, seq)


def mounted(flash, body, *args):
    vfs.mount(vfs.VfsLfs2(flash), MOUNT)
    try:
        return body(*args)
    finally:
        vfs.umount(MOUNT)


def replay(steps, soak):
    """All cuts of one recorded run, clean and half done."""
    flash = Flash()
    vfs.VfsLfs2.mkfs(flash)
    image = Flash()
    image.data[:] = flash.data
    flash.ops = 0
    flash.log = []
    story = Story()
    q = mounted(flash, play, flash, steps, story)
    total = flash.ops
    assert total == len(flash.log) and story.drops and q.segments > 1
    log = flash.log
    trial = Flash()
    cuts = 0
    for k in range(total + 1):
        for half in (False, True):
            if half and k == total:
                continue
            trial.data[:] = image.data
            if half:
                trial.apply(log[k][0], log[k][1], True)
            mounted(trial, verify, k, story, soak or cuts % 4 == 0)
            cuts += 1
        if k < total:
            image.apply(log[k][0], log[k][1], False)
        if k & 31 == 0:
            gc.collect()
    print("ok replay: %d steps, %d operations, %d cuts" % (steps, total, cuts))
    kinds = story.kinds  # every one of these operations was cut before, half way, and after
    print("ok kinds: append %(append)d rotate %(rotate)d delete %(delete)d" % kinds)
    return total


def under_way(steps, total, every):
    """Cuts under a running queue: it refuses, raises nothing, and loses nothing."""
    blank = Flash()
    vfs.VfsLfs2.mkfs(blank)
    cuts = 0
    for k in range(1, total, every):
        flash = Flash()
        flash.data[:] = blank.data
        flash.cut = k
        flash.half = bool(cuts & 1)
        taken, acked = mounted(flash, run_until_cut, flash, steps)
        after = Flash()  # files still open on the dead one can do nothing to it
        after.data[:] = flash.data
        mounted(after, after_cut, taken, acked)
        cuts += 1
        gc.collect()
    print("ok under way: %d cuts" % cuts)


def run_until_cut(flash, steps):
    rng = XorShift(k_seed(flash.cut))
    q, ok = queue()
    taken, acked = {}, set()
    refused = 0
    for i in range(steps * 2):
        seq = q._s.next
        dropped = q.dropped
        if push(q, i):
            assert flash.ops <= flash.cut and seq not in taken
            taken[seq] = i
        else:
            refused += 1
        for _ in range(q.dropped - dropped):
            acked.add(min(s for s in taken if s not in acked))
        if rng.getrandbits(3) == 0 and taken:
            first = rng.getrandbits(30) % (max(taken) + 1)
            q.ack(q.id, ((first, first + 9),))
            acked.update(s for s in range(first, first + 10) if s in taken)
        if refused > 3:
            q.rewind()
            assert q.batch(_buf, 0, 1127) is None or q.pending
            break
    assert refused or flash.ops <= flash.cut
    return taken, acked


def k_seed(k):
    return 1 + k * 2654435 % 1000003


def after_cut(taken, acked):
    q, ok = queue()
    got = drain(q)
    assert ok
    lost = [seq for seq in sorted(taken) if seq not in acked and seq not in got]
    # The cut may fall between a new segment and the drop of the oldest: then the boot drops it.
    assert len(lost) <= q.dropped and lost == sorted(set(taken) - acked)[: len(lost)], lost
    for seq, number in taken.items():
        assert got.get(seq, number) == number, ("changed", seq)
    top = max(taken) if taken else -1
    assert q._s.next > top and push(q, 5000) and drain(q)[max(drain(q))] == 5000


def main():
    soak = "soak" in sys.argv
    steps = 300 if soak else 170
    total = replay(steps, soak)
    under_way(steps, total, 3 if soak else 29)
    return 0


sys.exit(main())
