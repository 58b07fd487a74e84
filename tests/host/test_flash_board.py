"""`l4 flash` with the real esptool on virtual chips: writes, second runs, faults."""

import hashlib

import pytest
from flashbed import MIB, WIFI, Desk, drained, readings
from l4tools.errors import Refused, ToolError
from l4tools.flash import backups, keep, oldfs, plan, rom
from l4tools.flash.partitions import SECTOR
from l4tools.flash.rom import open_rom
from l4tools.network import Network
from l4tools.paths import FIRMWARE
from l4tools.usb import ports
from l4tools.vchip.firmware import firmware_bin

NVS = slice(0x9000, 0x10000)


# Stands for the firmware's files, which take seconds to build; e2e/test_chain.py has the real.
FILES = {
    "boot.py": b"# boot\n",
    "main.py": b"import supervisor\n",
    "app.py": (FIRMWARE / "app.py").read_bytes(),
    "supervisor.mpy": bytes(range(256)) * 10,
    "lib/l4mesh/core.mpy": bytes(range(255)) * 60,
    "lib/l4mesh/peers.mpy": b"peers" * 200,
    "lib/l4mesh_io/udp.mpy": b"udp" * 2000,
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))

    def files(app=None, kept=None):
        return FILES if app is None else {**FILES, "app.py": app}

    monkeypatch.setattr(keep, "files", files)


@pytest.fixture
def desks(tmp_path):
    made = []

    def make(*args, **kw):
        folder = tmp_path / ("desk%d" % len(made))
        folder.mkdir()
        made.append(Desk(folder, *args, **kw))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


def kept_nothing(job):
    return job.kept.files == {} and not backups.find(job.rom.mac)


# -- a board in its box --------------------------------------------------------------------------
@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3", "esp32c6"])
def test_a_blank_board_of_each_chip_gets_everything_once(desks, chip):
    desk = desks(chip)
    first = desk.flash()
    assert first.rom.chip == chip and first.there.fs.state == oldfs.NONE
    files = desk.files()
    assert {"boot.py", "main.py", "app.py", "config.json"} <= set(files)
    assert kept_nothing(first) and first.said.asked == []
    report = first.report()
    assert report["files"]["at"] == "0x200000" and report["files"]["blocks"] == 512
    assert (
        report["micropython"]["sha256"] == hashlib.sha256(desk.firmware.read_bytes()).hexdigest()
    )
    assert b"bench-pass" not in repr(report).encode()
    second = desk.flash()
    assert (second.rom.written, second.plan.writes) == (0, [])
    assert second.there.fs.state == oldfs.GOOD and second.there.version == "v1.27.0"


def test_through_the_stub_with_the_reset_lines(desks):
    desk = desks("esp32s3", boot=False, size=8 * MIB)
    first = desk.flash(port="rfc2217")
    assert first.rom.stub and first.place.blocks == 1536
    assert first.rom.written < 700_000
    assert "main.py" in desk.files(end=8 * MIB)
    assert any("Stub" in line for line in first.rom.log.lines)


def test_what_lies_between_the_parts_is_not_touched(desks):
    desk = desks()
    marks = bytes(range(256)) * (0x7000 // 256)
    desk.chip.write(NVS.start, marks)
    desk.flash()
    assert desk.chip.read(NVS.start, 0x7000) == marks


@pytest.mark.parametrize("layout, size, at, blocks", [
    ("2MiB", 2, 0x170000, 144),
    ("4MiB-ota", 4, 0x310000, 240),
    ("4MiBplus", 16, 0x200000, 3584),
])  # fmt: skip
def test_the_place_comes_from_the_firmwares_table(desks, layout, size, at, blocks):
    desk = desks("esp32", size=size * MIB, layout=layout)
    job = desk.flash()
    assert (job.place.offset, job.place.blocks) == (at, blocks)
    assert "main.py" in desk.files(at, at + blocks * SECTOR)


# -- a board that was one before -----------------------------------------------------------------
def test_settings_app_readings_and_identity_survive(desks, tmp_path):
    desk = desks()
    desk.flash()
    before = readings(tmp_path / "q", 500)
    own = {"app.py": b"def sensors(board):\n    return []\n", "keys/seed": b"s" * 36}
    config = b'{"name": "porch", "interval_s": 7, "wifi": [["w", "wwwwwwww"]]'
    config += b', "mqtt_password": "pp"}'
    files = {**desk.files(), **before, **own}
    files["config.json"] = config
    desk.chip.write(0x200000, keep.image({}, {}, files, 512))
    job = desk.flash(desk.order(settings={"name": "yard"}))
    after = desk.files()
    assert drained(after) == ["t=%d" % i for i in range(500)]
    assert {k: after[k] for k in own} == own
    assert job.report()["kept"]["readings"] == 500 and job.kept.app
    assert job.report()["settings"]["wifi"] == ["w"] and job.config["mqtt_password"] == "pp"
    assert "mqtt_password" not in job.report()["settings"]  # what is shown holds no secret
    made = job.config
    assert (made["name"], made["interval_s"], made["wifi"]) == ("yard", 7, [["w", "wwwwwwww"]])
    assert backups.find(job.rom.mac) is None  # all verified: the copy has gone
    assert desk.flash(desk.order(settings={"name": "yard"})).rom.written == 0


def test_one_changed_setting_writes_less_than_64_kib(desks):
    desk = desks()
    desk.flash()
    job = desk.flash(desk.order(settings={"name": "n2", **WIFI}))
    assert 0 < job.rom.written <= 64 * 1024
    assert b'"n2"' in desk.files()["config.json"]


def test_new_firmware_leaves_the_files_alone(desks):
    desk = desks()
    desk.flash()
    before = desk.chip.read(0x200000, 2 * MIB)
    desk.firmware.write_bytes(firmware_bin("esp32c3", "1.28.0"))
    job = desk.flash()
    assert job.report()["micropython"]["was"] == "v1.27.0"
    assert {w.what for w in job.plan.writes} <= {"app wiped", "app", "bootloader"}
    assert desk.chip.read(0x200000, 2 * MIB) == before


def test_without_a_file_the_micropython_on_the_board_stays(desks):
    desk = desks()
    with pytest.raises(ToolError, match="pass --firmware FILE"):
        desk.flash(desk.order(firmware=""))
    desk.flash()
    job = desk.flash(desk.order(firmware="", settings={"name": "n3", **WIFI}))
    assert job.firmware is None and {w.what for w in job.plan.writes} == {"mark", "file system"}


def test_files_move_when_the_layout_does(desks):
    desk = desks("esp32")
    desk.flash()
    desk.put_files({**desk.files(), "mine.txt": b"kept"})
    desk.firmware.write_bytes(firmware_bin("esp32", layout="4MiB-ota"))
    job = desk.flash()
    assert job.place.offset == 0x310000 and job.kept.files == {"mine.txt": b"kept"}
    assert desk.files(0x310000)["mine.txt"] == b"kept"
    assert desk.flash().rom.written == 0


def test_another_networks_board_is_refused_and_taken_with_erase(desks):
    desk = desks()
    desk.flash()
    with pytest.raises(Refused, match="belongs to another network"):
        desk.flash(network=Network.create("other"))
    job = desk.flash(desk.order(erase=True), network=Network.create("other"))
    assert "Everything on the board is erased" in job.said.asked[0]


def test_erase_names_the_backlog_and_wipes_all(desks, tmp_path):
    desk = desks()
    desk.flash()
    desk.put_files({**desk.files(), **readings(tmp_path / "q", 37), "mine.txt": b"x"})
    desk.chip.write(NVS.start, bytes(4096))
    order = desk.order(erase=True)
    with pytest.raises(ToolError, match="Stopped. Nothing was written"):
        desk.flash(order, answer=False)
    assert "mine.txt" in desk.files()
    job = desk.flash(order)
    assert "37 readings not sent yet will be lost" in job.said.asked[0]
    assert desk.chip.read(NVS.start, 0x1000) == b"\xff" * 0x1000
    assert not any(p.startswith("queue/") or p == "mine.txt" for p in desk.files())


def test_a_dry_run_changes_no_byte_and_says_what_it_would(desks, tmp_path):
    desk = desks()
    desk.flash()
    desk.put_files({**desk.files(), **readings(tmp_path / "q", 3)})
    before = desk.chip.read(0, 4 * MIB)
    for erase in (False, True):
        order = desk.order(erase=erase, dry_run=True, settings={"name": "n9", **WIFI})
        with desk.job(order) as job:
            assert job.plan.total > 0 and job.said.asked == []
        assert ("3 readings" in " ".join(job.said.told)) == erase
        assert {row["what"] for row in job.report()["plan"]} >= {"file system"}
    assert desk.chip.read(0, 4 * MIB) == before


def test_another_program_and_a_damaged_file_system_are_asked_about(desks):
    desk = desks()
    desk.flash()
    desk.put_files({"main.py": b"print('mine')", "data.txt": b"d"})
    job = desk.flash()
    assert "runs another program" in job.said.asked[0]
    assert desk.files()["data.txt"] == b"d"
    desk.chip.write(0x200000, b"garbage!" * 1024)
    with pytest.raises(ToolError, match="Stopped"):
        desk.flash(answer=False)
    job = desk.flash()
    assert "is damaged: it cannot be mounted" in job.said.asked[0]
    assert "main.py" in desk.files()


def test_a_flash_that_is_full_of_the_users_files_is_left_as_it_is(desks, monkeypatch):
    desk = desks("esp32", size=2 * MIB, layout="2MiB")
    desk.flash()
    grown = {**FILES, "lib/l4mesh/more.mpy": bytes(range(256)) * 1600}
    monkeypatch.setattr(keep, "files", lambda app=None, kept=None: grown)
    desk.put_files({**FILES, "data.bin": bytes(range(256)) * 600}, 0x170000, 144)
    before = desk.chip.read(0, 2 * MIB)
    with pytest.raises(ToolError, match=r"flash is full: 576 KiB do not hold .* 150 KiB of files"):
        desk.flash()
    assert desk.chip.read(0, 2 * MIB) == before


# -- faults --------------------------------------------------------------------------------------
def test_a_run_that_breaks_off_is_finished_by_the_next(desks, tmp_path):
    desk = desks()
    desk.flash()
    desk.put_files({**desk.files(), **readings(tmp_path / "q", 50), "mine.txt": b"mine"})
    desk.firmware.write_bytes(firmware_bin("esp32c3", "1.28.0"))
    app = tmp_path / "app.py"
    app.write_text("SENSORS = %r\n" % ("s" * 60_000))
    order = desk.order(settings={"name": "n2", **WIFI}, app=app)
    for n in (6_000, 60_000, 70_000, 20_000):  # the mark, the application, files, files
        with desk.job(order) as job:
            assert job.plan.total > n
            desk.chip.faults.unplug_after = n
            with pytest.raises(ToolError, match=r"Run the same command again.*old files are in"):
                job.write()
        desk.chip.plug(boot=True)
        assert oldfs.of_image(desk.chip.read(0x200000, 2 * MIB)).state == oldfs.MARKED
        desk.chip.faults.unplug_after = None
    job = desk.flash(order)
    assert "An earlier run broke off" in job.said.told[0]
    files = desk.files()
    assert drained(files) == ["t=%d" % i for i in range(50)] and files["mine.txt"] == b"mine"
    assert backups.find(job.rom.mac) is None
    assert desk.flash(order).rom.written == 0


def test_a_half_written_board_of_another_machine_is_asked_about(desks, monkeypatch, tmp_path):
    desk = desks()
    desk.flash()
    desk.chip.write(0x200000, plan.mark("elsewhere"))
    with pytest.raises(ToolError, match="Stopped"):
        desk.flash(answer=False)
    job = desk.flash()
    assert "on another machine" in job.said.asked[0]
    assert "main.py" in desk.files()


def test_a_reset_in_the_middle_is_mended_too(desks):
    desk = desks()
    with desk.job() as job:
        desk.chip.faults.reset_after = 150_000
        with pytest.raises(ToolError, match="Run the same command again"):
            job.write()
    assert desk.flash().rom.written > 0
    assert "main.py" in desk.files()


def test_a_wrong_md5_is_told_and_mended(desks):
    desk = desks()
    with desk.job() as job:
        desk.chip.faults.wrong_md5 = 1
        with pytest.raises(ToolError, match=r"is not what is in flash \(MD5\)"):
            job.write()
    desk.flash()
    assert desk.flash().rom.written == 0


def test_noise_on_the_line_costs_nothing_but_time(desks):
    desk = desks()
    desk.chip.faults.garbage = 40
    desk.flash()
    assert desk.flash().rom.written == 0


def refused(desk, text, **kw):
    before = desk.chip.read(0, desk.chip.nor.size)
    with pytest.raises(ToolError, match=text):
        desk.flash(desk.order(**kw))
    assert desk.chip.read(0, desk.chip.nor.size) == before


def test_wrong_firmware_files_leave_the_board_as_it_is(desks, tmp_path):
    desk = desks()
    file = tmp_path / "f.bin"
    for data, text in (
        (firmware_bin("esp32s3"), "is for esp32s3, the board is an esp32c3"),
        (firmware_bin("esp32c3", "1.23.0"), r"is MicroPython v1\.23\.0; l4 needs 1\.24"),
        (firmware_bin("esp32c3")[:-4000], "cut short"),
        (firmware_bin("esp32c3")[0x10000:], "application alone"),
        (b"#!/bin/sh\n" * 100, "no firmware for an ESP32"),
    ):
        file.write_bytes(data)
        refused(desk, text, firmware=str(file))


def test_firmware_for_4_mib_on_a_board_with_2(desks):
    refused(desks("esp32", size=2 * MIB), "takes all 2 MiB of flash. Take a .bin built for 2 MiB")
    refused(desks("esp32", size=2 * MIB, layout="4MiB"), "laid out for 4 MiB .* has 2 MiB")


def test_a_dead_cable_and_no_port(desks, monkeypatch):
    monkeypatch.setattr(rom, "_TRIES", 1)
    desk = desks()
    desk.chip.faults.silent = True
    with pytest.raises(ToolError, match=r"does not answer. Use another cable .* Hold .* BOOT"):
        with open_rom(desk.port("pty")):
            pass
    desk.chip.faults.silent = False
    desk.chip.unplug()
    with pytest.raises(ToolError, match="There is no port"):
        ports.find("/dev/pts/999")
