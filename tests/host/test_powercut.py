"""Flash that loses power or is full, under the queue on littlefs: powercut.py and fullflash.py.

L4_SOAK=1: longer.
"""

import os
import subprocess
import sys
from pathlib import Path


def run(script):
    here = Path(__file__).resolve().parent
    interpreter = Path(sys.executable).parent / "micropython"
    soak = bool(os.environ.get("L4_SOAK"))
    command = [interpreter, "-X", "heapsize=16M", here / script] + ["soak"] * soak
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=3600 if soak else 300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_every_power_cut():
    replay, kinds, under_way = run("powercut.py")
    assert replay.startswith("ok replay: ") and under_way.startswith("ok under way: ")
    cuts = int(replay.split()[-2])
    assert cuts > 2000 and int(under_way.split()[-2]) > 50
    words = kinds.split()
    appends, rotations, deletions = [int(words[i]) for i in (3, 5, 7)]
    assert appends > 500 and rotations > 20 and deletions > 1, kinds


def test_a_full_flash():
    (said,) = run("fullflash.py")
    assert said.startswith("ok full: ") and said.endswith("lost 0, doubled 0")
