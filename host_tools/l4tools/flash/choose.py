"""Which MicroPython a board gets: a file, a download that can be checked, or what it has."""

from dataclasses import dataclass
from pathlib import Path

from ..boards import BoardSpec
from ..errors import ToolError
from . import firmware as files
from . import store
from .store import Progress


@dataclass(frozen=True)
class Wish:
    """--firmware (a file, a URL or "") and --sha256 ("" if not given)."""

    firmware: str = ""
    sha256: str = ""


def firmware(wish: Wish, spec: BoardSpec, there: str, bar) -> files.Firmware | None:
    """The firmware to write; None: MicroPython `there` (a version, or "") stays on the board."""
    path = _named(wish)
    if path is None:
        url, sha256 = _download(wish, spec)
        if url:
            path = store.fetch(url, sha256, _progress(bar))
    if path is not None:
        return files.load(path, spec.bootloader_offset, spec.chip)
    if there:
        files.check_version(there, "On the board")
        return None
    raise ToolError(
        f"The {spec.chip} needs MicroPython, and l4 has no checksum to trust a download by. "
        f"Download {spec.firmware.get('url') or 'it from https://micropython.org/download'} and "
        "pass --firmware FILE, or pass --sha256 with the sum its publisher gives."
    )


def _named(wish: Wish) -> Path | None:
    if not wish.firmware or store.is_url(wish.firmware):
        return None
    path = Path(wish.firmware)
    if wish.sha256 and path.is_file() and store.checksum(path) != wish.sha256:
        raise ToolError(
            f"{path} has the SHA-256 {store.checksum(path)}, not the one given. Download it again."
        )
    return path


def _download(wish: Wish, spec: BoardSpec) -> tuple[str, str | None]:
    """(URL, checksum or None); an empty URL: nothing that could be checked."""
    if wish.firmware:
        return wish.firmware, wish.sha256 or None
    entry = spec.firmware
    sha256 = wish.sha256 or entry.get("sha256") or store.by_url(str(entry.get("url")))
    return (str(entry["url"]), sha256) if entry and sha256 else ("", None)


def _progress(bar) -> Progress:
    return lambda done, total: bar("Downloading", done, total)
