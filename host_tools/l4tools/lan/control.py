"""Remote control of the hub and the rack: JSON lines over a Unix socket in a private folder.

A request is `{"op": "cut", "what": "l1"}`, its reply `{"ok": true, "result": ..}` or
`{"ok": false, "error": "sentence", "kind": "NotFound"}` (a class of errors.py, which the client
raises again). An operation that takes an `emit` argument may go on sending
objects after its reply (tap, console).
"""

import inspect
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from l4tools import errors
from l4tools.errors import ToolError, Unavailable
from l4tools.lan.loop import Loop

_LONGEST_PATH = 107  # sun_path
_UNREAD = 1 << 22  # a subscriber this many bytes behind is dropped


class ControlServer:
    def __init__(self, loop: Loop, path: str | Path, ops: dict[str, Callable]):
        self.path, self._loop, self._ops = str(path), loop, ops
        if len(self.path) > _LONGEST_PATH:
            raise ToolError("The path %s is too long for a socket. Use a shorter one." % path)
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o077)
        try:
            self._sock.bind(self.path)
        finally:
            os.umask(old)
        self._sock.listen(16)
        self._sock.setblocking(False)
        self._conns: set[_Conn] = set()
        loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self):
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        self._conns.add(_Conn(self, sock))

    def close(self):
        self._loop.remove_reader(self._sock.fileno())
        for conn in list(self._conns):
            conn.close()
        self._sock.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


class _Conn:
    def __init__(self, server: ControlServer, sock: socket.socket):
        self._server, self._sock = server, sock
        sock.setblocking(False)
        self._rx, self._tx = b"", b""
        self.open = True
        self.on_close: list[Callable] = []
        server._loop.add_reader(sock.fileno(), self._readable)

    def _readable(self):
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *lines, self._rx = (self._rx + data).split(b"\n")
        for line in lines:
            if self.open and line.strip():
                self._run(line)

    def _run(self, line: bytes):
        try:
            args = json.loads(line)
            op = args.pop("op")
            fn = self._server._ops[op]
        except (ValueError, KeyError, AttributeError):
            known = ", ".join(sorted(self._server._ops))
            self.send({"ok": False, "error": "No such operation. Known are: %s." % known})
            return
        if "emit" in inspect.signature(fn).parameters:
            args["emit"] = self.send
        try:
            result = fn(**args)
        except (ToolError, ValueError) as exc:
            self.send({"ok": False, "error": str(exc), "kind": type(exc).__name__})
            return
        except Exception as exc:  # a bug, or a bad argument: the loop serves others too
            traceback.print_exc(file=sys.stderr)
            said = "%s: %s" % (type(exc).__name__, exc)
            self.send({"ok": False, "error": "%s failed (%s). See its log." % (op, said)})
            return
        if callable(result):  # how to end a subscription
            self.on_close.append(result)
            result = None
        self.send({"ok": True, "result": result})

    def send(self, obj: dict) -> bool:
        """Queue one JSON line; False when the other side is gone or does not read."""
        if not self.open:
            return False
        self._tx += json.dumps(obj).encode() + b"\n"
        if len(self._tx) > _UNREAD:
            self.close()
            return False
        self._flush()
        return self.open

    def _flush(self):
        try:
            sent = self._sock.send(self._tx)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._tx = self._tx[sent:]
        if self._tx:
            self._server._loop.add_writer(self._sock.fileno(), self._flush)
        else:
            self._server._loop.remove_writer(self._sock.fileno())

    def close(self):
        if not self.open:
            return
        self.open = False
        fd = self._sock.fileno()
        self._server._loop.remove_reader(fd)
        self._server._loop.remove_writer(fd)
        self._server._conns.discard(self)
        self._sock.close()
        for fn in self.on_close:
            fn()


class ControlClient:
    """`ControlClient(path).call("stats")`; every operation is also a method: `.stats()`."""

    def __init__(self, path: str | Path, timeout: float = 10.0):
        self.path = str(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(timeout)
        try:
            self._sock.connect(self.path)
        except OSError:
            raise Unavailable("Nothing listens at %s. Start it with `l4 mesh up`." % path)
        self._file = self._sock.makefile("rb")

    def call(self, op: str, **args):
        self._sock.sendall(json.dumps({"op": op, **args}).encode() + b"\n")
        while True:
            reply = self.next()
            if reply is None:
                raise Unavailable("%s closed the connection. See its log." % self.path)
            if "ok" in reply:
                break
        if not reply["ok"]:
            raise _kind(reply.get("kind"))(reply["error"])
        return reply.get("result")

    def next(self, timeout: float | None = None) -> dict | None:
        """Next object of a subscription; None at the end of it."""
        if timeout is not None:
            self._sock.settimeout(timeout)
        try:
            line = self._file.readline()
        except TimeoutError:
            raise Unavailable("%s does not answer. Is its process stopped?" % self.path)
        return json.loads(line) if line else None

    def __getattr__(self, op: str):
        if op.startswith("_"):
            raise AttributeError(op)
        return lambda **args: self.call(op, **args)

    def close(self):
        self._file.close()
        self._sock.close()


def _kind(name: str | None) -> type[ToolError]:
    """The class of errors.py with this name; ToolError for all others."""
    found = getattr(errors, name or "", None)
    return found if isinstance(found, type) and issubclass(found, ToolError) else ToolError


def wait_for(path: str | Path, seconds: float = 5.0) -> ControlClient:
    """A client of a server that is just starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ControlClient(path)
        except Unavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
