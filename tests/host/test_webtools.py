"""The folder for ESP Web Tools: its manifest against the format, its parts against the file."""

import html.parser
import json
import subprocess
import sys

import pytest
from l4tools import webtools
from l4tools.boards import all_boards, load
from l4tools.errors import ToolError
from l4tools.frozen import ROMFS_START
from ownbin import firmware

CHIPS = [s for s in all_boards().values() if s.port == "esp32"]
# What ESP Web Tools 10 accepts (its src/const.ts).
FAMILIES = ("ESP32", "ESP32-S3", "ESP32-C3", "ESP32-C6")
NVS = range(0x9000, 0xF000)


def place(folder, spec, held="frozen", **more):
    folder = folder / spec.name
    folder.mkdir()
    path = folder / "firmware.bin"
    path.write_bytes(firmware(spec, held, **more))
    return path


def check(manifest, folder):
    """The rules of the format; for each family {offset: bytes}."""
    assert isinstance(manifest["name"], str) and isinstance(manifest["version"], str)
    assert set(manifest) <= {
        "name", "version", "home_assistant_domain", "funding_url", "new_install_prompt_erase",
        "new_install_improv_wait_time", "builds",
    }  # fmt: skip
    assert manifest["new_install_prompt_erase"] is True
    assert 0 < manifest["new_install_improv_wait_time"] <= 60
    out = {}
    for build in manifest["builds"]:
        assert set(build) == {"chipFamily", "parts"} and build["chipFamily"] in FAMILIES
        assert build["chipFamily"] not in out and build["parts"]
        flash = out[build["chipFamily"]] = {}
        for part in build["parts"]:
            assert set(part) == {"path", "offset"}
            assert type(part["offset"]) is int and part["offset"] % 4096 == 0
            assert "/" not in part["path"]  # beside the manifest, on any server
            flash[part["offset"]] = (folder / part["path"]).read_bytes()
    return out


def test_one_build_for_each_chip_family_at_its_own_offset(tmp_path):
    files = {s.name: place(tmp_path, s) for s in CHIPS}
    out = tmp_path / "web"
    manifest = webtools.write(out, files)
    assert json.loads((out / "manifest.json").read_text()) == manifest
    flashes = check(manifest, out)
    assert sorted(flashes) == sorted(FAMILIES)
    for spec in CHIPS:
        flash = flashes[webtools.family(spec)]
        assert list(flash) == [spec.bootloader_offset, 0x8000, 0x10000]
        assert flash[spec.bootloader_offset][0] == flash[0x10000][0] == 0xE9
        assert flash[0x8000][:2] == b"\xaa\x50"
        whole = firmware(spec)
        for at, data in flash.items():
            at -= spec.bootloader_offset
            assert whole[at:].startswith(data.rstrip(b"\xff"))


def test_keys_in_nvs_are_never_overwritten(tmp_path):
    spec = load("ESP32_GENERIC_S3")
    out = tmp_path / "web"
    flash = check(webtools.write(out, {spec.name: place(tmp_path, spec)}), out)["ESP32-S3"]
    written = [range(at, at + len(data)) for at, data in flash.items()]
    assert not any(r.start < NVS.stop and NVS.start < r.stop for r in written)
    # The file as it is would: it is one piece from bootloader to application.
    assert len(firmware(spec)) > NVS.stop


def test_romfs_goes_where_the_firmwares_own_table_has_it(tmp_path):
    spec = load("ESP32_GENERIC_C6")
    path = place(tmp_path, spec, "romfs")
    with pytest.raises(ToolError, match="needs a partition `romfs` and romfs.img beside it"):
        webtools.write(tmp_path / "web", {spec.name: path})
    path.with_name("romfs.img").write_bytes(b"\xd2\xcd\x31 image")
    out = tmp_path / "web"
    flash = check(webtools.write(out, {spec.name: path}), out)["ESP32-C6"]
    assert flash[ROMFS_START] == b"\xd2\xcd\x31 image"


def test_the_page_has_the_button_for_the_manifest_beside_it(tmp_path):
    spec = load("ESP32_GENERIC")
    webtools.write(tmp_path / "web", {spec.name: place(tmp_path, spec)}, name="porch <node>")
    seen = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append((tag, dict(attrs)))

    text = (tmp_path / "web" / "index.html").read_text()
    Reader().feed(text)
    assert ("esp-web-install-button", {"manifest": "manifest.json"}) in seen
    (script,) = [a for t, a in seen if t == "script"]
    assert script["type"] == "module" and "/esp-web-tools@10/" in script["src"]
    assert {a.get("slot") for t, a in seen if t == "span"} == {"unsupported", "not-allowed"}
    assert "porch &lt;node&gt;" in text and "<node>" not in text


def test_what_is_no_firmware_of_ours_is_refused(tmp_path):
    c3 = load("ESP32_GENERIC_C3")
    stock = place(tmp_path, c3, "stock")
    with pytest.raises(ToolError, match="none of our modules. Use `l4 flash` for stock"):
        webtools.write(tmp_path / "web", {c3.name: stock})
    other = place(tmp_path, load("ESP32_GENERIC_S3"))
    with pytest.raises(ToolError, match="is for chip id 9, but ESP32_GENERIC_C3 has 5"):
        webtools.write(tmp_path / "web", {c3.name: other})
    bad = tmp_path / "bad.bin"
    bad.write_bytes(b"not a firmware")
    with pytest.raises(ToolError, match="is no firmware"):
        webtools.write(tmp_path / "web", {c3.name: bad})
    with pytest.raises(ToolError, match="There is no firmware to offer. Run `make firmware"):
        webtools.write(tmp_path / "web", {})
    with pytest.raises(ToolError, match="UNIX is no ESP32 board. Leave it out"):
        webtools.write(tmp_path / "web", {"UNIX": bad})


def test_the_command_takes_files_and_says_how_to_try_them(tmp_path):
    spec = load("ESP32_GENERIC_C3")
    path = place(tmp_path, spec)
    command = [sys.executable, "-m", "l4tools.webtools", str(tmp_path / "web")]
    done = subprocess.run(
        [*command, "ESP32_GENERIC_C3=%s" % path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ESP32-C3  ESP32_GENERIC_C3-bootloader.bin, ")
    assert "python3 -m http.server -d %s" % (tmp_path / "web") in done.stdout
    done = subprocess.run([*command, "fw.bin"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Say BOARD=FILE" in done.stderr
