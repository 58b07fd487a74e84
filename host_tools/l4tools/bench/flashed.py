"""`l4 flash` on a virtual ESP32-C3: seconds and bytes, and a second time with nothing changed."""

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from l4tools.bench.load import median
from l4tools.bench.rows import Report
from l4tools.flash import keep
from l4tools.flash.job import Job, Order
from l4tools.flash.partitions import SECTOR
from l4tools.flash.rom import open_rom
from l4tools.image import compiled, project_files
from l4tools.network import Network
from l4tools.paths import build_dir
from l4tools.shrunk import small
from l4tools.usb import ports
from l4tools.vchip.chip import VChip
from l4tools.vchip.firmware import firmware_bin

ROWS = [
    "image build, after an edit",
    "image build, as before",
    "first flash (virtual ESP32-C3)",
    "bytes a first flash wrote",
    "second flash, nothing changed",
    "bytes a second flash wrote",
]
_BLOCKS = 2 * (1 << 20) // SECTOR
_AGAIN = "from l4tools.flash.job import image_seconds; print(image_seconds())"


def measure(report: Report, quick: bool) -> None:
    rounds = 1 if quick else 5
    took = [_edited(i) for i in range(rounds)]
    report.put(ROWS[0], median(took), took)
    # In a process of its own, as each `l4 flash` is.
    took = [
        float(
            subprocess.run([sys.executable, "-c", _AGAIN], capture_output=True, check=True).stdout
        )
        for _ in range(rounds)
    ]
    report.put(ROWS[1], median(took), took)
    first, second = zip(*(_flash_twice() for _ in range(min(rounds, 3))), strict=True)
    for i, runs in ((2, first), (4, second)):
        seconds = [s for s, _ in runs]
        report.put(ROWS[i], median(seconds), seconds)
        report.put(ROWS[i + 1], max(n for _, n in runs))


def _edited(i: int) -> float:
    """Seconds to an image when a source is one that nobody has seen before."""
    files = project_files()
    text = 'say("change %d of %d") if "%d" == "" else None\n' % (i, time.time_ns(), i)
    files["console.py"] = files["console.py"].read_text() + "\n\n" + text
    begun = time.perf_counter()
    keep.image(compiled(dict(small(files))), {"name": "bench"}, {}, _BLOCKS)
    return time.perf_counter() - begun


def _flash_twice() -> list[tuple[float, int]]:
    """(seconds, bytes written) of both runs, by esptool's stub over a line with reset lines."""
    with tempfile.TemporaryDirectory(dir=build_dir()) as tmp:
        file = Path(tmp) / "firmware.bin"
        file.write_bytes(firmware_bin("esp32c3", size=1 << 20))
        order = Order(firmware=str(file), settings={"name": "bench"})
        network = Network.create("bench")
        with VChip("esp32c3", folder=Path(tmp) / "chip") as chip, _quick_serial():
            chip.power_on()
            port = ports.find(chip.url("rfc2217"))
            return [_flash(port, order, network) for _ in range(2)]


def _flash(port, order: Order, network: Network) -> tuple[float, int]:
    begun = time.perf_counter()
    with open_rom(port) as rom:
        job = Job(rom, order, network, lambda text: None, lambda question: True)
        job.look()
        job.decide()
        job.write()
        return time.perf_counter() - begun, rom.written


@contextlib.contextmanager
def _quick_serial():
    """pyserial's RFC 2217 client polls for answers each 50 ms, which no serial line has: 2 ms."""
    import types

    import serial.rfc2217

    before = serial.rfc2217.time
    quick = types.ModuleType("time")
    quick.__dict__.update(time.__dict__)
    quick.sleep = lambda s: time.sleep(0.002 if s == 0.05 else s)
    serial.rfc2217.time = quick
    try:
        yield
    finally:
        serial.rfc2217.time = before
