"""What of the old file system survives, and what the new one holds.

Ours is replaced: the firmware's modules, whatever they are called in an older version. The user's
stays: settings, app.py if it is not one we shipped, any other file; and the node's: readings not
sent yet, the second copy of its identity, its log, its ticket. Updates by air (ota/) go: a board
would start with them and not with what was just written.
"""

import ast
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ToolError
from ..image import BLOCK_SIZE, Files, build_image, compiled, project_files
from ..network import Network
from ..paths import FIRMWARE
from ..shrunk import small
from . import oldfs

CONFIG = "config.json"
# SHA-256 of each app.py that a release of l4 brought along; a board with one of them gets the new
# one. When app.py changes, add its sum (tests/host/test_flash_keep.py says which).
SHIPPED_APPS = (
    "f58780ca05be7808466ceab17fed5f1e42642e2e2a51ad3092d2f2f55a1f8a3e",
    "51209a7845ee54acb9088af0cf2e561335f20c376bbaf703c0a88334ff18a3c6",
)
_OURS = ("lib/l4mesh/", "lib/l4mesh_io/", "lib/l4drivers/", "lib/umqtt/", "ota/")
_NODES = ("queue/", "kept/", "keys/", "log/")
_ALWAYS = ("ticket",)


@dataclass
class Kept:
    """Files that go into the new image as they are, and what is to be said about them."""

    files: dict[str, bytes] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    readings: int = 0
    app: bool = False
    dropped: list[str] = field(default_factory=list)  # old settings that are none any more

    def rows(self) -> dict[str, Any]:
        users = [p for p in self.files if not p.startswith(_NODES) and p != "app.py"]
        return {"readings": self.readings, "app": self.app, "files": sorted(users)}


def of(old: oldfs.OldFs) -> Kept:
    """What survives of the old files."""
    kept = Kept()
    ours = _our_modules()
    for path, data in old.files.items():
        if path == CONFIG:
            kept.config, kept.dropped = old_config(data)
        elif path == "app.py":
            if hashlib.sha256(data).hexdigest() not in SHIPPED_APPS and data != _our_app():
                kept.files[path], kept.app = data, True
        elif path.startswith(_NODES) or path in _ALWAYS:
            kept.files[path] = data
        elif not path.startswith(_OURS) and path not in ours:
            kept.files[path] = data
    kept.readings = backlog(old.files)
    return kept


def _our_app() -> bytes:
    return (FIRMWARE / "app.py").read_bytes()


def _our_modules() -> set[str]:
    """Paths outside lib/l4mesh* that the firmware has, compiled or not."""
    stems = {p.stem for p in FIRMWARE.glob("*.py")} - {"app"}
    stems |= {"l4config", "l4app", "l4start"}  # what an image calls merged modules
    return {stem + ext for stem in stems for ext in (".py", ".mpy")}


def is_ours(path: str) -> bool:
    """Is this one of the firmware's own files (path without the first /)?"""
    return path.startswith(_OURS) or path in _our_modules()


def backlog(files: dict[str, bytes]) -> int:
    """Readings in queue/ that nobody acknowledged, by the node's own code."""
    from l4mesh.counters import Counters
    from l4mesh.queue import Queue

    port = Segments(files)
    if not port.files:
        return 0
    queue = Queue(port, lambda n: bytes(n), Counters(), 64)
    queue.open()
    return queue.pending


class Segments:
    """The queue's segment port on files in memory; the originals stay as they are."""

    def __init__(self, files: dict[str, bytes]):
        self.files: dict[int, bytes] = {}
        for path, data in files.items():
            name = path.removeprefix("queue/")
            if name != path and name.endswith(".l4q") and len(name) == 12:
                try:
                    self.files[int(name[:8], 16)] = data
                except ValueError:
                    continue

    def list(self):
        return list(self.files)

    def append(self, no, buf, n):
        self.files[no] = self.files.get(no, b"") + bytes(buf[:n])
        return True

    def read(self, no, off, buf):
        piece = self.files.get(no, b"")[off : off + len(buf)]
        buf[: len(piece)] = piece
        return len(piece)

    def delete(self, no):
        return self.files.pop(no, None) is not None


# -- settings -----------------------------------------------------------------------------------
def old_config(data: bytes) -> tuple[dict, list[str]]:
    """(settings that this firmware knows, names of those that it does not take)."""
    from l4mesh.config import BadConfig, Config

    try:
        given = json.loads(data)
        if not isinstance(given, dict):
            raise ValueError
    except ValueError:
        return {}, ["all of config.json: it is no JSON"]
    good, bad = {}, []
    for key, value in given.items():
        try:
            Config({key: value})
            good[key] = value
        except BadConfig:
            bad.append(str(key))
    return good, bad


def read_config(path: Path) -> dict:
    """Settings from a file of the user."""
    try:
        given = json.loads(path.read_text())
    except OSError as e:
        raise ToolError(f"{path} could not be read ({e.strerror or e}). Check --config.") from None
    except ValueError as e:
        raise ToolError(
            f"{path} is no JSON ({e}). Check it with: python3 -m json.tool {path}"
        ) from None
    return checked(given, str(path))


def checked(config: Any, source: str) -> dict:
    """The same settings, if the firmware takes them; it would start in safe mode otherwise."""
    from l4mesh.config import BadConfig, Config

    try:
        Config(config)
    except BadConfig as e:
        raise ToolError(f"{source}: {e} Nothing was written; correct it and run again.") from None
    return config


def public(config: dict) -> dict:
    """Settings for screens and --json: names of networks, no password."""
    out = {k: v for k, v in config.items() if k != "mqtt_password"}
    return {**out, "wifi": [pair[0] for pair in config.get("wifi", [])]}


def of_network(net: Network | None) -> dict:
    """Settings that follow from the network file."""
    if net is None:
        return {}
    out: dict[str, Any] = {"network": net.network_id.hex()}
    tiers = [[tier, at] for tier, places in sorted(net.upstream.items()) for at in places]
    if tiers:
        out["upstream"] = tiers
    return out


def merged(*layers: dict) -> dict:
    """Settings; the later layer wins."""
    out: dict = {}
    for layer in layers:
        out.update(layer)
    return checked(out, "The board's settings")


# -- the new file system ------------------------------------------------------------------------
def read_app(path: Path) -> bytes:
    """The user's app.py from a file; ToolError when a board could not even load it."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise ToolError(f"{path} could not be read ({e.strerror or e}). Check --app.") from None
    if not _parses(data):
        try:
            compile(data, str(path), "exec")
        except (SyntaxError, ValueError) as e:
            raise ToolError(f"{path} is no Python: {e}. Correct it and run again.") from None
    return data


def _parses(data: bytes) -> bool:
    try:
        ast.parse(data)
        return True
    except (SyntaxError, ValueError):
        return False


def files(app: bytes | None = None, kept: dict[str, bytes] | None = None) -> Files:
    """The firmware's files as they go onto a board: compiled, but for the boot files.

    Making them small renames what nobody else uses: so `app` (None: ours) and the Python files
    among the `kept` ones, which use the firmware, have their say.
    """
    source = project_files()
    users = [d for p, d in sorted((kept or {}).items()) if p.endswith(".py") and p != "app.py"]
    if app is not None and _parses(app):
        source["app.py"] = app
    out = compiled(dict(small(source, [d.decode() for d in users if _parses(d)])))
    if app is not None:
        out["app.py"] = app
    return out


def wanted(base: Files, config: dict, kept: dict[str, bytes]) -> dict[str, bytes]:
    """{path: bytes} of the new file system."""
    out = compiled(dict(base))
    out.update(kept)
    out[CONFIG] = json.dumps(config).encode()
    return out


def image(base: Files, config: dict, kept: dict[str, bytes], blocks: int) -> bytes:
    """The file system, littlefs of exactly `blocks` blocks; what was kept comes last in it, so
    that its growing and shrinking leaves the firmware's blocks where they are."""
    ours = {p: d for p, d in base.items() if p not in kept}
    try:
        return build_image(
            None, config, ours, umqtt=False, shrink=False, block_count=blocks, kept=kept
        )
    except ToolError as e:
        size = sum(map(len, kept.values())) // 1024
        raise ToolError(
            f"The board's flash is full: {blocks * BLOCK_SIZE // 1024} KiB do not hold the "
            f"firmware and the {size} KiB of files that are kept from it. Let the board send its "
            "readings, delete files of yours on it, or pass --erase to start without them."
        ) from e
