"""Updates on VfsLfs2 over a flash that loses power at operation k. Runs on the unix port:

    micropython tests/host/otacut.py [soak]

A life of a board is recorded with every block operation: an update that is staged, tried and good;
one that is interrupted, goes on, fails three boots and is taken back; one more that is good; one
that nobody hears. Then the flash is rebuilt as it was after the first k operations, for every k,
also with operation k half done, and booted: what pick() chooses must be whole, with every hash of
its manifest right, and must be the version that counted then. From every fourth cut it goes on:
the next update is staged, tried and good. A second part cuts the power under the running machine.
Prints "ok ..." lines; exit status 1 and a traceback on the first violation.
"""

import gc
import os
import sys
from hashlib import sha256

import vfs

_here = sys.argv[0].rsplit("/", 1)[0] if "/" in sys.argv[0] else "."
for _folder in ("/../../lib", "/../../firmware", "/../sim", ""):
    sys.path.insert(0, _here + _folder)

import ota_boot  # noqa: E402
from cutflash import Flash  # noqa: E402
from l4mesh import ota_manifest  # noqa: E402
from l4mesh.ota_stage import DONE, FAILED, WANTS, Stage  # noqa: E402
from l4mesh_io.ota_fs import OtaFs  # noqa: E402
from l4mesh_io.store_ram import RamStore  # noqa: E402
from otakit import HERE, PUBLIC, Said, bundle  # noqa: E402

BLOCKS = 64
MOUNT = "/cut"
ROOT = MOUNT + "/ota"


def made(counter):
    files = {
        "app.mpy": bytes((counter,)) * 90,
        "lib/l4mesh/core.mpy": bytes((counter + 1,)) * 5000,
        "supervisor.mpy": bytes((counter + 2,)) * 1500,
    }
    return bundle(counter, files, real=False)


BUNDLES = {counter: made(counter) for counter in (1, 2, 3, 4, 9)}
BUNDLES[4] = bundle(4, {"app.mpy": b"alone"}, real=False)


class Story:
    """What happened, by number of operations: the truth that every cut is judged by."""

    def __init__(self, flash, keys):
        self.flash = flash
        self.keys = keys
        self.saves = []  # (operations before, after, version that a boot would take from then on)
        self.nvs = [(0, 0)]  # (operations, counter)

    def choice(self):
        s = ota_boot.load(ROOT)
        if s is None:
            return 0
        slot = s[ota_boot.O_PENDING] if s[ota_boot.O_TRIES] else 0
        slot = slot or s[ota_boot.O_ACTIVE]
        return version(slot) if slot else 0

    def noted(self, action, *args):
        """Run what may write the state."""
        began = self.flash.ops
        result = action(*args)
        self.saves.append((began, self.flash.ops, self.choice()))
        kept = self.keys.load("otaseen")
        self.nvs.append((self.flash.ops, kept[3] if kept else 0))
        return result


def version(slot):
    with open(ota_boot.folder(slot, ROOT) + "/manifest", "rb") as f:
        return ota_manifest.counter(f.read())


def pick():
    """What a boot chooses: 0 factory, 1, 2."""
    before = sys.path[:]
    at = ota_boot.pick(ROOT)
    sys.path[:] = before
    return {"": 0, "/a": 1, "/b": 2}[at[len(ROOT) :]]


def stage(counter, keys, until=None):
    """Pull a bundle; `until`: bytes after which the board restarts. The stage, and its story."""
    manifest, data = BUNDLES[counter]
    s = Stage(
        OtaFs(keys, ROOT), manifest, ota_manifest.bundle_id(manifest), PUBLIC, Said(True), HERE
    )
    for _ in range(4000):
        if s.at in (DONE, FAILED):
            return s
        if s.at == WANTS:
            if until is not None and s.done >= until:
                return s
            s.append(memoryview(data)[s.done : s.done + s.need])
        else:
            s.step(lambda: 1)
    raise AssertionError("it never ends")


def judged(good):
    """The judge's part (firmware/ota_judge.py)."""
    s = ota_boot.load(ROOT)
    if s is None:
        return False
    if not good:
        return ota_boot.back(s, 2, ROOT)
    s[ota_boot.O_ACTIVE] = s[ota_boot.O_PENDING]
    s[ota_boot.O_PENDING] = 0
    return ota_boot.save(s, ROOT)


def life(story):
    """The whole of it; what a boot takes at its end."""
    keys = story.keys
    assert story.noted(stage, 1, keys).at == DONE
    assert story.noted(pick) == 1 and story.noted(judged, True)
    story.noted(stage, 2, keys, 3000)
    assert story.noted(stage, 2, keys).at == DONE
    for _ in range(3):
        assert story.noted(pick) == 2
    assert story.noted(pick) == 1  # taken back
    assert story.noted(stage, 3, keys).at == DONE
    assert story.noted(pick) == 2 and story.noted(judged, True)
    assert story.noted(stage, 4, keys).at == DONE
    assert story.noted(pick) == 1 and story.noted(judged, False)
    assert story.noted(pick) == 2


def whole(slot):
    """Every file of the slot has the hash of its manifest, and no other is there."""
    manifest = OtaFs(RamStore(), ROOT).manifest(slot)
    assert ota_manifest.well_formed(manifest)
    paths = []
    for path, size, o in ota_manifest.files(manifest):
        with open(ota_boot.folder(slot, ROOT) + "/" + path, "rb") as f:
            data = f.read()
        assert len(data) == size and sha256(data).digest() == manifest[o : o + 32], path
        paths.append(path)
    assert sorted(OtaFs(RamStore(), ROOT).walk(slot)) == paths
    # An empty folder of a package would hide the factory's.
    has_lib = "lib" in os.listdir(ota_boot.folder(slot, ROOT))
    assert has_lib == any([p[:4] == "lib/" for p in paths])
    return ota_manifest.counter(manifest)


def allowed(k, story):
    """Versions that a board may run whose power was cut at operation k."""
    good = {0}
    for began, done, choice in story.saves:
        if done <= k:
            good = {choice}
        elif began <= k:
            good.add(choice)
    return good


def verify(k, story, go_on):
    """The flash is mounted as a cut at operation k left it."""
    slot = pick()
    runs = whole(slot) if slot else 0
    assert runs in allowed(k, story), (k, runs, allowed(k, story))
    if not go_on:
        return
    # It goes on from here: what was on trial gets its judgement, the next one its turn.
    state = ota_boot.load(ROOT)
    if state is not None and state[ota_boot.O_PENDING]:
        assert judged(k & 8)
    keys = RamStore()
    seen = [n for at, n in story.nvs if at <= k][-1]
    if seen:
        keys.save("otaseen", bytes((0, 0, 0, seen)) + sha256(b"").digest()[:4])
    s = stage(9, keys)
    assert s.at == DONE, (k, s.code)
    slot = pick()
    assert slot and whole(slot) == 9
    assert judged(True) and pick() == slot and whole(slot) == 9


def mounted(flash, body, *args):
    vfs.mount(vfs.VfsLfs2(flash), MOUNT)
    try:
        return body(*args)
    finally:
        vfs.umount(MOUNT)


def replay(soak):
    """All cuts of one recorded life, clean and half done."""
    flash = Flash(BLOCKS)
    vfs.VfsLfs2.mkfs(flash)
    image = Flash(BLOCKS)
    image.data[:] = flash.data
    flash.ops = 0
    flash.log = []
    story = Story(flash, RamStore())
    mounted(flash, life, story)
    total = flash.ops
    log = flash.log
    assert total == len(log)
    trial = Flash(BLOCKS)
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
        if k & 15 == 0:
            gc.collect()
    print("ok replay: %d operations, %d cuts" % (total, cuts))


def dies(flash, keys):
    """The power goes somewhere in here, and nothing may raise."""
    first = stage(1, keys)
    if pick():
        judged(True)
    second = stage(2, keys)
    if flash.cut < 0:
        return flash.ops
    pick()
    assert flash.ops == flash.cut and FAILED in (first.at, second.at)


def after(flash):
    slot = pick()
    if slot:
        assert whole(slot) in (1, 2)
    return slot


def under_way(every):
    """The flash dies under the running machine: it gives up, and the boot after is whole."""
    blank = Flash(BLOCKS)
    vfs.VfsLfs2.mkfs(blank)
    flash = Flash(BLOCKS)
    flash.data[:] = blank.data
    total = mounted(flash, dies, flash, RamStore())
    cuts = chosen = 0
    for k in range(1, total, every):
        flash = Flash(BLOCKS)
        flash.data[:] = blank.data
        flash.cut = k
        flash.half = bool(cuts & 1)
        mounted(flash, dies, flash, RamStore())
        new = Flash(BLOCKS)
        new.data[:] = flash.data
        chosen += mounted(new, after, new) != 0
        cuts += 1
        gc.collect()
    assert 0 < chosen < cuts
    print("ok under way: %d cuts" % cuts)


def main():
    soak = "soak" in sys.argv
    replay(soak)
    under_way(1 if soak else 5)
    return 0


sys.exit(main())
