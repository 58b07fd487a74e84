"""The version counter of a network's updates: a number that only grows.

It is kept beside the network file, as `NAME.ota`, apart from the vault: two `l4` that build at the
same moment get different numbers (a lock), and no older copy of the vault takes it back. When the
file is lost, nodes still refuse what is not above the highest number they saw, and say it.
"""

import fcntl
import json
import os
from pathlib import Path

from ..errors import ToolError

TOP = (1 << 30) - 1


def path_of(network_file: Path) -> Path:
    return network_file.with_suffix(".ota")


def last(network_file: Path) -> int:
    """The highest number given out; 0 before the first."""
    path = path_of(network_file)
    try:
        n = json.loads(path.read_text())["counter"]
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError):
        n = None
    if not isinstance(n, int) or not 0 <= n <= TOP:
        raise ToolError(
            "%s is damaged. Remove it and pass --counter N with N above what `l4 ota status` "
            "shows of your nodes." % path
        )
    return n


def take(network_file: Path, wanted: int | None = None) -> int:
    """The next number, or `wanted` if that is above all before; from now on it is used up."""
    path = path_of(network_file)
    try:
        lock = os.open(path.with_name("." + path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise ToolError("%s can't be written (%s). Check the folder." % (path, e.strerror or e))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = last(network_file)
        n = before + 1 if wanted is None else wanted
        if n <= before:
            raise ToolError(
                "Version counter %d was given out before; the next is %d. Leave --counter away, "
                "or pass a higher one." % (n, before + 1)
            )
        if n > TOP:
            raise ToolError("A version counter ends at %d. Pass a lower --counter." % TOP)
        _write(path, n)
        return n
    finally:
        os.close(lock)


def _write(path: Path, n: int) -> None:
    tmp = path.with_name(".%s.%d.tmp" % (path.name, os.getpid()))
    try:
        with tmp.open("w") as f:
            json.dump({"counter": n}, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(tmp, path)
    except OSError as e:
        tmp.unlink(missing_ok=True)
        raise ToolError("%s can't be written (%s). Check the folder." % (path, e.strerror or e))
