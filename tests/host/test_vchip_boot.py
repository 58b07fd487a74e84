"""From reset to the app: what a virtual ESP32 prints when something is missing, and when not."""

import json
import signal
import subprocess
import sys
import threading

import pytest
from chipbench import BOOT, VFS, esptool, mpremote, ready, small_vfs
from l4tools.errors import ToolError
from l4tools.image import read_image
from l4tools.vchip import VChip, firmware_bin, firmware_parts
from l4tools.vchip.boot import boot
from l4tools.vchip.chips import CHIPS
from l4tools.vchip.firmware import LAYOUTS
from l4tools.vchip.nor import Nor
from l4tools.vchip.table import read_table, row_of, table_bytes, vfs_region

MIB = 1 << 20


def chip_with(tmp_path, name="esp32", mib=4, **parts):
    """(chip, Nor) with the firmware's parts; `layout` etc. go to firmware_parts."""
    nor = Nor(tmp_path / "flash.bin", mib * MIB)
    for at, data in firmware_parts(name, **parts).items():
        nor.program(at, data)
    return CHIPS[name], nor


def spoil(nor, at, data):
    start = at & -4096
    sector = bytearray(nor.read(start, 4096))
    sector[at - start : at - start + len(data)] = data
    nor.erase(start, 4096)
    nor.program(start, bytes(sector))


@pytest.mark.parametrize("name", CHIPS)
def test_good_boot_finds_app_vfs_and_nvs(name, tmp_path):
    text, found = boot(*chip_with(tmp_path, name))
    assert "entry 0x" in text
    assert (found.app.label, found.app.offset) == ("factory", 0x10000)
    assert found.vfs == (VFS, VFS) and found.nvs == (0x9000, 0x6000)


# Flash size, layout -> where the file system is: the table of MicroPython's partitions*.csv.
PLACES = [
    (4, "4MiBplus", 0x200000, 0x200000),
    (8, "4MiBplus", 0x200000, 0x600000),
    (16, "4MiBplus", 0x200000, 0xE00000),
    (4, "4MiB-ota", 0x310000, 0xF0000),
    (8, "8MiBplus-ota", 0x4F0000, 0x310000),
    (2, "2MiB", 0x170000, 0x90000),
    (8, "4MiB", 0x200000, 0x200000),  # its own row wins over the flash's size
]


@pytest.mark.parametrize("mib,layout,start,size", PLACES)
def test_place_of_the_file_system(mib, layout, start, size, tmp_path):
    _, found = boot(*chip_with(tmp_path, mib=mib, layout=layout))
    assert found.vfs == (start, size)
    assert found.app.label == ("ota_0" if "ota" in layout else "factory")


def test_layouts_are_tables_that_end_with_their_md5():
    for name, (mib, rows) in LAYOUTS.items():
        data = firmware_parts("esp32", layout=name)[0x8000]
        back = read_table(data)
        assert len(back) == len(rows) and max(row.end for row in back) <= mib * MIB
        assert table_bytes(back) == data
        for i in (0, 5, 40, len(rows) * 32 + 17):
            wrong = bytearray(data)
            wrong[i] ^= 1
            with pytest.raises(ValueError):
                read_table(bytes(wrong))
        assert vfs_region(back, 16 * MIB)[0] in (0x170000, 0x200000, 0x310000, 0x4F0000)
        assert row_of(back, "nvs").offset == 0x9000 and row_of(back, "nothing") is None


def test_what_is_wrong_is_printed(tmp_path):
    chip, nor = chip_with(tmp_path)

    def says(text):
        said, found = boot(chip, nor)
        assert text in said and found is None

    def again(**kw):
        nor.erase(0, nor.size)
        for at, data in firmware_parts(**{"chip": "esp32", **kw}).items():
            nor.program(at, data)

    spoil(nor, 0x10000 + 3000, b"!!")
    says("Image hash failed - image is corrupt\r\n".strip())
    nor.erase(0x10000, 4096)
    says("image at 0x10000 has invalid magic byte (nothing flashed here?)")
    again()
    spoil(nor, 0x8000 + 70, b"!")
    says("E (55) flash_parts: MD5 check failed\nE (61) boot: Failed to verify partition table")
    nor.erase(0x8000, 4096)
    says("flash_parts: partition 0 invalid magic number 0xffff")
    again()
    spoil(nor, 0x1000 + 2000, b"!!")
    says("csum err")
    nor.erase(0x1000, 4096)
    says("invalid header: 0xffffffff\n")
    # The app of another chip behind a right second stage.
    again()
    other = firmware_parts("esp32s3")[0x10000]
    nor.erase(0x10000, len(other))
    nor.program(0x10000, other)
    says("mismatch chip ID, expected 0, found 9")
    # A partition beyond what the second stage was made for.
    again()
    nor.erase(0x8000, 4096)
    nor.program(0x8000, firmware_parts("esp32", layout="8MiBplus-ota")[0x8000])
    says("exceeds flash chip size 0x400000")


def test_firmware_for_4_mib_on_a_flash_of_2(tmp_path):
    said, found = boot(*chip_with(tmp_path, mib=2, layout="4MiB-ota", size=4096))
    assert found is None
    assert "Detected size(2048k) smaller than the size in the binary image header(4096k)" in said


def test_a_firmware_file_belongs_to_its_chips_offset(tmp_path):
    for name in ("esp32", "esp32c3"):
        for at in (0, 0x1000):
            nor = Nor(tmp_path / ("%s%d" % (name, at)), 4 * MIB)
            nor.program(at, firmware_bin(name))
            said, found = boot(CHIPS[name], nor)
            assert (found is not None) == (at == BOOT[name])
            assert found or "invalid header: 0x" in said


def test_a_blank_chip_says_so_for_ever_until_it_is_flashed(tmp_path):
    with VChip("esp32", folder=tmp_path / "c") as chip:
        chip.power_on()
        chip.until("rst:0x10 (RTCWDT_RTC_RESET)", count=2)
        assert chip.state == "failing"
        chip.power_off()
        assert chip.state == "off"
        chip.write(0x1000, firmware_bin("esp32"))
        chip.power_on()
        # A blank file system is made, as the port does it.
        chip.until("Performing initial setup")
        chip.until("Type")
        assert "executed on every boot" in read_image(chip.vfs())["boot.py"].decode()
        chip.reset()
        chip.until("Type", count=2)
        assert sum("initial setup" in line for line in chip.console) == 1


def test_a_file_system_of_the_wrong_size_or_damaged(tmp_path):
    with ready("esp32", tmp_path, small_vfs(blocks=240), on=False) as chip:
        chip.power_on()
        chip.until("The filesystem appears to be corrupted")
        # Ctrl-C ends the text; the REPL works, there is no file system.
        assert mpremote(chip, "resume", "exec", "print('alive')") == "alive\n"
        # A soft reset starts the text again: no tool gets in without `resume`.
        chip.board.write(b"\x04")
        chip.until("by firmware programming", count=2)
        chip.power_off()
        chip.write(VFS, small_vfs())
        chip.power_on()
        chip.until("MAIN 42")


def test_flash_and_mac_survive_the_process(tmp_path):
    with ready("esp32c6", tmp_path) as chip:
        mpremote(chip, "exec", "f = open('a', 'w'); f.write('1'); f.close()")
        mac = chip.mac
    with VChip("esp32c6", folder=tmp_path / "esp32c6") as chip:
        chip.power_on()
        chip.until("MAIN 42")
        assert mpremote(chip, "exec", "print(open('a').read())") == "1\n" and chip.mac == mac


def test_resets_keep_what_they_should(tmp_path):
    main = (
        "import machine, os\nrtc = machine.RTC()\nprint('MAIN', machine.reset_cause(),"
        " rtc.memory())\nrtc.memory(b'rtc')\n"
    )
    with ready("esp32c3", tmp_path, small_vfs(main)) as chip:
        chip.until("MAIN 1 b''")
        mpremote(chip, "exec", "--no-follow", "import machine; machine.reset()")
        chip.until("MAIN 2 b'rtc'")
        chip.until("rst:0xc (RTC_SW_CPU_RST)")
        mpremote(chip, "exec", "--no-follow", "import machine; machine.deepsleep(50)")
        chip.until("MAIN 4 b'rtc'")
        chip.until("rst:0x5 (DSLEEP)")
        chip.reset()  # EN: like power-on
        chip.until("MAIN 1 b''", count=2)


def test_several_chips_on_one_rack_and_hub(tmp_path):
    from l4tools.lan.hub import Hub
    from l4tools.vboard.rack import Rack

    main = (
        "import network, time\nw = network.WLAN(network.STA_IF)\nw.active(True)\n"
        "w.connect('bench', 'bench-pass')\nwhile not w.isconnected():\n    time.sleep_ms(20)\n"
        "print('IP', w.ifconfig()[0])\n"
    )
    hub = Hub().start()
    rack = Rack(tmp_path / "rack", hub).run_in_thread()
    chips = []
    try:
        for i, name in enumerate(("esp32", "esp32c6")):
            chip = VChip(name, folder=tmp_path / name, rack=rack, ip="10.77.1.%d" % (11 + i))
            chips.append(chip)
            chip.write(BOOT[name], firmware_bin(name))
            chip.write(VFS, small_vfs(main))
            chip.power_on()
        chips[0].until("IP 10.77.1.11")
        chips[1].until("IP 10.77.1.12")
        chips.pop().close()
        assert [row["name"] for row in rack.ps()] == ["esp32"]
    finally:
        for chip in chips:
            chip.close()
        rack.close()
        hub.close()


def test_misuse_is_a_sentence(tmp_path):
    with pytest.raises(ToolError, match="No chip 'esp8266' here"):
        VChip("esp8266", folder=tmp_path / "c")
    with pytest.raises(ToolError, match="No flash of 3000 bytes"):
        VChip("esp32", 3000, tmp_path / "c")
    with pytest.raises(ToolError, match="No layout"):
        firmware_bin("esp32", layout="huge")
    with VChip("esp32", folder=tmp_path / "d") as chip:
        with pytest.raises(ToolError, match="no way|No way"):
            chip.url("telnet")
        chip.unplug()
        with pytest.raises(ToolError, match="cable is out"):
            chip.pty  # noqa: B018
    with pytest.raises(ToolError, match="the chip 8388608"):
        VChip("esp32", 8 * MIB, tmp_path / "d")


def test_the_command(tmp_path):
    fw = tmp_path / "fw.bin"
    base = [sys.executable, "-m", "l4tools.vchip", "--chip", "esp32c3", "--folder", tmp_path / "c"]
    subprocess.run([*base, "--firmware", fw], check=True, timeout=60)
    run = subprocess.Popen(
        [*base, "--boot"], stdout=subprocess.PIPE, text=True, env={**__import__("os").environ}
    )
    try:
        ways = dict(run.stdout.readline().split(None, 1) for _ in range(4))
        ways = {name: value.strip() for name, value in ways.items()}
        assert set(ways) == {"terminal", "socket", "rfc2217", "node"}, json.dumps(ways)
        out = esptool(None, "write-flash", 0, fw, port=ways["terminal"])
        assert "Hash of data verified" in out
        esptool(None, "read-mac", port=ways["rfc2217"], resets=True)
        end = threading.Timer(60, run.kill)
        end.start()
        assert any("initial setup" in line for line in run.stdout)
        end.cancel()
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 0
    finally:
        run.kill()
        run.wait()
        run.stdout.close()
