"""The contract of every store of keys and of every segment port: the same checks for all."""

import os
import sys
from binascii import hexlify

from l4mesh_io.store_fs import FileSegments, FileStore
from l4mesh_io.store_nvs import NvsStore
from l4mesh_io.store_ram import RamSegments, RamStore

try:
    import vfs
except ImportError:
    vfs = None


class Disk:
    """A block device in RAM for VfsLfs2."""

    def __init__(self, blocks):
        self.data = bytearray(blocks * 4096)

    def readblocks(self, block, buf, off=0):
        at = block * 4096 + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, off=0):
        at = block * 4096 + off
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: len(self.data) // 4096, 5: 4096}.get(op, 0)


class FakeNvs:
    """esp32.NVS as far as blobs go."""

    blobs = {}
    full = False

    def __init__(self, namespace):
        assert len(namespace) <= 15

    def get_blob(self, key, buf):
        if key not in self.blobs:
            raise OSError(-0x1102)
        data = self.blobs[key]
        if len(data) > len(buf):
            raise OSError(-0x110C)
        buf[: len(data)] = data
        return len(data)

    def set_blob(self, key, data):
        if FakeNvs.full:
            raise OSError(-0x1105)
        self.blobs[key] = bytes(data)

    def commit(self):
        pass


class FakeEsp32:
    NVS = FakeNvs


class Folder:
    """A new folder in the machine's temporary one; removed at the end."""

    def __enter__(self):
        base = os.getenv("TMPDIR") or "/tmp"
        self.path = "%s/l4store%s" % (base, hexlify(os.urandom(6)).decode())
        os.mkdir(self.path)
        return self.path

    def __exit__(self, *exc):
        self.empty(self.path)
        os.rmdir(self.path)

    def empty(self, path):
        for name in os.listdir(path):
            full = "%s/%s" % (path, name)
            if os.stat(full)[0] & 0x4000:
                self.empty(full)
                os.rmdir(full)
            else:
                os.remove(full)


class Littlefs:
    """The same on a littlefs in RAM, as on a board."""

    def __enter__(self):
        disk = Disk(32)
        vfs.VfsLfs2.mkfs(disk)
        self.path = "/l4test%s" % hexlify(os.urandom(3)).decode()
        vfs.mount(disk, self.path)
        return self.path

    def __exit__(self, *exc):
        vfs.umount(self.path)


def folders():
    return (Folder, Littlefs) if vfs else (Folder,)


def nvs(copy=None, namespace="l4mesh"):
    before = sys.modules.get("esp32")
    sys.modules["esp32"] = FakeEsp32
    try:
        return NvsStore(namespace, copy)
    finally:
        if before is None:
            del sys.modules["esp32"]
        else:
            sys.modules["esp32"] = before


def raises(f, *args):
    try:
        f(*args)
    except ValueError:
        return True
    return False


def check_store(make):
    """`make()` opens the same store again."""
    s = make()
    assert s.load("seed") is None and s.load("epoch") is None
    assert s.save("seed", bytes(range(32))) is True
    assert s.save("epoch", b"\0\0\0\1")
    assert s.save("epoch", bytearray(b"\0\0\0\2"))
    assert s.save("abcdefghijklmno", b"longest key")
    for s in (s, make()):  # noqa: B020
        assert s.load("seed") == bytes(range(32)) and type(s.load("seed")) is bytes
        assert s.load("epoch") == b"\0\0\0\2" and s.load("group") is None
        assert s.load("abcdefghijklmno") == b"longest key"
    for key in ("", "abcdefghijklmnop", "../seed", "a.tmp", "a/b"):
        assert raises(s.save, key, b"x") and raises(s.load, key), key


def test_ram_store():
    s = RamStore()
    check_store(lambda: s)


def test_file_store():
    for kind in folders():
        with kind() as path:
            check_store(lambda: FileStore(path + "/keys"))
            assert sorted(os.listdir(path + "/keys")) == ["abcdefghijklmno", "epoch", "seed"]


def test_file_store_that_cannot_write_keeps_the_old_value():
    with Folder() as path:
        s = FileStore(path + "/keys")
        assert s.save("epoch", b"old")
        os.mkdir(path + "/keys/epoch.tmp")  # in the way
        assert s.save("epoch", b"new") is False
        assert s.load("epoch") == b"old"
        assert FileStore(path + "/no/where").save("epoch", b"x") is False


def test_secrets_are_not_readable_by_others():
    if not hasattr(os, "chmod"):
        return
    with Folder() as path:
        FileStore(path + "/keys").save("seed", b"s" * 32)
        assert os.stat(path + "/keys/seed")[0] & 0o777 == 0o600


def test_nvs_store():
    FakeNvs.blobs = {}
    check_store(nvs)
    FakeNvs.blobs = {}
    copy = RamStore()
    check_store(lambda: nvs(copy))
    assert raises(nvs().save, "big", bytes(161))


def test_nvs_seed_comes_back_after_an_erase():
    FakeNvs.blobs = {}
    copy = RamStore()
    seed = bytes(range(32))
    assert nvs(copy).save("seed", seed) and nvs(copy).save("epoch", b"1234")
    FakeNvs.blobs = {}
    s = nvs(copy)
    assert s.load("seed") == seed and "restored" in s.note and FakeNvs.blobs == {"seed": seed}
    assert s.load("epoch") is None


def test_nvs_seed_counts_when_the_copies_differ():
    FakeNvs.blobs = {}
    mine, other = RamStore(), RamStore()
    nvs(other).save("seed", b"o" * 32)
    nvs(mine).save("seed", b"m" * 32)
    s = nvs(other)
    assert s.load("seed") == b"m" * 32 and "kept" in s.note
    FakeNvs.blobs = {}
    assert nvs(other).load("seed") == b"m" * 32  # the copy was put right


def test_nvs_a_damaged_or_missing_copy_is_made_again():
    seed = b"m" * 32
    for bad in (None, b"", b"123", b"x" * 36):
        FakeNvs.blobs = {"seed": seed}
        copy = RamStore()
        if bad is not None:
            copy.save("seed", bad)
        s = nvs(copy)
        assert s.load("seed") == seed and s.note == ""
        FakeNvs.blobs = {}
        assert nvs(copy).load("seed") == seed
        copy.save("seed", b"x" * 36)
        FakeNvs.blobs = {}
        assert nvs(copy).load("seed") is None  # both gone: no invented identity


def test_nvs_full_says_false():
    FakeNvs.blobs = {}
    FakeNvs.full = True
    try:
        assert nvs(RamStore()).save("seed", b"m" * 32) is False
    finally:
        FakeNvs.full = False


def check_segments(make):
    s = make()
    assert list(s.list()) == []
    buf = bytearray(16)
    assert s.read(3, 0, buf) == -1 and s.delete(3) is False
    assert s.append(3, b"hello world", 5) is True
    assert s.append(3, bytearray(b", you"), 5) is True
    assert s.append(0, memoryview(b"zero"), 4) is True
    assert s.append(0x3FFFFFFE, b"top", 3) is True
    for s in (s, make()):  # noqa: B020
        assert sorted(s.list()) == [0, 3, 0x3FFFFFFE]
        assert s.read(3, 0, buf) == 10 and bytes(buf[:10]) == b"hello, you"
        assert s.read(3, 7, memoryview(buf)[2:4]) == 2 and bytes(buf[2:4]) == b"yo"
        assert s.read(3, 10, buf) == 0 and s.read(3, 99, buf) == 0
    assert s.delete(3) is True and s.delete(3) is False
    assert s.read(3, 0, buf) == -1 and sorted(s.list()) == [0, 0x3FFFFFFE]
    assert s.append(3, b"again", 5) and s.read(3, 0, buf) == 5


def test_ram_segments():
    s = RamSegments(3)
    check_segments(lambda: s)
    assert s.append(7, b"x", 1) is False  # no room for a fourth
    assert s.append(0, bytes(4096), 4096) is False and s.read(0, 0, bytearray(9)) == 4


def test_file_segments():
    for kind in folders():
        with kind() as path:
            check_segments(lambda: FileSegments(path + "/queue"))


def test_file_segments_let_foreign_files_be():
    for kind in folders():
        with kind() as path:
            s = FileSegments(path + "/q")
            names = ("readme.txt", "0000001.l4q", "0000000G.l4q", "0000000A.l4q", "-0000001.l4q")
            names += ("ffffffff.l4q", "00000001.l4q.tmp", "+0000001.l4q", "00000001.bak")
            for name in names:
                with open("%s/q/%s" % (path, name), "w") as f:
                    f.write("mine")
            assert s.list() == []
            assert s.append(1, b"x", 1) and s.list() == [1] and s.delete(1)
            assert sorted(os.listdir(path + "/q")) == sorted(names)


def test_file_segments_on_a_full_file_system():
    if not vfs:
        return
    with Littlefs() as path:
        s = FileSegments(path + "/q")
        done = 0
        while s.append(done, bytes(4000), 4000):
            done += 1
        assert 20 < done < 32 and s.append(done + 1, bytes(4000), 4000) is False
        assert s.delete(0) and s.delete(1) and s.append(0, bytes(4000), 4000)


def test_file_segments_without_a_folder():
    with Folder() as path:
        s = FileSegments(path + "/no/where")
        assert s.list() is None and s.append(1, b"x", 1) is False
        assert s.read(1, 0, bytearray(4)) == -1 and s.delete(1) is False
