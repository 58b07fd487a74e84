"""What the tests of updates share: bundles made by hand, a store in RAM, pieces as answers.

Made from docs/ota.md with hashlib and the Ed25519 of lib/, not with the tools' builder, so that a
mistake in both is not a test that passes. Runs on both Pythons.
"""

from hashlib import sha256

from kit import b2, b4
from l4mesh import ed25519, ota_manifest, wire


class N:
    """Why a node wants nothing (docs/protocol.md). Constants of the core are literals in an image,
    so that there is none to import."""

    HAVE, SOON, OLD, BUSY, OWNER, FORM, SIGNATURE = 0, 1, 2, 3, 4, 5, 6
    TARGET, ROOM, HASH, FLASH, EXTRA, LATER, WORK = 7, 8, 9, 10, 11, 12, 13


# Offsets in the state file (docs/ota.md).
ACTIVE, PENDING, TRIES, WHY, SEEN, FLAGS = 4, 5, 6, 7, 8, 16
OWNER = sha256(b"owner of the updates").digest()
PUBLIC = ed25519.public_key(OWNER)
HERE = ("unix", (1, 24), 6)
FILES = {
    "app.mpy": b"A" * 700,
    "lib/l4mesh/core.mpy": bytes(range(256)) * 20,
    "lib/l4mesh/ota.mpy": b"o" * 1024,
    "lib/l4mesh_io/udp.mpy": b"u",
    "supervisor.mpy": b"supervise " * 409,
}


def head(counter, total, count, least=(1, 24), mpy=6, target=b"any", name=b"seven"):
    out = b"L4O\x01" + b4(counter) + b4(total) + bytes(least) + bytes((mpy, count))
    return out + bytes((len(target),)) + target + bytes((len(name),)) + name


def row(path, data, size=None):
    n = len(data) if size is None else size
    return (
        bytes((len(path),))
        + path
        + bytes((n >> 16, n >> 8 & 255, n & 255))
        + sha256(data).digest()
    )


def sign(body, seed=OWNER):
    return body + ed25519.sign(seed, b"l4-ota-v1\x00" + sha256(body).digest())


def bundle(counter=7, files=None, seed=OWNER, real=True, **more):
    """(manifest, all files as one). Not `real`: 64 zero bytes for a signature."""
    rows = sorted((FILES if files is None else files).items())
    data = b"".join([d for _, d in rows])
    body = head(counter, len(data), len(rows), **more)
    for path, d in rows:
        body += row(path.encode(), d)
    return sign(body, seed) if real else body + bytes(64), data


class Said:
    """A signature job that takes some steps and says what it was told to."""

    def __init__(self, answer, steps=3):
        self.answer = answer
        self.steps = steps

    def __call__(self, key, text, sig):
        assert key == PUBLIC and len(sig) == 64 and text[:10] == b"l4-ota-v1\x00"
        self.left = self.steps
        return self

    def step(self):
        self.left -= 1
        return None if self.left else self.answer


class RamSlots:
    """OtaFs without a file system: what it promises, and what goes wrong on demand."""

    def __init__(self, seen=0, active=0):
        self.slots = {1: {}, 2: {}}
        self.counter = seen
        self.on = active
        self.next = 0
        self.flags = None
        self.full = False
        self.broken = False  # appends fail
        self.settled = 0

    def refresh(self):
        pass

    def seen(self):
        return self.counter

    def pending(self):
        return self.next

    def active(self):
        return self.on

    def spare(self):
        return 2 if self.on == 1 else 1

    def mark(self, slot, counter, flags):
        if self.broken:
            return False
        self.next, self.counter, self.flags = slot, counter, flags
        return True

    def manifest(self, slot):
        return bytes(self.slots[slot].get("manifest", b""))

    def begin(self, slot, manifest):
        self.slots[slot]["manifest"] = manifest
        return not self.broken

    def length(self, slot, path):
        return len(self.slots[slot].get(path, b""))

    def append(self, slot, path, data, last):
        if self.broken:
            return False
        assert len(data) <= 1024
        self.slots[slot][path] = self.slots[slot].get(path, b"") + bytes(data)
        return True

    def settle(self):
        self.settled += 1
        return True

    def read(self, slot, path, off, buf):
        if path not in self.slots[slot]:
            return -1
        piece = self.slots[slot][path][off : off + len(buf)]
        buf[: len(piece)] = piece
        return len(piece)

    def remove(self, slot, path):
        self.slots[slot].pop(path, None)

    def walk(self, slot):
        return iter([p for p in self.slots[slot] if p != "manifest"])

    def clear_some(self, slot):
        for path in self.walk(slot):
            self.remove(slot, path)
            return False
        self.slots[slot].clear()
        return True

    def room(self, sizes):
        return not self.full and sum(sizes) < 100000

    def holds(self, slot, manifest, data):
        """Is exactly this bundle in the slot?"""
        want = {"manifest": bytes(manifest)}
        at = 0
        for path, size, _ in ota_manifest.files(manifest):
            want[path] = data[at : at + size]
            at += size
        return self.slots[slot] == want


def offer(manifest, data, source=bytes(8), token=1):
    body = b4(token) + sha256(manifest).digest()[:16] + manifest[4:8] + b2(len(manifest))
    body += b4(len(data)) + source
    return body + bytes(100 - len(body))


def chunk(want, manifest, data, most=1024):
    """The payload that answers a WANT's payload."""
    off = wire.u30(want, 22)
    n = min(wire.u16(want, 26), most)
    of = data if want[20] else manifest
    return want[:4] + bytes((want[20], 0)) + b4(off) + of[off : off + n]
