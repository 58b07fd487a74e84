"""What must be written to a board, in which order: from what is there and what is wanted. Pure.

What is there is asked by MD5, which the chip computes: a sector that is right already is not
written. The order makes every state in between one that the next run sees for what it is:

    1  the first two blocks of the file system become a mark, if an old one is to be replaced
    2  the application's first sector is wiped, if the application changes
    3  bootloader, partition table, other partitions, the rest of the application
    4  the application's first sector: only now the board boots it
    5  the blocks of the new file system, from the third on
    6  its first two blocks, the newer first: only now it can be mounted

Whoever stops in between leaves a board that does not boot (before 4) or whose file system nobody
takes for one (before 6): MicroPython formats a blank first block, but not one with the mark. What
was in the old file system is on this machine's disk by then (backups.py).
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .firmware import Part
from .partitions import SECTOR

MARK = b"l4 flash has not finished here. Run the same command again.\n"
_COARSE = 16 * SECTOR  # the application is compared in pieces of 64 KiB
FS = "file system"

Md5 = Callable[[int, int], str]


@dataclass(frozen=True)
class Write:
    addr: int
    data: bytes
    what: str


@dataclass
class Plan:
    """`writes` in order. `compared`: bytes that are wanted, most of them often there already."""

    writes: list[Write] = field(default_factory=list)
    compared: int = 0

    @property
    def total(self) -> int:
        return sum(len(w.data) for w in self.writes)

    def rows(self) -> list[dict]:
        """A row for each kind of write, for people and for --dry-run."""
        out: dict[str, dict] = {}
        for w in self.writes:
            row = out.setdefault(w.what, {"what": w.what, "at": w.addr, "writes": 0, "bytes": 0})
            row["at"] = min(row["at"], w.addr)
            row["writes"] += 1
            row["bytes"] += len(w.data)
        return [{**row, "at": "0x%06x" % row["at"]} for row in out.values()]


def mark(job: str) -> bytes:
    """The mark of an unfinished job: two blocks of 4096 bytes."""
    return (MARK + job.encode() + b"\n").ljust(2 * SECTOR, b"\0")


def marked(block: bytes) -> str | None:
    """The job whose mark this is; None: it is no mark."""
    if not block.startswith(MARK):
        return None
    return block[len(MARK) :].split(b"\n")[0].decode("ascii", "replace")


def torn(first: bytes, second: bytes) -> bool:
    """Was the mark being written, or taken away, when a run broke off?"""
    return any(not b.strip(b"\xff") or not b.strip(b"\0") or marked(b) for b in (first, second))


def make(
    parts: Iterable[Part],
    image: bytes | None,
    used: Iterable[int],
    vfs_at: int,
    md5: Md5,
    marks: Iterable[int] = (),
    job: str = "",
) -> Plan:
    """The plan for firmware `parts` and a file system `image`, whose blocks `used` count.

    `image` None: the file system stays as it is. `marks`: where an old one begins that must not
    be taken for whole from the first write on; `job`: what its backup is called.
    """
    plan = Plan()
    firmware = _firmware(plan, parts, md5)
    blocks = [] if image is None else _blocks(plan, image, used, vfs_at, md5)
    if image is None and firmware and marks:
        raise ValueError("a marked file system has to be written again; pass its image")
    if image is not None and (blocks or (firmware and marks)):
        plan.writes += [Write(at, mark(job), "mark") for at in marks]
        rest = [w for w in blocks if w.addr >= vfs_at + 2 * SECTOR]
        plan.writes += firmware + rest + _beginning(image, vfs_at)
    else:
        plan.writes += firmware
    return plan


def _beginning(image: bytes, vfs_at: int) -> list[Write]:
    """Blocks 0 and 1: a pair, of which the one with the higher revision counts."""
    pair = [(int.from_bytes(image[at : at + 4], "little"), at) for at in (0, SECTOR)]
    newer = max(pair)[1] if abs(pair[0][0] - pair[1][0]) < 1 << 31 else min(pair)[1]
    order = (newer, SECTOR - newer)
    return [Write(vfs_at + at, image[at : at + SECTOR], FS) for at in order]


def _firmware(plan: Plan, parts: Iterable[Part], md5: Md5) -> list[Write]:
    before: list[Write] = []
    body: list[Write] = []
    head: list[Write] = []
    for part in parts:
        plan.compared += len(part.data)
        found = differing(part.addr, part.data, md5, _COARSE)
        if not found:
            continue
        if part.name != "app":
            body += [Write(a, d, part.name) for a, d in found]
            continue
        before = [Write(part.addr, b"\xff" * SECTOR, "app wiped")]
        for addr, data in found:
            if addr == part.addr:
                addr, data = addr + SECTOR, data[SECTOR:]
            if data:
                body.append(Write(addr, data, "app"))
        head = [Write(part.addr, part.data[:SECTOR], "app")]
    return before + body + head


def _blocks(plan: Plan, image: bytes, used: Iterable[int], vfs_at: int, md5: Md5) -> list[Write]:
    """What of the used blocks differs; one that crosses the first two is cut there."""
    out = []
    for start, end in _runs(sorted({0, 1, *used})):
        for a, b in ((start, min(end, 2)), (max(start, 2), end)):
            if a < b:
                data = image[a * SECTOR : b * SECTOR]
                plan.compared += len(data)
                found = differing(vfs_at + a * SECTOR, data, md5, SECTOR)
                out += [Write(addr, piece, FS) for addr, piece in found]
    return out


def differing(addr: int, data: bytes, md5: Md5, unit: int) -> list[tuple[int, bytes]]:
    """The stretches of `data` that are not at `addr` yet: whole units, neighbours joined."""
    if not data or md5(addr, len(data)) == hashlib.md5(data).hexdigest():
        return []
    out: list[tuple[int, bytes]] = []
    for at in range(0, len(data), unit):
        piece = data[at : at + unit]
        same = len(data) > unit and md5(addr + at, len(piece)) == hashlib.md5(piece).hexdigest()
        if same:
            continue
        if out and out[-1][0] + len(out[-1][1]) == addr + at:
            out[-1] = (out[-1][0], out[-1][1] + piece)
        else:
            out.append((addr + at, piece))
    return out


def _runs(numbers: list[int]) -> Iterable[tuple[int, int]]:
    """[3, 4, 5, 9] -> (3, 6), (9, 10)."""
    start = end = -1
    for n in numbers:
        if n != end:
            if start >= 0:
                yield start, end
            start = n
        end = n + 1
    if start >= 0:
        yield start, end
