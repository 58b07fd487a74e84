"""mosquitto on a loopback port, for a tier that is a client of somebody's broker."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.upstream.private_nats import pick_port

_READY_S = 30


def program() -> str | None:
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Mosquitto:
    """`start`, `kill`; the same port again. It lets everybody in: frames carry their own proof."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = pick_port("127.0.0.1")
        self._folder = folder
        self._process: subprocess.Popen | None = None
        (folder / "conf").write_text(
            "listener %d 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "set_tcp_nodelay true\n" % self.port
        )

    def start(self) -> "Mosquitto":
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [program(), "-c", self._folder / "conf"], stdout=log, stderr=log
            )
        end = time.monotonic() + _READY_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise ToolError("mosquitto did not start. Read %s." % (self._folder / "log"))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
