# floor 5: machines
# A bundle becomes files: signature, room, pieces, all hashes again, marked. RAM: 2-8 kB.
"""Stage(..) is made when the whole manifest is there. `step` works one small piece (a slice of the
signature check, one file removed or looked at, 2 KiB hashed) and returns ms until it wants more;
nothing is written before the owner's signature was found good.

    CHECK -> CLEAR -> SEEK <-> WANTS -> VERIFY -> COUNT -> DONE     any -> FAILED: `code` says why

In WANTS it needs `need` bytes at offset `done` of all files: give them to `append`. What is on
flash is the progress: with this manifest in the slot CLEAR is left out, SEEK finds the place.
"""

from hashlib import sha256

from . import ota_manifest as manifest
from .compat import const

CHECK = const(0)
CLEAR = const(1)
SEEK = const(2)
WANTS = const(3)
VERIFY = const(4)
COUNT = const(5)
DONE = const(6)
FAILED = const(7)

PIECE = const(1024)
_READ = const(2048)
_CLEARS = const(400)
_WRONG = const(3)


class Stage:
    """`m`: the manifest; `owner`: 32 bytes; `made_for`: (chip, (major, minor), .mpy format)."""

    def __init__(self, store, m, bundle, owner, verify, made_for):
        self._store = store
        self._slot = store.spare()
        self._m = m
        self._owner = owner
        self._verify = verify
        self._job = self._files = self._path = self._sha = self._buf = None
        self._have = self._end = self._hash_at = self._n = 0
        self._flawed = False
        self.wrong = 0  # times that files were not what the manifest says
        self.done = 0
        self.code = -1
        self.at = CHECK
        self._look(bundle, made_for)

    def _look(self, bundle, made_for):
        """What can be said before the signature."""
        m = self._m
        chip, version, form = made_for
        if manifest.bundle_id(m) != bundle or not manifest.well_formed(m):
            self._fail(manifest.N_FORM)
        elif manifest.counter(m) <= self._store.seen():
            self._fail(manifest.N_OLD)
        elif manifest.text(m, 0) not in ("any", chip) or (m[12], m[13]) > version or m[14] != form:
            self._fail(manifest.N_TARGET)

    @property
    def total(self) -> int:
        return manifest.total(self._m) if self.at != FAILED else 0

    @property
    def need(self) -> int:
        return min(PIECE, self._end - self._have)

    def _fail(self, code):
        self._store.settle()
        self._job = self._buf = self._files = None
        self.code = code
        self.at = FAILED

    def step(self, flags) -> int:
        """`flags()`: what the judge of the new version should know."""
        at = self.at
        if at == CHECK:
            return self._check()
        if at == CLEAR:
            self._clear()
        elif at == SEEK:
            self._seek()
        elif at == VERIFY:
            self._read()
        elif at == COUNT:
            self._count(flags)
        return 0

    def _check(self):
        m = self._m
        try:
            if self._job is None:
                sig = m[len(m) - manifest.SIGNATURE :]
                self._job = self._verify(self._owner, manifest.signed_text(m), sig)
            good = self._job.step()
        except MemoryError:  # the whole check once more, when there may be room
            self._job = None
            return 1000
        if good is None:
            return 0
        self._job = None
        if not good:
            self._fail(manifest.N_SIGNATURE)
        elif self._store.manifest(self._slot) == m:
            self._restart()
        else:
            self.at = CLEAR
        return 0

    def _clear(self):
        """Empty the slot, a file a turn; then begin it."""
        self._n += 1
        if not self._store.clear_some(self._slot):
            if self._n > _CLEARS:
                self._fail(manifest.N_FLASH)
        elif not self._store.room([size for _, size, _ in manifest.files(self._m)]):
            self._fail(manifest.N_ROOM)
        elif not self._store.begin(self._slot, self._m):
            self._fail(manifest.N_FLASH)
        else:
            self._restart()

    def _restart(self):
        self.at = SEEK
        self.done = 0
        self._path = self._buf = None
        self._files = manifest.files(self._m)

    def _seek(self):
        """Look at one file: is it whole already?"""
        for path, size, _ in self._files:
            have = self._store.length(self._slot, path)
            if have > size:
                self._store.remove(self._slot, path)
                have = 0
            self.done += have
            if have < size:
                self._path = path
                self._have = have
                self._end = size
                self.at = WANTS
            return
        self._files = manifest.files(self._m)
        self._path = None
        self._flawed = False
        self._buf = bytearray(_READ)
        self.at = VERIFY

    def append(self, piece) -> None:
        """The next bytes, at most `need`."""
        n = len(piece)
        last = self._have + n == self._end
        if not self._store.append(self._slot, self._path, piece, last):
            self._fail(manifest.N_FLASH)
            return
        self._have += n
        self.done += n
        if last:
            self.at = SEEK

    def _read(self):
        """Hash one piece of one file, from flash."""
        if self._path is None:
            for path, size, at in self._files:
                self._path = path
                self._have = 0
                self._end = size
                self._hash_at = at
                self._sha = sha256()
                return
            self._verified()
            return
        n = self._store.read(self._slot, self._path, self._have, self._buf)
        if n > 0:
            self._sha.update(memoryview(self._buf)[:n])
            self._have += n
            if self._have < self._end:
                return
        at = self._hash_at
        if self._have != self._end or self._sha.digest() != self._m[at : at + 32]:
            self._store.remove(self._slot, self._path)
            self._flawed = True
        self._path = None

    def _verified(self):
        """All files were read: count them, or fetch those anew that were not good."""
        self._buf = self._sha = None
        if not self._flawed:
            self._files = self._store.walk(self._slot)
            self._n = 0
            self.at = COUNT
            return
        self.wrong += 1
        if self.wrong >= _WRONG:
            self._fail(manifest.N_HASH)
        else:
            self._restart()

    def _count(self, flags):
        """Every file of the manifest was found good: any more than those are strangers."""
        for _ in self._files:
            self._n += 1
            return
        if self._n != self._m[15]:
            self._fail(manifest.N_EXTRA)
        elif not self._store.mark(self._slot, manifest.counter(self._m), flags()):
            self._fail(manifest.N_FLASH)
        else:
            self.at = DONE
