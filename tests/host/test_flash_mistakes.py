"""What goes wrong at `l4 flash`, as a user meets it: a sentence, a next step, exit code 1, and
nothing on the board that was not there before.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from l4tools import cli, network
from l4tools.flash import rom
from l4tools.network import Network
from l4tools.vchip.chip import VChip
from l4tools.vchip.firmware import firmware_bin

PHRASE = "four quite common words"
# Imports all that the command needs, gives up root, and runs it.
AS_NOBODY = """
import grp, os, sys
from l4tools.cli import main
args = sys.argv[1:]
main(["flash", "--port", "/dev/no-such-port", "--json"])
print("-- now", file=sys.stderr, flush=True)
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
sys.exit(main(["flash", "--port", args[0], "--json"]))
"""


@pytest.fixture(scope="module")
def chip(tmp_path_factory):
    with VChip("esp32c3", folder=tmp_path_factory.mktemp("c") / "chip") as made:
        made.power_on(boot=True)
        yield made


@pytest.fixture
def flash(chip, tmp_path, monkeypatch, capsys):
    """flash(*args) -> (error, next step); the exit code was 1 and there was one document."""
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("L4_PASSPHRASE", PHRASE)
    chip.reset(boot=True)  # a blank chip restarts into nothing after each look at it
    network.home().mkdir()
    Network.create("home").save(network.path_of("home"), PHRASE, new=True)

    def run(*args):
        code = cli.main(["flash", *map(str, args), "--json"])
        out, err = capsys.readouterr()
        assert (code, out) == (1, ""), (code, out, err)
        said = json.loads(err)
        return said["error"], said["next"]

    return run


def listed(monkeypatch, *devices):
    found = [
        SimpleNamespace(device=d, vid=0x303A, pid=0x1001, serial_number="", description="board")
        for d in devices
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)


def test_no_board(flash, monkeypatch):
    listed(monkeypatch)
    error, step = flash()
    assert error == "No board was found: this machine has no USB serial port."
    assert step.startswith("Plug a board in; if one is, try another cable")


def test_two_boards(flash, monkeypatch):
    listed(monkeypatch, "/dev/ttyUSB0", "/dev/ttyACM0")
    error, step = flash()
    assert error.startswith("There are 2 boards: /dev/ttyACM0") and "--port /dev/ttyACM0" in step


def test_in_use_by_another_program(flash, chip, tmp_path):
    link = tmp_path / "ttyUSB0"
    link.symlink_to(chip.pty)
    hold = "import sys; f = open(sys.argv[1], 'rb', buffering=0); print(1, flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", hold, link], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"1\n"
        error, step = flash("--port", link)
        assert "is in use by another program" in error and "(pid %d)" % other.pid in error
        assert step.startswith("Close it")
    finally:
        other.communicate(b"\n")


def test_permission_denied(chip):
    """The port's mode forbids it: nothing of that is pretended, also when root runs the tests."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "home.l4net"
        Network.create("home").save(file, PHRASE, new=True)
        for path in (home, file):
            if os.getuid() == 0:
                os.chown(path, 65534, 65534)
        before = os.stat(chip.pty).st_mode & 0o777
        os.chmod(chip.pty, 0)
        try:
            run = subprocess.run(
                [sys.executable, "-c", AS_NOBODY, chip.pty],
                env={**os.environ, "L4_HOME": home, "L4_PASSPHRASE": PHRASE},
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            os.chmod(chip.pty, before)
    said = json.loads(run.stderr.split("-- now\n")[1])
    assert (run.returncode, run.stdout) == (1, "")
    assert said["error"] == "This user may not open %s." % chip.pty
    assert "sudo" in said["next"], said


def test_a_dead_cable(flash, chip, monkeypatch):
    monkeypatch.setattr(rom, "_TRIES", 1)
    chip.faults.silent = True
    try:
        error, step = flash("--port", chip.pty)
    finally:
        chip.faults.silent = False
    assert error == "The board at %s does not answer." % chip.pty
    assert step.startswith("Use another cable") and "BOOT" in step


def test_nobody_at_the_address(flash):
    error, step = flash("--port", "socket://127.0.0.1:9")
    assert "Nothing could be reached at socket://127.0.0.1:9" in error
    assert "Check host and port" in step


@pytest.mark.parametrize("data, error, step", [
    (lambda: firmware_bin("esp32s3"), "is for esp32s3, the board is an esp32c3", "Take"),
    (lambda: firmware_bin("esp32c3", "1.23.0"), "l4 needs 1.24", ""),
    (lambda: firmware_bin("esp32c3")[:-4000], "cut short", "Download"),
    (lambda: b"<html>not found</html>" * 99, "no firmware for an ESP32", ""),
    (None, "could not be read", "--firmware"),
], ids=["wrong chip", "too old", "truncated", "no firmware", "no file"])  # fmt: skip
def test_wrong_firmware_files(flash, chip, tmp_path, data, error, step):
    file = tmp_path / "f.bin"
    if data:
        file.write_bytes(data())
    before = chip.read(0, chip.nor.size)
    said = flash("--port", chip.pty, "--firmware", file)
    assert error in " ".join(said) and step in said[1] and said[1], said
    assert chip.read(0, chip.nor.size) == before


def test_a_full_flash(flash, chip, tmp_path):
    file, app = tmp_path / "f.bin", tmp_path / "app.py"
    file.write_bytes(firmware_bin("esp32c3"))
    app.write_text("TEXT = %r\n" % ("x" * 2_100_000))
    before = chip.read(0, chip.nor.size)
    error, step = flash("--port", chip.pty, "--firmware", file, "--app", app)
    assert "flash is full: 2048 KiB do not hold" in error and "delete files of yours" in step
    assert chip.read(0, chip.nor.size) == before
