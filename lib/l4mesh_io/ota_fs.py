# floor 9: links
# The slots of an update on the file system, and what this board is. RAM: 200 B while it is used.
"""OtaFs: the store of l4mesh/ota.py over /ota (state file: firmware/ota_boot.py).

A slot holds `manifest` and the files under their paths. The manifest comes first and goes last,
so that a slot without one is empty or being emptied. How far a file has come is its length.
Everything is done in pieces that take a board some 10 ms: one file removed, one chunk written.
`seen` has a second place, NVS: a file system that was wiped does not allow a downgrade. It stands
there with 4 bytes of SHA-256(owner's key), so that a board that changes hands begins anew.
"""

import os
import sys
from hashlib import sha256

import ota_boot
from l4mesh.compat import const
from l4mesh.wire import put30, u30

_BLOCK = const(4096)
_SPARE = const(20)  # blocks left for readings and folders
_KEY = "otaseen"


def target():
    """(chip, MicroPython (major, minor), .mpy format): what an update has to be made for."""
    impl = sys.implementation
    words = getattr(impl, "_machine", "").split(" with ")
    chip = words[-1].lower() if len(words) > 1 else "unix"
    return chip, tuple(impl.version[:2]), getattr(impl, "_mpy", 6) & 255


class OtaFs:
    """`keys`: the store of keys, for the second place of `seen`."""

    def __init__(self, keys, root="/ota"):
        self._root = root
        self._keys = keys
        self._open = None
        self._path = ""
        self._make(root)
        self.refresh()

    def refresh(self) -> None:
        """Read the state anew: the judge may have written it."""
        self.state = ota_boot.load(self._root) or ota_boot.fresh()

    def _make(self, path):
        try:
            os.mkdir(path)
        except OSError:
            pass  # it is there; if not, the first use says so

    # what the state says

    def seen(self) -> int:
        """Highest version counter of this owner that was ever complete here."""
        kept = self._keys.load(_KEY)
        if kept is None or len(kept) != 8:
            kept = bytes(4)
        elif kept[4:] != self._whose():
            return 0
        return max(u30(kept, 0), u30(self.state, ota_boot.O_SEEN))

    def _whose(self):
        return sha256(self._keys.load("owner") or b"").digest()[:4]

    def pending(self) -> int:
        return self.state[ota_boot.O_PENDING]

    def active(self) -> int:
        return self.state[ota_boot.O_ACTIVE]

    def spare(self) -> int:
        """The slot to stage into."""
        return 2 if self.active() == 1 else 1

    def mark(self, slot: int, counter: int, flags: int) -> bool:
        """The next boot tries this slot."""
        s = self.state
        s[ota_boot.O_PENDING] = slot
        s[ota_boot.O_TRIES] = ota_boot.TRIES
        s[ota_boot.O_WHY] = ota_boot.W_NONE
        s[ota_boot.O_FLAGS] = flags
        put30(s, ota_boot.O_SEEN, counter)
        put30(s, ota_boot.O_COUNTER, counter)
        if not ota_boot.save(s, self._root):
            return False
        # After the state: a counter that is used up, with nothing pending, would stop the update.
        self._keys.save(_KEY, bytes(s[ota_boot.O_SEEN : ota_boot.O_SEEN + 4]) + self._whose())
        return True

    # a slot

    def _at(self, slot, path):
        return ota_boot.folder(slot, self._root) + "/" + path

    def manifest(self, slot: int):
        try:
            with open(self._at(slot, "manifest"), "rb") as f:
                return f.read()
        except OSError:
            return b""

    def begin(self, slot: int, manifest) -> bool:
        """Into an empty slot."""
        self._make(ota_boot.folder(slot, self._root))
        path = self._at(slot, "manifest")
        try:
            with open(path + ".tmp", "wb") as f:
                f.write(manifest)
                f.flush()
            os.rename(path + ".tmp", path)
            return True
        except OSError:
            return False

    def length(self, slot: int, path: str) -> int:
        try:
            return os.stat(self._at(slot, path))[6]
        except OSError:
            return 0

    def append(self, slot: int, path: str, data, last: bool) -> bool:
        """Add to a file; it is on flash when a block is full, or after the `last` piece."""
        try:
            if self._path != path:
                self.settle()
                folder = self._at(slot, "")[:-1]
                for part in path.split("/")[:-1]:
                    folder += "/" + part
                    self._make(folder)
                self._open = open(self._at(slot, path), "ab")
                self._path = path
            ok = self._open.write(data) == len(data)
            if last:
                return self.settle() and ok
            if self._open.tell() % _BLOCK == 0:
                self._open.flush()
            return ok
        except OSError:
            self._forget()
            return False

    def settle(self) -> bool:
        """What was appended is on flash when this returns True."""
        try:
            if self._open is not None:
                self._open.flush()
            return True
        except OSError:
            return False
        finally:
            self._forget()

    def _forget(self):
        f = self._open
        self._open = None
        self._path = ""
        if f is not None:
            try:
                f.close()
            except OSError:
                pass  # its length will say how much of it is there

    def read(self, slot: int, path: str, off: int, buf) -> int:
        """Bytes read into `buf`; -1 when that is not possible."""
        try:
            with open(self._at(slot, path), "rb") as f:
                f.seek(off)
                return f.readinto(buf)
        except OSError:
            return -1

    def remove(self, slot: int, path: str) -> None:
        try:
            os.remove(self._at(slot, path))
        except OSError:
            pass  # not there; if it still is, the walk finds it again and the machine gives up

    def walk(self, slot: int):
        """Paths of the files of a slot, its manifest left out."""
        todo = [""]
        while todo:
            at = todo.pop()
            for name in self._names(slot, at):
                path = at + name
                if self._is_folder(slot, path):
                    todo.append(path + "/")
                elif path != "manifest":
                    yield path

    def _is_folder(self, slot, path):
        try:
            return os.stat(self._at(slot, path))[0] & 0x4000
        except OSError:
            return False

    def _names(self, slot, at):
        try:
            return os.listdir(self._at(slot, at)[:-1])
        except OSError:
            return ()

    def clear_some(self, slot: int) -> bool:
        """Remove a file or a folder: an empty one would hide the package of its name in /lib. True
        when the slot is empty."""
        for path in self.walk(slot):
            self.remove(slot, path)
            return False
        at = ""
        while True:  # the deepest first
            inner = [n for n in self._names(slot, at) if self._is_folder(slot, at + n)]
            if not inner:
                break
            at += inner[0] + "/"
        if at:
            try:
                os.rmdir(self._at(slot, at)[:-1])
            except OSError:
                pass  # the machine gives up when it never goes
            return False
        self.remove(slot, "manifest")
        return True

    def room(self, sizes) -> bool:
        """Is there room for files of these sizes, with something to spare?"""
        need = _SPARE
        for size in sizes:
            need += (size + _BLOCK - 1) // _BLOCK
        try:
            s = os.statvfs(self._root)
        except OSError:
            return False
        return s[0] * s[3] >= need * _BLOCK
