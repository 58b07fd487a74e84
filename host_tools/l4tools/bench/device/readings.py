"""What a reading costs: `readings.py N` takes N of them on littlefs over a flash that counts.

Each is flushed before the next, as a board does it; then they leave as batches, sealed and tagged,
and each batch is acknowledged. For the ratio, the same bytes are appended to one file with plain
littlefs, a flush each.
"""

import gc
import os
import sys
import time

import bed
import vfs
from l4mesh.counters import Counters
from l4mesh.prng import XorShift
from l4mesh.queue import Queue, encode_reading
from l4mesh.sync import Sync
from l4mesh_io.store_fs import FileSegments

_BLOCK = 4096
_BLOCKS = 128
_OFF = 28


class Flash:
    """A flash in RAM; counts what is written to it, and erases."""

    def __init__(self):
        self.data = bytearray(b"\xff" * (_BLOCK * _BLOCKS))
        self.view = memoryview(self.data)
        self.blank = b"\xff" * _BLOCK
        self.written = self.erases = 0

    def readblocks(self, n, buf, off=0):
        at = n * _BLOCK + off
        buf[:] = self.view[at : at + len(buf)]

    def writeblocks(self, n, buf, off=0):
        at = n * _BLOCK + off
        self.view[at : at + len(buf)] = buf
        self.written += len(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return _BLOCKS
        if op == 5:
            return _BLOCK
        if op == 6:
            self.view[arg * _BLOCK : (arg + 1) * _BLOCK] = self.blank
            self.erases += 1
        return 0


def mounted():
    flash = Flash()
    vfs.VfsLfs2.mkfs(flash, readsize=32, progsize=32, lookahead=32)
    vfs.mount(vfs.VfsLfs2(flash, readsize=32, progsize=32, lookahead=32, mtime=True), "/flash")
    os.mkdir("/flash/queue")
    flash.written = flash.erases = 0
    return flash


def entropy(n):
    return bytes(range(7, 7 + n))


def main(n):
    one = bytearray(128)
    text = b"temperature=21.48 C"
    size = encode_reading(one, 0, text, len(text), bytes(6))
    flash = mounted()
    q = Queue(FileSegments("/flash/queue"), entropy, Counters(), 64)
    q.open()
    gc.collect()
    t = time.ticks_us()
    for _ in range(n):
        if not q.push(one, size):
            raise ValueError("a reading was not taken")
    taken = time.ticks_diff(time.ticks_us(), t)
    written, erases = flash.written, flash.erases

    buf = bytearray(1200)
    waiting = []
    batches = 0

    def send(b, n, now):
        waiting.append((bytes(b[_OFF + 24 : _OFF + 28]), b[_OFF + 28]))
        return True

    sync = Sync(q, send, Counters(), XorShift(3), bytes(16), buf, _OFF)
    now = 0
    t = time.ticks_us()
    while q.pending:
        sync.poll(now)
        if not waiting:
            raise ValueError("nothing leaves")
        first, count = waiting.pop(0)
        batches += 1
        first = int.from_bytes(first, "big")
        ack = bytes(16) + q.id + b"\0\1" + first.to_bytes(4, "big")
        ack += (first + count - 1).to_bytes(4, "big")
        now += 20
        sync.on_ack(ack, 0, len(ack), now)
    drained = time.ticks_diff(time.ticks_us(), t)
    vfs.umount("/flash")

    mounted()
    f = open("/flash/plain", "ab")
    t = time.ticks_us()
    for _ in range(n):
        f.write(memoryview(one)[:size])
        f.flush()
    plain = time.ticks_diff(time.ticks_us(), t)
    f.close()
    bed.say(
        {
            "taken_us": taken, "drained_us": drained, "plain_us": plain, "batches": batches,
            "queue_bytes": q.bytes_written, "reading_bytes": size, "flash_bytes": written,
            "erases": erases, "n": n, "block": _BLOCK,
        }
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]))
