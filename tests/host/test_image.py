"""Board images: what is in them, what is compiled, and that MicroPython mounts them."""

import subprocess
import sys

import pytest
from l4tools import image
from l4tools.errors import ToolError
from l4tools.paths import micropython_argv

FILES = {
    "boot.py": "print('boot')\n",
    "main.py": b"import a.b\n",
    "app.py": "X = 1\n",
    "lib/a/__init__.py": "",
    "lib/a/b.py": "print('module', __name__)\n",
    "data.txt": "as it is",
}


def test_boot_files_stay_source_and_modules_are_compiled():
    data = image.build_image(None, {"name": "n1"}, FILES)
    assert len(data) == 512 * 4096
    inside = image.read_image(data)
    assert sorted(inside) == [
        "app.py",
        "boot.py",
        "config.json",
        "data.txt",
        "lib/a/__init__.mpy",
        "lib/a/b.mpy",
        "lib/umqtt/simple.mpy",
        "main.py",
    ]
    assert inside["main.py"] == b"import a.b\n"
    assert inside["data.txt"] == b"as it is"
    assert inside["config.json"] == b'{"name": "n1"}'
    assert inside["lib/a/b.mpy"][:2] == b"M\x06"


def test_image_is_written_whole_and_is_reproducible(tmp_path):
    out = tmp_path / "deep" / "n1.img"
    data = image.build_image(out, None, FILES, umqtt=False)
    assert out.read_bytes() == data
    assert [p.name for p in out.parent.iterdir()] == ["n1.img"]
    assert image.build_image(None, None, FILES, umqtt=False) == data


def test_micropython_mounts_it_and_runs_its_modules(tmp_path):
    out = tmp_path / "n1.img"
    image.build_image(out, None, FILES, block_count=240)
    code = (
        "import vfs, sys, os\nf = open(%r, 'r+b')\n"
        "class B:\n"
        "    def readblocks(s, n, b, o=0):\n        f.seek(n * 4096 + o); f.readinto(b)\n"
        "    def writeblocks(s, n, b, o=0):\n        f.seek(n * 4096 + o); f.write(b)\n"
        "    def ioctl(s, op, a):\n        return {4: 240, 5: 4096}.get(op, 0)\n"
        "vfs.umount('/')\nvfs.mount(B(), '/')\nsys.path[:] = ['', '/lib']\n"
        "print(sorted(os.listdir('/')))\nimport a.b\n"
        "from umqtt.simple import MQTTClient\nprint(MQTTClient.__name__)\n"
    ) % str(out)
    run = subprocess.run(
        micropython_argv("-X", "heapsize=160k", "-c", code),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert run.stdout.splitlines() == [
        "['app.py', 'boot.py', 'data.txt', 'lib', 'main.py']",
        "module a.b",
        "MQTTClient",
    ], run.stderr


def test_a_syntax_error_is_told_with_file_and_line():
    with pytest.raises(ToolError, match="bad.py does not compile"):
        image.build_image(None, None, {"lib/bad.py": "def f(:\n"}, umqtt=False)


def test_too_much_for_the_flash_is_told():
    with pytest.raises(ToolError, match="do not fit into 8 blocks"):
        image.build_image(None, None, {"big.bin": bytes(40000)}, umqtt=False, block_count=8)


def test_the_project_compiles_and_is_listed():
    rows = {path: size for path, size, _ in image.sizes()}
    assert "lib/l4mesh/ticks.py" in rows
    assert all(size > 10 for size in rows.values())
    inside = image.read_image(image.build_image(None, {}))
    assert len(inside["lib/l4mesh/ticks.mpy"]) == rows["lib/l4mesh/ticks.py"]


def test_command_line(tmp_path):
    config = tmp_path / "c.json"
    config.write_text('{"a": 1}')
    out = tmp_path / "x.img"
    args = [sys.executable, "-m", "l4tools.image", "--out", str(out), "--config", str(config)]
    run = subprocess.run(args, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert image.read_image(out)["config.json"] == b'{"a": 1}'
    run = subprocess.run(
        [sys.executable, "-m", "l4tools.image", "--sizes"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "core profile, budget 32768" in run.stdout and run.returncode == 0
    config.write_text("{")
    run = subprocess.run(args, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "Traceback" not in run.stderr
