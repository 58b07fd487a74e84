"""The chip's serial line as hosts reach it: a pseudo-terminal, plain TCP, and RFC 2217.

RFC 2217 carries DTR and RTS, and the two transistors of a dev board turn them into EN and IO0:
EN is low while RTS is on and DTR off, IO0 while DTR is on and RTS off. As esptool's own server
does, this end evens out the network's time: EN, once low, is held while both are on, because over
a network the second of the pair comes too late for the capacitor that bridges it on a board.
"""

import os
import socket
import time
from collections.abc import Callable

import serial
import serial.rfc2217

from l4tools.errors import ToolError
from l4tools.lan.loop import Loop
from l4tools.vboard.console import HostPort
from l4tools.vchip.faults import Faults

_KEEP = 1 << 20
_HELD_S = 0.5  # both lines on for longer: EN rises all the same
_IAC = b"\xff"


class Lines:
    """DTR and RTS of one host. `on_reset(low)`, `on_boot(low)`: EN and IO0 as they change."""

    def __init__(self, loop: Loop, on_en: Callable[[bool, bool], None]):
        self._loop, self._on_en = loop, on_en
        self._dtr = self._rts = self._low = False
        self._timer = None

    def set(self, dtr: bool, rts: bool) -> None:
        self._dtr, self._rts = dtr, rts
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if rts and not dtr:
            if not self._low:
                self._low = True
                self._on_en(True, False)
        elif self._low:
            if dtr and rts:
                self._timer = self._loop.call_later(_HELD_S, self._rise, False)
            else:
                self._rise(dtr)

    def _rise(self, boot: bool):
        self._low = False
        self._on_en(False, boot)


class _Serial:
    """What PortManager needs of a serial port."""

    baudrate, bytesize, parity, stopbits = 115200, 8, serial.PARITY_NONE, serial.STOPBITS_ONE
    xonxoff = rtscts = break_condition = False
    cts = dsr = cd = True
    ri = False

    def __init__(self, lines: Lines):
        self._lines = lines
        self._dtr = self._rts = False

    @property
    def dtr(self) -> bool:
        return self._dtr

    @dtr.setter
    def dtr(self, on: bool) -> None:
        self._dtr = on
        self._lines.set(self._dtr, self._rts)

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, on: bool) -> None:
        self._rts = on
        self._lines.set(self._dtr, self._rts)

    def reset_input_buffer(self) -> None:
        pass  # nothing waits here: it is on its way

    reset_output_buffer = reset_input_buffer


class _Client:
    """One TCP connection; with `lines` it speaks RFC 2217."""

    def __init__(self, wires: "Wires", sock: socket.socket, lines: Lines | None):
        self._wires, self._sock, self._out = wires, sock, b""
        self._lines, self._manager = lines, None
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wires.loop.add_reader(sock.fileno(), self._readable)
        if lines:
            self._manager = serial.rfc2217.PortManager(_Serial(lines), self)

    def _readable(self):
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._wires.gone(self)
        elif self._manager:
            plain = b"".join(self._manager.filter(data))
            if plain:
                self._wires.received(plain)
        else:
            self._wires.received(data)

    def say(self, data: bytes) -> None:
        """To the host, from the chip."""
        self.write(data.replace(_IAC, _IAC * 2) if self._manager else data)

    def write(self, data: bytes) -> None:
        self._out = (self._out + data)[-_KEEP:]
        self._flush()

    def _flush(self):
        try:
            sent = self._sock.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._out, sent = b"", 0
        self._out = self._out[sent:]
        if self._out:
            self._wires.loop.add_writer(self._sock.fileno(), self._flush)
        else:
            self._wires.loop.remove_writer(self._sock.fileno())

    def close(self) -> None:
        self._wires.loop.remove_reader(self._sock.fileno())
        self._wires.loop.remove_writer(self._sock.fileno())
        self._sock.close()
        if self._lines:
            self._lines.set(False, False)


class Wires:
    """`on_input(bytes)` from any host; `on_en(low, boot)` from one that has control lines.

    One host at a time, as on a serial line: while a TCP client is there it hears the chip, else
    the terminal does. Everything runs in the loop.
    """

    def __init__(
        self,
        loop: Loop,
        faults: Faults,
        on_input: Callable[[bytes], None],
        on_en: Callable[[bool, bool], None],
    ):
        self.loop, self._faults = loop, faults
        self._on_input, self._on_en = on_input, on_en
        self._port: HostPort | None = None
        self._servers: dict[str, socket.socket] = {}
        self._clients: list[_Client] = []
        self._reserved: list[int] = []  # numbers of terminals that are gone
        self._in_free = self._out_free = 0.0
        self.plug()

    # -- the cable -----------------------------------------------------------------------------
    def plug(self) -> None:
        if self._port is None:
            self._port = HostPort(self.loop, self.received)

    def unplug(self) -> None:
        """The terminal goes, as a USB port does; a new one comes with plug()."""
        if self._port:
            # A tool that tries the old path again must not find somebody else's terminal there.
            self._reserved.append(os.open(self._port.path, os.O_RDWR | os.O_NOCTTY))
            self._port.close()
            self._port = None
        for client in self._clients[:]:
            self.gone(client)

    def close(self) -> None:
        self.unplug()
        for server in self._servers.values():
            self.loop.remove_reader(server.fileno())
            server.close()
        self._servers.clear()
        for fd in self._reserved:
            os.close(fd)
        self._reserved.clear()

    @property
    def path(self) -> str:
        if self._port is None:
            raise ToolError("The chip's cable is out. Call plug() first.")
        return self._port.path

    def patient(self, on: bool) -> None:
        """Keep output for a host that is slow to read: a loader must not lose a byte."""
        if self._port:
            self._port.patience = 60.0 if on else 0.2

    # -- TCP -----------------------------------------------------------------------------------
    def url(self, kind: str) -> str:
        if kind not in ("socket", "rfc2217"):
            raise ToolError("No way %r to a virtual chip. There are socket and rfc2217." % kind)
        if kind not in self._servers:
            server = socket.create_server(("127.0.0.1", 0))
            server.setblocking(False)
            self._servers[kind] = server
            self.loop.add_reader(server.fileno(), lambda: self._accept(kind))
        return "%s://127.0.0.1:%d" % (kind, self._servers[kind].getsockname()[1])

    def _accept(self, kind: str):
        try:
            sock, _ = self._servers[kind].accept()
        except OSError:
            return
        if self._port is None:
            sock.close()
            return
        lines = Lines(self.loop, self._on_en) if kind == "rfc2217" else None
        self._clients.append(_Client(self, sock, lines))

    def gone(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            client.close()

    # -- bytes ---------------------------------------------------------------------------------
    def received(self, data: bytes) -> None:
        if self._faults.silent:
            return
        if not self._faults.bytes_per_s:
            self._on_input(data)
            return
        for i in range(0, len(data), 256):
            part = data[i : i + 256]
            self._in_free = self._later(self._in_free, len(part), self._on_input, part)

    def write(self, data: bytes) -> None:
        if self._faults.silent:
            return
        if not self._faults.bytes_per_s:
            self._write(data)
            return
        for i in range(0, len(data), 256):
            part = data[i : i + 256]
            self._out_free = self._later(self._out_free, len(part), self._write, part)

    def _later(self, free: float, n: int, fn, data: bytes) -> float:
        when = max(free, time.monotonic()) + n / max(1, self._faults.bytes_per_s)
        self.loop.call_at(when, fn, data)
        return when

    def _write(self, data: bytes):
        if self._clients:
            for client in self._clients[:]:
                client.say(data)
        elif self._port:
            self._port.write(data)
