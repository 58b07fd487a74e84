"""The ROM's serial loader. Leaves by "run", "reboot", "stub" or "crash" (see VChip).

Status bytes are the ROM's (esptool prints what they mean): 5 format, 6 failed, 7 checksum,
8 flash write, 0xF RAM address. Flash is erased when a write begins; commands come one at a time
and a block that is repeated, because its answer was lost, is taken again at its place.
"""

import struct
import zlib

from l4tools.vchip.loader import SYNC_DATA, Loader, Refused
from l4tools.vchip.slip import checksum
from l4tools.vchip.stub import is_stub

_SYNC_VALUE = 0x20120707  # anything but 0, which is a stub's


def _status(code: int) -> bytes:
    return bytes((1, code, 0, 0))


class Rom(Loader):
    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self._limit = self.nor.size
        self._block = self._next = 0
        self._ram: dict[int, bytearray] = {}
        self._ram_at = self._ram_left = self._ram_next = 0

    def command(self, op: int, data: bytes, chk: int) -> None:
        do = _COMMANDS.get(op)
        if do is None or op == 0x14 and not self.chip.security_info:
            self.answer(op, self.unknown)
        else:
            do(self, op, data, chk & 0xFF)

    # -- chip ----------------------------------------------------------------------------------
    def _sync(self, op, data, chk):
        if data == SYNC_DATA:
            self.regs.baud = 115200  # taken from the host's at the real one's start
            for _ in range(8):
                self.answer(op, value=_SYNC_VALUE)

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
        self.want(data, 8)
        self.regs.attached = True
        self.answer(op)

    def _params(self, op, data, chk):
        size = struct.unpack("<6I", data)[1]
        self._limit = min(self.nor.size, size)
        self.answer(op)

    # -- RAM -----------------------------------------------------------------------------------
    def _mem_begin(self, op, data, chk):
        size, _, _, at = struct.unpack("<IIII", data)
        if not any(a <= at and at + size <= b for a, b in (self.chip.iram, self.chip.dram)):
            raise Refused(_status(0x0F))
        self._ram[at] = bytearray()
        self._ram_at, self._ram_left, self._ram_next = at, size, 0
        self.answer(op)

    def _mem_data(self, op, data, chk):
        n, seq = struct.unpack_from("<II", data)
        data = data[16:]
        if n != len(data) or n > self._ram_left or seq != self._ram_next:
            raise Refused(_status(0x06))
        if checksum(data) != chk:
            raise Refused(_status(0x07))
        self._ram[self._ram_at] += data
        self._ram_left -= n
        self._ram_next += 1
        self.answer(op)

    def _mem_end(self, op, data, chk):
        stay, entry = struct.unpack("<II", data)
        if self._ram_left:
            raise Refused(_status(0x06))
        self.answer(op)
        if not stay:
            good = is_stub(self.chip, {at: bytes(code) for at, code in self._ram.items()}, entry)
            self.end("stub" if good else "crash")

    # -- flash ---------------------------------------------------------------------------------
    def _reach(self, at, n):
        if n and not self.regs.attached or at + n > self._limit:
            raise Refused(self.spi_failed)

    def _flash_begin(self, op, data, chk):
        # Four words; a fifth (encryption) on all chips but the first.
        self.want(data, 20 if self.chip.security_info else 16)
        erase, blocks, block, at = struct.unpack_from("<IIII", data)
        self._reach(at, erase)
        if erase:
            self.nor.erase(at, erase)
        self._block, self._next = block, 0
        self.begin(blocks * block, at, op == 0x10)
        self.answer(op)

    def _flash_data(self, op, data, chk):
        n, seq = struct.unpack_from("<II", data)
        data = data[16:]
        if not self.writing or n != len(data) or n > self._block:
            raise Refused(_status(0x05))
        if checksum(data) != chk:
            raise Refused(_status(0x07))
        if op == 0x11:
            self._deflated(seq, data)
        else:
            self._plain(seq, data)
        self.answer(op)

    def _plain(self, seq, data):
        if seq == self._next - 1:
            return
        if seq != self._next:
            raise Refused(_status(0x06))
        # The host fills the last block up; what lies past the end is not written.
        data = data[: max(0, self._limit - self.at)]
        if not data:
            raise Refused(_status(0x08))
        self.write(data)
        self._next += 1

    def _deflated(self, seq, data):
        if seq == self._next - 1:
            return
        if seq != self._next:
            raise Refused(_status(0x06))
        try:
            out = self.inflate.decompress(data)
        except zlib.error:
            raise Refused(_status(0x0B))
        self.left = len(out)
        self._reach(self.at, len(out))
        self.write(out)
        self._next += 1

    def _flash_end(self, op, data, chk):
        self.want(data, 4)
        self.writing = False
        self.answer(op)
        self.end("run" if struct.unpack("<I", data)[0] else "reboot")

    def _md5(self, op, data, chk):
        self.want(data, 16)
        at, n = struct.unpack_from("<II", data)
        self._reach(at, n)
        self.answer(op, data=self.md5(data).hex().encode())

    def _read_slow(self, op, data, chk):
        at, n = struct.unpack("<II", data)
        if n > 64:
            raise Refused(_status(0x0A))
        self._reach(at, n)
        self.answer(op, data=self.nor.read(at, n).ljust(64, b"\xff"))


_COMMANDS = {
    0x02: Rom._flash_begin,
    0x03: Rom._flash_data,
    0x04: Rom._flash_end,
    0x05: Rom._mem_begin,
    0x06: Rom._mem_end,
    0x07: Rom._mem_data,
    0x08: Rom._sync,
    0x09: Rom._write_reg,
    0x0A: Rom._read_reg,
    0x0B: Rom._params,
    0x0D: Rom._attach,
    0x0E: Rom._read_slow,
    0x0F: Rom._baud,
    0x10: Rom._flash_begin,
    0x11: Rom._flash_data,
    0x12: Rom._flash_end,
    0x13: Rom._md5,
    0x14: Rom._security,
}
