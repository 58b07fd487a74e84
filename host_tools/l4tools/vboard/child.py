"""One run of MicroPython on a terminal of its own: started, watched, interrupted, killed.

The terminal is raw (no echo, no signals); Ctrl-C becomes SIGINT only while code runs that catches
it, which is exactly when MicroPython has its handler installed. The process leads a session on
that terminal, so it ends with the supervisor, however that one ends.
"""

import os
import pty
import signal
import subprocess
import time
import tty
from collections.abc import Callable

from l4tools.lan.loop import Loop
from l4tools.paths import micropython_argv

_SHELL = 'ulimit -c 0; exec "$@" <"$0" >"$0" 2>&1'


class Child:
    """`on_output(data)` as it comes; `on_exit(code)` once, after the last output."""

    def __init__(
        self,
        loop: Loop,
        args: list[str],
        env: dict[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ):
        self._loop, self._on_output, self._on_exit = loop, on_output, on_exit
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._in = b""
        self._interrupted = 0.0
        self.started = time.monotonic()
        self._proc = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, os.ttyname(self._slave), *micropython_argv(*args)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._proc.pid
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._master, self._readable)
        loop.add_reader(self._pidfd, self._ended)

    def _readable(self):
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return
        self._on_output(data)

    def write(self, data: bytes) -> None:
        """Type to the board; Ctrl-C interrupts what runs."""
        while b"\x03" in data:
            before, _, data = data.partition(b"\x03")
            if self._catches_sigint():
                self._type(before)
                self.interrupt()
            else:
                self._type(before + b"\x03")
        self._type(data)

    def _type(self, data):
        self._in += data
        try:
            sent = os.write(self._master, self._in) if self._in else 0
        except BlockingIOError:
            sent = 0
        self._in = self._in[sent:]
        if self._in:
            self._loop.add_writer(self._master, lambda: self._type(b""))
        else:
            self._loop.remove_writer(self._master)

    def interrupt(self) -> None:
        # A second SIGINT before the first was noticed would end the process.
        if time.monotonic() - self._interrupted > 0.05:
            self._interrupted = time.monotonic()
            self._signal(signal.SIGINT)

    def _catches_sigint(self) -> bool:
        try:
            with open("/proc/%d/status" % self.pid) as f:
                for line in f:
                    if line.startswith("SigCgt:"):
                        return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
        except OSError:
            pass
        return False

    def kill(self) -> None:
        """The power goes; `on_exit` follows."""
        self._signal(signal.SIGKILL)

    def _signal(self, sig):
        if self._proc.returncode is None:
            self._proc.send_signal(sig)

    def cpu_s(self) -> float:
        """Processor seconds used so far."""
        try:
            with open("/proc/%d/stat" % self.pid) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _ended(self):
        self._proc.wait()
        self._close()
        self._on_exit(self._proc.returncode)

    def _close(self):
        """Take the last output, then let go of everything."""
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                break
            if not data:
                break
            self._on_output(data)
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        self._loop.remove_reader(self._pidfd)
        for fd in (self._master, self._slave, self._pidfd):
            os.close(fd)

    def destroy(self) -> None:
        """Kill and wait; no callback."""
        self._on_output = lambda data: None
        self._on_exit = lambda code: None
        self.kill()
        self._ended()
