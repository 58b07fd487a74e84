"""What a board is, in one encrypted file: settings, app.py and other files of the user, readings
that were not delivered, its log, its identity and keys out of NVS.

The file is a vault (vault.py) under the passphrase of the board's network: it holds the identity
seed and the keys. Inside it is zlib-packed JSON:
{"version", "kind", "made", "node" (id), "files": {path: base64}, "keys": {name: base64}}.
"""

import base64
import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from l4mesh.keys import node_id

from .. import vault
from ..errors import ToolError
from ..flash import keep
from . import resume

_KIND = "l4-board"
_VERSION = 1
_NAMESPACE = "l4mesh"
KEYS = ("seed", "public", "network", "nodekey", "owner", "group", "epoch")
_IDENTITY = ("keys/", "queue/", "ticket")  # of the node, not of whoever has the board
_MOST = 700 * 1024  # packed; as base64 it has to fit into a vault

_READ_KEYS = """
from binascii import b2a_base64
from esp32 import NVS
_l4n = NVS(%r)
for _l4k in %r:
 _l4b = bytearray(160)
 try:
  print(_l4k, b2a_base64(_l4b[:_l4n.get_blob(_l4k, _l4b)]).decode().strip())
 except OSError:
  pass
del _l4n, _l4b, _l4k
"""
_WRITE_KEYS = """
from binascii import a2b_base64
from esp32 import NVS
_l4n = NVS(%r)
for _l4k, _l4v in %r:
 _l4n.set_blob(_l4k, a2b_base64(_l4v))
_l4n.commit()
del _l4n
"""
# Identity, keys, boot count, and the flight recorder's memory.
ERASE_KEYS = """
from esp32 import NVS
for _l4s, _l4l in (%r, %r), ('l4', ('boots',)):
 _l4n = NVS(_l4s)
 for _l4k in _l4l:
  try:
   _l4n.erase_key(_l4k)
  except OSError:
   pass
 _l4n.commit()
try:
 import machine
 machine.RTC().memory(b'')
except Exception:
 pass
"""


@dataclass
class Backup:
    made: str
    files: dict[str, bytes]
    keys: dict[str, bytes]

    @property
    def node(self) -> str | None:
        public = self.keys.get("public", b"")
        return node_id(public).hex() if len(public) == 32 else None

    @property
    def readings(self) -> int:
        return keep.backlog(self.files)

    def rows(self) -> dict:
        return {
            "node": self.node,
            "made": self.made,
            "files": len(self.files),
            "readings": self.readings,
            "keys": sorted(self.keys),
        }


def read_keys(repl) -> dict[str, bytes]:
    text = repl.exec(_READ_KEYS % (_NAMESPACE, KEYS))
    pairs = (line.split(" ", 1) for line in text.splitlines() if " " in line)
    return {name: base64.b64decode(value) for name, value in pairs}


def users_files(repl) -> dict[str, bytes]:
    """{path without the first /: bytes} of all that is not the firmware's own."""
    return {p[1:]: repl.read(p) for p in repl.tree() if not keep.is_ours(p[1:])}


def take(repl) -> Backup:
    """From a board in its raw REPL."""
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Backup(made, users_files(repl), read_keys(repl))


def save(path: Path, backup: Backup, passphrase: str) -> None:
    doc = {
        "version": _VERSION,
        "kind": _KIND,
        "made": backup.made,
        "node": backup.node,
        "files": {p: _b64(d) for p, d in backup.files.items()},
        "keys": {k: _b64(d) for k, d in backup.keys.items()},
    }
    data = zlib.compress(json.dumps(doc).encode(), 9)
    if len(data) > _MOST:
        raise ToolError(
            "The board has %d KiB that do not compress, too much for a backup. Let it deliver its "
            "readings, or remove large files of your own." % (len(data) // 1024)
        )
    vault.write(path, data, passphrase, new=True)


def load(path: Path, passphrase: str) -> Backup:
    data = vault.read(path, passphrase)
    try:
        doc = json.loads(zlib.decompress(data))
        if doc["kind"] != _KIND or doc["version"] != _VERSION:
            raise ValueError("kind")
        files = {p: base64.b64decode(d) for p, d in doc["files"].items()}
        keys = {k: base64.b64decode(d) for k, d in doc["keys"].items() if k in KEYS}
        return Backup(doc["made"], files, keys)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        raise ToolError(
            "%s is no backup of a board that this l4 knows. Pass a file that l4 backup wrote."
            % path
        ) from None


def restore(repl, backup: Backup, identity: bool, now: dict[str, bytes] | None = None) -> dict:
    """Files and, with `identity`, who it is. Returns what was written and what was left out.

    `now`: the board's keys. The node of the backup keeps the queue it has: that went on since.
    """
    now = now or {}
    files = {
        p: d for p, d in backup.files.items() if identity or not p.startswith(_IDENTITY)
    }  # fmt: skip
    if identity:
        own = now.get("public") == backup.keys.get("public") and repl.tree("/queue")
        if own:
            files = {p: d for p, d in files.items() if not p.startswith("queue/")}
        else:
            for path in repl.tree("/queue"):
                repl.remove(path)
            files |= resume.queue(files)
    for path in sorted(files):
        folder = path.rpartition("/")[0]
        if folder:
            repl.mkdirs("/" + folder)
    for path, data in sorted(files.items()):
        repl.write("/" + path, data)
    if identity and backup.keys:
        pairs = [(k, _b64(v)) for k, v in sorted(resume.keys(backup.keys, now).items())]
        repl.exec(_WRITE_KEYS % (_NAMESPACE, pairs))
    left = sorted(set(backup.files) - set(files))
    return {"files": sorted(files), "left_out": left, "identity": identity}


def erase(repl) -> int:
    """All files and keys; how many files there were."""
    paths = list(repl.tree())
    for name in repl.eval("__import__('os').listdir('/')"):
        repl.remove("/" + name)
    repl.exec(ERASE_KEYS % (_NAMESPACE, KEYS))
    return len(paths)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
