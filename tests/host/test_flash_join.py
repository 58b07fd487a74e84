"""`l4 flash` as a command: factory images that join, mistakes. Boards: tests/e2e/test_chain.py."""

import json
import time

import pytest
from flashbed import MIB, firmware_bin
from l4tools import network as networks
from l4tools import tickets
from l4tools.cli import main
from l4tools.flash import keep, oldfs
from l4tools.flash.job import image_seconds
from l4tools.lan.hub import Hub
from l4tools.mesh.tiers import UPSTREAM, tier_on_hub
from l4tools.network import Network
from l4tools.vchip.chip import VChip

TIERS = [word for t, at in UPSTREAM for word in ("--upstream", "L%d=%s" % (t, at))]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """A network, its file, and its three tiers on a virtual LAN."""
    folder = tmp_path_factory.mktemp("up")
    with pytest.MonkeyPatch.context() as env:
        env.setenv("L4_HOME", str(folder / "home"))
        env.setenv("L4_PASSPHRASE", "correct horse")
        env.setenv("L4_WIFI_PASSWORD", "bench-pass")
        built = keep.files()  # once: somebody may be working on the sources meanwhile
        env.setattr(keep, "files", lambda app=None, kept=None: dict(built))
        net = Network.create("home")  # without an upstream that would be asked over real UDP
        networks.home().mkdir()
        net.save(networks.path_of("home"), "correct horse", new=True)
        hub, tiers = Hub().start(), []
        try:
            for level in (1, 2, 3):
                made = tier_on_hub(net, level, hub.address, folder / str(level), folder / "log")
                tiers.append(made)
                made.start()
            yield hub, net, folder
        finally:
            for tier in tiers:
                tier.stop()
            hub.close()


@pytest.fixture
def run(capsys):
    """l4 flash .. -> (exit code, the JSON document)."""

    def go(*args):
        code = main(["flash", *map(str, args), "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(err if code else out)

    return go


def test_factory_images_join_with_their_tickets(upstream, run, tmp_path):
    hub, net, _ = upstream
    file, out = tmp_path / "f.bin", tmp_path / "img" / "porch.bin"
    file.write_bytes(firmware_bin("esp32"))
    order = ("--image", out, "--board", "ESP32_GENERIC", "--firmware", file, "--network", "home")
    code, doc = run(*order, *TIERS, "--count", 2, "--wifi", "bench")
    assert code == 0, doc
    paths = [out.with_name("porch-1.bin"), out.with_name("porch-2.bin")]
    assert [row["file"] for row in doc] == [str(p) for p in paths]
    assert paths[0].stat().st_mode & 0o777 == 0o600
    seen = set()
    for path in paths:
        data = path.read_bytes()
        assert net.group[1] not in data and net.master not in data
        found = oldfs.of_image(data[0x200000:].ljust(2 * MIB, b"\xff"))
        ticket = tickets.parse(found.files["ticket"])
        assert ticket.network == net.network_id and not ticket.expired
        seen.add(ticket.id)
        assert not any(p.startswith("keys/") for p in found.files)
    assert len(seen) == 2
    code, doc = run(*order, "--count", 2)
    assert code == 1 and "exists already" in doc["error"]
    with VChip("esp32", 4 * MIB, tmp_path / "chip", hub, "10.77.1.22") as chip:
        chip.write(0, paths[0].read_bytes())
        chip.power_on()
        wait(lambda: any("joined by tier" in line for line in chip.console), chip)


def wait(condition, chip, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, list(chip.console)[-30:]
        time.sleep(0.1)


def test_mistakes_are_found_before_a_board_is_touched(upstream, run, tmp_path, monkeypatch):
    bad = tmp_path / "bad.json"
    bad.write_text('{"interval_s": 0}')
    code, doc = run("--config", bad, "--port", "/dev/none")
    assert code == 1 and "interval_s must be a whole number" in doc["error"]
    bad.write_text("{")
    code, doc = run("--config", bad)
    assert code == 1 and "is no JSON" in doc["error"]
    monkeypatch.setenv("L4_WIFI_PASSWORD", "short")
    code, doc = run("--wifi", "bench")
    assert code == 1 and "passwords of 8 to 63 bytes" in doc["error"]
    assert "short" not in json.dumps(doc).replace("shorten", "")
    code, doc = run("--port", "/dev/none", "--network", "home")
    assert code == 1 and "There is no port /dev/none" in doc["error"]
    code, doc = run("--image", tmp_path / "x.bin")
    assert code == 2 and "--image needs --board" in doc["error"]
    monkeypatch.delenv("L4_WIFI_PASSWORD")
    code, doc = run("--wifi", "bench")
    assert code == 1 and "--wifi-password-file" in doc["next"]


def test_an_image_is_built_in_a_few_seconds():
    assert image_seconds() > 0  # the figure itself is a row of `make bench`
