"""Slots on a real file system: littlefs on the unix port, a folder on CPython."""

import os

import ota_boot
from l4mesh import ota_manifest as m
from l4mesh.ota_stage import DONE, FAILED, WANTS, Stage
from l4mesh_io.ota_fs import OtaFs, target
from l4mesh_io.store_ram import RamStore
from otakit import ACTIVE, FLAGS, HERE, PENDING, PUBLIC, TRIES, N, Said, bundle

try:
    import vfs
except ImportError:
    vfs = None

GOOD, DATA = bundle(real=False)
_count = 0


class Disk:
    def __init__(self, blocks=80):
        self.data = bytearray(blocks * 4096)

    def readblocks(self, block, buf, off=0):
        at = block * 4096 + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, off=0):
        at = block * 4096 + off
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: len(self.data) // 4096, 5: 4096}.get(op, 0)


def _sweep(path):
    for name in os.listdir(path):
        inner = path + "/" + name
        if os.stat(inner)[0] & 0x4000:
            _sweep(inner)
        else:
            os.remove(inner)
    os.rmdir(path)


def with_root(test):
    """Run `test(root)` on a file system of its own."""
    global _count
    if vfs is not None:
        disk = Disk()
        vfs.VfsLfs2.mkfs(disk)
        vfs.mount(disk, "/otatest")
        try:
            test("/otatest/ota")
        finally:
            vfs.umount("/otatest")
        return
    _count += 1
    base = "/tmp/l4-ota-%d-%d" % (os.getpid(), _count)
    os.mkdir(base)
    try:
        test(base + "/ota")
    finally:
        _sweep(base)


def staged(root, manifest=GOOD, data=DATA, keys=None):
    store = OtaFs(keys or RamStore(), root)
    s = Stage(store, manifest, m.bundle_id(manifest), PUBLIC, Said(True), HERE)
    for _ in range(2000):
        if s.at in (DONE, FAILED):
            return s, store
        if s.at == WANTS:
            s.append(memoryview(data)[s.done : s.done + s.need])
        else:
            s.step(lambda: 1)
    raise AssertionError("it never ends")


def content(root, slot, path):
    with open(ota_boot.folder(slot, root) + "/" + path, "rb") as f:
        return f.read()


def test_a_bundle_becomes_files_and_a_pending_state():
    def run(root):
        keys = RamStore()
        s, store = staged(root, keys=keys)
        assert s.at == DONE, s.code
        at = 0
        for path, size, _ in m.files(GOOD):
            assert content(root, 1, path) == DATA[at : at + size]
            at += size
        state = ota_boot.load(root)
        assert state[PENDING] == 1 and state[TRIES] == 3
        assert state[ACTIVE] == 0 and state[FLAGS] == 1
        assert store.seen() == 7 and keys.load("otaseen")[:4] == b"\0\0\0\7"
        assert sorted(store.walk(1)) == [p for p, _, _ in m.files(GOOD)]

    with_root(run)


def test_a_wiped_file_system_does_not_allow_a_downgrade():
    def run(root):
        keys = RamStore()
        staged(root, keys=keys)
        _sweep(root)
        assert OtaFs(keys, root).seen() == 7
        s, _ = staged(root, keys=keys)
        assert s.at == FAILED and s.code == N.OLD

    with_root(run)


def test_another_owner_begins_anew():
    def run(root):
        keys = RamStore()
        keys.save("owner", b"a" * 32)
        staged(root, keys=keys)
        assert OtaFs(keys, root).seen() == 7
        keys.save("owner", b"b" * 32)
        assert OtaFs(keys, root).seen() == 0
        keys.save("owner", b"a" * 32)
        assert OtaFs(keys, root).seen() == 7

    with_root(run)


def test_the_slot_that_runs_is_not_touched():
    def run(root):
        staged(root)
        state = ota_boot.load(root)
        state[ACTIVE] = 1
        state[PENDING] = 0
        assert ota_boot.save(state, root)
        newer, data = bundle(counter=8, real=False, files={"app.mpy": b"new" * 2000})
        s, store = staged(root, newer, data)
        assert s.at == DONE and store.pending() == 2 and store.spare() == 2
        assert content(root, 2, "app.mpy") == data and content(root, 1, "app.mpy") == b"A" * 700

    with_root(run)


def test_what_was_in_the_slot_is_gone():
    def run(root):
        staged(root)
        other, data = bundle(counter=8, real=False, files={"a.mpy": b"a"})
        s, store = staged(root, other, data)
        assert s.at == DONE and list(store.walk(1)) == ["a.mpy"]
        assert sorted(os.listdir(root + "/a")) == ["a.mpy", "manifest"]

    with_root(run)


def test_pieces_are_on_flash_when_a_block_is_full_or_a_file_ends():
    def run(root):
        store = OtaFs(RamStore(), root)
        assert store.begin(1, b"m" * 100) and store.manifest(1) == b"m" * 100
        for _ in range(4):
            assert store.append(1, "lib/x.mpy", b"x" * 1024, False)
        assert OtaFs(RamStore(), root).length(1, "lib/x.mpy") == 4096
        assert store.append(1, "lib/x.mpy", b"y" * 10, True)
        assert store.length(1, "lib/x.mpy") == 4106
        buf = bytearray(20)
        assert (
            store.read(1, "lib/x.mpy", 4090, buf) == 16 and bytes(buf[:16]) == b"x" * 6 + b"y" * 10
        )
        assert store.read(1, "lib/none.mpy", 0, buf) == -1 and store.length(1, "none.mpy") == 0
        assert store.append(1, "a.mpy", b"1", False) and store.settle()
        assert store.append(1, "a.mpy", b"2", True) and content(root, 1, "a.mpy") == b"12"

    with_root(run)


def test_an_empty_slot_and_its_emptying():
    def run(root):
        store = OtaFs(RamStore(), root)
        assert store.manifest(1) == b"" and list(store.walk(1)) == [] and store.clear_some(1)
        staged(root)
        store = OtaFs(RamStore(), root)
        steps = 0
        while not store.clear_some(1):
            steps += 1
            assert store.manifest(1)  # it goes last
        assert steps == 8 and store.manifest(1) == b""  # 5 files, 3 folders
        assert os.listdir(root + "/a") == []  # an empty lib/l4mesh would hide the factory's

    with_root(run)


def test_room():
    def run(root):
        store = OtaFs(RamStore(), root)
        assert store.room([1000, 5000]) and store.settle()
        if vfs is not None:  # 80 blocks
            assert not store.room([4096] * 60) and not store.room([250000])

    with_root(run)


def test_what_this_machine_is():
    chip, version, form = target()
    assert chip == "unix" and version >= (1, 24) and form == 6
