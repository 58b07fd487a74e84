"""`make firmware`: what it says when something is missing, and what it runs when nothing is."""

import os
import shutil
import subprocess
import sys

import pytest
from l4tools import firmware, frozen
from l4tools.boards import load
from l4tools.errors import ToolError
from l4tools.paths import BOARDS, ROOT

C3 = load("ESP32_GENERIC_C3")
# Stands for ESP-IDF's build: the file that MicroPython's makefile makes. Real make runs it.
MAKEFILE = """
all:
	mkdir -p "$(BUILD)"
	echo "$(BOARD):$(BOARD_VARIANT):$(BOARD_DIR):$(EXTRA)" >> "$(BUILD)/told"
	test -z "$(BREAK)"
	cp "$(CURDIR)/result" "$(BUILD)/$(RESULT)"
submodules:
	echo submodules >> "$(CURDIR)/steps"
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """An environment that has everything, as folders of the same shape."""

    def build_dir(name=""):
        path = tmp_path / "build" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    monkeypatch.setattr(firmware, "build_dir", build_dir)
    monkeypatch.setattr(frozen, "build_dir", build_dir)
    mpy, idf, bin_ = tmp_path / "mpy", tmp_path / "idf", tmp_path / "bin"
    for folder in (mpy / "py", mpy / "mpy-cross", idf / "tools" / "cmake", bin_):
        folder.mkdir(parents=True)
    version(mpy, 1, 28)
    (mpy / "mpy-cross" / "Makefile").write_text("all:\n\ttrue\n")
    for port, result in (("esp32", "firmware.bin"), ("unix", "micropython")):
        folder = mpy / "ports" / port
        folder.mkdir(parents=True)
        (folder / "Makefile").write_text("RESULT = %s\n" % result + MAKEFILE)
        (folder / "result").write_bytes(b"\xe9\0boot.py\0main.py\0supervisor.py\0")
    (idf / "tools" / "cmake" / "project.cmake").write_text("")
    (bin_ / "idf.py").write_text("#!/bin/sh\n")
    (bin_ / "idf.py").chmod(0o755)
    path = "%s:%s" % (bin_, os.environ["PATH"])
    return {"MPY_DIR": str(mpy), "IDF_PATH": str(idf), "PATH": path}


def version(mpy, major, minor):
    (mpy / "py" / "mpconfig.h").write_text(
        "#define MICROPY_VERSION_MAJOR %d\n#define MICROPY_VERSION_MINOR %d\n" % (major, minor)
    )


def without(env, **changes):
    return {k: v for k, v in (env | changes).items() if v is not None}


def test_nothing_is_missing_on_a_machine_that_has_everything(bench):
    assert firmware.missing(C3, "", bench) == []
    assert firmware.missing(C3, "romfs", bench) == []


@pytest.mark.parametrize(
    "changes,says,step",
    [
        ({"MPY_DIR": None}, "MPY_DIR is not set.", "git clone --depth 1 -b v1"),
        ({"MPY_DIR": "/nowhere"}, "There is no MicroPython in MPY_DIR=/nowhere.", "git clone"),
        ({"IDF_PATH": None}, "ESP-IDF is not set up: IDF_PATH is empty.", "export.sh"),
        ({"IDF_PATH": "/nowhere"}, "There is no ESP-IDF in IDF_PATH=/nowhere.", "export.sh"),
        ({"PATH": "/usr/bin:/bin"}, "idf.py is not on PATH.", "/export.sh` in this shell"),
    ],
)
def test_each_missing_thing_is_a_sentence_with_the_next_step(bench, changes, says, step):
    (said,) = firmware.missing(C3, "", without(bench, **changes))
    assert said.startswith(says) and step in said


def test_missing_compiler_and_make_are_told(bench):
    said = firmware.missing(load("UNIX"), "", without(bench, PATH="/nowhere"))
    assert ["command make" in s or "command cc" in s for s in said] == [True, True]
    assert "apt install make" in said[0] and "apt install gcc" in said[1]


def test_an_old_micropython_is_refused(bench, tmp_path):
    version(tmp_path / "mpy", 1, 23)
    (said,) = firmware.missing(C3, "", bench)
    assert "is 1.23, too old: this needs 1.24." in said and "git checkout" in said
    version(tmp_path / "mpy", 1, 25)
    assert firmware.missing(C3, "", bench) == []
    (said,) = firmware.missing(C3, "romfs", bench)
    assert "this needs 1.26" in said


def test_everything_missing_is_told_at_once_and_the_exit_code_is_1(tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("MPY_DIR", "IDF_PATH")}
    args = [sys.executable, "-m", "l4tools.firmware", "ESP32_GENERIC_C3"]
    done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("MPY_DIR is not set.") and "IDF_PATH is empty" in lines[1]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed: apt install make")
def test_make_firmware_says_the_same(tmp_path):
    # ".venv/.demo" up to date or not, this must not install anything: PY is given.
    def make(*args):
        env = {k: v for k, v in os.environ.items() if k not in ("MPY_DIR", "IDF_PATH")}
        command = ["make", "-o", ".venv/.demo", "PY=" + sys.executable, "firmware", *args]
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
        )

    done = make("BOARD=ESP32_GENERIC_C3", "VARIANT=romfs")
    assert done.returncode != 0 and "MPY_DIR is not set." in done.stderr
    done = make()
    assert "Which board? For example: make firmware BOARD=ESP32_GENERIC_C3" in done.stderr
    done = make("BOARD=ESP8266")
    assert "There is no board 'ESP8266'. Take one of ESP32_GENERIC" in done.stderr


needs_tools = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc")),
    reason="make and a C compiler are not installed: apt install make gcc",
)


@needs_tools
def test_a_frozen_build_runs_to_its_file(bench, tmp_path):
    (tmp_path / "mpy" / ".git").mkdir()
    out = firmware.build(C3, "", bench, ["EXTRA=1"])
    assert out == tmp_path / "build" / "firmware" / "ESP32_GENERIC_C3" / "firmware.bin"
    told = (out.parent / "told").read_text()
    assert told == "ESP32_GENERIC_C3::%s:1\n" % (BOARDS / "ESP32_GENERIC_C3")
    assert (tmp_path / "mpy" / "ports" / "esp32" / "steps").read_text() == "submodules\n"
    assert (tmp_path / "build" / "frozen" / "ESP32_GENERIC_C3" / "supervisor.py").exists()
    assert firmware.next_step(C3, "", out) == "Next: l4 flash --firmware %s" % out


@needs_tools
def test_a_romfs_build_has_its_image_beside_it(bench, tmp_path):
    result = tmp_path / "mpy" / "ports" / "esp32" / "result"
    result.write_bytes(b"\xe9\0boot.py\0main.py\0../rom/lib\0")
    out = firmware.build(C3, "romfs", bench, [])
    assert out.parent.name == "ESP32_GENERIC_C3-romfs"
    assert "ESP32_GENERIC_C3:romfs:" in (out.parent / "told").read_text()
    image = out.with_name("romfs.img")
    assert image.read_bytes()[:3] == b"\xd2\xcd\x31"
    assert "esptool --chip esp32c3 write-flash 0x1C0000 %s" % image in firmware.next_step(
        C3, "romfs", out
    )
    # A release archive has its submodules in it.
    assert not (tmp_path / "mpy" / "ports" / "esp32" / "steps").exists()


@needs_tools
def test_a_unix_port_needs_no_idf(bench, tmp_path):
    unix = load("UNIX")
    out = firmware.build(unix, "", without(bench, IDF_PATH=None), [])
    assert out.name == "micropython" and "UNIX" in str(out.parent)
    command = firmware.commands(unix, "", tmp_path / "mpy", [])[-1]
    assert "FROZEN_MANIFEST=%s" % (BOARDS / "UNIX" / "manifest.py") in command
    with pytest.raises(ToolError, match="UNIX has no variant romfs. Leave VARIANT out"):
        firmware.build(unix, "romfs", bench, [])


@needs_tools
def test_a_build_that_stops_and_one_without_our_modules_are_told(bench, tmp_path):
    with pytest.raises(ToolError, match="The build stopped, see above. .* run the same command"):
        firmware.build(C3, "", bench, ["BREAK=1"])
    (tmp_path / "mpy" / "ports" / "esp32" / "result").write_bytes(b"\xe9 stock")
    with pytest.raises(ToolError, match="left our modules out of .*firmware.bin. Remove"):
        firmware.build(C3, "", bench, [])
    with pytest.raises(ToolError, match="left our modules out"):
        firmware.build(C3, "romfs", bench, [])
    with pytest.raises(ToolError, match="The build made no firmware.bin. Remove"):
        shutil.rmtree(tmp_path / "build" / "firmware")
        firmware.build(C3, "", bench, ["RESULT=other.bin"])
