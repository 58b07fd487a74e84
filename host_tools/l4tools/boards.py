"""What is known about each board: boards/*/board.toml, checked, as BoardSpec.

    load(name)       one board by MicroPython's name for it, like ESP32_GENERIC_C3
    all_boards()     {name: BoardSpec} of all, the virtual board UNIX too
    for_chip(chip)   the generic board of a chip as esptool names it: "esp32c3" or "ESP32-C3"

A table that is wrong (unknown key, wrong type, a setting the firmware would refuse) is a ToolError
with file, key and what is allowed: board.toml is edited by people who add their own board.
"""

import functools
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from l4tools.errors import NotFound, ToolError
from l4tools.paths import BOARDS, LIB

_MIB = 1 << 20
_USB = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"(\d+)MiB")
ARCHES = ("xtensawin", "rv32imc", "x64")
# {table: keys it may have}; "" is the top level.
_KEYS = {
    "": "name port chip chip_id arch bootloader_offset partition_table layouts flash heap pins "
    "radio usb firmware limits config",
    "flash": "block_size block_count",
    "heap": "kib limit ble standins bluetooth",
    "pins": "led battery battery_divider dht onewire scl sda",
    "radio": "ble mailbox tx_us tx_burst connect_ms",
    "usb": "ids",
    "firmware": "version url sha256",
}


@dataclass(frozen=True)
class BoardSpec:
    """One board. Offsets in bytes, `layouts` {flash size: where the file system begins}."""

    name: str
    port: str  # "esp32" or "unix"
    chip: str
    chip_id: int | None  # None: no chip
    arch: str
    bootloader_offset: int
    partition_table: int
    led: int | None
    battery_pin: int | None
    battery_divider: int
    ble: str  # "full", "shared" (not both radios at full), "none"
    heap_kib: int
    usb_ids: list[tuple[int, int]] = field(default_factory=list)
    layouts: dict[int, int] = field(default_factory=dict)
    firmware: dict[str, str | None] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    settings: dict = field(default_factory=dict)  # table [config]

    def config(self) -> dict:
        """Settings of config.json that this board differs in from the firmware's defaults."""
        out = dict(self.settings)
        if self.led is not None:
            out["led_pin"] = self.led
        if self.battery_pin is not None:
            out["battery_pin"] = self.battery_pin
            out["battery_divider"] = self.battery_divider
        if self.ble == "none":
            out["ble"] = "never"
        if self.limits:
            out["limits"] = dict(self.limits)
        return out

    @property
    def folder(self) -> Path:
        return BOARDS / self.name


def _wrong(where: str, what: str) -> ToolError:
    return ToolError("boards/%s/board.toml: %s" % (where, what))


def _check_keys(where: str, tables: dict) -> None:
    for table, text in _KEYS.items():
        part = tables.get(table, {}) if table else tables
        if not isinstance(part, dict):
            raise _wrong(where, "%s must be a table. Write it as [%s]." % (table, table))
        for key in part:
            if key not in text.split():
                here = "[%s]" % table if table else "the top"
                allowed = ", ".join(text.split())
                raise _wrong(where, "%s does not belong in %s. There: %s." % (key, here, allowed))


def _number(where: str, part: dict, key: str, default: int | None = None) -> int | None:
    value = part.get(key, default)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise _wrong(where, "%s must be a whole number, not %r." % (key, value))
    return value


def _word(where: str, part: dict, key: str, allowed: tuple[str, ...]) -> str:
    value = part.get(key)
    if value not in allowed:
        raise _wrong(where, "%s must be one of %s, not %r." % (key, ", ".join(allowed), value))
    return value


def _layouts(where: str, part: dict) -> dict[int, int]:
    out = {}
    for size, start in part.items():
        m = _SIZE.fullmatch(size)
        if not m or not isinstance(start, int) or start % 4096 or start >= int(m[1]) * _MIB:
            raise _wrong(
                where,
                "a layout is like 4MiB = 0x200000: the file system's start, on a block of 4096 "
                "bytes inside the flash, not %s = %r." % (size, start),
            )
        out[int(m[1]) * _MIB] = start
    return out


def _usb_ids(where: str, ids: list) -> list[tuple[int, int]]:
    for text in ids:
        if not isinstance(text, str) or not _USB.fullmatch(text):
            raise _wrong(where, 'USB ids are like "303a:1001", not %r.' % (text,))
    return [(int(t[:4], 16), int(t[5:], 16)) for t in ids]


def _firmware(where: str, part: dict) -> dict[str, str | None]:
    if not part:
        return {}
    out: dict[str, str | None] = {k: part.get(k) for k in ("version", "url", "sha256")}
    if not (isinstance(out["version"], str) and str(out["url"]).startswith("https://")):
        raise _wrong(where, "[firmware] needs version and a url that begins with https://.")
    sha = out["sha256"]
    if sha is not None and not (isinstance(sha, str) and _SHA256.fullmatch(sha)):
        raise _wrong(where, "sha256 must be 64 hex digits, as sha256sum prints them.")
    return out


def _check_settings(where: str, spec: BoardSpec) -> None:
    """The firmware's own checks: a board must not start in safe mode because of its table."""
    if str(LIB) not in sys.path:
        sys.path.insert(0, str(LIB))
    from l4mesh.config import BadConfig, Config
    from l4mesh.limits import LIMITS_BOARD

    try:
        Config(spec.config())
    except BadConfig as e:
        raise _wrong(where, str(e))
    for key in spec.limits:
        if key not in LIMITS_BOARD:
            raise _wrong(
                where,
                "%s is no limit. Take one of %s (lib/l4mesh/limits.py)."
                % (key, ", ".join(LIMITS_BOARD)),
            )


def parse(where: str, text: str) -> BoardSpec:
    """The board described by `text`; `where`: the folder's name, for messages."""
    try:
        t = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise _wrong(where, "%s. Correct it: https://toml.io shows the format." % e)
    _check_keys(where, t)
    heap, pins, radio = (t.get(k, {}) for k in ("heap", "pins", "radio"))
    if t.get("name") != where:
        raise _wrong(where, "name must be the folder's, %r, not %r." % (where, t.get("name")))
    port = _word(where, t, "port", ("esp32", "unix"))
    real = port == "esp32"
    for key in ("chip_id", "bootloader_offset", "layouts", "firmware") if real else ():
        if key not in t:
            raise _wrong(where, "%s is missing. See boards/ESP32_GENERIC/board.toml." % key)
    if not isinstance(t.get("chip"), str) or not re.fullmatch(r"[a-z0-9]+", t["chip"]):
        raise _wrong(where, 'chip must be a name as "esp32c3", not %r.' % (t.get("chip"),))
    spec = BoardSpec(
        name=where,
        port=port,
        chip=t["chip"],
        chip_id=_number(where, t, "chip_id"),
        arch=_word(where, t, "arch", ARCHES),
        bootloader_offset=_number(where, t, "bootloader_offset", 0) or 0,
        partition_table=_number(where, t, "partition_table", 0x8000) or 0,
        led=_number(where, pins, "led"),
        battery_pin=_number(where, pins, "battery"),
        battery_divider=_number(where, pins, "battery_divider", 2) or 0,
        ble=_word(where, radio, "ble", ("full", "shared", "none")),
        heap_kib=_number(where, heap, "kib", (heap.get("limit") or 0) // 1024) or 0,
        usb_ids=_usb_ids(where, t.get("usb", {}).get("ids", [])),
        layouts=_layouts(where, t.get("layouts", {})),
        firmware=_firmware(where, t.get("firmware", {})),
        limits=t.get("limits", {}),
        settings=t.get("config", {}),
    )
    if not spec.heap_kib:
        raise _wrong(where, "[heap] kib is missing: KiB of heap for Python beside WiFi.")
    _check_settings(where, spec)
    return spec


@functools.cache
def load(name: str) -> BoardSpec:
    """The board in boards/`name`; NotFound names those there are."""
    known = sorted(p.parent.name for p in BOARDS.glob("*/board.toml"))
    if name not in known:
        raise NotFound("There is no board %r. Take one of %s." % (name, ", ".join(known)))
    return parse(name, (BOARDS / name / "board.toml").read_text())


@functools.cache
def all_boards() -> dict[str, BoardSpec]:
    return {p.parent.name: load(p.parent.name) for p in sorted(BOARDS.glob("*/board.toml"))}


def for_chip(chip: str) -> BoardSpec:
    """The generic board of a chip; esptool's "ESP32-C3 (QFN32)" will do, too."""
    wanted = chip.split(" ")[0].lower().replace("-", "")
    specs = [s for s in all_boards().values() if s.port == "esp32" and s.chip == wanted]
    if not specs:
        known = sorted({s.chip for s in all_boards().values() if s.port == "esp32"})
        raise NotFound(
            "The chip %s is not supported. Use a board with one of: %s." % (chip, ", ".join(known))
        )
    # Somebody's own board for the same chip does not take the generic one's place.
    return min(specs, key=lambda s: (not s.name.startswith("ESP32_GENERIC"), s.name))
