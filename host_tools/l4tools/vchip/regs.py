"""Registers that a flasher reads and writes: eFuses, UART divider, watchdog, the SPI controller.

Everything else reads as it was written, 0 at first. The SPI controller runs one user command at a
time on the flash chip: that is how the flash is identified without a ROM command for it.
"""

from collections.abc import Callable

from l4tools.vchip.chips import Chip
from l4tools.vchip.nor import Nor

_RUN = 1 << 18  # of the SPI command register
_MAGIC, _UART_DIV = 0x40001000, 0x3FF40014
_XTAL = 40_000_000
_SFDP = 0x50444653
_UNLOCK = 0x50D83AA1
_RDID, _RDSFDP = 0x9F, 0x5A


def efuses(chip: Chip, flash_size: int, mac: bytes) -> dict[int, int]:
    """{register: word} of a chip of the newest usual revision."""
    high, low = int.from_bytes(mac[:2], "big"), int.from_bytes(mac[2:], "big")
    base = chip.efuse
    if chip.name == "esp32":  # D0WD-V3, revision 3.1
        return {
            base + 0x04: low,
            base + 0x08: high,
            base + 0x0C: 1 << 9 | 1 << 13 | 1 << 15,
            base + 0x10: 0x85,  # 8 MHz clock, for the crystal's frequency
            base + 0x14: 1 << 20 | 1 << 24,
            0x3FF6607C: 1 << 31,
            0x3FF5F06C: 770 << 7,
        }
    block1 = base + 0x44
    size = flash_size >> 20
    if chip.name == "esp32c3":  # revision 0.4
        word3, word4 = 4 << 18, 0
    elif chip.name == "esp32s3":  # revision 0.2
        word3, word4 = 2 << 18, 0
    else:  # revision 0.1
        word3, word4 = 1 << 18 | (size in (4, 8)) << 24, {4: 1, 8: 2}.get(size, 0)
        high |= 0xFFFE << 16
    return {block1: low, block1 + 4: high, block1 + 12: word3, block1 + 16: word4}


class Regs:
    """`on_watchdog(seconds)`: somebody armed the RTC watchdog and will not feed it."""

    def __init__(self, chip: Chip, nor: Nor, mac: bytes, on_watchdog: Callable[[float], None]):
        self._chip, self._nor, self._on_watchdog = chip, nor, on_watchdog
        self._fixed = efuses(chip, nor.size, mac)
        self._fixed[_MAGIC] = chip.magic
        self.reset()

    def reset(self) -> None:
        self._words: dict[int, int] = {}
        self.baud = 115200
        self.attached = False  # the flash's pins

    def read(self, at: int) -> int:
        if at == _UART_DIV and self._chip.name == "esp32":
            return round(_XTAL / self.baud)
        return self._fixed.get(at, self._words.get(at, 0))

    def write(self, at: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        value = self.read(at) & ~mask | value & mask
        self._words[at] = value
        chip = self._chip
        if at == chip.spi and value & _RUN:
            self._words[at] = value & ~_RUN
            self._spi_command()
        elif chip.wdt and at == chip.wdt and value >> 31:
            if self._words.get(chip.wdt_lock) == _UNLOCK:
                self._on_watchdog(self._words.get(chip.wdt + 4, 0) / 136_000)

    def _spi_command(self):
        chip = self._chip
        command = self.read(chip.spi + chip.usr2) & 0xFF
        at = self.read(chip.spi + 4) >> (8 if chip.addr_msb else 0)
        found = 0
        if not self.attached:
            found = 0xFFFFFF if command == _RDID else 0xFFFFFFFF
        elif command == _RDID:
            found = self._nor.rdid
        elif command == _RDSFDP:
            found = _SFDP if at == 0 else 0xEF
        self._words[chip.spi + chip.w0] = found
