"""Custom firmware: what manifests freeze, what a ROMFS image holds, and a board that runs it."""

import json
import subprocess
import sys
import time

import pytest
from l4tools import frozen
from l4tools.boards import all_boards, load
from l4tools.errors import ToolError
from l4tools.flash import factory
from l4tools.flash import firmware as bins
from l4tools.image import build_image, project_files, read_image
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network
from l4tools.paths import BOARDS, FIRMWARE, ROOT, micropython_argv
from ownbin import firmware

CHIPS = sorted(n for n, s in all_boards().items() if s.port == "esp32")
PATIENCE = 30


class Manifest:
    """The functions that MicroPython gives to a manifest.py, recording. `files`: what would be
    frozen, {name on the board: (path, opt)}; includes outside the project are noted only.
    `built`: what stands for build/frozen.
    """

    def __init__(self, path, built=None):
        self.base, self.built = path.parent, built
        self.files, self.included = {}, []
        names = ("freeze", "include", "module", "package", "require", "metadata", "add_library")
        exec(path.read_text(), {n: getattr(self, n) for n in names})

    def freeze(self, path, script=None, opt=None):
        root = (self.base / path).resolve()
        if root.parent == ROOT / "build" / "frozen":
            root = self.built / root.name
        assert root.is_dir()
        names = script if script is not None else sorted(root.rglob("*.py"))
        for name in [names] if isinstance(names, str) else names:
            assert (root / name).is_file()
            self.files[(root / name).relative_to(root).as_posix()] = (root / name, opt)

    def include(self, path):
        self.included.append(path)

    def _unused(self, *args, **kw):
        raise AssertionError("not expected in these manifests: %r" % (args,))

    module = package = require = metadata = add_library = _unused


@pytest.mark.parametrize("name", [*CHIPS, "UNIX"])
def test_a_manifest_freezes_all_of_ours_after_what_the_port_freezes(name, tmp_path):
    frozen.write_sources(name, tmp_path)
    m = Manifest(BOARDS / name / "manifest.py", tmp_path)
    port = "boards" if name != "UNIX" else "variants/standard"
    assert m.included == ["$(PORT_DIR)/%s/manifest.py" % port]
    assert {"boot.py", "main.py", "app.py", "supervisor.py", "l4mesh/core.py"} <= set(m.files)
    assert {opt for _, opt in m.files.values()} == {3}
    assert set(m.files) == set(frozen.sources())


def test_sources_are_written_anew_each_time(tmp_path):
    folder = frozen.write_sources("ESP32_GENERIC", tmp_path)
    first = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.py")}
    (folder / "l4mesh" / "gone.py").write_text("old = 1\n")
    assert frozen.write_sources("ESP32_GENERIC", tmp_path) == folder
    assert {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.py")} == first
    assert {p.as_posix() for p in first} == set(frozen.sources())


@pytest.mark.parametrize("name", CHIPS)
def test_a_board_is_micropythons_own_with_our_manifest(name):
    folder = load(name).folder
    cmake = (folder / "mpconfigboard.cmake").read_text()
    # Our manifest is set after MicroPython's board, which has the last word otherwise.
    parts = ("include(boards/%s/mpconfigboard.cmake)" % name, "set(MICROPY_FROZEN_MANIFEST $")
    assert 0 < cmake.index(parts[0]) < cmake.index(parts[1])
    assert (
        '#include "boards/%s/mpconfigboard.h"' % name in (folder / "mpconfigboard.h").read_text()
    )
    variant = (folder / "mpconfigvariant_romfs.cmake").read_text()
    assert variant == "include(${MICROPY_BOARD_DIR}/../romfs.cmake)\n"


def test_the_romfs_variant_freezes_what_starts_and_nothing_else():
    m = Manifest(BOARDS / "manifest_romfs.py")
    assert m.included == ["$(PORT_DIR)/boards/manifest.py"]
    assert {n: p for n, (p, _) in m.files.items()} == {
        "boot.py": FIRMWARE / "boot.py",
        "main.py": FIRMWARE / "main.py",
    }
    cmake = (BOARDS / "romfs.cmake").read_text()
    for part in ("../partitions-romfs.csv", "MICROPY_VFS_ROM=1", "../manifest_romfs.py"):
        assert part in cmake
    rows = [
        [field.strip() for field in line.split(",")]
        for line in (BOARDS / "partitions-romfs.csv").read_text().splitlines()
        if not line.startswith("#")
    ]
    places = {row[0]: (int(row[3], 16), int(row[4], 16)) for row in rows}
    assert list(places) == ["nvs", "phy_init", "factory", "romfs"]
    ends = [start + size for start, size in places.values()]
    assert [start for start, _ in places.values()][1:] == ends[:-1]  # no gap, no overlap
    assert places["romfs"] == (frozen.ROMFS_START, frozen.ROMFS_SIZE)
    # The label is how MicroPython finds it; data, any subtype.
    assert rows[3][1] == "data" and places["factory"][0] % 0x10000 == 0
    # Stock firmware and this one agree where files are: settings survive the change.
    assert {ends[-1]} == {load(n).layouts[size << 20] for n in CHIPS for size in (4, 8, 16)}


@pytest.fixture(scope="module")
def rom():
    return frozen.build_romfs()


def listing(rom, tmp_path, code):
    """What `code` prints on the unix port with the image mounted at /rom."""
    (tmp_path / "rom").write_bytes(rom)
    head = (
        "import os, sys, vfs\nf = open(%r, 'rb')\nvfs.mount(vfs.VfsRom(f.read()), '/rom')\n"
        "sys.path[:] = ['', '/rom', '/rom/lib']\n" % str(tmp_path / "rom")
    )
    args = micropython_argv("-c", head + code)
    done = subprocess.run(args, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


_WALK = """
def walk(d):
    for name, kind, *_ in os.ilistdir(d):
        if kind == 0x4000:
            walk(d + "/" + name)
        else:
            print(d[4:] + "/" + name)
walk("/rom")
"""


def test_all_three_ways_have_the_same_files_and_start_the_same_main(rom, tmp_path):
    in_rom = {p.lstrip("/") for p in listing(rom, tmp_path, _WALK).split()}
    stock = read_image(build_image(umqtt=False))
    assert in_rom - {"app.mpy"} == set(stock) - {"app.py"}
    assert "app.mpy" in in_rom and "app.py" in stock
    for name in ("boot.py", "main.py"):
        ours = (FIRMWARE / name).read_bytes()
        assert stock[name] == ours == frozen.sources()[name]
        text = listing(rom, tmp_path, "sys.stdout.write(open('/rom/%s').read())" % name)
        assert text.encode() == ours


def test_modules_run_where_they_lie(rom, tmp_path):
    code = """
import gc
gc.collect()
a = gc.mem_alloc()
import l4mesh.core
gc.collect()
print(gc.mem_alloc() - a)
"""
    flash = tmp_path / "fs"
    for path, data in read_image(build_image(umqtt=False)).items():
        target = flash / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    in_place = int(listing(rom, tmp_path, code))
    copied = int(listing(rom, tmp_path, "sys.path[:] = [%r]\n" % str(flash / "lib") + code))
    assert in_place < 0.7 * copied, (in_place, copied)


def test_an_image_too_large_for_its_partition_is_refused():
    files = dict(project_files())
    files["big.bin"] = bytes(frozen.ROMFS_SIZE)
    with pytest.raises(ToolError, match="its partition 262144. Leave modules out"):
        frozen.build_romfs(None, files)


def test_the_image_is_deployed_by_mpremote_as_it_is(rom, tmp_path):
    from mpremote.romfs import VfsRomWriter

    assert rom.startswith(VfsRomWriter.ROMFS_HEADER)
    out = tmp_path / "l4.romfs"
    args = [sys.executable, "-m", "l4tools.frozen", "--romfs", str(out)]
    said = subprocess.run(args, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and "mpremote romfs deploy %s" % out in said.stdout
    assert out.read_bytes() == rom


def test_what_a_firmware_holds_is_seen_in_its_list_of_frozen_files():
    stock = b"\xe9..\0_boot.py\0inisetup.py\0umqtt/simple.py\0.."
    assert frozen.held_by(stock) == "stock"
    assert frozen.held_by(stock + b"/rom/lib") == "stock"
    assert frozen.held_by(stock + b"/rom/lib..\0boot.py\0main.py\0") == "romfs"
    assert frozen.held_by(stock + b"\0boot.py\0main.py\0supervisor.py\0") == "frozen"


def test_modules_stay_off_the_file_system_beside_a_firmware_that_has_them():
    files = read_image(build_image(umqtt=False))
    assert frozen.beside(files, "stock") == files
    for held in ("frozen", "romfs"):
        assert frozen.beside(files, held) == {"app.py": files["app.py"]}


def test_a_firmware_that_stays_is_known_by_what_lies_beside_it():
    new = firmware(load("ESP32_GENERIC_C3"), "frozen")
    assert frozen.held_after(new, ["supervisor.mpy"], True) == "frozen"
    assert frozen.held_after(firmware(load("ESP32_GENERIC"), "stock"), [], True) == "stock"
    # It was a node, and had no modules on its file system.
    assert frozen.held_after(None, ["config.json", "app.py"], True) == "frozen"
    assert frozen.held_after(None, ["config.json", "supervisor.mpy"], True) == "stock"
    assert frozen.held_after(None, ["main.py", "data.txt"], False) == "stock"  # somebody's board


@pytest.mark.parametrize("held", ["stock", "frozen"])
def test_a_factory_image_has_modules_once(tmp_path, held):
    spec = load("ESP32_GENERIC")
    (tmp_path / "fw.bin").write_bytes(firmware(spec, held))
    fw = bins.load(tmp_path / "fw.bin", spec.bootloader_offset)
    net = Network.create("factory")
    (out,) = factory.make(spec, fw, 4 << 20, {}, net, tmp_path / "image.bin")
    inside = set(read_image(out.read_bytes()[0x200000:].ljust(2 << 20, b"\xff")))
    modules = {"supervisor.mpy", "lib/l4mesh/core.mpy", "main.py", "boot.py"}
    assert {"app.py", "config.json", "ticket"} <= inside
    assert inside & modules == (modules if held == "stock" else set())


APP = """
from sensors import Sensor
def sensors(board):
    print("MY APP", __file__)
    return [Sensor("x", "", 1, lambda: 1)]
"""


@pytest.fixture
def bench(tmp_path):
    lines: list[str] = []
    hub = Hub().start()
    boards = Boards(
        tmp_path, hub, Network.create("rom"), on_line=lambda name, text: lines.append(text)
    ).start()
    yield boards, lines
    boards.close()
    hub.close()


def add(boards, rom, files):
    """A virtual board with firmware of the variant romfs, and only `files` on its file system."""
    config = {"wifi": [["bench", "bench-pass"]], "interval_s": 1, "led_pin": 2}
    image = build_image(None, config, files, umqtt=False)
    board = boards.rack.add("a", "10.77.1.11", image=image, on=False)
    board.romfs.write_bytes(rom)
    boards.power_on("a")
    return board


def wait(lines, part):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for text in list(lines):
            if part in text:
                return text
        time.sleep(0.02)
    pytest.fail("no %r in %r" % (part, lines))


def test_a_board_runs_from_romfs_with_the_users_app_from_its_files(bench, rom):
    boards, lines = bench
    # What is left of another version on the file system does not start.
    add(boards, rom, {"app.py": APP, "main.py": "print('OLD MAIN')\n", "boot.py": "OLD BOOT\n"})
    wait(lines, "L4 PROVISIONED")
    wait(lines, "L4 node ")
    assert wait(lines, "MY APP") == "MY APP app.py"
    end = time.monotonic() + PATIENCE
    while boards.rack.taken()["a"] < 2:
        assert time.monotonic() < end, lines
        time.sleep(0.05)
    said = json.dumps(lines)
    assert "OLD" not in said and "Traceback" not in said and "safe mode" not in said


def test_without_an_app_the_default_runs(bench, rom):
    boards, lines = bench
    add(boards, rom, {})
    wait(lines, "L4 PROVISIONED")
    wait(lines, "L4 node ")
    end = time.monotonic() + PATIENCE
    while boards.rack.taken()["a"] < 2:  # temperature and humidity of the bench's DHT22
        assert time.monotonic() < end, lines
        time.sleep(0.05)
