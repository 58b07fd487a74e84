"""The Improv project's own client (JavaScript, what web pages use) sets up a virtual board.

npm puts it into build/improv_js, as tests/host/improv_js/package-lock.json pins it; without node,
npm or the network there is nothing to test with, and that is said.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from l4tools.paths import build_dir
from provbed import bed

HERE = Path(__file__).with_name("improv_js")


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    """The folder that holds node_modules."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed. Run `make js-deps` as root.")
    folder = build_dir("improv_js")
    lock = (HERE / "package-lock.json").read_text()
    kept = folder / "installed.json"
    if not kept.exists() or kept.read_text() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("npm could not install the client: " + done.stderr.strip()[-200:])
        kept.write_text(lock)
    return folder


def test_the_browsers_client_sets_up_a_board(sdk, tmp_path):
    with bed(tmp_path, tier=False) as b:
        tty = b.board()
        b.until("UNPROVISIONED")
        run = subprocess.run(
            ["node", str(HERE / "client.mjs"), str(sdk), tty],
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        said = json.loads(run.stdout)
        assert said["info"]["firmware"] == "l4mesh" and said["info"]["version"]
        assert said["before"] == 2 and said["between"] == 2
        assert said["networks"] == [{"name": "bench", "rssi": -50, "secured": True}]
        assert said["named"] == "by browser"
        assert "BAD_HOSTNAME" in said["hostname"]
        assert "UNABLE_TO_CONNECT" in said["wrong"]
        assert said["right"] is None and said["after"] == 4 and said["asked"] == 4
        assert not said["url"]
        assert "UNKNOWN_RPC_COMMAND" in said["unknown"]
        b.until("WiFi not changed: bench: wrong password")
        seen = b.json("provision", "--port", tty, "--no-wait")
        assert seen["wifi"] == ["bench"] and seen["name"] == "by browser"
