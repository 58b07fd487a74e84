"""A double of MicroPython's firmware file: right headers, table and names, no code in it.

What a flasher, a ROM and a second stage look at is as in the real file, so `esptool image-info`
and a version search find what they expect. The virtual chip does not execute it: it checks it.
"""

import hashlib
import struct

from l4tools.errors import ToolError
from l4tools.vchip.chips import chip as chip_by_name
from l4tools.vchip.table import APP, DATA, TABLE, Row, image, table_bytes

# {name: (flash MiB in the header, rows)}; nvs first, as in MicroPython's partitions*.csv.
_NVS6 = ("nvs", DATA, 2, 0x9000, 0x6000)
_NVS4 = ("nvs", DATA, 2, 0x9000, 0x4000)
_OTADATA = ("otadata", DATA, 0, 0xD000, 0x2000)
_PHY = ("phy_init", DATA, 1, 0xF000, 0x1000)
LAYOUTS: dict[str, tuple[int, list[tuple]]] = {
    "4MiBplus": (4, [_NVS6, _PHY, ("factory", APP, 0, 0x10000, 0x1F0000)]),
    "2MiB": (2, [_NVS6, _PHY, ("factory", APP, 0, 0x10000, 0x160000)]),
    "4MiB-ota": (
        4,
        [
            _NVS4,
            _OTADATA,
            _PHY,
            ("ota_0", APP, 0x10, 0x10000, 0x180000),
            ("ota_1", APP, 0x11, 0x190000, 0x180000),
        ],
    ),
    "8MiBplus-ota": (
        8,
        [
            _NVS4,
            _OTADATA,
            _PHY,
            ("ota_0", APP, 0x10, 0x10000, 0x270000),
            ("ota_1", APP, 0x11, 0x280000, 0x270000),
        ],
    ),
    # Before 1.26 the file system had a row of its own.
    "4MiB": (
        4,
        [
            _NVS6,
            _PHY,
            ("factory", APP, 0, 0x10000, 0x1F0000),
            ("vfs", DATA, 0x81, 0x200000, 0x200000),
        ],
    ),
}
_MIN_REV = {"esp32c3": 3, "esp32": 0, "esp32s3": 0, "esp32c6": 0}


def _app_description(version: str, name: str) -> bytes:
    """esp_app_desc_t, 256 bytes; it is the first thing in the app's first segment."""
    return struct.pack(
        "<II8s32s32s16s16s32s32sHHB3s72s",
        0xABCD5432,
        0,
        bytes(8),
        version.encode(),
        name.encode(),
        b"12:00:00",
        b"Jan  1 2026",
        b"v5.5.1",
        hashlib.sha256(version.encode()).digest(),
        0,
        0xFFFF,
        16,
        bytes(3),
        bytes(72),
    )


def firmware_parts(
    chip: str,
    version: str = "1.27.0",
    layout: str = "4MiBplus",
    size: int = 96 * 1024,
    project: str = "micropython",
) -> dict[int, bytes]:
    """{flash offset: bytes} of second stage, partition table and app; `size` of the app's body."""
    kind = chip_by_name(chip)
    if layout not in LAYOUTS:
        raise ToolError("No layout %r. There are: %s." % (layout, ", ".join(LAYOUTS)))
    mib, rows = LAYOUTS[layout]
    table = [Row(*row) for row in rows]
    # Bytes that compress like code: about half.
    body = b"".join(
        hashlib.sha256(b"%s%d" % (chip.encode(), i)).digest() + bytes(32)
        for i in range(size // 64)
    )
    banner = ("\0MicroPython v%s; %s double\0" % (version, chip)).encode()
    rev = _MIN_REV[chip]
    app_row = next(row for row in table if row.type == APP)
    data = _app_description("v" + version, project) + banner + body
    return {
        kind.bootloader: image(
            kind.chip_id,
            [(kind.dram[0] + 0x10000, b"\x50" + bytes(79)), (kind.iram[0], body[:16384])],
            mib,
            kind.iram[0],
            rev,
        ),
        TABLE: table_bytes(table),
        app_row.offset: image(
            kind.chip_id,
            [(kind.drom, data), (kind.iram[0], body[:4096])],
            mib,
            kind.iram[0],
            rev,
        ),
    }


def firmware_bin(chip: str, version: str = "1.27.0", layout: str = "4MiBplus", **more) -> bytes:
    """One file, to be written at the chip's bootloader offset, like the ones to download."""
    parts = firmware_parts(chip, version, layout, **more)
    start = min(parts)
    out = bytearray()
    for at, data in sorted(parts.items()):
        out += b"\xff" * (at - start - len(out)) + data
    return bytes(out)


def app_bin(chip: str, version: str = "1.27.0", layout: str = "4MiBplus", **more) -> bytes:
    """The app alone, as `.app-bin` files are."""
    parts = firmware_parts(chip, version, layout, **more)
    return parts[max(parts)]
