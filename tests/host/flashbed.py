"""What the tests of `l4 flash` share: virtual chips, firmware files, runs of a job."""

import contextlib
import hashlib
from dataclasses import dataclass, field

from l4tools.flash import keep, oldfs
from l4tools.flash.job import Job, Order
from l4tools.flash.partitions import SECTOR
from l4tools.flash.rom import open_rom
from l4tools.network import Network
from l4tools.usb import ports
from l4tools.vchip.chip import VChip
from l4tools.vchip.firmware import firmware_bin

MIB = 1 << 20
WIFI = {"wifi": [["bench", "bench-pass"]]}


@dataclass
class Said:
    told: list = field(default_factory=list)
    asked: list = field(default_factory=list)


class Desk:
    """One virtual chip in download mode, a firmware file for it, and a network."""

    def __init__(self, folder, chip="esp32c3", size=4 * MIB, boot=True, layout="4MiBplus", **kw):
        self.folder = folder
        self.kind = chip
        self.network = Network.create("home")
        self.firmware = folder / (chip + ".bin")
        self.firmware.write_bytes(firmware_bin(chip, layout=layout))
        self.chip = VChip(chip, size, folder / "chip", **kw)
        self.chip.power_on(boot=boot)

    def close(self):
        self.chip.close()

    def port(self, kind="pty"):
        return ports.find(self.chip.pty if kind == "pty" else self.chip.url(kind))

    def order(self, **kw):
        kw.setdefault("firmware", str(self.firmware))
        kw.setdefault("settings", {"name": "n1", **WIFI})
        return Order(**kw)

    @contextlib.contextmanager
    def job(self, order=None, answer=True, network=None, port="pty", **kw):
        """A job that has looked and decided."""
        with open_rom(self.port(port), **kw) as rom:
            said = Said()
            job = Job(
                rom,
                order or self.order(),
                network or self.network,
                said.told.append,
                lambda q: said.asked.append(q) or answer,
            )
            job.said = said
            job.look()
            job.decide()
            yield job

    def flash(self, order=None, start=False, **kw):
        """A whole run, the board stays in its ROM unless `start`; the job."""
        with self.job(order, **kw) as job:
            job.write()
            if start:
                job.rom.start()
        return job

    def files(self, at=0x200000, end=4 * MIB):
        """The files of the file system in flash."""
        found = oldfs.of_image(self.chip.read(at, end - at))
        assert found.state == oldfs.GOOD, found.trouble
        return found.files

    def put_files(self, files, at=0x200000, blocks=512):
        """Write a file system as an earlier firmware left it."""
        self.chip.write(at, keep.image({}, {"name": "old"}, files, blocks))


def readings(folder, count):
    """The files of a queue with `count` readings, by the node's own code."""
    from l4mesh.counters import Counters
    from l4mesh.queue import Queue, encode_reading
    from l4mesh_io.store_fs import FileSegments

    queue = Queue(FileSegments(str(folder)), lambda n: bytes(range(n)), Counters(), 64)
    assert queue.open()
    buf = bytearray(128)
    for i in range(count):
        text = b"t=%d" % i
        assert queue.push(buf, encode_reading(buf, 0, text, len(text), bytes(6)))
    return {"queue/" + p.name: p.read_bytes() for p in folder.iterdir()}


def drained(files):
    """The texts of all readings in a queue's files, oldest first."""
    from l4mesh.counters import Counters
    from l4mesh.queue import Queue

    queue = Queue(keep.Segments(files), lambda n: bytes(n), Counters(), 64)
    queue.open()
    texts, buf = [], bytearray(1200)
    while True:
        got = queue.batch(buf, 0, 1200)
        if got is None:
            return texts
        at = 0
        while at < got[2]:
            texts.append(bytes(buf[at + 10 : at + buf[at] + 1]).decode())
            at += buf[at] + 1


def md5_of(flash):
    """The chip's MD5, of bytes in memory."""
    return lambda addr, size: hashlib.md5(flash[addr : addr + size]).hexdigest()


def apply(flash, writes, stop=None):
    """Write to `flash` (bytearray) by sectors, as the stub does; at most `stop` sectors."""
    for w in writes:
        for at in range(0, len(w.data), SECTOR):
            if stop is not None:
                if stop == 0:
                    return
                stop -= 1
            flash[w.addr + at : w.addr + at + SECTOR] = w.data[at : at + SECTOR]
