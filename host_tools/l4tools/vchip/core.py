"""What a virtual ESP32 does between its resets: loader, stub, boot, and the board that runs.

    state      what it is                                       how it goes on
    off        no power                                         power_on
    held       EN is low: a host pulls RTS                      EN rises: download or boot
    download   the ROM's loader (BOOT was held at the reset)    stub, run (FLASH_END), any reset
    stub       esptool's stub                                   any reset
    run        the virtual board runs from the flash's vfs      machine.bootloader(): download
    failing    nothing to boot: the ROM's text, again and again any reset

BOOT counts at the moment of power-on and of a reset by EN or the boot watchdog only; resets by
software keep what it was then, as on the chip.
"""

from l4tools.lan.loop import Loop, Timer
from l4tools.vboard.board import DEEP_SLEEP, POWER_ON, Board
from l4tools.vchip.boot import Booted, boot
from l4tools.vchip.chips import BOOT_WATCHDOG, POWERON, SOFTWARE, Chip
from l4tools.vchip.chips import DEEP_SLEEP as WAKE
from l4tools.vchip.faults import Faults
from l4tools.vchip.loader import Loader
from l4tools.vchip.nor import Nor
from l4tools.vchip.nvs import ChipWorld
from l4tools.vchip.regs import Regs
from l4tools.vchip.rom import Rom
from l4tools.vchip.stub import Stub
from l4tools.vchip.wires import Wires

_AGAIN_S = 0.4  # a boot that fails is tried again by the watchdog
_RESETS = {POWER_ON: POWERON, DEEP_SLEEP: WAKE}


class Core:
    """The part of VChip that runs in the rack's loop; VChip makes `wires` and `board`."""

    wires: Wires
    board: Board
    world: ChipWorld
    _loop: Loop

    def __init__(self, chip: Chip, nor: Nor, mac: bytes, strict: bool):
        self.chip, self.nor, self.mac, self.strict = chip, nor, mac, strict
        self.faults = Faults()
        self.regs = Regs(chip, nor, mac, self._watchdog)
        self.booted: Booted | None = None
        self._state = "off"
        self._latched = self._forced = self._direct = False
        self._reset = POWERON  # why the chip comes up
        self._loader: Loader | None = None
        self._timer: Timer | None = None

    # -- power and resets ----------------------------------------------------------------------
    def _power_on(self, boot: bool):
        if self._state == "off":
            self._rise(boot)

    def _power_off(self):
        self._stop()
        self._state = "off"

    def _press(self, boot: bool):
        self._stop()
        self._rise(boot)

    def _unplug(self):
        self._power_off()
        self.wires.unplug()

    def _plug(self, boot: bool):
        self.wires.plug()
        self.board.tty = self.wires.path
        self._power_on(boot)

    def _en(self, low: bool, boot: bool):
        """A host pulls EN low, or lets it rise with IO0 low (`boot`)."""
        if self._state == "off":
            return
        if low:
            self._stop()
            self._state = "held"
        elif self._state == "held":
            self._rise(boot)

    def _stop(self):
        """Everything in the chip ends now; RTC memory with it."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._loader = None
        self._forced = False
        self.regs.reset()
        self.wires.patient(False)
        self.board.power_cut()

    def _rise(self, boot: bool, reset: str = POWERON):
        self._latched = boot
        self._come_up(reset)

    def _come_up(self, reset: str):
        if self._latched or self._forced:
            self.board.say(self._download(reset))
        else:
            self._reset = reset
            self._state = "boot"
            self.board.power_on()

    def _watchdog(self, seconds: float):
        self._timer = self._loop.call_later(seconds, self._bitten)

    def _bitten(self):
        self._stop()
        self._rise(False, BOOT_WATCHDOG)

    def _force(self):
        self._forced = True

    # -- what runs -----------------------------------------------------------------------------
    def _boot(self, cause: int) -> tuple[bytes, dict | None]:
        """The board is about to start (any reset but a soft one): ROM and second stage."""
        reset = _RESETS.get(cause, SOFTWARE)
        if cause == POWER_ON:
            reset = self._reset
        direct, self._direct = self._direct, False
        if (self._latched or self._forced) and not direct:
            return self._download(reset), None
        head = b"" if direct else self.chip.banner(reset)
        text, self.booted = boot(self.chip, self.nor)
        said = head + text.replace("\n", "\r\n").encode()
        if self.booted is None:
            self._state = "failing"
            self._timer = self._loop.call_later(_AGAIN_S, self._bitten)
            return said, None
        self._state = "run"
        self.world.find_nvs(self.booted.nvs)
        at, size = self.booted.vfs
        return said, {"L4_FLASH_AT": str(at), "L4_FLASH_SIZE": str(size)}

    def _download(self, reset: str) -> bytes:
        """Into the ROM's loader; what it prints."""
        self._state = "download"
        self.regs.reset()
        self._load(Rom)
        return self.chip.banner(reset, download=True)

    def _load(self, kind: type[Loader]):
        self.wires.patient(True)
        self._loader = kind(
            self.chip,
            self.nor,
            self.regs,
            self.faults,
            self.wires.write,
            self._left,
            self.strict,
        )

    def _left(self, what: str):
        """The ROM's loader has ended."""
        if what == "stub":
            self._state = "stub"
            self._load(Stub)
            self._loader.hello()
            return
        self._loader = None
        self.wires.patient(False)
        if what == "crash":
            self.board.say(b"Fatal exception (0): IllegalInstruction\r\n")
            self._timer = self._loop.call_later(_AGAIN_S, self._bitten)
        elif what == "run":
            self._direct = True
            self._state = "boot"
            self.board.power_on()
        else:
            self._come_up(SOFTWARE)

    # -- the line ------------------------------------------------------------------------------
    def _input(self, data: bytes):
        n, event = self.faults.counted(len(data))
        self._deliver(data[:n])
        if event == "unplug":
            self._unplug()
        elif event == "reset" and self._state != "off":
            self._bitten()

    def _deliver(self, data: bytes):
        if self._loader:
            self._loader.feed(data)
        elif self._state == "run":
            self.board.write(data)
