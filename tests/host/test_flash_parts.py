"""The pure parts of `l4 flash`: tables, headers, firmware files, the plan, the key store."""

import struct
from binascii import crc32

import pytest
from flashbed import MIB, apply, md5_of
from l4tools.errors import ToolError
from l4tools.flash import firmware, headers, keep, nvs, oldfs, partitions, plan
from l4tools.flash.firmware import Part
from l4tools.flash.partitions import SECTOR, Place
from l4tools.vchip.firmware import LAYOUTS, app_bin, firmware_bin
from l4tools.vchip.table import Row as ChipRow
from l4tools.vchip.table import table_bytes

BOOT = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0, "esp32c6": 0}


def rows(layout):
    return partitions.parse(table_bytes([ChipRow(*r) for r in LAYOUTS[layout][1]]))


# -- where the file system is --------------------------------------------------------------------
@pytest.mark.parametrize(
    "layout, size, version, place",
    [
        ("4MiBplus", 4, (1, 26, 0), Place(0x200000, 512)),
        ("4MiBplus", 8, (1, 27, 0), Place(0x200000, 1536)),
        ("4MiBplus", 16, None, Place(0x200000, 3584)),
        ("4MiB-ota", 4, (1, 27, 0), Place(0x310000, 240)),
        ("8MiBplus-ota", 8, (1, 27, 0), Place(0x4F0000, 784)),
        ("2MiB", 2, (1, 27, 0), Place(0x170000, 144)),
        ("4MiB", 4, (1, 24, 0), Place(0x200000, 512)),
        ("4MiB", 16, (1, 25, 0), Place(0x200000, 512)),  # a row of its own: as long as that
    ],
)
def test_the_place_of_files_follows_from_the_table(layout, size, version, place):
    assert partitions.vfs(rows(layout), size * MIB, version) == place


def test_a_layout_that_does_not_fit_is_refused():
    with pytest.raises(ToolError, match="laid out for 4 MiB of flash, the board has 2 MiB"):
        partitions.vfs(rows("4MiB"), 2 * MIB, (1, 25))
    with pytest.raises(ToolError, match="leaves no room for files"):
        partitions.vfs(rows("4MiBplus"), 2 * MIB, (1, 27))
    with pytest.raises(ToolError, match=r"before 1\.26 makes none"):
        partitions.vfs(rows("4MiBplus"), 4 * MIB, (1, 25))


def test_a_damaged_table_is_told_from_none():
    good = bytearray(table_bytes([ChipRow(*r) for r in LAYOUTS["4MiB"][1]]))
    good[40] ^= 1
    with pytest.raises(ToolError, match="damaged partition table"):
        partitions.parse(bytes(good))
    with pytest.raises(ToolError, match="no partition table"):
        partitions.parse(b"\xff" * 3072)


# -- firmware files ------------------------------------------------------------------------------
@pytest.mark.parametrize("chip", BOOT)
def test_a_firmware_file_is_read_and_cut_without_the_key_store(chip):
    data = firmware_bin(chip, "1.27.0")
    fw = firmware.parse(data, BOOT[chip], "f.bin")
    assert headers.chip_name(fw.chip_id) == chip
    assert (fw.version, fw.numbers) == ("v1.27.0", (1, 27, 0))
    assert [p.name for p in fw.parts] == ["bootloader", "table", "app"]
    for part in fw.parts:
        want = data[part.addr - BOOT[chip] :][: len(part.data)]
        assert part.data == want.ljust(len(part.data), b"\xff")
        assert part.addr % SECTOR == len(part.data) % SECTOR == 0
        assert part.end <= 0x9000 or part.addr >= 0x10000  # NVS and calibration are in none
    # The same as a whole image from 0 on, as factories keep it.
    whole = firmware.parse(b"\xff" * BOOT[chip] + data, BOOT[chip], "w.bin")
    assert whole.parts == fw.parts


def test_ota_data_is_blanked_so_that_what_is_written_boots():
    fw = firmware.parse(firmware_bin("esp32", layout="4MiB-ota"), 0x1000, "f.bin")
    assert [(p.name, p.addr, len(p.data)) for p in fw.parts if p.name == "otadata"] == [
        ("otadata", 0xD000, 0x2000)
    ]


def refused(data, chip="esp32c3", name="f.bin"):
    with pytest.raises(ToolError) as e:
        fw = firmware.parse(data, BOOT[chip], name, chip)
        chip_id = {"esp32": 0, "esp32c3": 5, "esp32s3": 9, "esp32c6": 13}[chip]
        firmware.check_chip(fw, chip, chip_id, 4 if chip == "esp32c3" else 0)
    text = str(e.value)
    assert text.count(".") >= 2  # a sentence and the next step
    return text


def test_wrong_files_are_refused_each_with_its_reason():
    good = firmware_bin("esp32c3")
    assert "no firmware" in refused(b"MZ" + bytes(5000))
    assert "no firmware" in refused(b"\xe9")
    assert "application alone" in refused(app_bin("esp32c3"))
    assert "is for esp32s3, the board is an esp32c3" in refused(firmware_bin("esp32s3"))
    assert "is for esp32, the board is another chip" in refused(firmware_bin("esp32"))
    assert "the board is another chip" in refused(good, "esp32")
    assert "cut short" in refused(good[:0x6000])
    assert "cut short" in refused(good[:0xF000])
    assert "cut short" in refused(good[:-5000])
    assert "cut short" in refused(good[:-1])
    broken = bytearray(good)
    broken[0x12000] ^= 1
    assert "wrong checksum" in refused(bytes(broken))
    assert "is MicroPython v1.23.0" in refused(firmware_bin("esp32c3", "1.23.0"))
    assert "not MicroPython" in refused(firmware_bin("esp32c3", project="blink"))


def test_an_old_c3_is_refused():
    fw = firmware.parse(firmware_bin("esp32c3"), 0, "f.bin")
    firmware.check_chip(fw, "esp32c3", 5, 3)
    with pytest.raises(ToolError, match=r"revision v0\.2, MicroPython needs v0\.3"):
        firmware.check_chip(fw, "esp32c3", 5, 2)


def test_the_version_is_that_of_the_banner_where_there_is_one():
    app = firmware_bin("esp32c3", "1.27.0")[0x10000:]
    assert headers.micropython(app) == "v1.27.0"
    assert headers.micropython(app[:256]) == "v1.27.0"  # by the description alone
    banner = b"..MicroPython v1.28.0-preview.7 on 2026-02-01; ESP32C3.."
    assert headers.micropython(app + banner) == "v1.28.0-preview.7"
    assert headers.numbers("v1.28.0-preview.7") == (1, 28, 0)


# -- the plan ------------------------------------------------------------------------------------
VFS = 0x200000
FILES = {"main.py": b"print(1)\n", "lib/a.mpy": b"a" * 30000, "lib/b.mpy": b"b" * 9000}


def parts(fill=b"\x11"):
    return [
        Part("bootloader", 0, b"\x01" * SECTOR),
        Part("table", 0x8000, b"\x02" * SECTOR),
        Part("app", 0x10000, b"\xe9" + fill * (40 * SECTOR - 1)),
    ]


def image(files=FILES, kept=None):
    data = keep.image(files, {"name": "x"}, kept or {}, 512)
    return data, oldfs.of_image(data).used


def test_only_blocks_in_use_are_written_and_nothing_twice():
    flash = bytearray(b"\xff" * 4 * MIB)
    data, used = image()
    made = plan.make(parts(), data, used, VFS, md5_of(flash))
    apply(flash, made.writes)
    assert made.total < 42 * SECTOR + (len(used) + 2) * SECTOR
    assert oldfs.of_image(bytes(flash[VFS:])).files == {**FILES, "config.json": b'{"name": "x"}'}
    assert plan.make(parts(), data, used, VFS, md5_of(flash)).writes == []


def test_garbage_in_blocks_that_are_not_used_is_left_and_harmless():
    flash = bytearray(b"\xa5" * 4 * MIB)
    data, used = image()
    apply(flash, plan.make([], data, used, VFS, md5_of(flash)).writes)
    free = next(n for n in range(512) if n not in used)
    assert flash[VFS + free * SECTOR] == 0xA5
    assert oldfs.of_image(bytes(flash[VFS:])).files["lib/a.mpy"] == FILES["lib/a.mpy"]


def test_one_changed_file_is_a_small_plan():
    flash = bytearray(b"\xff" * 4 * MIB)
    data, used = image()
    apply(flash, plan.make(parts(), data, used, VFS, md5_of(flash)).writes)
    data, used = image({**FILES, "lib/b.mpy": b"c" * 9000})
    made = plan.make(parts(), data, used, VFS, md5_of(flash), [VFS], "job")
    assert 0 < made.total <= 12 * SECTOR
    apply(flash, made.writes)
    assert oldfs.of_image(bytes(flash[VFS:])).files["lib/b.mpy"] == b"c" * 9000


def test_wherever_it_breaks_off_the_board_is_seen_for_what_it_is():
    """After each sector: not bootable with half an application, no half file system mounts."""
    before = bytearray(b"\xff" * 4 * MIB)
    old, used = image({"main.py": b"old\n"}, {"queue/00000001.l4q": b"q" * 9000})
    apply(before, plan.make(parts(b"\x22"), old, used, VFS, md5_of(before)).writes)
    data, used = image(FILES, {"queue/00000001.l4q": b"q" * 9000})
    made = plan.make(parts(), data, used, VFS, md5_of(before), [VFS], "j0b")
    sectors = made.total // SECTOR
    assert sectors > 50
    states = set()
    for stop in range(sectors + 1):
        flash = bytearray(before)
        apply(flash, made.writes, stop)
        found = oldfs.of_image(bytes(flash[VFS:]))
        app = bytes(flash[0x10000 : 0x10000 + 40 * SECTOR])
        whole = app in (parts()[2].data, parts(b"\x22")[2].data)
        assert whole or headers.header(app) is None
        if found.state == oldfs.GOOD and not plan.torn(found.blocks[0], found.blocks[1]):
            complete = {0: "main.py", sectors: "lib/a.mpy"}
            assert stop in complete and complete[stop] in found.files
        else:
            again = plan.make(parts(), data, used, VFS, md5_of(flash), [VFS], "j0b")
            apply(flash, again.writes)
            assert oldfs.of_image(bytes(flash[VFS:])).files["lib/a.mpy"] == FILES["lib/a.mpy"]
        states.add(found.state)
    assert states == {oldfs.GOOD, oldfs.MARKED}


def test_the_newer_of_the_first_two_blocks_comes_first():
    def begin(first, second):
        data = bytearray(4 * SECTOR)
        struct.pack_into("<I", data, 0, first)
        struct.pack_into("<I", data, SECTOR, second)
        blank = md5_of(b"\xff" * 4 * SECTOR)
        return [w.addr for w in plan.make([], bytes(data), [0, 1], 0, blank).writes]

    assert begin(5, 4) == [0, SECTOR]
    assert begin(4, 5) == [SECTOR, 0]
    assert begin(0, 0xFFFFFFFF) == [0, SECTOR]  # the revision has run over


def test_the_mark_names_its_job_and_is_no_file_system():
    mark = plan.mark("abc123")
    assert (len(mark), plan.marked(mark)) == (2 * SECTOR, "abc123")
    assert plan.marked(b"\xff" * SECTOR) is None
    found = oldfs.of_image(mark + b"\xff" * 510 * SECTOR)
    assert (found.state, found.job) == (oldfs.MARKED, "abc123")


# -- the old file system -------------------------------------------------------------------------
def test_what_is_no_file_system_is_told_apart():
    assert oldfs.of_image(b"\xff" * 64 * SECTOR).state == oldfs.BLANK
    assert oldfs.of_image(bytes(range(256)) * 1024).state == oldfs.DAMAGED
    found = oldfs.of_image(keep.image(FILES, {}, {}, 64) + b"\xff" * 64 * SECTOR)
    assert found.files["main.py"] == FILES["main.py"]
    assert found.trouble == "it is made for 64 blocks, the partition has 128"


def test_only_blocks_in_use_are_read_and_an_error_of_the_line_comes_through():
    data, used = image()
    asked = []

    def read(n):
        asked.append(n)
        if len(asked) == 5:
            raise ToolError("The cable is gone. Plug it in.")
        return data[n * SECTOR : (n + 1) * SECTOR]

    with pytest.raises(ToolError, match="cable is gone"):
        oldfs.read(read, 512)
    assert len(asked) == 5
    asked.append(0)  # from now on the line holds
    again = oldfs.read(read, 512)
    assert again.used == sorted(used) and len(again.used) < 30


# -- the key store -------------------------------------------------------------------------------
def nvs_page(entries, seq=0, state=0xFFFFFFFE):
    """A page as ESP-IDF lays it out: entries of (bytes, how many places)."""
    body, bits, n = b"", 0, 0
    for data in entries:
        span = len(data) // 32
        for i in range(span):
            bits |= 2 << (2 * (n + i))
        n += span
        body += data
    for i in range(n, 128):
        bits |= 3 << (2 * i)
    head = struct.pack("<IIB", state, seq, 0xFE).ljust(32, b"\xff")
    return (head + bits.to_bytes(32, "little") + body).ljust(4096, b"\xff")


def nvs_entry(ns, kind, key, data, more=b"", chunk=0xFF):
    span = 1 + len(more) // 32
    raw = bytes([ns, kind, span, chunk]) + bytes(4) + key.ljust(16, b"\0") + data
    crc = crc32(raw[:4] + raw[8:], 0xFFFFFFFF)
    return raw[:4] + struct.pack("<I", crc) + raw[8:] + more


def nvs_blob(ns, key, value):
    more = value + b"\xff" * (-len(value) % 32)
    head = struct.pack("<HHI", len(value), 0xFFFF, crc32(value, 0xFFFFFFFF))
    return nvs_entry(ns, 0x42, key, head, more, 0)


def test_the_network_is_found_in_the_key_store():
    space = nvs_entry(0, 0x01, b"other", b"\x01" + b"\xff" * 7)
    ours = nvs_entry(0, 0x01, b"l4mesh", b"\x02" + b"\xff" * 7)
    foreign = nvs_blob(1, b"network", b"\xaa\xbb\xcc\xdd")
    first = nvs_page([space, foreign, ours, nvs_blob(2, b"seed", bytes(32))])
    second = nvs_page([nvs_blob(2, b"network", b"\x01\x02\x03\x04")], seq=1)
    assert nvs.network_id(first + second + b"\xff" * 4096) == b"\x01\x02\x03\x04"
    assert nvs.network_id(first) is None
    assert nvs.network_id(b"\xff" * 0x6000) is None
    assert nvs.network_id(bytes(0x6000)) is None
    spoiled = bytearray(second)
    spoiled[64 + 32] ^= 1
    assert nvs.network_id(first + bytes(spoiled)) is None
