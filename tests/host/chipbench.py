"""Virtual ESP32s for tests, and the real esptool and mpremote on them, always with a time-out."""

import os
import subprocess
import sys
from pathlib import Path

from l4tools.image import build_image
from l4tools.vchip import VChip, firmware_bin

QUICK = str(Path(__file__).parent / "quickserial")
NO_RESET = ("--before", "no-reset", "--after", "no-reset")
BOOT = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0, "esp32c6": 0}
VFS = 0x200000


def tool(name, *args, code=0, timeout=60, quick=True, env=None):
    """Run an installed tool; its output. `code` None: any exit code but 0."""
    full = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **(env or {})}
    if quick:
        full["PYTHONPATH"] = os.pathsep.join(filter(None, [QUICK, full.get("PYTHONPATH")]))
    run = subprocess.run(
        [sys.executable, "-m", name, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env=full,
    )
    out = run.stdout + run.stderr
    assert run.returncode == code if code is not None else run.returncode, out
    return out


def esptool(chip, *args, port=None, resets=False, **kw):
    """esptool on a chip in download mode, by its terminal; `resets` only for rfc2217 ports."""
    more = () if resets else NO_RESET
    return tool("esptool", "--port", port or chip.pty, *more, *args, **kw)


def mpremote(chip, *args, port=None, **kw):
    return tool("mpremote", "connect", port or chip.pty, *args, **kw)


def small_vfs(main="print('MAIN', 6 * 7)\n", blocks=512, **files):
    files = {"main.py": main, **files}
    return build_image(None, None, files, umqtt=False, block_count=blocks)


def ready(name, folder, vfs=None, on=True, **kw):
    """A chip with firmware and file system on it already, running when `on`."""
    chip = VChip(name, folder=folder / name, **kw)
    chip.write(BOOT[name], firmware_bin(name))
    chip.write(VFS, vfs or small_vfs())
    if on:
        chip.power_on()
        chip.until("Type")
    return chip
