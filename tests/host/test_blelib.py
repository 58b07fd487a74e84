"""aioble for boards: fetched by the index of mip, checked, kept; without Internet a word."""

import hashlib
import http.server
import json
import threading

import pytest
from flashbed import MIB, firmware_bin
from l4tools import blelib
from l4tools.cli import main
from l4tools.flash import keep, oldfs
from l4tools.image import compiled, project_files
from l4tools.network import Network, path_of
from l4tools.paths import ROOT
from l4tools.shrunk import small

SOURCE = ROOT / "tests" / "standin" / "aioble"


class Index:
    """A mip index on loopback with the stand-in's files; `wrong`: a path whose bytes differ."""

    def __init__(self, wrong=""):
        self.asked = []
        bodies = {}
        hashes = []
        files = {p.name: p.read_bytes() for p in sorted(SOURCE.glob("*.py"))}
        files.update({"l2cap.py": b"x = 1\n", "../../boot.py": b"evil = 1\n"})
        for name, data in files.items():
            short = hashlib.sha256(data).hexdigest()[:8]
            hashes.append(["aioble/" + name, short])
            body = data + b"# not this\n" if name == wrong else data
            bodies["/file/%s/%s" % (short[:2], short)] = body
        about = {"v": 1, "hashes": hashes, "version": "0.6.2"}
        bodies["/package/py/aioble/latest.json"] = json.dumps(about).encode()
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                body = bodies.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home of its own; index(..) serves packages there."""
    made = []
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))

    def index(wrong=""):
        one = Index(wrong)
        made.append(one)
        monkeypatch.setenv("L4_MIP", "http://127.0.0.1:%d/" % one.server.server_port)
        return one

    yield index
    for one in made:
        one.close()


def board(wanted=True, ble="full", there=(), **config):
    said = []
    return blelib.for_board(wanted, ble, config, dict.fromkeys(there, b""), said.append), said


def test_it_is_fetched_once_checked_and_compiled_for_the_image(place):
    index = place()
    files, said = board()
    assert not said
    assert {"lib/aioble/__init__.py", "lib/aioble/core.py"} <= set(files)
    assert not any("l2cap" in path or "boot" in path for path in files)
    assert all(path.endswith(".mpy") for path in compiled(files))
    n = len(index.asked)
    again, _ = board()
    assert again == files and len(index.asked) == n
    # from now on every board gets it, asked for or not
    assert board(wanted=False)[0] == files


def test_who_does_not_ask_never_goes_to_the_network(place):
    index = place()
    assert board(wanted=False) == ({}, [])
    assert index.asked == []


def test_a_file_that_is_not_what_the_index_says_is_refused(place):
    place(wrong="core.py")
    files, said = board()
    assert files == {}
    assert "aioble/core.py is not what the index says" in said[0]
    assert blelib.kept() == {}


def test_what_was_kept_and_changed_on_disk_is_not_used(place, tmp_path):
    place()
    board()
    (tmp_path / "aioble" / "aioble" / "core.py").write_text("evil = 1\n")
    assert blelib.kept() == {}
    assert board()[0]["lib/aioble/core.py"] == (SOURCE / "core.py").read_bytes()  # fetched anew


def test_without_internet_a_sentence_and_no_bluetooth(place, monkeypatch):
    monkeypatch.setenv("L4_MIP", "http://127.0.0.1:9")
    files, said = board()
    assert files == {}
    assert said[0].startswith("aioble could not be fetched (")
    assert "Bluetooth stays off on this board" in said[0]


def test_without_internet_what_is_installed_for_the_unix_port_serves(place, monkeypatch, tmp_path):
    monkeypatch.setenv("L4_MIP", "http://127.0.0.1:9")
    lib = tmp_path / "nobody" / ".micropython" / "lib" / "aioble"
    lib.mkdir(parents=True)
    (lib / "__init__.mpy").write_bytes(b"M")
    (lib / "security.mpy").write_bytes(b"M")
    assert board() == ({"lib/aioble/__init__.mpy": lib / "__init__.mpy"}, [])


def test_boards_without_bluetooth_or_with_their_own_are_left_alone(place):
    index = place()
    assert board(ble="none")[0] == {}
    assert blelib.for_board(True, "full", {"ble": "never"}, {}, lambda text: None) == {}
    assert board(there=["lib/aioble/core.mpy"])[0] == {}
    assert index.asked == []


def test_virtual_boards_get_the_stand_in_where_nothing_is_installed(place):
    assert blelib.for_virtual()["lib/aioble/core.py"] == SOURCE / "core.py"


def test_what_aioble_calls_is_not_taken_for_dead():
    text = str(small(project_files())["lib/l4mesh_io/ble_gatt.py"])
    assert "def on_read(" in text


def test_flash_ble_puts_it_into_the_image(place, tmp_path, monkeypatch, capsys):
    index = place()
    monkeypatch.setenv("L4_PASSPHRASE", "correct horse")
    monkeypatch.setattr(keep, "files", lambda app=None, kept=None: {"main.py": b"pass\n"})
    Network.create("home").save(path_of("home"), "correct horse", new=True)
    file = tmp_path / "f.bin"
    file.write_bytes(firmware_bin("esp32"))

    def image(name, *more):
        args = ["flash", "--image", str(tmp_path / name), "--board", "ESP32_GENERIC"]
        assert main([*args, "--firmware", str(file), *more]) == 0, capsys.readouterr().err
        data = (tmp_path / name).read_bytes()[0x200000:]
        return oldfs.of_image(data.ljust(2 * MIB, b"\xff")).files

    assert not any("aioble" in path for path in image("a.bin"))
    assert index.asked == []
    assert "lib/aioble/core.mpy" in image("b.bin", "--ble")
    assert "lib/aioble/core.mpy" in image("c.bin")  # it is kept now
