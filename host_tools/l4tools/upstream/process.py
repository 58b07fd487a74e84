"""Tiers as child processes, for the command, the demo and the tests.

    up = TierProcess(tier_config(network, 3, folder, ..)).start()
    up.ready["udp"], up.stop(), up.kill(), up.start()

Secrets go by stdin, never as arguments. The child ends when this process does, whatever ends it.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque

from ..errors import ToolError, Unavailable

_READY_S = 60
_STOP_S = 15


class TierProcess:
    """`on_log(line)` gets what the tier says, in a thread; the newest lines are in `log`."""

    def __init__(self, config: dict, on_log=None):
        self.config = {**config, "tied": True}
        self.ready = {}
        self.log = deque(maxlen=500)
        self._on_log = on_log
        self._child = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def name(self) -> str:
        return "L%d" % self.config["tier"]

    @property
    def pid(self):
        return self._child.pid if self.alive else None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self, wait=True) -> "TierProcess":
        """Start it; with `wait` return when it serves. ToolError with its last words if not."""
        self._child = subprocess.Popen(
            [sys.executable, "-m", "l4tools.upstream.service", "--json-config", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the launcher, which stops it in order
            env=environment(),
        )
        with contextlib.suppress(BrokenPipeError):  # it died at once: wait_ready says of what
            self._child.stdin.write(json.dumps(self.config) + "\n")
            self._child.stdin.flush()
        self._lines = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, self._lines, is_stdout), daemon=True)
            for stream, is_stdout in ((self._child.stdout, True), (self._child.stderr, False))
        ]
        for reader in self._readers:
            reader.start()
        return self.wait_ready() if wait else self

    def wait_ready(self) -> "TierProcess":
        try:
            line = self._lines.get(timeout=_READY_S)
        except queue.Empty:
            line = None
        if line is None:
            self.stop()
            for reader in self._readers:
                reader.join(2)
            kind = Unavailable if self._child.returncode == Unavailable.exit_code else ToolError
            said = self.log[-1] if self.log else "It said nothing; see its data folder."
            raise kind("%s did not start. %s" % (self.name, said))
        self.ready = json.loads(line[6:])
        return self

    def _read(self, stream, lines, is_stdout):
        for line in stream:
            line = line.rstrip("\n")
            if is_stdout and line.startswith("READY "):
                lines.put(line)
                continue
            self.log.append(line)
            if self._on_log is not None:
                self._on_log(line)
        stream.close()
        if is_stdout:
            lines.put(None)

    def stop(self) -> None:
        """End it in order (SIGTERM); after 15 s the hard way. Safe to repeat."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
        child.wait()
        self._close_stdin()

    def kill(self) -> None:
        """As a power cut would."""
        self._child.kill()
        self._child.wait()
        self._close_stdin()

    def _close_stdin(self):
        with contextlib.suppress(BrokenPipeError):  # settings that nobody read
            self._child.stdin.close()


def environment() -> dict:
    """The child imports the same l4tools and l4mesh as this process.

    It does not get the passphrase: with the network file that is the master key, which no tier
    but L1 is given, nor a NATS server.
    """
    from ..paths import LIB, ROOT

    here = [str(ROOT / "host_tools"), str(LIB)]
    kept = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(here + kept)}
    env.pop("L4_PASSPHRASE", None)
    return env
