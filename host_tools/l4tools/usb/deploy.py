"""Bring a board's files to a payload: only what differs is sent; interruptions do no harm.

The board is asked for the hashes of its files. New files are written beside the old ones, with
`.l4new` behind their name, and checked. Then they take the old ones' places:

    firmware     its files fit together only as a set. For the moment of the renames, boot.py is
                 replaced by a script that does them: after a power cut the board boots with it,
                 finishes the set and goes on as the new firmware. The true boot.py comes last.
    user's       one rename each; a file that does not fit the others stops no node.

Files of the former deploy of the same thing that are gone are removed, never anything else;
/deployed.json on the board says what those were.
"""

import binascii
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import ToolError
from .payload import APP, OURS, PROTECTED, Payload, is_protected, manifest, sources_in_root
from .repl import Repl

NEW = ".l4new"
MANIFEST = "/deployed.json"
BOOT = "/boot.py"
_OTA_STATE = "/ota/state"
_SKIP = tuple(p for p in PROTECTED if p not in ("/config.json", "/ticket", MANIFEST))
_SPARE = 8 * 4096  # bytes of flash that stay free for the node's own needs

_ABOUT = """\
import os, sys
def _l4a():
 try:
  import l4mesh
  where = l4mesh.__file__
 except Exception:
  where = ''
 update = [p for p in sys.path if p[:5] == '/ota/' and p[-4:] != '/lib']
 other = bool(update) and 'app.mpy' in os.listdir(update[0])
 s = os.statvfs('/')
 return s[0] * s[3], s[0], where, getattr(sys.implementation, '_mpy', 6) & 255, other
print(repr(_l4a()))
del _l4a
"""

_FINISH = """\
# l4 deploy puts its files in their places; it was interrupted if this is still here.
import os
def _l4s():
 for p in %r:
  try:
   os.stat(p + %r)
  except OSError:
   continue
  try:
   os.rename(p + %r, p)
  except OSError:
   os.remove(p)
   os.rename(p + %r, p)
 for p in %r:
  try:
   os.remove(p)
  except OSError:
   pass
%s
_l4s()
"""
_GO_ON = "exec(open('/boot.py').read())\n"

Progress = Callable[[str, int, int], None]


@dataclass
class Plan:
    """What has to be done: `write` in this order."""

    write: dict[str, bytes] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)  # of a deploy that was interrupted
    same: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.write or self.remove or self.litter)


@dataclass
class Done:
    """What was done, for people and --json."""

    written: list[str]
    removed: list[str]
    same: int
    size: int  # bytes sent
    seconds: float
    notes: list[str] = field(default_factory=list)


def make_plan(payload: Payload, tree: dict[str, tuple[int, str]], former: dict) -> Plan:
    """`tree`: of the board; `former`: its manifest."""
    wanted = dict(payload.files)
    if payload.default_app is not None and APP not in tree:
        wanted[APP] = payload.default_app
    plan = Plan()
    for path, data in wanted.items():
        if tree.get(path, (0, ""))[1] == hashlib.sha256(data).hexdigest():
            plan.same += 1
        else:
            plan.write[path] = data
    others = {p for group, paths in former.items() if group != payload.group for p in paths}
    gone = set(former.get(payload.group, ()))
    if payload.is_firmware:
        gone.update(path for path in tree if path.startswith(OURS))
        # Files of the firmware that l4 flash wrote, in an order of modules that was another.
        gone.update(sources_in_root())
        gone.discard(APP)  # it came as the default; it is the user's since
    # MicroPython takes m.py before m.mpy: an older m.py would hide what is sent.
    gone.update(p[:-4] + ".py" for p in wanted if p.endswith(".mpy"))
    gone = {p for p in gone if p in tree and p not in wanted and p not in others}
    plan.remove = sorted(p for p in gone if not is_protected(p))
    staged = {p + NEW for p in plan.write}
    plan.litter = sorted(p for p in tree if p.endswith((NEW, NEW + ".tmp")) and p not in staged)
    return plan


def push(repl: Repl, payload: Payload, progress: Progress = lambda *a: None) -> Done:
    """Do it; the board is in its raw REPL afterwards, main.py stopped."""
    start = time.monotonic()
    repl.enter(soft_reset=True)
    free, block, where, mpy, other_app = repl.eval_script(_ABOUT)
    _check_board(payload, where, mpy)
    tree = repl.tree("/", skip=("/rom", "/remote", *_SKIP))
    former = manifest(repl.read(MANIFEST)) if MANIFEST in tree else {}
    plan = make_plan(payload, tree, former)
    size = 0
    if not plan.is_empty:
        for path in plan.litter:
            repl.remove(path)
        _check_room(plan, tree, free, block)
        size = _stage(repl, plan, tree, progress)
        _commit(repl, payload, plan, tree)
    notes = []
    if payload.is_firmware and _ota_off(repl):
        notes.append("An update that came over the mesh is off; these files run instead.")
    elif other_app and APP in payload.files:
        notes.append(
            "An update that came over the mesh has an app of its own, which runs instead. To go "
            "back to the files on USB: l4 deploy --app FILE."
        )
    _remember(repl, payload, former)
    seconds = time.monotonic() - start
    return Done(list(plan.write), plan.remove, plan.same, size, seconds, notes)


def _check_board(payload: Payload, where: str, mpy: int) -> None:
    compiled = next((d for p, d in payload.files.items() if p.endswith(".mpy")), b"M\x06")
    if compiled[1] != mpy:
        raise ToolError(
            "The board's MicroPython reads .mpy version %d, mpy-cross here writes %d. Run l4 "
            "flash, which writes a MicroPython that fits." % (mpy, compiled[1])
        )
    if payload.is_firmware and where and not where.startswith(("/lib/", "/ota/", "lib/")):
        raise ToolError(
            "The board's firmware holds the node's code itself (%s), which would be taken before "
            "files. Run l4 flash; your own files can be deployed: l4 deploy app.py." % where
        )


def _check_room(plan: Plan, tree: dict, free: int, block: int) -> None:
    need = sum(
        (len(data) // block + 1) * block
        for path, data in plan.write.items()
        if path + NEW not in tree
    )
    if need + _SPARE > free:
        raise ToolError(
            "The board's flash is full: %d KiB are needed for a moment, %d KiB are free. Remove "
            "files of your own from it; nothing was changed."
            % ((need + _SPARE) // 1024, free // 1024)
        )


def _stage(repl: Repl, plan: Plan, tree: dict, progress: Progress) -> int:
    """Send what differs, beside the old; what an earlier run has sent already is taken."""
    total = sum(map(len, plan.write.values()))
    sent = size = 0
    for folder in sorted({path.rpartition("/")[0] for path in plan.write} - {""}):
        repl.mkdirs(folder)
    for path, data in plan.write.items():
        if tree.get(path + NEW, (0, ""))[1] != hashlib.sha256(data).hexdigest():

            def step(n, _, path=path, before=sent):
                progress(path, before + n, total)

            repl.write(path + NEW, data, step)
            size += len(data)
        sent += len(data)
        progress(path, sent, total)
    return size


def finish_script(paths: list[str], remove: list[str], no_boot: bool) -> str:
    """Renames (boot.py last), then removals."""
    order = [p for p in paths if p != BOOT] + [p for p in paths if p == BOOT]
    last = " os.remove(%r)" % BOOT if no_boot else " pass"
    return _FINISH % (order, NEW, NEW, NEW, remove, last)


def _commit(repl: Repl, payload: Payload, plan: Plan, tree: dict) -> None:
    paths = list(plan.write)
    if not payload.is_firmware:
        repl.exec(finish_script(paths, plan.remove, False), timeout=60)
        return
    if BOOT not in plan.write and BOOT in payload.files:
        repl.write(BOOT + NEW, payload.files[BOOT])
        paths.append(BOOT)
    script = finish_script(paths, plan.remove, BOOT not in payload.files)
    repl.write(BOOT, (script + _GO_ON).encode())
    repl.exec(script, timeout=60)


def _remember(repl: Repl, payload: Payload, former: dict) -> None:
    files = sorted(payload.files)
    if former.get(payload.group) != files:
        doc = {**former, payload.group: files}
        repl.write(MANIFEST, json.dumps(doc, separators=(",", ":")).encode())


def _ota_off(repl: Repl) -> bool:
    """Files of an update in /ota come before those in /; True: there was one, it is off now.

    The format is that of firmware/ota_boot.py: 21 bytes, 4 active, 5 pending, CRC-32 at the end.
    """
    if not repl.exec("import os\nprint('ota' in os.listdir('/'))").startswith("True"):
        return False
    if _OTA_STATE not in repl.tree("/ota", skip=("/ota/a", "/ota/b")):
        return False
    state = bytearray(repl.read(_OTA_STATE))
    if len(state) != 21 or state[:4] != b"L4O\x01" or not (state[4] or state[5]):
        return False
    state[4] = state[5] = 0
    state[17:] = binascii.crc32(state[:17]).to_bytes(4, "big")
    repl.write(_OTA_STATE, bytes(state))
    return True
