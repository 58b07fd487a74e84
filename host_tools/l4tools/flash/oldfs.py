"""The file system on a board, read block by block as littlefs asks for it.

Reading two MiB over a serial line takes half a minute, the blocks in use a few seconds. So
littlefs runs here, on a context that fetches a block when it is first needed. The blocks that a
full walk has touched are the used ones; they are also the backup.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from . import plan
from .partitions import SECTOR

NONE, BLANK, MARKED, GOOD, DAMAGED = "none", "blank", "unfinished", "good", "damaged"
_MOST_FILES = 4096

Read = Callable[[int], bytes]


@dataclass
class OldFs:
    """What was found. `trouble`: what could not be read; `blocks`: those that were."""

    state: str = NONE
    files: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[int, bytes] = field(default_factory=dict)
    trouble: str = ""
    job: str = ""  # whose mark it is, if MARKED

    @property
    def used(self) -> list[int]:
        return sorted(self.blocks)

    def image(self, count: int) -> bytes:
        """As it lies in flash, FF where nobody looked."""
        blank = b"\xff" * SECTOR
        return b"".join(self.blocks.get(i, blank) for i in range(count))


class _Fetch:
    """A littlefs context (block device) that reads through `read(block)` and never writes."""

    def __init__(self, read: Read, count: int):
        self._read, self.count = read, count
        self.blocks: dict[int, bytes] = {}
        self.error: Exception | None = None
        self.in_size = count * SECTOR

    def block(self, n: int) -> bytes:
        if n not in self.blocks:
            self.blocks[n] = self._read(n)
        return self.blocks[n]

    def read(self, cfg, block: int, off: int, size: int) -> bytearray:
        # littlefs swallows exceptions of its context: keep the first, then fail at once.
        if self.error is None and block < self.count:
            try:
                return bytearray(self.block(block)[off : off + size])
            except Exception as e:
                self.error = e
        return bytearray(size)

    def prog(self, cfg, block, off, data) -> int:
        return -5

    def erase(self, cfg, block) -> int:
        return -5

    def sync(self, cfg) -> int:
        return 0


def read(read: Read, count: int) -> OldFs:
    """All files of the file system of at most `count` blocks that `read(block)` gives."""
    ctx = _Fetch(read, count)
    head, second = ctx.block(0), ctx.block(1)
    job = plan.marked(head)
    if job is not None:
        return OldFs(MARKED, job=job)
    if not (head + second).strip(b"\xff"):
        return OldFs(BLANK)
    found = _walk(ctx)
    if ctx.error:
        raise ctx.error
    found.blocks = ctx.blocks
    return found


def of_image(image: bytes) -> OldFs:
    """The same of an image in memory: its files, and which blocks it uses."""
    return read(lambda n: image[n * SECTOR : (n + 1) * SECTOR], len(image) // SECTOR)


def _walk(ctx: _Fetch) -> OldFs:
    from littlefs import LittleFS, LittleFSError

    # Block count 0: littlefs takes its own word for it, so that a wrong one is still rescued.
    fs = LittleFS(context=ctx, block_size=SECTOR, block_count=0, mount=False)
    try:
        fs.mount()
    except LittleFSError as e:
        return OldFs(DAMAGED, trouble="it cannot be mounted (%s)" % _short(e))
    out = OldFs(GOOD)
    folders = ["/"]
    bad: list[str] = []
    while folders and len(out.files) + len(bad) < _MOST_FILES:
        folder = folders.pop()
        try:
            entries = list(fs.scandir(folder))
        except LittleFSError:
            bad.append(folder)
            continue
        for entry in entries:
            path = folder.rstrip("/") + "/" + entry.name
            if entry.type == 2:
                folders.append(path)
                continue
            try:
                with fs.open(path, "rb") as f:
                    data = f.read()
                if len(data) != entry.size:
                    raise LittleFSError(-84)
                out.files[path[1:]] = data
            except LittleFSError:
                bad.append(path)
    if fs.block_count != ctx.count:
        out.trouble = f"it is made for {fs.block_count} blocks, the partition has {ctx.count}"
    if bad:
        out.state = DAMAGED
        out.trouble = "%d of its files cannot be read: %s" % (len(bad), ", ".join(bad[:3]))
    return out


def _short(e: Exception) -> str:
    return str(e).replace("LittleFSError ", "littlefs ")
