"""Firmware downloaded once and kept by its checksum, in $L4_HOME/firmware.

    SHA256.bin        the file
    SHA256.json       where it came from and when, its size and checksum
    URL-HASH.part     a download that broke off; the next one goes on behind it

Nothing is trusted for having been downloaded: the checksum comes from the board's table (where it
was computed from a real file) or from --sha256. Without either a file on disk has to be named.
"""

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..errors import ToolError, Unavailable
from ..network import home, utc

Progress = Callable[[int, int], None]
_TRIES = 3
_CHUNK = 64 * 1024
_LARGEST = 32 << 20
_SHA = re.compile(r"[0-9a-f]{64}")
_TIMEOUT_S = 20


def folder() -> Path:
    path = home() / "firmware"
    path.mkdir(parents=True, exist_ok=True)
    return path


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def check_sha256(text: str) -> str:
    """The checksum in small letters; ValueError: it is none."""
    if not _SHA.fullmatch(text.strip().lower()):
        raise ValueError("a SHA-256 has 64 hex digits, as sha256sum prints them")
    return text.strip().lower()


def kept(sha256: str) -> Path | None:
    """The file with this checksum, if it is kept and still whole."""
    path = folder() / (sha256 + ".bin")
    if not path.is_file():
        return None
    if checksum(path) == sha256:
        return path
    path.unlink()  # damaged on disk: as if it had never been here
    return None


def by_url(url: str) -> str | None:
    """The checksum of what was once fetched from `url`, and checked."""
    for note in sorted(folder().glob("*.json")):
        try:
            d = json.loads(note.read_text())
            if d["url"] == url and kept(d["sha256"]):
                return d["sha256"]
        except (ValueError, KeyError, TypeError, OSError):
            continue
    return None


def fetch(url: str, sha256: str | None, progress: Progress | None = None) -> Path:
    """The file at `url`: from the folder, else downloaded; it has the checksum `sha256`."""
    sha256 = sha256 or by_url(url)
    if sha256 is None:
        raise ToolError(
            f"l4 knows no checksum of {url}, and takes no firmware it cannot check. Pass --sha256 "
            "with the sum its publisher gives, or download it and pass --firmware FILE."
        )
    path = kept(sha256)
    if path:
        return path
    part = folder() / (hashlib.sha256(url.encode()).hexdigest()[:16] + ".part")
    _download(url, part, progress or (lambda done, total: None))
    found = checksum(part)
    if found != sha256:
        part.unlink()
        raise ToolError(
            f"What came from {url} has the SHA-256 {found}, not {sha256}. It was thrown away; "
            "check the address, then compare the sum with the publisher's."
        )
    return _keep(part, url, sha256)


def _keep(part: Path, url: str, sha256: str) -> Path:
    path = folder() / (sha256 + ".bin")
    size = part.stat().st_size
    os.replace(part, path)
    note = {"url": url, "sha256": sha256, "bytes": size, "fetched": utc(time.time())}
    tmp = path.with_suffix(".tmp")
    tmp.write_text(json.dumps(note, indent=1) + "\n")
    os.replace(tmp, path.with_suffix(".json"))
    return path


def _download(url: str, part: Path, progress: Progress) -> None:
    """All of `url` in `part`, going on where an earlier try broke off."""
    why = ""
    for attempt in range(_TRIES):
        try:
            if _pull(url, part, progress):
                return
            why = f"it ended after {part.stat().st_size} bytes"
        except urllib.error.HTTPError as e:
            if e.code != 416:
                raise ToolError(
                    f"{url} answers {e.code} {e.reason}. Check the address, or download the file "
                    "yourself and pass --firmware FILE."
                ) from None
            part.unlink(missing_ok=True)  # longer than the file: start anew
            why = "the part kept from before did not fit"
        except (OSError, http.client.HTTPException) as e:
            why = str(getattr(e, "reason", e)) or type(e).__name__
        if attempt + 1 < _TRIES:
            time.sleep(0.2)
    have = part.stat().st_size if part.exists() else 0
    raise Unavailable(
        f"The download of {url} broke off ({why}). Run the same command again: it goes on behind "
        f"the {have} bytes that are here; or pass --firmware FILE."
    )


def _pull(url: str, part: Path, progress: Progress) -> bool:
    """One connection; False when it ended before the announced size."""
    have = part.stat().st_size if part.exists() else 0
    ask = urllib.request.Request(url, headers={"User-Agent": "l4"})
    if have:
        ask.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(ask, timeout=_TIMEOUT_S) as answer:
        if have and answer.status != 206:
            have = 0  # a server that cannot go on behind a place sends all of it
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        if total > _LARGEST:
            raise ToolError(
                f"{url} has {total} bytes, too many for a firmware. Check the address."
            )
        with part.open("ab" if have else "wb") as f:
            while chunk := answer.read(_CHUNK):
                f.write(chunk)
                have += len(chunk)
                if have > _LARGEST:
                    raise ToolError(f"{url} does not end. Check the address.")
                progress(have, total)
    return not total or have >= total


def checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
