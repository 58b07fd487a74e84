"""boards/*/board.toml: the chips' facts against esptool's own, and what a wrong table says."""

import tomllib

import pytest
from esptool import targets
from l4tools import boards
from l4tools.errors import NotFound, ToolError
from l4tools.paths import BOARDS

CHIPS = {
    "ESP32_GENERIC": targets.ESP32ROM,
    "ESP32_GENERIC_S3": targets.ESP32S3ROM,
    "ESP32_GENERIC_C3": targets.ESP32C3ROM,
    "ESP32_GENERIC_C6": targets.ESP32C6ROM,
}
GOOD = (BOARDS / "ESP32_GENERIC_C3" / "board.toml").read_text()


@pytest.mark.parametrize("name", CHIPS)
def test_facts_of_a_chip_are_what_esptool_knows(name):
    spec, rom = boards.load(name), CHIPS[name]
    assert spec.chip == rom.CHIP_NAME.lower().replace("-", "")
    assert spec.chip_id == rom.IMAGE_CHIP_ID
    assert spec.bootloader_offset == rom.BOOTLOADER_FLASH_OFFSET
    assert spec.partition_table == 0x8000
    assert spec.arch == ("rv32imc" if "_C" in name else "xtensawin")
    assert boards.for_chip(rom.CHIP_NAME) is spec
    assert boards.for_chip(spec.chip) is spec


def test_every_folder_is_a_board_and_every_chip_has_one():
    every = boards.all_boards()
    assert sorted(every) == sorted([*CHIPS, "UNIX"])
    assert boards.for_chip("ESP32-C3 (QFN32) (revision v0.4)").name == "ESP32_GENERIC_C3"
    with pytest.raises(NotFound, match="esp32c2 is not supported. .* esp32, esp32c3, esp32c6"):
        boards.for_chip("esp32c2")
    with pytest.raises(NotFound, match="no board 'ESP32'. Take one of ESP32_GENERIC"):
        boards.load("ESP32")


@pytest.mark.parametrize("name", CHIPS)
def test_layouts_firmware_and_usb(name):
    spec = boards.load(name)
    assert spec.layouts[4 << 20] == spec.layouts[16 << 20] == 0x200000
    assert spec.firmware["url"].startswith(
        "https://micropython.org/resources/firmware/%s-2" % name
    )
    assert spec.firmware["url"].endswith("-v%s.bin" % spec.firmware["version"])
    # None was computed from a real file; whoever has one puts the checksum in.
    assert spec.firmware["sha256"] is None
    assert (0x10C4, 0xEA60) in spec.usb_ids
    assert ((0x303A, 0x1001) in spec.usb_ids) == (spec.chip != "esp32")
    assert spec.ble == ("shared" if spec.arch == "rv32imc" else "full")
    assert 40 < spec.heap_kib < 200


def test_settings_of_a_board_go_into_its_config():
    assert boards.load("ESP32_GENERIC").config() == {}
    unix = boards.load("UNIX")
    assert unix.config() == {"led_pin": 2, "battery_pin": 34, "battery_divider": 2}
    assert unix.heap_kib == 256 and unix.chip_id is None
    more = "[limits]\nglobal_s = 60\n[config]\nrelay = 'never'\n[pins]\nled = 8"
    text = GOOD.replace("[pins]", more)
    assert boards.parse("ESP32_GENERIC_C3", text).config() == {
        "led_pin": 8,
        "limits": {"global_s": 60},
        "relay": "never",
    }


@pytest.mark.parametrize(
    "old,new,says",
    [
        ("chip_id = 5", "chip_ip = 5", "chip_ip does not belong in the top"),
        ("chip_id = 5", "", "chip_id is missing"),
        ("chip_id = 5", "chip_id = '5'", "chip_id must be a whole number, not '5'"),
        ('arch = "rv32imc"', 'arch = "riscv"', "arch must be one of xtensawin, rv32imc"),
        ('ble = "shared"', 'ble = "half"', "ble must be one of full, shared, none"),
        ('"ESP32_GENERIC_C3" ', '"C3" ', "name must be the folder's"),
        ('"esp32c3"', '"ESP32-C3"', "chip must be a name"),
        ("4MiB = 0x200000", "4MiB = 0x200800", "on a block of 4096"),
        ("4MiB = 0x200000", "4MiB = 0x500000", "inside the flash"),
        ("4MiB = 0x200000", "4MB = 0x200000", "a layout is like"),
        ('"303a:1001"', '"303a1001"', "USB ids are like"),
        ('version = "1.28.0"', 'sha256 = "12"\nversion = "1"', "sha256 must be 64 hex digits"),
        ('url = "https', 'url = "http', "a url that begins with https"),
        ("[pins]", "[pins]\nled = 120", "led_pin must be null or a whole number from 0 to 99"),
        ("[pins]", "[limits]\nglobal = 60\n[pins]", "global is no limit. Take one of addr_s"),
        ("[pins]", "[config]\nmodus = 1\n[pins]", "modus is no setting; the nearest is mode"),
        ("[heap]", "heap = 3\n[x]", "heap"),
        ("kib = 90", "", "kib is missing"),
        ("[heap]", "[heap", "toml.io"),
    ],
)
def test_a_wrong_table_says_what_and_where(old, new, says):
    assert old in GOOD
    with pytest.raises(ToolError) as e:
        boards.parse("ESP32_GENERIC_C3", GOOD.replace(old, new, 1))
    assert says in str(e.value) and str(e.value).startswith("boards/ESP32_GENERIC_C3/board.toml: ")


def test_the_virtual_board_reads_the_same_file():
    from l4tools.vboard.settings import settings

    raw = tomllib.loads((BOARDS / "UNIX" / "board.toml").read_text())
    assert settings() == raw
    assert settings()["heap"]["limit"] == boards.load("UNIX").heap_kib * 1024
