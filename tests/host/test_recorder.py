"""The flight recorder of the shipped firmware, on virtual boards: what a crash leaves behind."""

import time

import pytest
from l4tools.image import read_image
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network

PATIENCE_S = 30
APP = """
import machine
done = [0]

def sensors(board):
    return []

def loop(node, now):
    if machine.reset_cause() != 5:  # the first start, or after the crash
        return 60000
    done[0] += 1
    if done[0] < 3:
        return 20
    %s
"""
CRASHES = {
    "hang": ("machine.WDT(timeout=300)\n    while True:\n        pass", "watchdog"),
    "reset": ("machine.reset()", "reset"),
    "bug": ("node.poll = None\n    return 20", "reset"),
}


@pytest.fixture
def crashed(tmp_path, request):
    """A board that crashed after it got its keys: (lines it said, files on it)."""
    app = tmp_path / "app.py"
    app.write_text(APP % CRASHES[request.param][0])
    lines = []
    hub = Hub().start()
    boards = Boards(
        tmp_path / "rack", hub, Network.create("bench"), on_line=lambda n, t: lines.append(t),
        app=app,
    )  # fmt: skip
    boards.start()
    try:
        boards.add("a", "10.77.1.11", {"upstream": []})
        boards.power_on("a")
        end = time.monotonic() + PATIENCE_S
        while not any("the boot before ended" in t for t in lines):
            assert time.monotonic() < end, lines
            time.sleep(0.02)
        while not any(t.startswith("L4 node ") for t in lines[-3:]):
            assert time.monotonic() < end, lines
            time.sleep(0.02)
        boards.rack.power_cut("a")
        yield lines, read_image(tmp_path / "rack" / "a" / "flash.img")
    finally:
        boards.close()
        hub.close()


@pytest.mark.parametrize("crashed", list(CRASHES), indirect=True)
def test_a_crash_is_kept_in_flash(crashed, request):
    lines, files = crashed
    cause = CRASHES[request.node.callspec.params["crashed"]][1]
    said = [t for t in lines if "the boot before ended" in t]
    assert said == ["L4 the boot before ended by %s; kept as /log/crash.1" % cause]
    data = files["log/crash.1"]
    assert data[:4] == b"L4C1"
    text = data[8:].decode("utf-8", "replace")
    assert "UNPROVISIONED" in text and "after soft reset" in text
    if "bug" in request.node.name:
        assert "TypeError" in text and 'File "' in text and "restarting" in text
    assert [p for p in files if p.startswith("log/")] == ["log/crash.1"]
