"""A board's raw REPL: run code, read and write files, restart, follow the console.

    with Repl(ports.find()) as repl:
        repl.enter()
        print(repl.exec("print(6 * 7)"))

The protocol is mpremote's (wire.py gives it deadlines). Whatever the board does, a call ends: with
a result, or with a ToolError that says what is the matter (symptoms.py) and what to do. Files are
written beside their name, checked by hash as read back from flash, and renamed.
"""

import ast
import base64
import codecs
import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator

from mpremote.transport import TransportError

from ..errors import ToolError
from . import onboard, ports, symptoms
from .ports import Port
from .wire import GONE, Gone, Transport

MINIMUM = (1, 24)
_TRY_S = 2.0  # one attempt to get a prompt
_PATIENCE_S = 120.0  # a relaxed watchdog is fed again after this, of its 600 s
_RESTARTED = re.compile(rb"rst:0x[0-9a-f]+ \([A-Z0-9_]+\),boot:0x")
_NO_RETRY = (symptoms.DOWNLOAD, symptoms.NO_FIRMWARE, symptoms.NO_APP, symptoms.OTHER_PYTHON)


class BoardError(ToolError):
    """Code raised on the board. `traceback` is the board's, `errno` that of an OSError or 0."""

    def __init__(self, traceback: str):
        self.traceback = traceback.replace("\r", "").strip()
        self.last = self.traceback.rpartition("\n")[2]
        found = re.match(r"OSError: (?:\[Errno (\d+)\]|\(?(\d+))", self.last)
        self.errno = int(found.group(1) or found.group(2)) if found else 0
        super().__init__(
            "The board answered %s. Restart it (reset button) and try again." % self.last
        )


class Repl:
    """`port`: of ports.find(), or text for it. `timeout`: seconds until a prompt must be there."""

    def __init__(self, port: Port | str | None = None, timeout: float = 10):
        self.port = port if isinstance(port, Port) else ports.find(port)
        self.timeout = timeout
        self.version: tuple[int, ...] = ()
        self.platform = ""
        self._dog = False
        self._fed = 0.0
        self._rest = b""  # of the console: a line without its end
        self._transport = Transport(self.port)

    def __enter__(self) -> "Repl":
        return self

    def __exit__(self, kind: type | None, *exc: object) -> None:
        stopped = self._dog and self._transport.in_raw_repl
        if kind is not None and issubclass(kind, ToolError) and stopped:
            # A node that was stopped for what came to nothing goes on.
            with contextlib.suppress(ToolError, TransportError):
                self.soft_reset()
        self.close()

    def close(self) -> None:
        """Leave the raw REPL, if it was entered, and the port."""
        with contextlib.suppress(ToolError, TransportError):
            self.leave()
        self._transport.close()

    @property
    def seen(self) -> bytes:
        """The last few KiB that came."""
        return bytes(self._transport.serial.seen)

    # -- in and out -----------------------------------------------------------------------------
    def enter(self, soft_reset: bool = False) -> "Repl":
        """The raw REPL, whatever runs now. `soft_reset`: with an empty heap; main.py not run."""
        self._rest = b""
        self._interrupt(time.monotonic() + self.timeout)
        found = ast.literal_eval(self._run(onboard.START, 5, None).strip())
        self._dog = self._dog or found[0]
        self._fed = time.monotonic()
        self.version, self.platform = found[1], found[2]
        if found[3] != "micropython":
            raise ToolError(symptoms.OTHER_PYTHON)
        if symptoms.diagnose(self.seen) == symptoms.CORRUPT:
            raise ToolError(symptoms.CORRUPT)
        if self.version < MINIMUM:
            raise ToolError(
                "The board runs MicroPython %s; 1.24 or newer is needed. Run l4 flash, which "
                "writes a newer one." % ".".join(map(str, self.version))
            )
        if soft_reset and not self._transport.enter_quietly(True, self.timeout):
            raise ToolError(symptoms.of_silence(self.seen))
        if soft_reset and self._dog:
            self._run(onboard.PATIENCE, 5, None)  # boot.py may have made it strict again
        return self

    def _interrupt(self, end: float) -> None:
        pulsed = False
        patience = _TRY_S / 4  # a Ctrl-C typed while it starts may be lost
        while not self._transport.enter_quietly(False, min(patience, self.timeout)):
            patience = min(2 * patience, _TRY_S)
            found = symptoms.diagnose(self.seen)
            if found in _NO_RETRY or time.monotonic() >= end:
                raise ToolError(symptoms.of_silence(self.seen))
            if not pulsed and end - time.monotonic() < self.timeout / 2:
                pulsed = True
                if self._transport.pulse():
                    self._catch_start()
                    end += _TRY_S

    def _catch_start(self) -> None:
        """Ctrl-C while the board starts: before a program that would swallow it."""
        for _ in range(30):
            self._transport.serial.write(b"\x03")
            self._transport.serial.fill(0.05)

    def leave(self) -> None:
        """Back to the friendly REPL."""
        if self._transport.in_raw_repl:
            self._transport.exit_raw_repl()

    # -- code -----------------------------------------------------------------------------------
    def exec(
        self, code: str, timeout: float = 30, stream: Callable[[str], None] | None = None
    ) -> str:
        """Run code; what it printed. `stream` gets text as it comes. BoardError: it raised."""
        if self._dog and time.monotonic() - self._fed > _PATIENCE_S:
            self._fed = time.monotonic()
            self._run(onboard.PATIENCE, 5, None)
        return self._run(code, timeout, stream)

    def _run(self, code: str, timeout: float, stream) -> str:
        if not self._transport.in_raw_repl:
            raise ValueError("call enter() first: the board is not in its raw REPL")
        out = bytearray()
        text = codecs.getincrementaldecoder("utf-8")("replace")

        def take(data: bytes) -> None:
            data = data.replace(b"\x04", b"")
            out.extend(data)
            if _RESTARTED.search(out[-200 - len(data) :]):
                raise Gone(GONE)
            if stream:
                stream(text.decode(data))

        self._transport.serial.seen.clear()
        try:
            with self._transport.deadline(timeout):
                self._transport.send(code)
                _, err = self._transport.follow(None, take)
        except TransportError as e:
            raise self._failed(timeout) from e
        except Gone:
            self._transport.in_raw_repl = False
            raise
        if err:
            raise BoardError(err.decode("utf-8", "replace"))
        return out.decode("utf-8", "replace").replace("\r\n", "\n")

    def _failed(self, timeout: float) -> ToolError:
        """Why code did not run to its end; the prompt is back, if that can be."""
        try:
            self._transport.serial.fill(0.3)  # a restart begins with a word of the watchdog
            back = self._transport.enter_quietly(False, _TRY_S)
        except Gone as gone:
            return gone
        self._transport.in_raw_repl = back
        if _RESTARTED.search(self.seen):
            return Gone(GONE)
        if back:
            return ToolError(
                "The board was not done after %g s and was stopped. Try again; if it stays so, "
                "press its reset button." % timeout
            )
        return ToolError(symptoms.diagnose(self.seen) or symptoms.SILENT)

    def eval(self, expression: str, timeout: float = 30):
        """The value of an expression, if it is a literal."""
        return ast.literal_eval(self.exec("print(repr(%s))" % expression, timeout).strip())

    def eval_script(self, code: str, timeout: float = 30):
        """The literal that a script prints."""
        return ast.literal_eval(self.exec(code, timeout).strip())

    # -- files ----------------------------------------------------------------------------------
    def tree(
        self, path: str = "/", skip: tuple[str, ...] = ("/rom", "/remote")
    ) -> dict[str, tuple[int, str]]:
        """{absolute path: (size, sha256 as hex)}; size -1: cannot be read. Empty: no such path."""
        return {name: (n, h) for kind, n, h, name in self._walk(path, skip) if kind == "f"}

    def folders(self, path: str = "/", skip: tuple[str, ...] = ("/rom", "/remote")) -> list[str]:
        return [name for kind, _, _, name in self._walk(path, skip) if kind == "d"]

    def _walk(self, path: str, skip: tuple[str, ...]) -> Iterator[tuple[str, int, str, str]]:
        try:
            text = self.exec(onboard.tree(path, skip), timeout=60)
        except BoardError as e:
            if e.errno == 2:
                return
            raise
        for line in text.splitlines():
            kind, size, digest, name = line.split(" ", 3)
            yield kind, int(size), digest, ast.literal_eval(name)

    def read(self, path: str) -> bytes:
        """A file's bytes, checked by hash."""
        try:
            text = self.exec(onboard.read(path), timeout=300)
        except BoardError as e:
            if e.errno == 2:
                raise ToolError("The board has no file %s. Check the name." % path) from e
            raise
        body, _, digest = text.partition("# ")
        data = b"".join(base64.b64decode(line) for line in body.splitlines())
        if hashlib.sha256(data).hexdigest() != digest.strip():
            raise ToolError("%s came damaged over the cable. Try again." % path)
        return data

    def write(
        self, path: str, data: bytes, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Put a file there, its folder exists: all of it, or the old one stays."""
        tmp = path + ".tmp"
        digest = hashlib.sha256(data).hexdigest()
        script = onboard.begin(tmp)
        try:
            for at in range(0, len(data), onboard.CHUNK):
                chunk = base64.b64encode(data[at : at + onboard.CHUNK]).decode()
                self.exec(script + onboard.PUT % chunk)
                script = ""
                if progress:
                    progress(min(at + onboard.CHUNK, len(data)), len(data))
            answer = self.exec(script + onboard.done(tmp, path, digest)).strip()
        except BoardError as e:
            with contextlib.suppress(ToolError):
                self.exec(onboard.ABANDON % tmp)
            raise _write_error(path, e) from e
        if answer != "ok":
            raise ToolError(
                "%s was not stored as it was sent: the flash or the cable fails. Try again; the "
                "old file is still there." % path
            )

    def remove(self, path: str) -> bool:
        """A file, or a folder with all in it. False: there was none."""
        return self.exec(onboard.REMOVE % path).strip() == "True"

    def mkdirs(self, path: str) -> None:
        """A folder and those above it."""
        if path.strip("/"):
            try:
                self.exec(onboard.MKDIRS % path)
            except BoardError as e:
                raise _write_error(path, e) from e

    # -- restarts and the console ---------------------------------------------------------------
    def soft_reset(self) -> None:
        """Python starts anew: boot.py and main.py. WiFi and watchdog go on."""
        self.leave()
        self._transport.read_until(1, b">>> ", timeout=1, timeout_overall=2)
        self._transport.serial.write(b"\x04")

    def hard_reset(self) -> None:
        """The chip starts anew; does not count as a crash."""
        if self._transport.in_raw_repl:
            self._transport.serial.seen.clear()
            try:
                with self._transport.deadline(5):
                    self._transport.send(onboard.RESET)
            except TransportError as e:
                raise self._failed(5) from e
            self._transport.in_raw_repl = False
            self._await_restart()
        elif not self._transport.pulse():
            self.enter()
            self.hard_reset()

    def _await_restart(self) -> None:
        """Until the board says so; one whose USB goes away, or that says nothing, in a second."""
        end = time.monotonic() + 1
        with contextlib.suppress(Gone):
            while time.monotonic() < end and not _RESTARTED.search(self.seen):
                self._transport.serial.fill(0.1)

    def type(self, data: bytes) -> None:
        """Send bytes as a terminal does."""
        self._transport.serial.write(data)

    def lines(self, timeout: float | None = None) -> Iterator[str]:
        """Console lines for `timeout` seconds (None: for ever), also across restarts.

        A line that is not whole yet comes with the next call.
        """
        self.leave()
        end = None if timeout is None else time.monotonic() + timeout
        while end is None or time.monotonic() < end:
            try:
                self._transport.serial.fill(0.2)
                self._rest += self._transport.serial.take()
            except Gone:
                self._reopen()
                continue
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                yield line.rstrip(b"\r").decode("utf-8", "replace")

    def _reopen(self, wait: float = 10) -> None:
        """A board with USB of its own leaves the bus when it restarts, and comes back."""
        self._transport.close()
        if self.port.is_pty or self.port.is_url:
            raise Gone(GONE)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            time.sleep(0.2)
            with contextlib.suppress(ToolError):
                same = [p for p in ports.boards() if self.port.serial == p.serial and p.serial]
                self._transport = Transport(ports.find((same or [self.port])[0].device))
                return
        raise Gone(GONE)


def _write_error(path: str, e: BoardError) -> ToolError:
    if e.errno == 28:
        return ToolError(
            "The board's flash is full: %s does not fit. Remove files it does not need (old logs, "
            "your own data), or run l4 flash --erase." % path
        )
    if e.errno in (20, 21):
        return ToolError("%s is in the way: a file and a folder of that name. Remove one." % path)
    if e.errno in (2, 5, 19, 30):
        return ToolError(
            "The board cannot write %s (%s). Run l4 flash, which mends its file system."
            % (path, e.last)
        )
    if e.last.startswith("MemoryError"):
        return ToolError("The board has too little memory to take %s. Try again." % path)
    return e
