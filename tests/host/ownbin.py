"""Firmware files with and without our modules: a double's headers, and the texts of a real one."""

from l4tools.frozen import ROMFS_SIZE, ROMFS_START
from l4tools.vchip.table import APP, DATA, TABLE, Row, image, table_bytes

NAMES = {"frozen": b"\0supervisor.py\0", "romfs": b"\0main.py\0/rom/lib\0", "stock": b""}


def firmware(spec, held="frozen", chip_id=None):
    """A .bin as MicroPython's makeimg.py makes it, with the headers and texts of a real one."""
    rows = [Row("nvs", DATA, 2, 0x9000, 0x6000), Row("phy_init", DATA, 1, 0xF000, 0x1000)]
    if held == "romfs":
        rows.append(Row("factory", APP, 0, 0x10000, ROMFS_START - 0x10000))
        rows.append(Row("romfs", DATA, 0x8F, ROMFS_START, ROMFS_SIZE))
    else:
        rows.append(Row("factory", APP, 0, 0x10000, 0x1F0000))
    code = b"MicroPython v1.28.0 on 2026-04-06; double\0" + NAMES[held] + bytes(range(256)) * 64
    chip = spec.chip_id if chip_id is None else chip_id
    boot = image(chip, [(0x3F400020, bytes(512))], 4, 0x40080000)
    app = image(chip, [(0x3F400020, code)], 4, 0x40080000)
    out = boot.ljust(TABLE - spec.bootloader_offset, b"\xff") + table_bytes(rows)
    return out.ljust(0x10000 - spec.bootloader_offset, b"\xff") + app
