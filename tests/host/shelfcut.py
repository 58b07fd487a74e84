"""A custodian's shelf on VfsLfs2 over a flash that loses power at operation k. On the unix port:

    micropython tests/host/shelfcut.py [soak]

One run of blobs taken and done is recorded with every block operation. Then the flash is rebuilt
as it was after the first k operations, for every k, also with operation k half done, mounted and
opened: every blob that was taken (add said True, so a receipt may have left) and not done is
there, nothing else is but what was tried, and it goes on. Exit status 1 on the first violation.
"""

import gc
import sys
from hashlib import sha256

import vfs

_here = sys.argv[0].rsplit("/", 1)[0] if "/" in sys.argv[0] else "."
sys.path.insert(0, _here + "/../../lib")
sys.path.insert(0, _here)

from cutflash import Flash  # noqa: E402
from l4mesh.prng import XorShift  # noqa: E402
from l4mesh.shelf import Shelf  # noqa: E402
from l4mesh_io.store_fs import FileSegments  # noqa: E402

MOUNT = "/cut"


def blob(i):
    n = 56 + i * 211 % 1077
    body = bytes((i % 5 + 1,)) * 16 + b"queue-id" + bytes((0, 0, i >> 8, i & 255, 1))
    return body + (sha256(body).digest() * 36)[: n - len(body)]


def shelf():
    s = Shelf(FileSegments(MOUNT + "/kept"))
    assert s.open()
    return s


def held(s):
    """The numbers of the blobs on the shelf; each must be whole."""
    out = []
    for e in s.list:
        b = bytearray(e[2])
        assert s.read(e, b, 0) == e[2]
        i = b[26] << 8 | b[27]
        assert bytes(b) == blob(i), i
        out.append(i)
    assert len(set(out)) == len(out)
    return out


def play(flash, steps, story):
    """`story`: [operations when it began, when it was taken, when it was done; per blob]"""
    rng = XorShift(3)
    s = shelf()
    for i in range(steps):
        b = blob(i)
        began = flash.ops
        if s.room(b, 0, len(b)):
            assert s.add(b, 0, len(b))
            story[i] = [began, flash.ops, None]
        while s.list and (rng.getrandbits(2) == 0 or not s.room(blob(i + 1), 0, 1132)):
            e = s.list[rng.getrandbits(8) % len(s.list)]
            seq = e[3][26] << 8 | e[3][27]
            story[seq][2] = flash.ops  # from here on it may be gone
            s.done(e)
        if i in (steps // 3, steps * 2 // 3):
            s = shelf()
            for again in held(s):
                story[again][2] = None  # its segment was not all done: delivered once more
    return s


def verify(k, story):
    s = shelf()
    got = held(s)
    for i, (began, taken, done) in story.items():
        if taken <= k and (done is None or k <= done):
            assert i in got, ("lost", k, i)
        if i in got:
            assert began <= k, ("invented", k, i)
    new = blob(900)
    if s.room(new, 0, len(new)):
        assert s.add(new, 0, len(new))
        assert held(shelf()) == got + [900], ("spoiled", k)


def mounted(flash, body, *args):
    vfs.mount(vfs.VfsLfs2(flash), MOUNT)
    try:
        return body(*args)
    finally:
        vfs.umount(MOUNT)


def main(steps):
    flash = Flash()
    vfs.VfsLfs2.mkfs(flash)
    image = Flash()
    image.data[:] = flash.data
    flash.ops = 0
    flash.log = []
    story = {}
    mounted(flash, play, flash, steps, story)
    log = flash.log
    assert len(story) > steps // 2 and any(s[2] for s in story.values())
    trial = Flash()
    cuts = 0
    for k in range(len(log) + 1):
        for half in (False, True):
            if half and k == len(log):
                continue
            trial.data[:] = image.data
            if half:
                trial.apply(log[k][0], log[k][1], True)
            mounted(trial, verify, k, story)
            cuts += 1
        if k < len(log):
            image.apply(log[k][0], log[k][1], False)
        if k & 31 == 0:
            gc.collect()
    print("ok shelf: %d blobs, %d operations, %d cuts" % (len(story), len(log), cuts))


main(120 if "soak" in sys.argv else 40)
