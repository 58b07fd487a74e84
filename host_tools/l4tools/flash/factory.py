"""Images for many boards: MicroPython, files and settings in one .bin, a ticket instead of keys.

Every board of a batch needs its own image: the ticket in it lets one board join, once. Identity
keys are made on the board; no image holds a key. Written with any tool, at offset 0:

    esptool --chip esp32c3 write-flash 0x0 porch-1.bin
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import blelib
from ..boards import BoardSpec
from ..errors import ToolError
from ..frozen import beside, held_by
from ..image import compiled
from ..network import Network
from . import firmware, keep, partitions
from .partitions import SECTOR


def names(out: Path, count: int) -> list[Path]:
    """One file: `out`; several: out-1.bin, out-2.bin .."""
    if count == 1:
        return [out]
    digits = len(str(count))
    return [
        out.with_name("%s-%0*d%s" % (out.stem, digits, i + 1, out.suffix)) for i in range(count)
    ]


def make(
    spec: BoardSpec,
    fw: firmware.Firmware,
    flash_size: int,
    settings: dict[str, Any],
    network: Network,
    out: Path,
    count: int = 1,
    app: Path | None = None,
    ble: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Write the images; none is written over an existing file. `ble`: aioble may be fetched."""
    from .. import tickets

    if spec.chip_id is not None and fw.chip_id != spec.chip_id:
        raise ToolError(
            f"{fw.source} is not for {spec.chip}. Take the .bin of MicroPython for {spec.name}."
        )
    paths = names(out, count)
    for path in paths:
        if path.exists():
            raise ToolError(f"{path} exists already. Choose another name with --image.")
    place = partitions.vfs(fw.rows, flash_size, fw.numbers)
    base = beside(keep.files(keep.read_app(app) if app else None), held_by(fw.app.data))
    config = keep.merged(spec.config(), keep.of_network(network), settings)
    base.update(compiled(blelib.for_board(ble, spec.ble, config, {}, tell)))
    given = tickets.issue(network, count)
    for path, ticket in zip(paths, given, strict=True):
        data = keep.image(base, config, {"ticket": ticket}, place.blocks)
        _write(path, _whole(fw, place.offset, data))
    return paths


def _whole(fw: firmware.Firmware, vfs_at: int, fs: bytes) -> bytes:
    """Flash from 0 to the last block in use; FF between the parts."""
    out = bytearray(b"\xff" * vfs_at)
    for part in fw.parts:
        out[part.addr : part.end] = part.data
    out[vfs_at:] = fs.rstrip(b"\xff")
    return bytes(out) + b"\xff" * (-len(out) % SECTOR)


def _write(path: Path, data: bytes) -> None:
    """A file that only its owner reads: there are WiFi passwords in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(path.name + ".tmp")
    fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    os.replace(tmp, path)
