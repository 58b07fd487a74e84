"""The chip's ROM loader through esptool's Python API, with sentences for its exceptions.

    with open_rom(port) as rom:       reset into the ROM, sync, chip, stub, flash size
        rom.md5(0x8000, 0xC00)        computed by the chip
        rom.read(0x8000, 0xC00)
        rom.write([Write(..)], done)  each verified by MD5
        rom.start()                   reset into the application

A pseudo-terminal and a socket:// port have no reset line: there the board is asked by its REPL to
go to the ROM, and started again by the ROM's own command. The stub has no such command, so it is
not used there. esptool prints nothing (quiet.py).
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import serial

from ..errors import ToolError
from ..usb.ports import Port, explain
from .partitions import SECTOR
from .plan import Write
from .quiet import QuietLog, quiet

BAUD = 460800
_ROM_BAUD = 115200
_TRIES = 7
_BOOT = (
    "Hold the board's BOOT button, press and release its reset button (EN), let BOOT go, and run "
    "the same command again."
)
_AGAIN = "Run the same command again: it goes on with what is missing."


class LineBroke(ToolError):
    """The board stopped answering in the middle."""


@dataclass
class Rom:
    """A chip in its ROM loader (or esptool's stub). Made by open_rom."""

    esp: Any
    port: Port
    log: QuietLog
    chip: str  # "esp32c3"
    chip_id: int
    description: str
    revision: int  # major * 100 + minor
    mac: str
    flash_size: int
    stub: bool
    security: list[str] = field(default_factory=list)
    written: int = 0
    read_bytes: int = 0

    def md5(self, addr: int, size: int) -> str:
        with self._sentences("compare with"):
            return self.esp.flash_md5sum(addr, size)

    def read(self, addr: int, size: int) -> bytes:
        from esptool.cmds import read_flash

        with self._sentences("read"):
            data = read_flash(self.esp, addr, size, no_progress=True)
        self.read_bytes += size
        return data

    def block(self, place_at: int) -> Callable[[int], bytes]:
        """read(block) of a file system, for oldfs.py."""
        return lambda n: self.read(place_at + n * SECTOR, SECTOR)

    def write(self, writes: Sequence[Write], done: Callable[[int], None] | None = None) -> None:
        """Write and verify; `done(bytes)` after each stretch, and within long ones."""
        from esptool.cmds import write_flash

        for w in writes:
            if done:
                self.log.progress_to = self._within(w, done)
            with self._sentences("write"):
                write_flash(self.esp, [(w.addr, w.data)])
            self.written += len(w.data)
            if done:
                done(self.written)

    def _within(self, w: Write, done: Callable[[int], None]) -> Callable[[float], None]:
        base = self.written
        return lambda part: done(base + int(part * len(w.data)))

    def erase(self) -> None:
        """All of the flash."""
        from esptool.cmds import erase_flash, erase_region

        with self._sentences("erase"):
            if self.stub:
                erase_flash(self.esp)
            else:  # the ROM alone has no command for it
                erase_region(self.esp, 0, self.flash_size)

    def start(self) -> None:
        """Reset into the application."""
        from esptool.cmds import reset_chip

        with self._sentences("restart"):
            reset_chip(self.esp, "hard-reset" if has_reset(self.port) else "soft-reset")

    @contextmanager
    def _sentences(self, what: str) -> Iterator[None]:
        """esptool's failures as ToolError."""
        from esptool.util import FatalError

        try:
            yield
        except FatalError as e:
            raise _of_fatal(str(e), what) from e
        except (serial.SerialException, OSError) as e:
            raise LineBroke(
                f"The connection broke while the board was {_doing(what)} ({e}). Check the cable. "
                + _AGAIN
            ) from e


def _doing(what: str) -> str:
    return {"compare with": "compared", "read": "read", "write": "written"}.get(what, what + "d")


def _of_fatal(text: str, what: str) -> ToolError:
    if "MD5 of file does not match" in text or "region is empty" in text:
        return ToolError(
            "What was written is not what is in flash (MD5). Use another cable, or a lower "
            f"--baud; if it stays, the flash chip is worn out. {_AGAIN}"
        )
    if "ecure" in text or "ncrypt" in text:
        return ToolError(
            "The chip is locked (secure boot or flash encryption), so its flash cannot be "
            f"written: {_first(text)}. Take another board."
        )
    if "will not fit" in text:
        return ToolError(f"The flash is too small: {_first(text)}. Take a smaller firmware.")
    return LineBroke(
        f"The board stopped answering while it was {_doing(what)} ({_first(text)}). Check the "
        f"cable, or pass --baud 115200. {_AGAIN}"
    )


def _first(text: str) -> str:
    return text.strip().split("\n")[0].rstrip(".")


def has_reset(port: Port) -> bool:
    """Can this line reset the chip (DTR and RTS)?"""
    return not port.is_pty and not port.device.startswith("socket://")


@contextmanager
def open_rom(port: Port, baud: int = BAUD, stub: bool = True) -> Iterator[Rom]:
    """The board at `port` in its ROM loader; closed at the end, not restarted."""
    with quiet() as log:
        esp = _connect(port)
        try:
            yield _describe(esp, port, log, baud, stub)
        finally:
            with contextlib.suppress(OSError, serial.SerialException):
                esp._port.close()


def _connect(port: Port) -> Any:
    """Into the ROM and in step with it."""
    if has_reset(port):
        return _detect(port, "default-reset", _TRIES)
    with contextlib.suppress(ToolError):
        return _detect(port, "no-reset", 1)
    _ask_for_rom(port)
    return _detect(port, "no-reset", _TRIES)


def _detect(port: Port, mode: str, attempts: int) -> Any:
    from esptool.cmds import detect_chip
    from esptool.util import FatalError

    try:
        return detect_chip(port.device, _ROM_BAUD, mode, connect_attempts=attempts)
    except FatalError as e:
        raise _no_sync(port, str(e)) from e
    except (serial.SerialException, OSError, ValueError) as e:
        raise ToolError(explain(port.device, e)) from e


def _no_sync(port: Port, text: str) -> ToolError:
    if "Could not open" in text:
        return ToolError(explain(port.device, OSError(_first(text))))
    if "Wrong boot mode" in text:
        return ToolError("The board restarts into its program and not into its ROM. " + _BOOT)
    if "TX path" in text:
        return ToolError(
            "The board is in its ROM, but hears nothing. Check the cable, and that nothing is "
            "wired to its RX pin; then run the same command again."
        )
    if "autodetect" in text or "Unexpected chip" in text:
        return ToolError(
            "The chip on the board is none that is known here. Use a board with an ESP32, "
            "ESP32-S3, ESP32-C3 or ESP32-C6."
        )
    return ToolError(
        f"The board at {port.device} does not answer. Use another cable (many only charge) and no "
        "hub. " + _BOOT
    )


def _ask_for_rom(port: Port) -> None:
    """A running MicroPython goes to the ROM by itself."""
    try:
        line = serial.serial_for_url(port.device, baudrate=_ROM_BAUD, timeout=0.2)
    except (serial.SerialException, OSError, ValueError) as e:
        raise ToolError(explain(port.device, e)) from e
    with contextlib.suppress(serial.SerialException, OSError), line:
        for text in (b"\r\x03\x03", b"\x02", b"import machine\r", b"machine.bootloader()\r"):
            line.write(text)
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                line.read(256)


def _describe(esp: Any, port: Port, log: QuietLog, baud: int, stub: bool) -> Rom:
    from esptool.cmds import attach_flash, detect_flash_size, run_stub
    from esptool.util import flash_size_bytes

    # As most commands want it. pyserial's RFC 2217 takes 0.1 s to change a time-out.
    esp._port.timeout = 3
    rom = Rom(esp, port, log, "", 0, "", 0, "", 0, False)
    with rom._sentences("identify"):
        rom.chip = esp.CHIP_NAME.lower().replace("-", "")
        rom.chip_id = esp.IMAGE_CHIP_ID
        rom.description = esp.get_chip_description()
        rom.revision = esp.get_chip_revision()
        rom.mac = ":".join("%02x" % b for b in esp.read_mac("BASE_MAC"))
        rom.security = _security(esp)
        if stub and has_reset(port):
            esp = rom.esp = run_stub(esp)
        rom.stub = bool(esp.IS_STUB)
        if rom.stub and baud > _ROM_BAUD and has_reset(port) and not port.is_url:
            esp.change_baud(baud)
        if not has_reset(port):
            esp.WRITE_FLASH_ATTEMPTS = 1  # a second try would begin with a reset
        attach_flash(esp)
        text = detect_flash_size(esp)
        if not text:
            raise ToolError(
                "The flash chip of the board does not say its size. Unplug what is wired to the "
                "board's pins and run the same command again."
            )
        rom.flash_size = flash_size_bytes(text)
    return rom


def _security(esp: Any) -> list[str]:
    if esp.secure_download_mode:
        raise ToolError("The chip is in secure download mode and takes no firmware. Take another.")
    found = []
    if esp.get_secure_boot_enabled():
        found.append("secure boot")
    if esp.get_flash_encryption_enabled():
        found.append("flash encryption")
    if found:
        raise ToolError(
            f"The chip has {' and '.join(found)} switched on: MicroPython would not start on it. "
            "Take another board."
        )
    return found
