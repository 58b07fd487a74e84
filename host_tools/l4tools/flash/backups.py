"""The old file system on this machine's disk, from before the first write until all is verified.

$L4_HOME/flash/MAC/: `old.bin`, the blocks of the old file system in their places, and `job.json`,
what it is. Settings with WiFi passwords are in it: mode 0600. A run that finds a board with the
mark of an unfinished job (plan.py) takes the files from here, and ends with removing it.
"""

import json
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ..network import home, utc
from . import oldfs
from .partitions import SECTOR, Place


@dataclass(frozen=True)
class Backup:
    job: str
    folder: Path
    place: Place
    used: list[int]

    @property
    def file(self) -> Path:
        return self.folder / "old.bin"

    def image(self) -> bytes:
        return self.file.read_bytes()

    def block(self, n: int) -> bytes:
        with self.file.open("rb") as f:
            f.seek(n * SECTOR)
            return f.read(SECTOR)

    def files(self) -> oldfs.OldFs:
        return oldfs.of_image(self.image())

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _folder(mac: str) -> Path:
    return home() / "flash" / mac.replace(":", "")


def find(mac: str) -> Backup | None:
    """What an unfinished run on the board with this MAC left behind."""
    folder = _folder(mac)
    try:
        d = json.loads((folder / "job.json").read_text())
        place = Place(int(d["offset"]), int(d["blocks"]))
        found = Backup(str(d["job"]), folder, place, [int(n) for n in d["used"]])
        return found if found.file.stat().st_size == place.size else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def new_name() -> str:
    return secrets.token_hex(8)


def save(job: str, mac: str, place: Place, old: oldfs.OldFs) -> Backup:
    """Keep the old file system. On disk before this returns."""
    folder = _folder(mac)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    _write(folder / "old.bin", old.image(place.blocks))
    text = {
        "job": job,
        "mac": mac,
        "begun": utc(time.time()),
        "offset": place.offset,
        "blocks": place.blocks,
        "used": old.used,
    }
    _write(folder / "job.json", json.dumps(text).encode())  # last: it makes the backup count
    return Backup(job, folder, place, old.used)


def _write(path: Path, data: bytes) -> None:
    tmp = path.with_suffix(".tmp")
    fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(tmp, path)
