"""Where a running mesh is to be found: `$L4_HOME/mesh/NAME/`, for its owner only.

lock         held by the daemon as long as it lives: whoever can take it knows that none runs
state.json   written by the daemon: pid, hub, control socket, and "failed" if it gave up
kept.json    which network the flash images and stores in here belong to
log, boards/, l1/ l2/ l3/    what the daemon and its children say and store
"""

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path

from l4tools.errors import NotFound, ToolError
from l4tools.lan.control import ControlClient
from l4tools.network import check_name, home

_SOCKET_MAX = 100  # of sun_path's 107, with some room
_TAKE_S = 3.0


class Place:
    def __init__(self, name: str):
        self.name = check_name(name)
        self.folder = home() / "mesh" / name
        self.held = False

    @property
    def log(self) -> Path:
        return self.folder / "log"

    # the daemon's side

    def make(self) -> None:
        try:
            for path in (home(), self.folder.parent, self.folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(self.folder, 0o700)
        except OSError as e:
            raise ToolError(
                "%s can't be written (%s). Set L4_HOME to a folder of yours."
                % (self.folder, e.strerror or e)
            ) from None

    def take(self) -> None:
        """Hold the lock until this process ends; ToolError when another one has it."""
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        end = time.monotonic() + _TAKE_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.held = True  # and fd stays open as long as this process lives
                return
            except OSError:  # somebody may just be looking whether it is free
                if time.monotonic() > end:
                    os.close(fd)
                    raise ToolError(
                        "The mesh %s is running already. See: l4 mesh ps" % self.name
                    ) from None
            time.sleep(0.02)

    def socket(self) -> Path:
        """A path for the control socket that the system takes, even under a deep home."""
        path = self.folder / "control"
        if len(str(path)) <= _SOCKET_MAX:
            return path
        return Path(tempfile.mkdtemp(prefix="l4-", dir="/tmp")) / "control"

    def write(self, name: str, doc: dict) -> None:
        """A file of this folder, whole or not at all."""
        aside = self.folder / ("." + name)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w") as f:
            json.dump(doc, f, indent=1)
        os.replace(aside, self.folder / name)

    def read(self, name: str) -> dict:
        try:
            return json.loads((self.folder / name).read_text())
        except (OSError, ValueError):
            return {}

    # everybody else's side

    def runs(self) -> bool:
        """Does a daemon hold the lock?"""
        try:
            fd = os.open(self.folder / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def last_words(self) -> str:
        """The last line of the log."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "nothing"

    def client(self) -> ControlClient:
        control = self.read("state.json").get("control")
        if not control or not self.runs():
            raise NotFound(
                "The mesh %s does not run. Start it with: l4 mesh up %s" % (self.name, self.name)
            )
        return ControlClient(control, timeout=20)


def all_places() -> list[Place]:
    """Meshes that run, or ended without being stopped."""
    found = sorted((home() / "mesh").glob("[!.]*/state.json"))
    return [Place(p.parent.name) for p in found]


def running() -> list[Place]:
    return [p for p in all_places() if p.runs()]


def the_place(name: str | None) -> Place:
    """The mesh `name`; without a name the one that runs."""
    if name is not None:
        try:
            return Place(name)
        except ValueError as e:
            raise NotFound("There is no such mesh: %s. See: l4 mesh ps" % e) from None
    up = running()
    if len(up) > 1:
        names = ", ".join(p.name for p in up)
        raise ToolError("Several meshes run: %s. Say which with --network NAME." % names)
    if up:
        return up[0]
    left = all_places()
    if left:
        return left[0]
    raise NotFound("No mesh runs. Start one with: l4 mesh up")
