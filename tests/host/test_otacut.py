"""Every power cut in the life of a board that is updated; see otacut.py. L4_SOAK=1: longer."""

import os
import subprocess
import sys
from pathlib import Path


def test_every_power_cut():
    here = Path(__file__).resolve().parent
    interpreter = Path(sys.executable).parent / "micropython"
    soak = bool(os.environ.get("L4_SOAK"))
    command = [interpreter, "-X", "heapsize=16M", here / "otacut.py"] + ["soak"] * soak
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    replay, under_way = done.stdout.splitlines()
    assert replay.startswith("ok replay: ") and under_way.startswith("ok under way: ")
    assert int(replay.split()[-2]) > 600 and int(under_way.split()[-2]) > 30
    assert done.stderr == ""
