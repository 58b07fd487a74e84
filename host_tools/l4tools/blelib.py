"""aioble, which Bluetooth on a board needs and no stock firmware has: where it comes from.

Real boards: fetched once by the index that `mpremote mip` uses, checked against the index's sums,
and kept in $L4_HOME/aioble with the SHA-256 of each file; from then on only files with those sums
are taken. Virtual boards: what `make deps` installed for the unix port, else the stand-in of the
tests.
"""

import hashlib
import json
import os
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from l4tools.image import Files
from l4tools.network import home, utc
from l4tools.paths import ROOT

INDEX = "https://micropython.org/pi/v2"  # L4_MIP: another one
VERSION = "latest"
_UNUSED = ("l2cap", "security")  # not on an ESP32; no pairing
_LOCK = "files.json"
_TIMEOUT_S = 20
_LARGEST = 64 * 1024  # bytes of a file: the whole package has 65 KiB


def _wanted(path: str) -> bool:
    """aioble/NAME.py, and nothing that would lead elsewhere."""
    parts = path.split("/")
    if len(parts) != 2 or parts[0] != "aioble" or not parts[1].endswith((".py", ".mpy")):
        return False
    return parts[1].partition(".")[0] not in _UNUSED


def _in(folder: Path) -> Files:
    """Of a folder that holds the package: source, or else what was compiled."""
    where = folder / "aioble"
    for ending in (".py", ".mpy"):
        if (where / ("__init__" + ending)).is_file():
            return {
                "lib/aioble/" + path.name: path
                for path in sorted(where.glob("*" + ending))
                if _wanted("aioble/" + path.name)
            }
    return {}


def installed() -> Files:
    """For the unix port, by `make deps`; {}: not there."""
    return _in(Path.home() / ".micropython" / "lib")


def for_virtual() -> Files:
    return installed() or _in(ROOT / "tests" / "standin")


# -- real boards ---------------------------------------------------------------------------------
def _folder() -> Path:
    return home() / "aioble"


def kept() -> Files:
    """What was fetched before, if it is whole; {}: nothing, or damaged."""
    try:
        lock = json.loads((_folder() / _LOCK).read_text())
        out: Files = {}
        for path, sha256 in lock["files"].items():
            data = (_folder() / path).read_bytes()
            if not _wanted(path) or hashlib.sha256(data).hexdigest() != sha256:
                return {}
            out["lib/" + path] = data
        return out
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def fetch() -> Files:
    """From the index into the folder. OSError or ValueError: why not, in words."""
    index = os.environ.get("L4_MIP", INDEX).rstrip("/")
    about = json.loads(_get("%s/package/py/aioble/%s.json" % (index, VERSION)))
    files = {}
    for path, short in about["hashes"]:
        if _wanted(path) and len(short) >= 8:
            data = _get("%s/file/%s/%s" % (index, short[:2], short))
            if not hashlib.sha256(data).hexdigest().startswith(short):
                raise ValueError("%s is not what the index says" % path)
            files[path] = data
    if "aioble/__init__.py" not in files:
        raise ValueError("the index has no aioble")
    _keep(files, {"version": about.get("version", ""), "index": index})
    return {"lib/" + path: data for path, data in files.items()}


def _keep(files: dict[str, bytes], note: dict) -> None:
    (_folder() / "aioble").mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        (_folder() / path).write_bytes(data)
    sums = {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())}
    lock = {**note, "fetched": utc(time.time()), "files": sums}
    tmp = _folder() / (_LOCK + ".tmp")
    tmp.write_text(json.dumps(lock, indent=1) + "\n")
    os.replace(tmp, _folder() / _LOCK)


def _get(url: str) -> bytes:
    ask = urllib.request.Request(url, headers={"User-Agent": "l4"})
    with urllib.request.urlopen(ask, timeout=_TIMEOUT_S) as answer:
        data = answer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError("%s does not end" % url)
    return data


def for_board(
    wanted: bool, ble: str, config: dict, there: dict[str, bytes], note: Callable[[str], None]
) -> Files:
    """Files for a real board's image; a board that has aioble keeps its own.

    `wanted`: the user asked for Bluetooth, so it may be fetched. `ble`: board.toml's word.
    """
    if any(path.startswith("lib/aioble/") for path in there):
        return {}
    if ble == "none" or config.get("ble") == "never":
        if wanted:
            note("This board has no Bluetooth, or it is set to never: aioble is left out.")
        return {}
    files = kept()
    if files or not wanted:
        return files
    try:
        return fetch()
    except (OSError, ValueError, KeyError, TypeError) as e:
        files = installed()
        if files:
            return files
        note(
            "aioble could not be fetched (%s), so Bluetooth stays off on this board; all else "
            "works. Run the same command with an Internet connection, or on the board: "
            "mpremote mip install aioble" % (getattr(e, "reason", None) or e)
        )
        return {}
