"""From reset to the app: what ROM, second stage and ESP-IDF check, and what they print if not.

The texts are those of boot logs. A chip refuses nothing while it is flashed; this is where a
wrong image shows.
"""

import struct
import zlib
from dataclasses import dataclass

from l4tools.vchip.chips import Chip
from l4tools.vchip.nor import Nor
from l4tools.vchip.table import (
    APP,
    TABLE,
    TABLE_SIZE,
    Row,
    read_header,
    read_table,
    row_of,
    vfs_region,
)


@dataclass(frozen=True)
class Booted:
    """What a good boot found; `vfs` and `nvs` are (offset, size)."""

    app: Row
    vfs: tuple[int, int]
    nvs: tuple[int, int] | None


def boot(chip: Chip, nor: Nor) -> tuple[str, Booted | None]:
    """(what is printed after the banner, what to run or None)."""
    try:
        stage2 = read_header(nor.read, chip.bootloader)
    except IndexError:
        stage2 = None
    if stage2 is None:
        word = struct.unpack("<I", nor.read(chip.bootloader, 4))[0]
        return "invalid header: 0x%08x\n" % word * 8, None
    if not stage2.good:
        return chip.loads + "csum err:0x%02x!=0x%02x\nets_main.c 371\n" % (0x5A, 0xEF), None
    if stage2.chip_id != chip.chip_id:
        # Its segments lie where this chip has no memory.
        return "load:0x00000000,len:0x0\nets_loader.c 78\n", None
    return _second_stage(chip, nor, stage2.flash_size)


def _second_stage(chip: Chip, nor: Nor, made_for: int) -> tuple[str, Booted | None]:
    out = chip.loads
    try:
        rows = read_table(nor.read(TABLE, TABLE_SIZE))
        for i, row in enumerate(rows):
            if row.end > made_for:
                raise ValueError(
                    "partition %d invalid - offset 0x%x size 0x%x exceeds flash chip size 0x%x"
                    % (i, row.offset, row.size, made_for)
                )
    except ValueError as exc:
        return (
            out + "E (55) flash_parts: %s\nE (61) boot: Failed to verify partition table\n"
            "E (66) boot: load partition table error!\n" % exc,
            None,
        )
    app = _app(nor, rows)
    bad = "no app partition" if app is None else _check(chip, nor, app)
    if bad:
        which = "Factory app" if app and app.label == "factory" else "OTA app"
        return (
            out + "%s\nE (78) boot: %s partition is not bootable\n"
            "E (84) boot: No bootable app partitions in the partition table\n" % (bad, which),
            None,
        )
    if made_for > nor.size:
        return (
            out + "E (98) spi_flash: Detected size(%dk) smaller than the size in the binary image "
            "header(%dk). Probe failed.\n\nassert failed: do_core_init startup.c:328 "
            "(flash_ret == ESP_OK)\n" % (nor.size >> 10, made_for >> 10),
            None,
        )
    nvs = row_of(rows, "nvs")
    region = (nvs.offset, nvs.size) if nvs else None
    return out, Booted(app, vfs_region(rows, nor.size), region)


def _app(nor: Nor, rows: list[Row]) -> Row | None:
    """The app partition that is next: what otadata says, else factory, else the first."""
    apps = [row for row in rows if row.type == APP]
    slots = [row for row in apps if row.subtype >= 0x10]
    data = row_of(rows, "otadata")
    best = 0
    if data and slots:
        for at in (data.offset, data.offset + 0x1000):
            seq, crc = struct.unpack("<I24xI", nor.read(at, 32))
            right = zlib.crc32(struct.pack("<I", seq), 0xFFFFFFFF) == crc
            if right and seq != 0xFFFFFFFF:
                best = max(best, seq)
    if best:
        return slots[(best - 1) % len(slots)]
    return next((row for row in apps if row.subtype == 0), apps[0] if apps else None)


def _check(chip: Chip, nor: Nor, app: Row) -> str:
    """What is wrong with the app; "" when nothing is."""
    try:
        found = read_header(nor.read, app.offset)
    except IndexError:
        return "E (71) esp_image: Segment does not fit"
    if found is None:
        return (
            "E (71) esp_image: image at 0x%x has invalid magic byte (nothing flashed here?)"
            % app.offset
        )
    if found.chip_id != chip.chip_id:
        return "E (71) boot_comm: mismatch chip ID, expected %d, found %d" % (
            chip.chip_id,
            found.chip_id,
        )
    if found.length > app.size:
        return "E (71) esp_image: Image length %d doesn't fit in partition length %d" % (
            found.length,
            app.size,
        )
    return "" if found.good else "E (71) esp_image: Image hash failed - image is corrupt"
