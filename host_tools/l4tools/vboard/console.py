"""The two ends of a virtual board's serial line, and what is lost on it.

`HostPort` is the terminal that mpremote opens (/dev/pts/N). `Lines` cuts output into lines for
logs, without control characters: a board must not be able to steer a terminal that shows its log.
"""

import os
import pty
import time
import tty
from collections.abc import Callable

from l4tools.lan.loop import Loop

_KEEP = 1 << 18  # bytes for a slow reader; nobody reading: dropped when somebody comes


class HostPort:
    def __init__(self, loop: Loop, on_input: Callable[[bytes], None]):
        self._loop, self._on_input = loop, on_input
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)  # held open, so that the master never sees EIO
        self._out = b""
        self._stuck_since = 0.0
        self.patience = 0.2  # s until a host that does not read is taken for one that left
        loop.add_reader(self._master, self._readable)

    def _readable(self):
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return
        if self._out and time.monotonic() - self._stuck_since > self.patience:
            self._out = b""  # nobody read it for a while: a new session starts here
        if data:
            self._on_input(data)

    def write(self, data: bytes) -> None:
        self._out = (self._out + data)[-_KEEP:]
        self._flush()

    def _flush(self):
        try:
            sent = os.write(self._master, self._out)
        except BlockingIOError:
            sent = 0
        self._out = self._out[sent:]
        if self._out:
            if sent or not self._stuck_since:
                self._stuck_since = time.monotonic()
            self._loop.add_writer(self._master, self._flush)
        else:
            self._stuck_since = 0.0
            self._loop.remove_writer(self._master)

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        os.close(self._slave)


class Lines:
    """`feed(bytes)` calls `on_line(text)` for each whole line."""

    def __init__(self, on_line: Callable[[str], None]):
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-4096:]
        for line in lines:
            text = line.rstrip(b"\r").decode("utf-8", "replace")
            self._on_line("".join(c if c.isprintable() else "?" for c in text))
