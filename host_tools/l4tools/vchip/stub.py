"""esptool's flasher stub, as it behaves once it runs in the chip's RAM.

It greets with `OHAI`, answers before it writes (an error shows with the next command), erases as
it goes, leaves out the erase of sectors that are blank until the first that is not, sends one
packet of a read and waits for its acknowledgement. Leaves never: only a reset ends it.
"""

import base64
import functools
import hashlib
import json
import struct
import zlib
from pathlib import Path

from l4tools.vchip.chips import Chip
from l4tools.vchip.loader import SYNC_DATA, Loader, Refused
from l4tools.vchip.nor import SECTOR
from l4tools.vchip.slip import checksum, frame


def _status(code: int) -> bytes:
    return bytes((code, 0))


_LENGTH, _CHECKSUM, _INVALID, _SPI = map(_status, (0xC0, 0xC1, 0xC3, 0xC4))
_NOT_FLASHING, _INFLATE, _TOO_LITTLE, _TOO_MUCH = map(_status, (0xC6, 0xC7, 0xC8, 0xC9))
_READ_MAX = 4096


@functools.cache
def _stubs(chip_name: str) -> list[dict]:
    """Every stub that the installed esptool has for a chip."""
    import esptool.loader

    folder = Path(esptool.loader.StubFlasher.STUB_DIR)
    return [json.loads(p.read_text()) for p in sorted(folder.glob("*/%s.json" % chip_name))]


def is_stub(chip: Chip, ram: dict[int, bytes], entry: int) -> bool:
    """Whether what was loaded is esptool's stub for this chip: anything else would crash it."""
    for stub in _stubs(chip.name):
        text = ram.get(stub["text_start"])
        data = ram.get(stub["data_start"], b"")
        # The data may carry a plugin's addresses: only its length is checked.
        if (
            entry == stub["entry"]
            and text == base64.b64decode(stub["text"])
            and len(data) >= len(base64.b64decode(stub["data"]))
        ):
            return True
    return False


class Stub(Loader):
    ok, bad_length, unknown = b"\0\0", _LENGTH, _INVALID
    refused = spi_failed = _SPI

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.regs.attached = True
        self._late: bytes | None = None  # what went wrong after the last answer
        self._read: list | None = None  # [at, end, packet size, md5] of the read under way
        self._erased_to = self._erase_end = 0
        self._dirty = False

    def hello(self) -> None:
        self.send(frame(b"OHAI"))

    def packet(self, packet: bytes) -> None:
        if self._read:
            self._acknowledged(packet)
        else:
            super().packet(packet)

    def command(self, op: int, data: bytes, chk: int) -> None:
        if self._late:
            late, self._late = self._late, None
            raise Refused(late)
        do = _COMMANDS.get(op)
        if do is None or op == 0x14 and not self.chip.security_info:
            self.answer(op, _INVALID)
        else:
            do(self, op, data, chk & 0xFF)

    # -- chip ----------------------------------------------------------------------------------
    def _sync(self, op, data, chk):
        self.want(data, len(SYNC_DATA))
        for _ in range(8):
            self.answer(op)  # value 0: that is how esptool knows a stub

    def _read_reg(self, op, data, chk):
        self.want(data, 4)
        self.answer(op, value=self.regs.read(struct.unpack("<I", data)[0]))

    def _write_reg(self, op, data, chk):
        self.write_regs(data)
        self.answer(op)

    def _security(self, op, data, chk):
        self.answer(op, data=self.security_info())

    def _baud(self, op, data, chk):
        self.want(data, 8)
        self.answer(op)
        self.regs.baud = max(1, struct.unpack("<II", data)[0])

    def _attach(self, op, data, chk):
        self.want(data, 4)
        self.answer(op)

    def _params(self, op, data, chk):
        self.want(data, 24)
        self.answer(op)

    def _nothing(self, op, data, chk):
        pass  # RUN_USER_CODE has no answer, and the stub goes on

    # -- writing -------------------------------------------------------------------------------
    def _begin(self, op, data, chk):
        self.want(data, 16, 20)
        size, _, _, at = struct.unpack_from("<IIII", data)
        if at + size > self.nor.size:
            raise Refused(_SPI)
        self.begin(size, at, op == 0x10)
        self._erased_to, self._erase_end = at & -SECTOR, (at + size + SECTOR - 1) & -SECTOR
        self._dirty = False
        self.answer(op)

    def _erase_up_to(self, end):
        while self._erased_to < min(end, self._erase_end):
            self._dirty = self._dirty or not self.nor.blank(self._erased_to, SECTOR)
            if self._dirty:
                self.nor.erase(self._erased_to, SECTOR)
            self._erased_to += SECTOR

    def _data(self, op, data, chk):
        if len(data) < 16:
            raise Refused(_TOO_LITTLE)
        if not self.writing:
            raise Refused(_NOT_FLASHING)
        n, block = int.from_bytes(data[:4], "little"), data[16:]
        if n != len(block):
            raise Refused(_TOO_MUCH)
        if checksum(block) != chk:
            raise Refused(_CHECKSUM)
        if self._denied:
            raise Refused(_SPI)
        self.answer(op)
        try:
            if self.inflate:
                block = self.inflate.decompress(block)
            self._erase_up_to(self.at + min(len(block), self.left))
            self.write(block)
        except zlib.error:
            self._late = _INFLATE
        except IndexError:
            self._late = _SPI
        except Refused as exc:
            self._late = exc.args[0]

    def _end(self, op, data, chk):
        self.want(data, 4)
        if not self.writing:
            raise Refused(_NOT_FLASHING)
        if self.left:
            raise Refused(_LENGTH)
        self.writing = False
        self.answer(op)  # neither runs nor reboots: esptool's stub does not

    # -- whole flash ---------------------------------------------------------------------------
    def _erase_flash(self, op, data, chk):
        self.nor.erase(0, self.nor.size)
        self.answer(op)

    def _erase_region(self, op, data, chk):
        at, n = struct.unpack("<II", data)
        if at % SECTOR or n % SECTOR:
            raise Refused(_LENGTH)
        self.nor.erase(at, n)
        self.answer(op)

    def _md5(self, op, data, chk):
        self.want(data, 16)
        self.answer(op, data=self.md5(data))

    def _read_flash(self, op, data, chk):
        at, n, size, _ = struct.unpack("<IIII", data)
        if at + n > self.nor.size:
            raise Refused(_SPI)
        self.answer(op)
        if size > _READ_MAX:
            self._late = _LENGTH
            return
        self._read = [at, at + n, size, hashlib.md5()]
        self._send_read()

    def _send_read(self):
        at, end, size, digest = self._read
        if at < end:
            part = self.nor.read(at, min(size, end - at))
            digest.update(part)
            self._read[0] += len(part)
            self.send(frame(part))
        else:
            self._read = None
            total = digest.digest()
            if self.faults.wrong_md5 and self.faults.take("wrong_md5"):
                total = bytes([total[0] ^ 1]) + total[1:]
            self.send(frame(total))

    def _acknowledged(self, packet):
        if len(packet) != 4:  # no acknowledgement: the host has given up
            self._read = None
            return
        self._send_read()


_COMMANDS = {
    0x02: Stub._begin,
    0x03: Stub._data,
    0x04: Stub._end,
    0x08: Stub._sync,
    0x09: Stub._write_reg,
    0x0A: Stub._read_reg,
    0x0B: Stub._params,
    0x0D: Stub._attach,
    0x0F: Stub._baud,
    0x10: Stub._begin,
    0x11: Stub._data,
    0x12: Stub._end,
    0x13: Stub._md5,
    0x14: Stub._security,
    0xD0: Stub._erase_flash,
    0xD1: Stub._erase_region,
    0xD2: Stub._read_flash,
    0xD3: Stub._nothing,
}
