# floor 8: effects
# Keys and queue segments as files: littlefs on boards, any file system on hosts. RAM: the paths.
"""FileStore: the store of keys. FileSegments: the queue's segment port (l4mesh/segments.py).

Only open() and os: the same on CPython, on the unix port and on VfsLfs2. A file is durable once it
was flushed and closed (littlefs; the unix port's flush is fsync) or by os.fsync (CPython).
A key is written aside and renamed, which is atomic, so a power cut leaves the old or the new one.
"""

import os

from l4mesh.compat import const

_TOO_LONG = const(36)  # ENAMETOOLONG, by which littlefs means: no block for this name

_fsync = getattr(os, "fsync", None)
_chmod = getattr(os, "chmod", None)


def _make(folder):
    try:
        os.mkdir(folder)
    except OSError:  # it is there; if not, the first use says so
        pass
    return folder


def _remove(path):
    try:
        os.remove(path)
        return True
    except OSError:
        return False


def _open(path, mode):
    try:
        return open(path, mode)
    except OSError as e:
        if e.errno != _TOO_LONG:
            raise
    # A littlefs that was full has no room for a new name even when there is room again, until
    # something makes it look for free blocks. A new folder does.
    aside = path[:-1] + "_"
    os.mkdir(aside)
    os.rmdir(aside)
    return open(path, mode)


def _write(path, mode, buf, n, private=False):
    """OSError when it did not become durable."""
    f = _open(path, mode)
    try:
        if private and _chmod:
            _chmod(path, 0o600)
        if f.write(memoryview(buf)[:n]) != n:
            raise OSError(28)
        f.flush()
        if _fsync:
            _fsync(f.fileno())
    finally:
        f.close()


def _settle(folder):
    """Make names durable too where a folder is a file of its own (POSIX; not littlefs)."""
    if _fsync:
        fd = os.open(folder, os.O_RDONLY)
        try:
            _fsync(fd)
        finally:
            os.close(fd)


class FileStore:
    def __init__(self, folder):
        self._folder = _make(folder)

    def _path(self, key):
        if not 0 < len(key) <= 15 or not key.isalpha():
            raise ValueError("a store key is 1 to 15 letters; choose another name")
        return "%s/%s" % (self._folder, key)

    def load(self, key):
        try:
            with open(self._path(key), "rb") as f:
                return f.read()
        except OSError:
            return None

    def save(self, key, data):
        path = self._path(key)
        aside = path + ".tmp"
        try:
            _write(aside, "wb", data, len(data), True)
            os.rename(aside, path)
            _settle(self._folder)
            return True
        except OSError:
            _remove(aside)
            return False


class FileSegments:
    """Files `0000002a.l4q` in a folder of the queue's own; others in it are let be."""

    def __init__(self, folder):
        self._folder = _make(folder)

    def _path(self, no):
        return "%s/%08x.l4q" % (self._folder, no)

    def list(self):
        ids = []
        try:
            for name in os.listdir(self._folder):
                if len(name) == 12 and name[8:] == ".l4q":
                    try:
                        no = int(name[:8], 16)
                    except ValueError:
                        continue
                    if 0 <= no < 0x3FFFFFFF and "%08x" % no == name[:8]:
                        ids.append(no)
        except OSError:
            _make(self._folder)  # for the next try
            return None
        return ids

    def append(self, no, buf, n):
        try:
            _write(self._path(no), "ab", buf, n)
            if _fsync and buf[0] == 76:  # "L4Q": a new segment, so a new name
                _settle(self._folder)
            return True
        except Exception:  # out of memory too: the queue must know that it failed
            return False

    def read(self, no, off, buf):
        try:
            with open(self._path(no), "rb") as f:
                f.seek(off)
                n = f.readinto(buf)
                return n if n is not None else -1
        except OSError:
            return -1

    def delete(self, no):
        return _remove(self._path(no))
