"""What survives a flash, and firmware kept by its checksum."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from flashbed import drained, readings
from l4tools.boards import for_chip
from l4tools.errors import ToolError
from l4tools.flash import backups, choose, keep, oldfs, store
from l4tools.flash.partitions import Place
from l4tools.network import Network
from l4tools.paths import FIRMWARE
from l4tools.vchip.firmware import firmware_bin


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))


def old(**files):
    named = {k.replace("__", "/").replace("_py", ".py"): v for k, v in files.items()}
    return oldfs.OldFs(oldfs.GOOD, named)


# -- files ---------------------------------------------------------------------------------------
def test_the_users_and_the_nodes_files_survive_ours_do_not():
    fs = oldfs.OldFs(
        oldfs.GOOD,
        {
            "boot.py": b"old",
            "main.py": b"old",
            "supervisor.mpy": b"old",
            "l4config.mpy": b"old",
            "sensors.py": b"old",
            "lib/l4mesh/core.mpy": b"old",
            "lib/l4mesh/gone_since.mpy": b"old",
            "lib/l4drivers/dht22.mpy": b"old",
            "lib/umqtt/simple.mpy": b"old",
            "ota/a/main.py": b"update",
            "app.py": b"mine",
            "mysensor.py": b"mine",
            "lib/driver.mpy": b"mine",
            "calibration.json": b"mine",
            "queue/00000001.l4q": b"node",
            "keys/seed": b"node",
            "log/crash.1": b"node",
            "ticket": b"node",
        },
    )
    kept = keep.of(fs)
    assert set(kept.files.values()) == {b"mine", b"node"}
    assert len(kept.files) == 8
    assert kept.app


def test_an_app_that_was_shipped_is_replaced_by_the_new_one():
    """If this fails, app.py was changed: add its sum to SHIPPED_APPS and leave the old ones."""
    shipped = (FIRMWARE / "app.py").read_bytes()
    assert hashlib.sha256(shipped).hexdigest() in keep.SHIPPED_APPS
    kept = keep.of(old(app_py=shipped))
    assert (kept.app, kept.files) == (False, {})


def test_settings_survive_and_the_command_line_wins():
    text = json.dumps(
        {"name": "porch", "wifi": [["a", "aaaaaaaa"]], "interval_s": 5, "mode": "often", "x": 1}
    )
    kept = keep.of(oldfs.OldFs(oldfs.GOOD, {"config.json": text.encode()}))
    assert sorted(kept.dropped) == ["mode", "x"]
    net = Network.create("home", {3: ["192.0.2.7:4104"]})
    made = keep.merged({"led_pin": 2}, kept.config, keep.of_network(net), {"name": "yard"})
    assert made == {
        "led_pin": 2,
        "name": "yard",
        "wifi": [["a", "aaaaaaaa"]],
        "interval_s": 5,
        "network": net.network_id.hex(),
        "upstream": [[3, "192.0.2.7:4104"]],
    }
    with pytest.raises(ToolError, match="port must be a whole number"):
        keep.merged(made, {"port": 1})
    broken = keep.of(oldfs.OldFs(oldfs.GOOD, {"config.json": b"{"}))
    assert (broken.config, broken.dropped) == ({}, ["all of config.json: it is no JSON"])


def test_500_readings_come_through_a_new_image(tmp_path):
    files = readings(tmp_path / "queue", 500)
    assert keep.backlog(files) == 500
    kept = keep.of(oldfs.OldFs(oldfs.GOOD, {**files, "app.py": b"mine"}))
    assert kept.readings == 500
    made = keep.image({"main.py": b"new"}, {"name": "n"}, kept.files, 512)
    inside = oldfs.of_image(made).files
    assert drained(inside) == ["t=%d" % i for i in range(500)]
    assert inside["app.py"] == b"mine" and inside["main.py"] == b"new"


def test_a_full_flash_is_a_sentence():
    with pytest.raises(ToolError, match=r"flash is full: 64 KiB do not hold .* 97 KiB of files"):
        keep.image({"main.py": b"x"}, {}, {"data.bin": b"d" * 100_000}, 16)


def test_an_app_file_is_checked_before_a_board_is_touched(tmp_path):
    bad = tmp_path / "app.py"
    bad.write_text("def f(:\n")
    with pytest.raises(ToolError, match=r"is no Python: .* Correct it"):
        keep.read_app(bad)
    with pytest.raises(ToolError, match="could not be read"):
        keep.read_app(tmp_path / "none.py")


def test_what_a_kept_app_imports_is_still_there():
    app = b"from l4mesh.limits import LIMITS_BOARD\n"
    mine = {"mine.py": b"from l4mesh.cookie import Cookies\n", "bad.py": b"("}
    plain, used = keep.files(), keep.files(app, mine)
    assert used["app.py"] == app
    assert set(used) - set(plain) == {"lib/l4mesh/limits.mpy", "lib/l4mesh/cookie.mpy"}
    assert keep.files(b"def f(:", {})["app.py"] == b"def f(:"  # a broken one stays the user's


def test_the_backup_counts_only_when_it_is_whole(tmp_path):
    image = keep.image({"main.py": b"old"}, {}, {"keys/seed": b"s"}, 64)
    found = oldfs.of_image(image)
    saved = backups.save("job1", "02:4c:34:00:00:01", Place(0x1000, 64), found)
    assert saved.file.stat().st_mode & 0o777 == 0o600
    again = backups.find("02:4c:34:00:00:01")
    assert again == saved and again.files().files == found.files
    assert backups.find("02:4c:34:00:00:02") is None
    saved.file.write_bytes(b"short")
    assert backups.find("02:4c:34:00:00:01") is None
    saved.remove()
    assert not saved.folder.exists()


# -- firmware ------------------------------------------------------------------------------------
class Server:
    """A web server on loopback. `cut`: bytes after which an answer breaks off, once each."""

    def __init__(self, data):
        self.data, self.cut, self.asked, self.ranges = data, [], [], True
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.headers.get("Range"))
                if self.path != "/f.bin":
                    self.send_error(404)
                    return
                start = 0
                if outer.ranges and self.headers.get("Range"):
                    start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                if start > len(outer.data):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(outer.data) - start))
                self.end_headers()
                body = outer.data[start:]
                if outer.cut:
                    body = body[: outer.cut.pop(0)]
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = "http://127.0.0.1:%d/f.bin" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server():
    made = Server(firmware_bin("esp32c3"))
    yield made
    made.close()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_a_download_is_checked_and_kept_by_its_sum(server):
    path = store.fetch(server.url, sha(server.data))
    assert path.read_bytes() == server.data and path.stem == sha(server.data)
    note = json.loads(path.with_suffix(".json").read_text())
    assert (note["url"], note["sha256"], note["bytes"]) == (
        server.url,
        sha(server.data),
        len(server.data),
    )
    # From now on neither network nor sum is needed.
    assert store.fetch(server.url, None) == path == store.fetch(server.url, sha(server.data))
    assert len(server.asked) == 1
    path.write_bytes(b"damaged on disk")
    assert store.fetch(server.url, sha(server.data)).read_bytes() == server.data
    assert len(server.asked) == 2


def test_nothing_is_taken_that_cannot_be_checked(server):
    with pytest.raises(ToolError, match="no checksum of .* Pass --sha256"):
        store.fetch(server.url, None)
    assert server.asked == []
    with pytest.raises(ToolError, match=f"has the SHA-256 {sha(server.data)}, not 00"):
        store.fetch(server.url, "00" * 32)
    assert list(store.folder().iterdir()) == []


def test_a_download_that_breaks_off_goes_on_where_it_was(server):
    server.cut = [50_000, 20_000]
    path = store.fetch(server.url, sha(server.data))
    assert path.read_bytes() == server.data
    assert server.asked == [None, "bytes=50000-", "bytes=70000-"]


def test_after_three_breaks_it_says_so_and_the_next_run_goes_on(server):
    server.cut = [10_000, 10_000, 10_000]
    with pytest.raises(ToolError, match=r"broke off .* behind the 30000 bytes that are here"):
        store.fetch(server.url, sha(server.data))
    assert store.fetch(server.url, sha(server.data)).read_bytes() == server.data
    assert server.asked[-1] == "bytes=30000-"


def test_a_server_without_ranges_sends_all_of_it_again(server):
    server.cut, server.ranges = [50_000], False
    assert store.fetch(server.url, sha(server.data)).read_bytes() == server.data


def test_an_address_without_a_file_and_one_without_a_server(server):
    with pytest.raises(ToolError, match="answers 404"):
        store.fetch(server.url[:-5] + "g.bin", "00" * 32)
    server.close()
    with pytest.raises(ToolError, match="Run the same command again"):
        store.fetch(server.url, "00" * 32)


def test_which_firmware_a_board_gets(server, tmp_path):
    spec = for_chip("esp32c3")

    def bar(*_):
        pass

    file = tmp_path / "f.bin"
    file.write_bytes(server.data)
    assert choose.firmware(choose.Wish(str(file)), spec, "v1.27.0", bar).source == "f.bin"
    assert choose.firmware(choose.Wish(server.url, sha(server.data)), spec, "", bar).version
    with pytest.raises(ToolError, match="not the one given"):
        choose.firmware(choose.Wish(str(file), "00" * 32), spec, "", bar)
    with pytest.raises(ToolError, match="could not be read"):
        choose.firmware(choose.Wish(str(tmp_path / "none.bin")), spec, "", bar)
    if spec.firmware.get("sha256") is None:
        assert choose.firmware(choose.Wish(), spec, "v1.27.0", bar) is None  # what is there stays
        with pytest.raises(ToolError, match=r"On the board is MicroPython v1\.23"):
            choose.firmware(choose.Wish(), spec, "v1.23.0", bar)
        with pytest.raises(ToolError, match=r"pass --firmware FILE, or pass --sha256"):
            choose.firmware(choose.Wish(), spec, "", bar)
