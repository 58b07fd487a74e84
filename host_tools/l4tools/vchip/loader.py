"""What ROM and stub have in common: packets in, replies out, one write to the flash at a time."""

import struct
import zlib
from collections.abc import Callable

from l4tools.vchip.chips import Chip
from l4tools.vchip.faults import Faults
from l4tools.vchip.nor import Nor
from l4tools.vchip.regs import Regs
from l4tools.vchip.slip import HEAD, Decoder, reply

SYNC_DATA = b"\x07\x07\x12\x20" + b"\x55" * 32
_MAGIC = 0xE9
BOOTLOADERS = (0, 0x1000, 0x2000)  # where some chip has its second stage


class Refused(Exception):
    """Carries the status that the host gets."""


def misplaced(chip: Chip, at: int, data: bytes) -> bool:
    """Whether `data` written to `at` starts an image that this chip would not boot."""
    if len(data) < 24 or data[0] != _MAGIC or not 0 < data[1] <= 16:
        return False
    chip_id = int.from_bytes(data[12:14], "little")
    return chip_id != chip.chip_id or at in BOOTLOADERS and at != chip.bootloader


class Loader:
    """`send(bytes)` to the host; `leave(what)` when this program ends: see the sub-classes.

    `strict`: an image at a wrong place or for another chip is refused at once. A chip does not
    do that (it just does not boot then); tests may want it.
    """

    ok, bad_length, unknown = b"\0\0\0\0", b"\1\5\0\0", b"\1\5\0\0"
    refused = spi_failed = b"\1\6\0\0"

    def __init__(
        self,
        chip: Chip,
        nor: Nor,
        regs: Regs,
        faults: Faults,
        send: Callable[[bytes], None],
        leave: Callable[[str], None],
        strict: bool = False,
    ):
        self.chip, self.nor, self.regs, self.faults = chip, nor, regs, faults
        self._send_bytes, self.leave, self.strict = send, leave, strict
        self._decoder = Decoder()
        self._ended = False
        self.at = self.left = 0  # of the write under way
        self.writing = False
        self.inflate = None
        self._first = self._denied = False

    # -- packets -------------------------------------------------------------------------------
    def feed(self, data: bytes) -> None:
        for packet in self._decoder.feed(data):
            if self._ended:
                return
            self.packet(packet)

    def packet(self, packet: bytes) -> None:
        if len(packet) < HEAD.size:
            return
        kind, op, n, chk = HEAD.unpack(packet[: HEAD.size])
        data = packet[HEAD.size :]
        if kind != 0:
            return
        if n != len(data):
            self.answer(op, self.bad_length)
            return
        try:
            self.command(op, data, chk)
        except Refused as exc:
            self.answer(op, exc.args[0])
        except IndexError:  # of the flash chip: past its end
            self.answer(op, self.spi_failed)
        except struct.error:
            self.answer(op, self.bad_length)

    def command(self, op: int, data: bytes, chk: int) -> None:
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        if self.faults.garbage and self.faults.take("garbage"):
            data = self.faults.noise + data
        self._send_bytes(data)

    def answer(self, op: int, status: bytes | None = None, value: int = 0, data: bytes = b""):
        self.send(reply(op, self.ok if status is None else status, value, data))

    def end(self, what: str) -> None:
        """This program ends here."""
        self._ended = True
        self.leave(what)

    def want(self, data: bytes, *sizes: int) -> None:
        if len(data) not in sizes:
            raise Refused(self.bad_length)

    # -- shared commands -----------------------------------------------------------------------
    def write_regs(self, data: bytes) -> None:
        if not data or len(data) % 16:
            raise Refused(self.bad_length)
        for i in range(0, len(data), 16):
            at, value, mask, _ = struct.unpack_from("<IIII", data, i)
            self.regs.write(at, value, mask)

    def security_info(self) -> bytes:
        return struct.pack("<I8BII", 0, *bytes(8), self.chip.chip_id, 0)

    def md5(self, data: bytes) -> bytes:
        at, n = struct.unpack_from("<II", data)
        digest = self.nor.md5(at, n)
        if self.faults.wrong_md5 and self.faults.take("wrong_md5"):
            digest = bytes([digest[0] ^ 1]) + digest[1:]
        return digest

    def begin(self, size: int, at: int, compressed: bool) -> None:
        self.at, self.left = at, size
        self.writing = self._first = True
        self._denied = False
        self.inflate = zlib.decompressobj() if compressed else None

    def write(self, data: bytes) -> None:
        """The next bytes of the image, at most what was announced."""
        data = data[: self.left]
        if self._first and self.strict:
            self._denied = misplaced(self.chip, self.at, data)
        if self._denied:
            raise Refused(self.refused)
        self._first = self._first and not data
        self.nor.program(self.at, data)
        self.at += len(data)
        self.left -= len(data)
