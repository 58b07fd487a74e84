"""A serial line with deadlines, under mpremote's transport.

mpremote reads with no time-out of its own on a pseudo-terminal, and waits as long as characters
come from a program that never stops printing. `Wire` stands between it and pyserial: every read
has a deadline, a line that ends says so, and the last of what came is kept for symptoms.py.
`Transport` is mpremote's SerialTransport on such a wire.
"""

import contextlib
import errno
import io
import time

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from ..errors import ToolError
from .ports import Port, explain

_SLICE_S = 0.05  # longest wait of one system call
_ANSWER_S = 3.0  # within one exchange (a prompt, a raw-paste window) the board answers at once
_OPEN_S = 1.0
_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY)
_KEEP = 8192
GONE = (
    "The connection to the board broke: it was unplugged, or it restarted. Check the cable and "
    "run the same command again."
)


class Gone(ToolError):
    """The line ended in the middle."""


class Wire:
    """What mpremote calls `serial`: read, write, inWaiting. Bytes go through `pending`."""

    def __init__(self, raw: serial.SerialBase):
        self.raw = raw
        self.pending = bytearray()
        self.seen = bytearray()  # the last of what came, for a diagnosis
        self.limit: float | None = None  # monotonic time after which a read gives up

    def fill(self, wait: float) -> bool:
        """Take what has come, waiting up to `wait` seconds for the first byte."""
        end = time.monotonic() + wait
        while True:
            try:
                data = self.raw.read(max(1, self.raw.in_waiting))
            except (OSError, serial.SerialException, TypeError) as e:
                raise Gone(GONE) from e
            if data:
                self.pending += data
                self.seen = (self.seen + data)[-_KEEP:]
                return True
            if time.monotonic() >= end:
                return False

    def inWaiting(self) -> int:
        if not self.pending and self._ready():
            self.fill(0)
        return len(self.pending)

    def _ready(self) -> bool:
        try:
            return bool(self.raw.in_waiting)
        except (OSError, serial.SerialException) as e:
            raise Gone(GONE) from e

    def read(self, n: int = 1) -> bytes:
        """n bytes; TransportError instead of waiting for ever."""
        end = time.monotonic() + _ANSWER_S
        if self.limit is not None:
            end = min(end, self.limit)
            if time.monotonic() >= self.limit:  # mpremote drains a line that may never be empty
                raise TransportError("timeout: the board does not stop printing")
        while len(self.pending) < n:
            if not self.fill(_SLICE_S) and time.monotonic() >= end:
                raise TransportError("timeout waiting for the board's answer")
        out = bytes(self.pending[:n])
        del self.pending[:n]
        return out

    def write(self, data: bytes) -> int:
        try:
            return self.raw.write(data)
        except serial.SerialTimeoutException as e:
            raise TransportError("the board takes nothing any more") from e
        except (OSError, serial.SerialException) as e:
            raise Gone(GONE) from e

    def take(self) -> bytes:
        """All that has come."""
        out = bytes(self.pending)
        self.pending.clear()
        return out

    @property
    def rts(self) -> bool:
        return self.raw.rts

    @rts.setter
    def rts(self, on: bool) -> None:
        self.raw.rts = on

    @property
    def dtr(self) -> bool:
        return self.raw.dtr

    @dtr.setter
    def dtr(self, on: bool) -> None:
        self.raw.dtr = on

    def close(self) -> None:
        self.raw.close()


class Transport(SerialTransport):
    """mpremote's transport; reading is ours, the protocol is its own."""

    def __init__(self, port: Port, baudrate: int = 115200):
        end = time.monotonic() + _OPEN_S
        while True:
            try:
                super().__init__(port.device, baudrate=baudrate, timeout=_SLICE_S)
                break
            except TransportError:
                reason = _reason(port, baudrate)
                # Whoever had it may be ending; a moment later it can be had.
                if reason is not None and reason.errno not in _BUSY or time.monotonic() > end:
                    raise ToolError(explain(port.device, reason or OSError("busy"))) from None
                time.sleep(0.05)
            except (ValueError, NotImplementedError) as e:
                raise ToolError("%s is no address of a port (%s)." % (port.device, e)) from None
        if not port.device.startswith("rfc2217://"):  # pyserial's cannot
            self.serial.write_timeout = 10
        self.serial = Wire(self.serial)
        self._port = port
        self.is_pty = False  # its blocking read is what Wire replaces

    def read_until(
        self, min_num_bytes, ending, timeout=10, data_consumer=None, timeout_overall=None
    ):
        """As mpremote's, but the overall time also ends a line that never falls silent."""
        wire = self.serial
        end = None if timeout_overall is None else time.monotonic() + timeout_overall
        if wire.limit is not None:
            end = wire.limit if end is None else min(end, wire.limit)
        timeout = None if timeout is None else min(timeout, _ANSWER_S)
        quiet_end = None if timeout is None else time.monotonic() + timeout
        data = bytearray()
        while not data.endswith(ending):
            if wire.pending:
                self._take(data, ending, data_consumer)
                quiet_end = None if timeout is None else time.monotonic() + timeout
            now = time.monotonic()
            if data.endswith(ending) or (end is not None and now >= end):
                break
            if not wire.pending and not wire.fill(_SLICE_S):
                if quiet_end is not None and time.monotonic() >= quiet_end:
                    break
        return bytes(data)

    def _take(self, data: bytearray, ending: bytes, consumer) -> None:
        """Move pending bytes to `data`, up to and with the first place where it ends so."""
        pending = self.serial.pending
        if consumer is not None:  # the ending is one byte then
            at = pending.find(ending)
            n = len(pending) if at < 0 else at + 1
            consumer(bytes(pending[:n]))
            data[:] = pending[n - 1 : n]
        else:
            start = max(0, len(data) - len(ending) + 1)
            at = (data[start:] + pending).find(ending)
            n = len(pending) if at < 0 else start + at + len(ending) - len(data)
            data += pending[:n]
        del pending[:n]

    @contextlib.contextmanager
    def deadline(self, seconds: float):
        """Everything within ends in time, however much the board prints."""
        before = self.serial.limit
        self.serial.limit = time.monotonic() + seconds
        try:
            yield
        finally:
            self.serial.limit = before

    def enter_quietly(self, soft_reset: bool, seconds: float) -> bool:
        """enter_raw_repl without its prints; False when the prompt did not come in time."""
        try:
            with contextlib.redirect_stdout(io.StringIO()), self.deadline(seconds):
                self.enter_raw_repl(soft_reset=soft_reset, timeout_overall=seconds)
        except TransportError:
            return False
        return True

    def pulse(self) -> bool:
        """Reset the chip by RTS, as on every board with USB. False: this line cannot."""
        if self._port.is_pty or self._port.device.startswith("socket://"):
            return False
        wire = self.serial
        try:
            wire.dtr = False
            wire.rts = True
            time.sleep(0.1)
            wire.rts = False
        except (OSError, serial.SerialException):
            return False
        return True

    def send(self, code: str) -> None:
        """exec_raw_no_follow without its prints."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.exec_raw_no_follow(code)

    def close(self) -> None:
        try:
            super().close()
        except (OSError, serial.SerialException):
            with contextlib.suppress(OSError, serial.SerialException):
                self.serial.close()  # unplugged: the lines cannot be set any more


def _reason(port: Port, baudrate: int) -> OSError | None:
    """Why mpremote could not open it, which it keeps to itself; None: now it can be opened."""
    try:
        serial.serial_for_url(port.device, baudrate=baudrate, exclusive=True).close()
    except OSError as e:
        return e
    return None
