"""From a board in its box to a reading upstream, for each chip, as a user does it.

A blank virtual chip, `l4 flash` as a process (the real esptool inside), the three tiers of an
upstream, `l4 readings`, the real mpremote, and `l4 flash` once more. Lines: rfc2217 has reset
lines and runs esptool's stub; a plain socket and a terminal have none, the chip's ROM works there.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chipbench import QUICK, mpremote
from l4tools.lan.hub import Hub
from l4tools.mesh.tiers import UPSTREAM, tier_on_hub
from l4tools.network import Network
from l4tools.vchip import VChip, firmware_bin

MIB = 1 << 20
PHRASE = "four quite common words"
PASSWORD = "bench-pass"
TIERS = [word for t, at in UPSTREAM for word in ("--upstream", "L%d=%s" % (t, at))]
L4 = [sys.executable, "-c", "import sys; from l4tools.cli import main; sys.exit(main())"]
CHIPS = {"esp32": "rfc2217", "esp32s3": "socket", "esp32c3": "pty", "esp32c6": "rfc2217"}
PATIENCE = 60

# Mounts the file of a file system on MicroPython, as a board does, and lists what is in it.
LIST = """
import os, sys
BLOCK = 4096
class Flash:
    def __init__(self, data):
        self.data = data
    def readblocks(self, n, buf, off=0):
        at = n * BLOCK + off
        buf[:] = self.data[at : at + len(buf)]
    def ioctl(self, op, arg):
        return {4: len(self.data) // BLOCK, 5: BLOCK}.get(op, 0)
    def writeblocks(self, n, buf, off=0):
        return -30
with open(sys.argv[1], "rb") as f:
    data = f.read()
os.mount(os.VfsLfs2(Flash(data)), "/board", readonly=True)
for name in os.listdir("/board"):
    print(name)
"""


class Bed:
    """A network's home, its tiers on a virtual LAN, and `l4` in a process of its own."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.home.mkdir()
        self.network = Network.create("home")
        self.network.save(self.home / "home.l4net", PHRASE, new=True)
        self.hub, self.tiers = Hub().start(), []
        try:
            for level in (1, 2, 3):
                # Where `l4 upstream` would keep them, so that `l4 readings` finds them.
                store = self.home / "upstream" / "home" / ("l%d" % level)
                tier = tier_on_hub(self.network, level, self.hub.address, store, folder / "log")
                self.tiers.append(tier)
                tier.start(wait=False)
            for tier in self.tiers:
                tier.wait_ready()
        except BaseException:
            self.close()
            raise

    def close(self):
        for tier in reversed(self.tiers):
            tier.stop()
        self.hub.close()

    def l4(self, *args, code=0, password=PASSWORD):
        """The JSON document of `l4 ARGS --json`, if it ended with `code`."""
        env = {**os.environ, "L4_HOME": str(self.home), "L4_PASSPHRASE": PHRASE}
        env["L4_WIFI_PASSWORD"] = password
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [QUICK, env.get("PYTHONPATH")]))
        run = subprocess.run(
            [*L4, *map(str, args), "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env=env,
        )
        assert run.returncode == code, (run.returncode, run.stdout, run.stderr)
        assert PASSWORD not in run.stdout + run.stderr
        return json.loads(run.stderr if code else run.stdout)


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with contextlib.closing(Bed(tmp_path_factory.mktemp("chain"))) as made:
        yield made


@pytest.mark.parametrize("name", CHIPS)
def test_from_the_box_to_a_reading_and_flashed_again(bed, name, tmp_path):
    line = CHIPS[name]
    file = tmp_path / "firmware.bin"
    file.write_bytes(firmware_bin(name))
    ip = "10.77.1.%d" % (41 + list(CHIPS).index(name))
    with VChip(name, 4 * MIB, tmp_path / "chip", bed.hub, ip) as chip:
        # Without reset lines somebody has to hold BOOT, once.
        chip.power_on(boot=line != "rfc2217")
        port = chip.pty if line == "pty" else chip.url(line)
        order = ("flash", "--port", port, "--firmware", file, "--wifi", "bench", *TIERS)
        if line == "pty":
            mistyped(bed, order)
        doc = bed.l4(*order, "--name", name)
        node = doc["node"]
        assert node["tier"] in (1, 2, 3) and node["seconds"] > 0, list(chip.console)[-20:]
        assert node["sentence"].startswith("node %s joined in " % node["node"][:8])
        assert node["provisioned"]
        assert doc["bytes"]["written"] == doc["bytes"]["to_write"]
        # Keys go over the raw REPL, which echoes nothing.
        given = bed.network.provision(bytes(32))["group"][1]
        assert not any(given in text for text in chip.console)

        mounted(chip, doc, tmp_path / "vfs.bin")
        stored(bed, node["node"])
        driven(chip, port, name)

        # Nothing changed, or one setting.
        doc = bed.l4(*order, "--name", name if line == "pty" else "other")
        assert doc["bytes"]["written"] < 64 * 1024
        assert (doc["bytes"]["written"] == 0) == (line == "pty")
        again = doc["node"]
        assert (again["node"], again["provisioned"]) == (node["node"], False)
        assert again["tier"] in (1, 2, 3)


def mistyped(bed, order):
    """A wrong password: the board says so over USB, and the next run has little left to do."""
    said = bed.l4(*order, code=1, password="not-the-one")
    assert said["error"] == 'The board cannot join the WiFi "bench": wrong password.'
    assert "--wifi and the right password" in said["next"]
    plan = bed.l4(*order, "--dry-run")
    assert 0 < plan["bytes"]["to_write"] < 64 * 1024


def mounted(chip, doc, file):
    """Cut where the report says it is, the file system mounts, and the board booted from there."""
    at, blocks = int(doc["files"]["at"], 16), doc["files"]["blocks"]
    assert chip.booted.vfs == (at, blocks * 4096)
    file.write_bytes(chip.read(at, blocks * 4096))
    script = file.with_name("list.py")
    script.write_text(LIST)
    micropython = Path(sys.executable).with_name("micropython")
    run = subprocess.run(
        [micropython, "-X", "heapsize=8m", script, file],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert {"boot.py", "main.py", "app.py", "config.json", "lib"} <= set(run.stdout.split())


def stored(bed, node):
    """A reading of the board is in L1's store."""
    end = time.monotonic() + PATIENCE
    while not (rows := [row for row in bed.l4("readings", "--all") if row["node"] == node]):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert {row["sensor"] for row in rows} & {"temperature", "humidity"}


def driven(chip, port, name):
    """The real mpremote stops the node and asks the board; the file is as `l4 flash` made it."""
    code = "import json; print(json.load(open('/config.json'))['name'])"
    assert mpremote(chip, "exec", code, port=port) == name + "\n"
