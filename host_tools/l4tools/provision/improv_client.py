"""A client of Improv WiFi over the serial line, as browsers have one (improv-wifi.com/serial).

    with ImprovClient(port) as client:
        client.probe()
        client.join("home", "password")

Works with any device that speaks Improv. Console lines between the packets are kept in `lines`:
l4mesh says there in words why a network could not be joined.
"""

import contextlib
import time
from collections import deque

import serial

from ..errors import ToolError, Unavailable
from ..usb import ports
from ..usb.ports import Port

HEAD = b"IMPROV\x01"
STATE, ERROR, RPC, RESULT = 1, 2, 3, 4
WIFI, ASK_STATE, INFO, SCAN, HOSTNAME, NAME = 1, 2, 3, 4, 5, 6
READY, PROVISIONING, PROVISIONED = 2, 3, 4
STATES = {READY: "ready", PROVISIONING: "provisioning", PROVISIONED: "provisioned"}
_ERRORS = {
    1: "it takes the packet for malformed",
    2: "it does not know the command",
    3: "it could not join the network",
    5: "it does not take this name",
}
_RETRY_S = 1.0
_BAUD = 115200


class ImprovError(ToolError):
    """The device answered with an error; `code` is Improv's."""

    def __init__(self, code: int):
        self.code = code
        super().__init__(
            f"The device refused: {_ERRORS.get(code, f'error {code}')}. Check what was sent."
        )


def encode(kind: int, data: bytes) -> bytes:
    """A packet and the newline that other implementations send after it."""
    body = HEAD + bytes([kind, len(data)]) + data
    return body + bytes([sum(body) % 256]) + b"\n"


def strings(data: bytes) -> list[str]:
    """The strings of a result's data, after command and length."""
    out, at = [], 2
    while at < len(data):
        out.append(data[at + 1 : at + 1 + data[at]].decode("utf-8", "replace"))
        at += 1 + data[at]
    return out


class Decoder:
    """`feed(bytes)` returns (kind, data) of the whole packets; `lines` gets the rest as text."""

    def __init__(self):
        self._rest = b""
        self.lines: deque[str] = deque(maxlen=200)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self._rest += data
        found = []
        while self._rest:
            at = self._rest.find(HEAD)
            end = self._rest.find(b"\n")
            if at < 0 or 0 <= end < at:  # a line comes first
                if end < 0:
                    self._rest = self._rest[-4096:]
                    break
                self._line(end)
                continue
            packet = self._rest[at:]
            if len(packet) < 10 or len(packet) < 10 + packet[8]:
                break
            n = 10 + packet[8]
            if sum(packet[: n - 1]) % 256 != packet[n - 1]:
                self._rest = packet[1:]  # text that looks like one, or a damaged one
                continue
            found.append((packet[7], packet[9 : n - 1]))
            self._rest = packet[n:]
        return found

    def _line(self, end: int) -> None:
        text = self._rest[:end].rstrip(b"\r").decode("utf-8", "replace")
        self._rest = self._rest[end + 1 :]
        if text.strip():
            self.lines.append(text)


class ImprovClient:
    def __init__(self, port: Port | str):
        self.port = port if isinstance(port, Port) else ports.find(port)
        try:
            self._serial = serial.serial_for_url(self.port.device, _BAUD, timeout=0.05)
        except (OSError, serial.SerialException) as e:
            raise ToolError(ports.explain(self.port.device, e)) from None
        self._decoder = Decoder()
        self.lines = self._decoder.lines
        self.state: int | None = None

    def __enter__(self) -> "ImprovClient":
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError, serial.SerialException):
            self._serial.close()

    def probe(self, seconds: float = 15) -> int:
        """The device's state; asked each second, as it may still be starting."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._send(ASK_STATE)
            for kind, data in self._packets(min(_RETRY_S, end - time.monotonic())):
                if kind == STATE and data:
                    self.state = data[0]
                    self._settle()
                    return self.state
        raise Unavailable(
            "Nothing at %s speaks Improv. A board in the REPL, or one without l4mesh, does not: "
            "press its reset button and try again, or run l4 provision without --improv."
            % self.port.device
        )

    def _settle(self) -> None:
        """Take what belongs to the probing: answers to requests that were repeated."""
        for _ in self._packets(0.15):
            pass

    def info(self) -> list[str]:
        """Firmware, version, chip, name."""
        return self._ask(INFO)[0]

    def name(self, new: str = "") -> str:
        return self._ask(NAME, new.encode())[0][0]

    def scan(self, seconds: float = 30) -> list[tuple[str, int, bool]]:
        """(name, dBm, is a password needed) of the networks the device sees."""
        return [(n, int(rssi), auth == "YES") for n, rssi, auth in self._ask(SCAN, b"", seconds)]

    def join(self, ssid: str, password: str, seconds: float = 45) -> str:
        """Have it join a network and keep it; the URL it answers with, often empty."""
        self.lines.clear()
        name, word = ssid.encode(), password.encode()
        answer = self._ask(WIFI, bytes([len(name)]) + name + bytes([len(word)]) + word, seconds)
        return answer[0][0] if answer and answer[0] else ""

    def _ask(self, command: int, data: bytes = b"", seconds: float = 10) -> list[list[str]]:
        """The results of a command: one, or (scan) those before the empty one."""
        self._send(command, data)
        got: list[list[str]] = []
        for kind, packet in self._packets(seconds):
            if kind == STATE and packet:
                self.state = packet[0]
            elif kind == ERROR and packet and packet[0]:
                raise ImprovError(packet[0])
            elif kind == RESULT and packet and packet[0] == command:
                got.append(strings(packet))
                if command != SCAN or not got[-1]:
                    return got[:-1] if command == SCAN else got
        raise Unavailable(
            f"The device at {self.port.device} did not answer within {seconds:.0f} s. Press its "
            "reset button and try again."
        )

    def _send(self, command: int, data: bytes = b"") -> None:
        try:
            self._serial.write(encode(RPC, bytes([command, len(data)]) + data))
        except (OSError, serial.SerialException) as e:
            raise ToolError(ports.explain(self.port.device, e)) from None

    def _packets(self, seconds: float):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                data = self._serial.read(256)
            except (OSError, serial.SerialException) as e:
                raise ToolError(ports.explain(self.port.device, e)) from None
            yield from self._decoder.feed(data)
