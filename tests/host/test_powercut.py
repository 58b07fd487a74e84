"""Every power cut in a run of the queue on littlefs; see powercut.py. L4_SOAK=1: longer."""

import os
import subprocess
import sys
from pathlib import Path


def test_every_power_cut():
    here = Path(__file__).resolve().parent
    interpreter = Path(sys.executable).parent / "micropython"
    soak = bool(os.environ.get("L4_SOAK"))
    command = [interpreter, "-X", "heapsize=16M", here / "powercut.py"] + ["soak"] * soak
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=3600 if soak else 300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    replay, under_way = done.stdout.splitlines()
    assert replay.startswith("ok replay: ") and under_way.startswith("ok under way: ")
    cuts = int(replay.split()[-2])
    assert cuts > 2000 and int(under_way.split()[-2]) > 50
    assert done.stderr == ""
