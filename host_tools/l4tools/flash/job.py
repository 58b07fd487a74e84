"""One run of `l4 flash`: look, choose, ask, write, verify. Every step before `_write` only reads.

job = Job(rom, order, network, tell, ask, bar)
job.look(); job.decide(); job.report()       what is there, what would be done
job.write()                                  does it; the board is then started by the caller
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import blelib, boards
from ..errors import Refused, ToolError
from ..frozen import beside, held_after
from ..image import compiled
from ..network import Network
from . import backups, choose, headers, keep, nvs, oldfs, partitions, plan
from .firmware import Firmware, check_chip
from .partitions import SECTOR, TABLE_AT, TABLE_LEN, Place, Row
from .rom import Rom

Bar = Callable[[str, int, int], None]


@dataclass
class Order:
    """What the user asked for."""

    firmware: str = ""  # a file or a URL
    sha256: str = ""
    settings: dict[str, Any] = field(default_factory=dict)  # of --config, then the command line
    app: Path | None = None
    erase: bool = False
    dry_run: bool = False
    ble: bool = False  # aioble may be fetched


@dataclass
class There:
    """What is on the board. `rows` None: no table."""

    rows: list[Row] | None = None
    version: str = ""  # of the MicroPython that would boot
    place: Place | None = None
    network: str = ""  # its id, by the key store or the settings
    fs: oldfs.OldFs = field(default_factory=oldfs.OldFs)


class Job:
    def __init__(
        self,
        rom: Rom,
        order: Order,
        network: Network,
        tell: Callable[[str], None],
        ask: Callable[[str], bool],
        bar: Bar = lambda what, done, total: None,
    ):
        self.rom, self.order, self.network = rom, order, network
        self.tell, self.ask, self.bar = tell, ask, bar
        self.spec = boards.for_chip(rom.chip)
        self.there = There()
        self.firmware: Firmware | None = None  # None: what is on the board stays
        self.place = Place(0, 0)
        self.kept = keep.Kept()
        self.config: dict[str, Any] = {}
        self.image: bytes | None = None  # None: the file system stays as it is
        self.plan = plan.Plan()
        self.backup: backups.Backup | None = None
        self.name = backups.new_name()  # the job's, in mark and backup
        self.notes: list[str] = []

    # -- what is there ---------------------------------------------------------------------------
    def look(self) -> None:
        rom, there = self.rom, self.there
        try:
            there.rows = partitions.parse(rom.read(TABLE_AT, TABLE_LEN))
        except ToolError:
            there.rows = None
        if there.rows:
            self._look_around(there.rows)
        self.backup = backups.find(rom.mac)
        if self.backup and self._broke_off(there.fs):
            there.fs = self.backup.files()
            self.name = self.backup.job
            self._note(
                "An earlier run broke off; the board's files come from the copy in %s."
                % self.backup.folder
            )
        elif there.fs.state == oldfs.MARKED:
            self.backup = None
            self._lost()
        else:
            self.backup = None
        text = there.fs.files.get(keep.CONFIG)
        if not there.network and text:
            there.network = keep.old_config(text)[0].get("network", "")

    def _look_around(self, rows: list[Row]) -> None:
        rom, there = self.rom, self.there
        try:
            slot = partitions.app(rows)
            there.version = headers.micropython(rom.read(slot.offset, 0x100))
            numbers = headers.numbers(there.version) if there.version else None
            there.place = partitions.vfs(rows, rom.flash_size, numbers)
        except ToolError:
            there.place = None
        keys = partitions.nvs(rows)
        if keys and keys.end <= rom.flash_size:
            found = nvs.network_id(rom.read(keys.offset, keys.size))
            there.network = found.hex() if found else ""
        if there.place:
            place = there.place
            self.bar("Reading files", 0, 0)
            there.fs = oldfs.read(rom.block(place.offset), place.blocks)

    def _broke_off(self, fs: oldfs.OldFs) -> bool:
        """Is the file system on the board what a run left that broke off?"""
        if fs.state in (oldfs.NONE, oldfs.BLANK, oldfs.MARKED):
            return (
                fs.state != oldfs.MARKED or self.backup is not None and fs.job == self.backup.job
            )
        return plan.torn(fs.blocks[0], fs.blocks[1])

    def _lost(self) -> None:
        if not self.order.erase:
            self._ask(
                "A run of l4 flash broke off on this board, on another machine or with another "
                "L4_HOME; its files are there. Go on without them?"
            )

    # -- what to do ------------------------------------------------------------------------------
    def decide(self) -> None:
        """Firmware, files, settings, plan. Asks what has to be asked; writes nothing."""
        self._choose_firmware()
        self._check_network()
        self._check_old()
        fs = oldfs.OldFs() if self.order.erase else self.there.fs
        self.kept = keep.of(fs)
        if self.kept.dropped:
            self._note("Settings that this firmware has not: %s." % ", ".join(self.kept.dropped))
        app = self.kept.files.get("app.py")
        if self.order.app:
            app = keep.read_app(self.order.app)
            self.kept.files.pop("app.py", None)
            self.kept.app = False
        self.config = keep.merged(
            self.spec.config(),
            self.kept.config,
            keep.of_network(self.network),
            self.order.settings,
        )
        firmware = self.firmware.app.data if self.firmware else None
        held = held_after(firmware, fs.files, bool(self.there.network))
        base = beside(keep.files(app, self.kept.files), held)
        more = blelib.for_board(
            self.order.ble, self.spec.ble, self.config, self.kept.files, self._note
        )
        base.update(compiled(more))
        same = (
            not self.backup
            and fs.state == oldfs.GOOD
            and not fs.trouble
            and self.there.place == self.place
            and fs.files == keep.wanted(base, self.config, self.kept.files)
        )
        if not same:
            self.image = keep.image(base, self.config, self.kept.files, self.place.blocks)
        if self.order.erase and not self.order.dry_run:
            return  # the plan follows the erasing: it compares with what is there
        self.plan = self._make_plan(self._unlike if self.order.erase else self.rom.md5)

    def _choose_firmware(self) -> None:
        there, rom = self.there, self.rom
        wish = choose.Wish(self.order.firmware, self.order.sha256)
        stays = there.version if there.place and not self.order.erase else ""
        fw = choose.firmware(wish, self.spec, stays, self.bar)
        if fw is None:
            assert there.place is not None  # `stays` was empty otherwise
            self.place = there.place
            return
        check_chip(fw, rom.chip, rom.chip_id, rom.revision)
        self.firmware = fw
        self.place = partitions.vfs(fw.rows, rom.flash_size, fw.numbers)

    def _check_network(self) -> None:
        mine, its = self.network.network_id.hex(), self.there.network
        if its and its != mine and not self.order.erase:
            raise Refused(
                f"This board belongs to another network ({its}, not {mine} of "
                f"{self.network.name}). Pass --network with its own, or --erase to make it a new "
                "board of this one."
            )

    def _check_old(self) -> None:
        fs = self.there.fs
        left = keep.backlog(fs.files)
        if self.order.erase:
            if fs.files or self.there.network:
                # What was delivered meanwhile is known to the running node alone.
                lost = "up to %d reading%s not sent yet will be lost" % (left, "s"[left == 1 :])
                self._ask(
                    "Everything on the board is erased: its identity, keys, settings and files"
                    + ("; %s." % lost if left else ".")
                )
            return
        if fs.state == oldfs.DAMAGED:
            self._ask(
                "The file system on the board is damaged: %s. What can be read of it (%d files, "
                "%d readings) is kept." % (fs.trouble, len(fs.files), left)
            )
        ours = any(p.startswith("lib/l4mesh") for p in fs.files)
        if fs.files.get("main.py") and not ours:
            self._ask("The board runs another program. Its main.py and boot.py are replaced.")

    def _ask(self, question: str) -> None:
        if self.order.dry_run:
            self._note("Would ask: " + question)
        elif not self.ask(question + " Go on?"):
            raise ToolError("Stopped. Nothing was written to the board.")

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.tell(text)

    @staticmethod
    def _unlike(addr: int, size: int) -> str:
        return ""

    def _make_plan(self, md5: plan.Md5) -> plan.Plan:
        image, there = self.image, self.there
        marks: list[int] = []
        if image is not None and not self.order.erase:
            if self.backup or there.fs.state in (oldfs.GOOD, oldfs.DAMAGED):
                old = [there.place.offset] if there.place else []
                marks = sorted({self.place.offset, *old})
        used = oldfs.of_image(image).used if image is not None else []
        parts = self.firmware.parts if self.firmware else []
        return plan.make(parts, image, used, self.place.offset, md5, marks, self.name)

    # -- doing it --------------------------------------------------------------------------------
    def write(self) -> None:
        """Write and verify. What broke off before is mended; the copy on disk goes at the end."""
        if self.order.erase:
            self.bar("Erasing", 0, 0)
            self.rom.erase()
            backup = backups.find(self.rom.mac)
            if backup:
                backup.remove()
            self.plan = self._make_plan(self.rom.md5)
        if not self.plan.writes:
            return
        there = self.there
        old = there.fs.state in (oldfs.GOOD, oldfs.DAMAGED) and not self.order.erase
        if old and not self.backup and self.image is not None and there.place:
            self.backup = backups.save(self.name, self.rom.mac, there.place, there.fs)
        try:
            total = self.plan.total
            self.rom.write(self.plan.writes, lambda n: self.bar("Writing", n, total))
            self._verify()
        except ToolError as e:
            if self.backup:
                raise type(e)(
                    f"{e} The board's old files are in {self.backup.folder} until then."
                ) from e
            raise
        if self.backup:
            self.backup.remove()

    def _verify(self) -> None:
        """The board's own word on what it would go by: its table, and the place of the files."""
        if self.firmware:
            rows = partitions.parse(self.rom.read(TABLE_AT, TABLE_LEN))
            place = partitions.vfs(rows, self.rom.flash_size, self.firmware.numbers)
            if place != self.place:
                raise ToolError(
                    "The partition table on the board is not the firmware's. Run the same command "
                    "again; if it stays, the flash chip is worn out."
                )
        if self.image is not None:
            used = oldfs.of_image(self.image).used
            if plan.make([], self.image, used, self.place.offset, self.rom.md5).writes:
                raise ToolError(
                    "The files on the board are not what was written (MD5). Run the same command "
                    "again; if it stays, the flash chip is worn out."
                )

    # -- saying it -------------------------------------------------------------------------------
    def report(self) -> dict[str, Any]:
        rom, fw = self.rom, self.firmware
        return {
            "port": rom.port.device,
            "board": self.spec.name,
            "chip": rom.description,
            "mac": rom.mac,
            "flash": rom.flash_size,
            "micropython": {
                "version": fw.version if fw else self.there.version,
                "file": fw.source if fw else None,
                "sha256": fw.sha256 if fw else None,
                "was": self.there.version or None,
            },
            "files": {
                "at": "0x%06x" % self.place.offset,
                "blocks": self.place.blocks,
                "were": self.there.fs.state,
                "changed": self.image is not None,
            },
            "kept": self.kept.rows(),
            "settings": keep.public(self.config),
            "network": self.network.name,
            "plan": self.plan.rows(),
            "bytes": {
                "wanted": self.plan.compared,
                "to_write": self.plan.total,
                "written": rom.written,
                "read": rom.read_bytes,
            },
            "notes": self.notes,
        }


def image_seconds() -> float:
    """How long it takes to build a file system: a row of `make bench`."""
    import time

    begun = time.monotonic()
    keep.image(keep.files(), {"name": "bench"}, {}, 2 * (1 << 20) // SECTOR)
    return time.monotonic() - begun
