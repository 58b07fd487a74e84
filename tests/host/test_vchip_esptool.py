"""The real esptool on the virtual ESP32: what it accepts is the contract with the real ROM."""

import os
import subprocess
import sys
import time

import pytest
from chipbench import BOOT, VFS, esptool, mpremote, ready, small_vfs, tool
from l4tools.vchip import VChip, firmware_bin
from l4tools.vchip.chips import CHIPS


@pytest.mark.parametrize("name", CHIPS)
def test_every_chip_by_stub_and_by_rom(name, tmp_path):
    data = bytes(range(256)) * 24 + os.urandom(2048)
    (tmp_path / "data.bin").write_bytes(data)
    with VChip(name, folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        assert chip.state == "download"
        out = esptool(chip, "--no-stub", "write-flash", hex(VFS), tmp_path / "data.bin")
        assert "Hash of data verified" in out
        mac = ":".join("%02x" % b for b in chip.mac)
        assert mac in out and name[5:].upper() in out.replace("-", "")
        assert chip.read(VFS, len(data)) == data and chip.state == "download"
        out = esptool(chip, "write-flash", hex(VFS + 0x10000), tmp_path / "data.bin")
        assert "Stub flasher running" in out and "Hash of data verified" in out
        assert "Compressed" in out and chip.state == "stub"
        assert chip.read(VFS + 0x10000, len(data)) == data
        out = esptool(chip, "read-flash", hex(VFS), hex(0x12000), tmp_path / "back.bin")
        assert "already running" in out
        assert (tmp_path / "back.bin").read_bytes() == chip.read(VFS, 0x12000)


def test_two_chips_have_two_macs_and_keep_them(tmp_path):
    with VChip(folder=tmp_path / "a") as a, VChip(folder=tmp_path / "b") as b:
        first, second = a.mac, b.mac
    with VChip(folder=tmp_path / "a") as again:
        assert again.mac == first != second


def test_erases_and_verifies(tmp_path):
    (tmp_path / "ones.bin").write_bytes(b"\x55" * 0x3000)
    with VChip("esp32c6", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        esptool(chip, "write-flash", "--no-compress", "0x10000", tmp_path / "ones.bin")
        esptool(chip, "erase-region", "0x11000", "0x1000")
        assert chip.read(0x10FFF, 0x1002) == b"\x55" + b"\xff" * 0x1000 + b"\x55"
        out = esptool(chip, "verify-flash", "0x10000", tmp_path / "ones.bin", code=None)
        assert "Verification failed" in out
        esptool(chip, "erase-flash")
        assert chip.nor.blank(0, chip.nor.size)
        chip.reset(boot=True)
        out = esptool(chip, "--no-stub", "erase-flash", code=None)
        assert "ROM does not support function erase_flash" in out
        out = esptool(chip, "--no-stub", "get-security-info")
        assert "Chip ID: 13" in out


@pytest.mark.parametrize("mib", [2, 8, 16])
def test_flash_sizes(mib, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"x" * 256)
    with VChip("esp32s3", mib << 20, tmp_path / "c") as chip:
        chip.power_on(boot=True)
        out = esptool(chip, "flash-id")
        assert "Detected flash size: %dMB" % mib in out
        end = chip.nor.size
        out = esptool(chip, "write-flash", hex(end), tmp_path / "x.bin", code=None)
        assert "will not fit in %d bytes" % end in out
        esptool(chip, "write-flash", hex(end - 4096), tmp_path / "x.bin")
        assert chip.read(end - 4096, 256) == b"x" * 256


def test_faster_baud_rates_and_the_crystal(tmp_path):
    (tmp_path / "x.bin").write_bytes(os.urandom(4096))
    with VChip("esp32", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        for more in (("--no-stub",), ()):
            out = esptool(
                chip, "--baud", 921600, *more, "write-flash", hex(VFS), tmp_path / "x.bin"
            )
            assert "Hash of data verified" in out and "Crystal frequency:  40MHz" in out
            assert chip.regs.baud > 900000


def test_the_whole_chain_over_rfc2217_with_the_classic_reset(tmp_path):
    """4 MiB written, reset by DTR and RTS before and after, booted, and driven by mpremote."""
    name = "esp32c3"
    image = bytearray(b"\xff" * (4 << 20))
    firmware, vfs = firmware_bin(name), small_vfs()
    image[: len(firmware)] = firmware
    image[VFS:] = vfs
    (tmp_path / "all.bin").write_bytes(image)
    with VChip(name, folder=tmp_path / "c") as chip:
        chip.power_on()
        chip.until("invalid header: 0xffffffff")
        url = chip.url("rfc2217")
        out = esptool(chip, "write-flash", 0, tmp_path / "all.bin", port=url, resets=True)
        assert "Hash of data verified" in out and "Hard resetting via RTS" in out
        chip.until("waiting for download")
        chip.until("MAIN 42")
        assert chip.state == "run" and chip.booted.vfs == (VFS, VFS)
        assert mpremote(chip, "exec", "print(1 + 2)", port=url) == "3\n"
        assert mpremote(chip, "exec", "print(2 + 2)") == "4\n"
        unique = "import machine; print(machine.unique_id().hex())"
        assert mpremote(chip, "exec", unique) == chip.mac.hex() + "\n"
        # The board writes to the same flash.
        mpremote(chip, "exec", "f = open('new', 'w'); f.write('kept'); f.close()")
        out = esptool(chip, "--after", "hard-reset", "flash-id", port=url, resets=True)
        chip.until("MAIN 42", count=2)
        assert mpremote(chip, "exec", "print(open('new').read())") == "kept\n"


def test_reset_lines_with_the_delays_of_a_network(tmp_path):
    with ready("esp32", tmp_path) as chip:
        url = chip.url("rfc2217")
        out = esptool(chip, "--no-stub", "read-mac", port=url, resets=True, quick=False)
        assert ":".join("%02x" % b for b in chip.mac) in out
        chip.until("MAIN", count=2)
        assert chip.state == "run"


@pytest.mark.parametrize("name", CHIPS)
def test_every_chip_flashed_and_driven_over_a_plain_socket(name, tmp_path):
    (tmp_path / "fw.bin").write_bytes(firmware_bin(name))
    (tmp_path / "vfs.bin").write_bytes(small_vfs())
    with VChip(name, folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        url = chip.url("socket")
        files = (hex(BOOT[name]), tmp_path / "fw.bin", hex(VFS), tmp_path / "vfs.bin")
        out = esptool(chip, "write-flash", *files, port=url)
        assert out.count("Hash of data verified") == 2
        chip.reset()
        chip.until("MAIN 42")
        assert mpremote(chip, "exec", "import os; print(os.listdir())", port=url) == (
            "['main.py']\n"
        )


def test_bootloader_command_of_the_firmware(tmp_path):
    with ready("esp32s3", tmp_path) as chip:
        mpremote(chip, "exec", "--no-follow", "import machine; machine.bootloader()")
        chip.until_state("download")
        assert "waiting for download" in chip.console[-1]
        esptool(chip, "read-mac")
        chip.reset()
        chip.until("MAIN", count=2)


def test_only_some_firmware_has_the_bootloader_command(tmp_path):
    with ready("esp32c6", tmp_path) as chip:
        assert mpremote(chip, "exec", "import machine; print(hasattr(machine, 'bootloader'))") == (
            "False\n"
        )


def test_running_the_user_code_from_the_rom_and_resets_after_it(tmp_path):
    with ready("esp32", tmp_path, on=False) as chip:
        chip.power_on(boot=True)
        out = esptool(chip, "--after", "soft-reset", "--no-stub", "read-mac", resets=False)
        assert "Soft resetting" in out
        chip.until("MAIN 42")
        # BOOT was held at the last reset of the whole chip: a reset by software keeps that.
        mpremote(chip, "exec", "--no-follow", "import machine; machine.reset()")
        chip.until_state("download")
        chip.reset()
        chip.until("MAIN 42", count=2)


def test_reset_by_the_watchdog_of_the_chip(tmp_path):
    with ready("esp32s3", tmp_path, on=False) as chip:
        chip.power_on(boot=True)
        esptool(chip, "--after", "watchdog-reset", "--no-stub", "read-mac")
        chip.until("rst:0x7 (TG0WDT_SYS_RST)")
        chip.until("MAIN 42")


def test_esptool_knows_the_double_of_the_firmware(tmp_path):
    for name in CHIPS:
        (tmp_path / "fw.bin").write_bytes(firmware_bin(name, version="1.28.0"))
        data = (tmp_path / "fw.bin").read_bytes()
        (tmp_path / "app.bin").write_bytes(data[0x10000 - BOOT[name] :])
        out = tool("esptool", "image-info", tmp_path / "app.bin")
        assert "v1.28.0" in out and "micropython" in out and "(valid)" in out
        assert "Chip ID: %d" % CHIPS[name].chip_id in out
        assert "(valid)" in tool("esptool", "image-info", tmp_path / "fw.bin")


def test_the_wrong_firmware_is_esptools_to_refuse_and_does_not_boot_by_force(tmp_path):
    (tmp_path / "fw.bin").write_bytes(firmware_bin("esp32s3"))
    with VChip("esp32c3", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        out = esptool(chip, "write-flash", 0, tmp_path / "fw.bin", code=None)
        assert "is not an ESP32-C3 image" in out and chip.nor.blank(0, 4096)
        esptool(chip, "write-flash", "--force", 0, tmp_path / "fw.bin")
        chip.reset()
        chip.until("ets_loader.c 78")
        assert chip.state == "failing"


def test_a_strict_chip_refuses_while_it_is_written(tmp_path):
    (tmp_path / "fw.bin").write_bytes(firmware_bin("esp32c3"))
    (tmp_path / "other.bin").write_bytes(firmware_bin("esp32c6"))
    with VChip("esp32c3", folder=tmp_path / "c", strict=True) as chip:
        chip.power_on(boot=True)
        out = esptool(chip, "--no-stub", "write-flash", "0x1000", tmp_path / "fw.bin", code=None)
        assert "the running result is wrong" in out
        args = ("write-flash", "--force", 0, tmp_path / "other.bin")
        assert "Failed SPI operation" in esptool(chip, *args, code=None)
        assert chip.nor.blank(0, 0x4000)
        chip.reset(boot=True)
        esptool(chip, "write-flash", 0, tmp_path / "fw.bin")


def test_nvs_lives_in_its_partition(tmp_path):
    save = "import esp32; n = esp32.NVS('a'); n.set_i32('k', 77); n.commit()"
    load = "import esp32; print(esp32.NVS('a').get_i32('k'))"
    (tmp_path / "fw.bin").write_bytes(firmware_bin("esp32"))
    with ready("esp32", tmp_path) as chip:
        mpremote(chip, "exec", save)
        chip.reset(boot=True)
        esptool(chip, "read-flash", "0x9000", "0x6000", tmp_path / "nvs.bin")
        esptool(chip, "write-flash", "0x1000", tmp_path / "fw.bin")
        assert chip.nor.blank(0x9000, 0x6000)  # one file for all: 0xFF is between its parts
        chip.write(0x9000, (tmp_path / "nvs.bin").read_bytes())
        chip.reset()
        chip.until("MAIN", count=2)
        assert mpremote(chip, "exec", load) == "77\n"
        chip.reset(boot=True)
        esptool(chip, "erase-region", "0x9000", "0x6000")
        chip.reset()
        chip.until("MAIN", count=3)
        assert "ESP_ERR_NVS_NOT_FOUND" in mpremote(chip, "exec", load, code=1)


# -- faults -------------------------------------------------------------------------------------
def test_noise_on_the_line(tmp_path):
    (tmp_path / "x.bin").write_bytes(os.urandom(40000))
    with VChip("esp32c3", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        chip.faults.garbage = 1  # while it connects: esptool tries again
        esptool(chip, "write-flash", hex(VFS), tmp_path / "x.bin")
        assert chip.faults.garbage == 0
        chip.faults.garbage = -1
        out = esptool(chip, "--connect-attempts", 1, "flash-id", code=None)
        assert "noise or corruption" in out


def test_a_wrong_checksum_is_noticed(tmp_path):
    (tmp_path / "x.bin").write_bytes(os.urandom(8000))
    with VChip("esp32c6", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        chip.faults.wrong_md5 = 2
        out = esptool(chip, "write-flash", hex(VFS), tmp_path / "x.bin", code=None)
        assert "MD5 of file does not match" in out
        out = esptool(chip, "read-flash", hex(VFS), "0x1000", tmp_path / "y.bin", code=None)
        assert "Digest mismatch" in out
        esptool(chip, "write-flash", hex(VFS), tmp_path / "x.bin")


def test_the_cable_is_pulled_while_writing_and_a_second_run_mends_it(tmp_path):
    data = os.urandom(200000)
    (tmp_path / "x.bin").write_bytes(data)
    (tmp_path / "esptool.cfg").write_text("[esptool]\nconnect_attempts = 1\n")
    env = {"ESPTOOL_CFGFILE": str(tmp_path / "esptool.cfg")}
    with VChip("esp32s3", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        gone = chip.pty
        chip.faults.unplug_after = 100000
        esptool(chip, "write-flash", hex(VFS), tmp_path / "x.bin", code=None, env=env)
        assert not os.path.exists(gone)
        assert chip.state == "off" and not chip.nor.blank(VFS, 0x1000)
        assert chip.nor.blank(VFS + 150000, 0x1000)
        chip.plug(boot=True)
        assert chip.pty != gone and chip.board.tty == chip.pty
        esptool(chip, "write-flash", hex(VFS), tmp_path / "x.bin")
        assert chip.read(VFS, len(data)) == data


def test_a_dead_cable_and_a_slow_one(tmp_path):
    with VChip("esp32", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        chip.faults.silent = True
        out = esptool(chip, "--connect-attempts", 1, "--no-stub", "read-mac", code=None)
        assert "No serial data received" in out
        chip.faults.silent = False
        chip.faults.bytes_per_s = 25000
        (tmp_path / "x.bin").write_bytes(os.urandom(25000))
        start = time.monotonic()
        esptool(chip, "--no-stub", "write-flash", hex(VFS), tmp_path / "x.bin")
        assert time.monotonic() - start > 1 and chip.read(VFS, 25000) == (
            (tmp_path / "x.bin").read_bytes()
        )


def test_a_chip_that_resets_while_it_is_flashed(tmp_path):
    (tmp_path / "x.bin").write_bytes(os.urandom(100000))
    with VChip("esp32c3", folder=tmp_path / "c") as chip:
        chip.power_on(boot=True)
        chip.faults.reset_after = 60000
        esptool(chip, "write-flash", hex(VFS), tmp_path / "x.bin", code=None)
        chip.until("rst:0x7")
        chip.until("invalid header")


def test_a_board_that_resets_while_a_copy_runs(tmp_path):
    """mpremote stops the program that feeds the watchdog; then the watchdog stops mpremote."""
    main = (
        "import machine, time\nprint('MAIN', machine.reset_cause())\n"
        "w = machine.WDT(timeout=700)\nwhile True:\n    w.feed()\n    time.sleep_ms(50)\n"
    )
    (tmp_path / "big.bin").write_bytes(os.urandom(600000))
    with ready("esp32c3", tmp_path, small_vfs(main), on=False) as chip:
        chip.power_on()
        chip.until("MAIN 1")
        chip.faults.bytes_per_s = 300000
        args = ["-m", "mpremote", "connect", chip.pty, "fs", "cp", tmp_path / "big.bin", ":b"]
        copy = subprocess.Popen([sys.executable, *args], stdout=subprocess.DEVNULL)
        try:
            chip.until("MAIN 3")
            assert copy.poll() != 0  # it fails, or (on a terminal) waits for ever
        finally:
            copy.kill()
            copy.wait()


def test_only_esptools_own_stub_for_this_chip_runs(tmp_path):
    import base64

    from l4tools.vchip.stub import _stubs, is_stub

    for name, kind in CHIPS.items():
        for other in CHIPS:
            for stub in _stubs(other):
                ram = {
                    stub["text_start"]: base64.b64decode(stub["text"]),
                    stub["data_start"]: base64.b64decode(stub["data"]),
                }
                assert is_stub(kind, ram, stub["entry"]) == (other == name)
                assert not is_stub(kind, ram, stub["entry"] + 4)
                ram[stub["text_start"]] = ram[stub["text_start"]][:-4]
                assert not is_stub(kind, ram, stub["entry"])
