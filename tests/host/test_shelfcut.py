"""Every power cut in the life of a custodian's shelf on littlefs; see shelfcut.py."""

import os
import subprocess
import sys
from pathlib import Path


def test_every_power_cut():
    here = Path(__file__).resolve().parent
    interpreter = Path(sys.executable).parent / "micropython"
    soak = bool(os.environ.get("L4_SOAK"))
    command = [interpreter, "-X", "heapsize=32M", here / "shelfcut.py"] + ["soak"] * soak
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=3600 if soak else 300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("ok shelf: ") and int(done.stdout.split()[-2]) > 1000
