"""A bundle: a signed manifest and the files that it names (docs/ota.md).

    Bundle.build(files, seed, counter=7, name="..")     files: {path: .mpy bytes}
    Bundle.read(path) / .write(path)
    project_bundle(where)                               the files that an update consists of

A file of it is "L4B" 1, length of the manifest 4, manifest, the files one after the other.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from l4mesh import ota_manifest as manifest

from .. import fastsig
from ..errors import ToolError
from ..image import compiled, project_files
from ..paths import LIB
from ..shrunk import small

ANY = "any"
LEAST = (1, 24)
MPY_FORMAT = 6
_MAGIC = b"L4B\x01"
# What a board starts with before it looks at any update; boot.py and main.py are never compiled.
_FACTORY = ("boot.py", "main.py", "safe_mode.py", "ota_boot.py")


@dataclass(frozen=True)
class Bundle:
    manifest: bytes
    data: bytes = field(repr=False)

    @classmethod
    def build(
        cls,
        files: dict[str, bytes],
        seed: bytes,
        *,
        counter: int,
        name: str = "",
        target: str = ANY,
        least: tuple[int, int] = LEAST,
    ) -> "Bundle":
        """Signed with the owner's seed. ToolError: a name, size or counter no node would take."""
        rows = sorted((path.encode(), data) for path, data in files.items())
        for path, data in rows:
            if not manifest.good_path(path) or path.decode() in manifest.FACTORY or not data:
                raise ToolError(
                    "%s cannot be in an update. Name modules with lower case letters, digits "
                    "and _, in at most two folders." % path.decode("utf-8", "replace")
                )
        if not 1 <= counter < 1 << 30:
            raise ToolError("A version counter is from 1 to 1073741823, not %d." % counter)
        head = b"L4O\x01" + counter.to_bytes(4, "big")
        head += sum(len(d) for _, d in rows).to_bytes(4, "big")
        head += bytes((*least, MPY_FORMAT, min(len(rows), 255)))
        for text in (target, name):
            head += bytes((min(len(text.encode()), 255),)) + text.encode()
        for path, data in rows:
            head += bytes((len(path),)) + path + len(data).to_bytes(3, "big")
            head += hashlib.sha256(data).digest()
        m = head + bytes(manifest.SIGNATURE)
        if not manifest.well_formed(m):
            raise ToolError(
                "No node would take this: an update has 1 to 255 files, at most 768 KiB, and a "
                "version name and target of at most 32 plain characters."
            )
        m = head + fastsig.sign(seed, manifest.signed_text(m))
        return cls(m, b"".join(d for _, d in rows))

    @classmethod
    def parse(cls, raw: bytes, where: str = "This file") -> "Bundle":
        """The whole of it is checked, but not who signed it."""
        n = int.from_bytes(raw[4:8], "big")
        b = cls(raw[8 : 8 + n], raw[8 + n :])
        if raw[:4] != _MAGIC or len(b.manifest) != n or not manifest.well_formed(b.manifest):
            raise ToolError("%s is no bundle. Make one with: l4 ota build --out FILE" % where)
        if len(b.data) != manifest.total(b.manifest):
            raise ToolError(
                "%s has %d bytes of files, its manifest says %d. Make it anew, or copy it again."
                % (where, len(b.data), manifest.total(b.manifest))
            )
        for path, data, good in b.pieces():
            if hashlib.sha256(data).digest() != good:
                raise ToolError("%s is damaged at %s. Make it anew." % (where, path))
        return b

    @classmethod
    def read(cls, path: Path) -> "Bundle":
        try:
            return cls.parse(path.read_bytes(), str(path))
        except OSError as e:
            raise ToolError("%s can't be read (%s). Check the name." % (path, e.strerror or e))

    def write(self, path: Path) -> None:
        raw = _MAGIC + len(self.manifest).to_bytes(4, "big") + self.manifest + self.data
        tmp = path.with_name(".%s.%d.tmp" % (path.name, os.getpid()))
        try:
            tmp.write_bytes(raw)
            os.replace(tmp, path)
        except OSError as e:
            tmp.unlink(missing_ok=True)
            raise ToolError("%s can't be written (%s). Check it." % (path, e.strerror or e))

    def pieces(self) -> Iterator[tuple[str, bytes, bytes]]:
        """(path, bytes, SHA-256 that the manifest promises) of each file."""
        at = 0
        for path, size, o in manifest.files(self.manifest):
            yield path, self.data[at : at + size], self.manifest[o : o + 32]
            at += size

    def signed_by(self, owner: bytes) -> bool:
        sig = self.manifest[-manifest.SIGNATURE :]
        return fastsig.verify(owner, manifest.signed_text(self.manifest), sig)

    @cached_property
    def id(self) -> bytes:
        return manifest.bundle_id(self.manifest)

    @property
    def counter(self) -> int:
        return manifest.counter(self.manifest)

    @property
    def name(self) -> str:
        return manifest.text(self.manifest, 1)

    @property
    def target(self) -> str:
        return manifest.text(self.manifest, 0)

    def public(self) -> dict:
        return {
            "counter": self.counter,
            "version": self.name,
            "target": self.target,
            "files": self.manifest[15],
            "bytes": len(self.data),
            "bundle": self.id.hex(),
        }


def project_bundle(where: Path | None = None) -> dict[str, bytes]:
    """{path: .mpy} of the project, as an image has it, without what stays the factory's.

    `where`: a folder with firmware/ and lib/ of its own; or your files, which go over the
    project's: one .py file, or a folder of them. app.py is in only if it is among them.
    """
    files = project_files()
    app = False
    if where is not None:
        roots = [(where / "lib", "lib/"), (where / "firmware", "")]
        if where.is_dir() and all(root.is_dir() for root, _ in roots):
            if where.resolve() != LIB.parent:
                files = {}
                for root, prefix in roots:
                    files |= _python(root, prefix)
        else:
            own = {where.name: where} if where.is_file() else _python(where, "")
            if not own:
                raise ToolError("%s has no Python files. Name your app.py or its folder." % where)
            files |= own
            app = "app.py" in own
    made = small(files)
    source = {p: s for p, s in made.items() if p not in (*_FACTORY, "app.py")}
    out = compiled(source)
    if app:
        from ..image import compile_mpy

        out["app.mpy"] = compile_mpy(made["app.py"], "app.py")
    return {path: data for path, data in out.items() if path.endswith(".mpy")}


def _python(root: Path, prefix: str) -> dict[str, Path]:
    if not root.is_dir():
        raise ToolError("There is no file or folder %s. Check the name." % root)
    found = sorted(root.rglob("*.py"))
    return {prefix + p.relative_to(root).as_posix(): p for p in found}
