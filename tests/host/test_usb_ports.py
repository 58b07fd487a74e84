"""Finding the board's port: each way it can go wrong is a sentence with the next step."""

import errno
import fcntl
import os
import pty
import subprocess
import sys
from types import SimpleNamespace

import pytest
from l4tools.errors import ToolError
from l4tools.usb import ports
from l4tools.usb.wire import Transport


def comport(device, vid=None, pid=None, serial=None, description="n/a"):
    return SimpleNamespace(
        device=device, vid=vid, pid=pid, serial_number=serial, description=description
    )


@pytest.fixture
def listed(monkeypatch, tmp_path):
    """Sets what pyserial lists; the names are files, so that they can be looked at."""

    def set_to(*found):
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(found))

    set_to()
    return set_to


@pytest.fixture
def tty():
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


CP210X = (0x10C4, 0xEA60)


def test_the_only_board_is_taken_among_other_ports(listed, tty):
    listed(comport("/dev/ttyS0"), comport("/dev/mouse", 0x46D, 1), comport(tty, *CP210X, "ab12"))
    found = ports.find()
    assert (found.device, found.vid, found.pid, found.serial) == (tty, *CP210X, "ab12")
    assert not found.is_url and found.is_pty


@pytest.mark.parametrize("ids", ports.USB_IDS)
def test_every_usual_chip_is_known(listed, tty, ids):
    listed(comport(tty, *ids))
    assert ports.find().device == tty


def test_no_board(listed):
    with pytest.raises(ToolError, match="No board was found: this machine has no USB serial port"):
        ports.find()
    listed(comport("/dev/ttyS0"))
    with pytest.raises(ToolError, match="many only charge"):
        ports.find()


def test_no_board_but_other_ports_are_named(listed):
    listed(comport("/dev/ttyUSB7", 0x1234, 0x5678, description="Thermometer"))
    with pytest.raises(ToolError, match=r"ttyUSB7 \(Thermometer 1234:5678\).*--port /dev/ttyUSB7"):
        ports.find()


def test_two_boards_are_listed(listed):
    listed(comport("/dev/ttyUSB0", *CP210X), comport("/dev/ttyACM0", 0x303A, 0x1001))
    with pytest.raises(ToolError, match=r"2 boards: /dev/ttyACM0.*/dev/ttyUSB0.*--port /dev/ttyA"):
        ports.find()


def test_named_ports(listed, tty, tmp_path):
    assert ports.find(tty).device == tty
    link = tmp_path / "by-id"
    link.symlink_to(tty)
    assert ports.find(str(link)).device == str(link)
    listed(comport(tty, *CP210X, "ab12"))
    assert ports.find(str(link)).serial == "ab12"
    for url in ("socket://127.0.0.1:4000", "rfc2217://127.0.0.1:4000"):
        assert ports.find(url).device == url and ports.find(url).is_url


def test_names_that_are_no_port(listed, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    listed(comport("/dev/ttyUSB3", description="Bridge"))
    with pytest.raises(ToolError, match=r"is no serial port. These are there: /dev/ttyUSB3"):
        ports.find(str(tmp_path / "file"))
    with pytest.raises(ToolError, match=r"There is no port /dev/ttyNONE"):
        ports.find("/dev/ttyNONE")
    with pytest.raises(ToolError, match="socket://HOST:PORT"):
        ports.find("http://127.0.0.1/")


def test_permission_names_the_group(monkeypatch, tty):
    monkeypatch.setattr("os.access", lambda *a: False)
    monkeypatch.setattr(ports, "_group", lambda device: "dialout")
    with pytest.raises(ToolError, match=r"sudo usermod -aG dialout \$USER"):
        ports.find(tty)
    monkeypatch.setattr(ports, "_group", lambda device: "root")
    with pytest.raises(ToolError, match="/etc/udev/rules.d"):
        ports.find(tty)


def test_another_program_is_named(tty):
    code = "import fcntl, sys; f = open(sys.argv[1], 'rb', buffering=0); fcntl.flock(f, 2); "
    code += "print('have it', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, tty], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"have it\n"
        with pytest.raises(ToolError, match=r"in use by another program \(.*pid %d\)" % other.pid):
            Transport(ports.find(tty))
    finally:
        other.communicate()


def test_a_locked_port_of_this_program(tty):
    with open(tty, "rb", buffering=0) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        with pytest.raises(ToolError, match="in use by another program. Close it"):
            Transport(ports.Port(tty))


def test_nobody_at_the_address():
    with pytest.raises(ToolError, match="Nothing could be reached at socket://127.0.0.1:9"):
        Transport(ports.find("socket://127.0.0.1:9"))


def test_other_errors_keep_their_text():
    text = ports.explain("/dev/ttyUSB0", OSError(errno.EIO, "Input/output error"))
    assert "Input/output error" in text and "plug it in again" in text
