"""What a deploy puts on a board: the project's firmware, or a file or folder of the user.

Everything is compiled here, so a mistake in a source is a sentence before anything is sent.
Python becomes .mpy, but boot.py, main.py and app.py stay source: MicroPython starts the first two
by name, and the third is the one that people change, on the board too.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ToolError
from ..image import KEEP_SOURCE, Files, compile_mpy, compiled, project_files
from ..paths import FIRMWARE, LIB
from ..shrunk import small

FIRMWARE_GROUP = "firmware"
# Never written or removed by a deploy: settings, keys, readings, updates, logs.
PROTECTED = (
    "/config.json", "/keys", "/queue", "/kept", "/ota", "/log", "/ticket", "/deployed.json",
)  # fmt: skip
# Folders that hold our code and nothing else.
OURS = ("/lib/l4mesh/", "/lib/l4mesh_io/", "/lib/l4drivers/")
APP = "/app.py"
_WHERE = re.compile(r'File "([^"]+)", line (\d+)')


@dataclass
class Payload:
    """`files`: {path on the board: bytes}. `group`: whose older files are removed by it."""

    group: str
    files: dict[str, bytes] = field(default_factory=dict)
    default_app: bytes | None = None  # written where there is no /app.py

    @property
    def is_firmware(self) -> bool:
        return self.group == FIRMWARE_GROUP


def firmware(app: Path | None = None, files: Files | None = None) -> Payload:
    """The project's lib/ and firmware/ (or `files`), made small and compiled as in an image."""
    files = dict(project_files() if files is None else files)
    if app is not None:
        files["app.py"] = _source(app)
    for name in KEEP_SOURCE:  # the others are compiled anyway
        compile_checked(files[name], name)
    built = {"/" + path: data for path, data in compiled(small(files)).items()}
    default = built.pop(APP) if app is None else None
    return Payload(FIRMWARE_GROUP, built, default)


def user(path: Path, to: str = "/") -> Payload:
    """A file goes to the folder `to` of the board, a folder below it; `.` without its name."""
    if not path.exists():
        raise ToolError("There is no %s. Name a file or a folder to deploy." % path)
    root = "/" + to.strip("/")
    if path.is_file():
        found = {path.name: path}
    else:
        prefix = "" if path.name in ("", "..") else path.name + "/"
        found = {prefix + p.relative_to(path).as_posix(): p for p in _below(path)}
        if not found:
            raise ToolError("%s has no files in it. Name a file or a folder to deploy." % path)
    files: dict[str, bytes] = {}
    for name, source in sorted(found.items()):
        target = root.rstrip("/") + "/" + name
        _check_target(target, source)
        if name.endswith(".py"):
            mpy = compile_checked(_source(source), str(source))
            if target != APP:
                files[target[:-3] + ".mpy"] = mpy
                continue
        files[target] = source.read_bytes()
    return Payload(root.rstrip("/") + "/" + path.name, files)


def _below(folder: Path) -> list[Path]:
    """Files of a folder: what begins with a dot, and what CPython leaves, is not meant."""
    out = []
    for p in sorted(folder.rglob("*")):
        parts = p.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if p.is_file() and not hidden:
            out.append(p)
    return out


def _source(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as e:
        raise ToolError("%s could not be read (%s). Check the name." % (path, e.strerror or e))
    return data


def compile_checked(source: Path | bytes | str, name: str) -> bytes:
    """.mpy, or a sentence with file and line."""
    try:
        return compile_mpy(source, name.rpartition("/")[2])
    except ToolError as e:
        text = str(e)
        found = _WHERE.findall(text)
        if not found:
            raise
        last = text.strip().rpartition("\n")[2]
        raise ToolError(
            "%s, line %s: %s. Correct it; nothing was sent." % (name, found[-1][1], last)
        ) from None


def _check_target(target: str, source: Path) -> None:
    """ToolError for what a deploy of the user's files must not replace."""
    if is_protected(target):
        raise ToolError(
            "%s would replace %s, which the node itself keeps. Settings are given by l4 "
            "provision." % (source, target)
        )
    mine = {"/" + p for p in project_files()} - {APP}
    twin = target.removesuffix(".mpy").removesuffix(".py") + ".py"
    if twin in mine or target.startswith(OURS):
        if source.resolve().is_relative_to(LIB) or source.resolve().is_relative_to(FIRMWARE):
            raise ToolError(
                "%s is part of the firmware, whose files belong together. Run l4 deploy without "
                "a path." % source
            )
        raise ToolError(
            "%s would replace %s of the firmware. Give your file another name." % (source, target)
        )


def sources_in_root() -> set[str]:
    """Paths in / that modules of the firmware may have on a board, as source or compiled."""
    stems = {"/" + p[:-3] for p in project_files() if p.endswith(".py") and "/" not in p}
    return {stem + end for stem in stems for end in (".py", ".mpy")}


def is_protected(path: str) -> bool:
    return any(path == p or path.startswith(p + "/") for p in PROTECTED)


def manifest(text: bytes | None) -> dict[str, list[str]]:
    """{group: paths} of the former deploys, as the board keeps it; {} for what is not that."""
    try:
        doc = json.loads(text or b"{}")
    except ValueError:
        return {}
    if not isinstance(doc, dict):
        return {}
    return {
        str(group): [p for p in paths if isinstance(p, str) and p.startswith("/")]
        for group, paths in doc.items()
        if isinstance(paths, list)
    }
