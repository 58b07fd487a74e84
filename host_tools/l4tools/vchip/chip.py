"""VChip: a virtual ESP32 on its dev board. esptool flashes it; what was flashed then runs.

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

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from l4tools.lan.loop import Timer
from l4tools.vboard.board import DEEP_SLEEP, POWER_ON, Board
from l4tools.vboard.rack import Rack
from l4tools.vboard.world import World
from l4tools.vchip.boot import Booted, boot
from l4tools.vchip.chips import BOOT_WATCHDOG, POWERON, SOFTWARE
from l4tools.vchip.chips import DEEP_SLEEP as WAKE
from l4tools.vchip.chips import chip as chip_by_name
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


class VChip:
    """`folder` keeps flash.bin (blank when new), the console's log and the board's stand-ins.

    `hub`: a virtual LAN's (lan/hub.py) or its ControlClient with `hub_address`; None: no network.
    `rack`: one that is shared; the chip makes its own otherwise. `strict`: images for another
    chip or place are refused while they are written; a chip takes them and does not boot.
    All methods may be called from any thread.
    """

    def __init__(
        self,
        chip: str = "esp32",
        flash_size: int = 4 << 20,
        folder: Path | str = "vchip",
        hub=None,
        ip: str = "10.77.1.11",
        *,
        name: str | None = None,
        mac: bytes | None = None,
        hub_address: tuple[str, int] | None = None,
        rack: Rack | None = None,
        heap: int | None = None,
        env: dict[str, str] | None = None,
        strict: bool = False,
        on_line: Callable[[str], None] | None = None,
    ):
        self.chip = chip_by_name(chip)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name or self.folder.name
        self.mac = (
            mac or b"\x02L4" + hashlib.sha256(str(self.folder.resolve()).encode()).digest()[:3]
        )
        self.faults, self.strict = Faults(), strict
        self.nor = Nor(self.folder / "flash.bin", flash_size)
        self.regs = Regs(self.chip, self.nor, self.mac, self._watchdog)
        self.console: deque[str] = deque(maxlen=5000)  # lines, newest last
        self.booted: Booted | None = None
        self._on_line = on_line
        self._news = threading.Condition()
        self._state = "off"
        self._latched = self._forced = self._direct = False
        self._loader: Loader | None = None
        self._timer: Timer | None = None
        self._own_rack = rack is None
        if rack is None:
            rack = Rack(self.folder, hub, hub_address=hub_address)
            rack.run_in_thread()
        self.rack, self._loop = rack, rack.loop
        try:
            self.world: World = ChipWorld(self.nor)
            self.wires = self._loop.call(Wires, self._loop, self.faults, self._input, self._en)
            self.board = self._add(ip, heap, env)
        except BaseException:
            self.close()
            raise

    def _add(self, ip: str, heap: int | None, env: dict[str, str] | None) -> Board:
        env = {"L4_MAC": self.mac.hex(), **(env or {})}
        if self.chip.force_download:
            env["L4_BOOTLOADER"] = "1"
        board = self.rack.add(
            self.name,
            ip,
            heap=heap,
            env=env,
            keep=True,
            chip={
                "flash": self.nor.path,
                "port": self.wires,
                "boot": self._boot,
                "world": self.world,
            },
        )
        before, board._on_line = board._on_line, self._line
        self._line_before = before
        board.on_bootloader = self._force
        return board

    # -- for users -----------------------------------------------------------------------------
    @property
    def state(self) -> str:
        return "run" if self._state == "boot" else self._state

    @property
    def pty(self) -> str:
        """The terminal of its USB port, now; a new one after plug()."""
        return self.wires.path

    def url(self, kind: str) -> str:
        """A pyserial URL: "socket" (bytes only), or "rfc2217" (with DTR and RTS, so that
        esptool's resets work)."""
        return self._loop.call(self.wires.url, kind)

    def power_on(self, boot: bool = False) -> None:
        """`boot`: with BOOT held at that moment, into the download mode."""
        self._loop.call(self._power_on, boot)

    def power_off(self) -> None:
        self._loop.call(self._power_off)

    def reset(self, boot: bool = False) -> None:
        """Press EN (power it on if it was off); with BOOT held when `boot`."""
        self._loop.call(self._press, boot)

    def unplug(self) -> None:
        """Pull the USB cable: power and port are gone at once."""
        self._loop.call(self._unplug)

    def plug(self, boot: bool = False) -> None:
        """Put the cable back: a new port (`pty` changes), and power."""
        self._loop.call(self._plug, boot)

    def read(self, at: int, n: int) -> bytes:
        return self.nor.read(at, n)

    def write(self, at: int, data: bytes) -> None:
        """Put bytes into the flash as a factory does: erased before. The chip should be off."""
        self.nor.erase(at, len(data))
        self.nor.program(at, data)

    def vfs(self) -> bytes:
        """The file system's image, of the newest good boot."""
        return self.nor.read(*self.booted.vfs) if self.booted else b""

    def until(self, text: str, count: int = 1, timeout: float = 30.0) -> str:
        """The `count`-th console line with `text` in it; TimeoutError with the newest lines."""

        def found():
            return [line for line in self.console if text in line]

        with self._news:
            if not self._news.wait_for(lambda: len(found()) >= count, timeout):
                last = "\n".join(list(self.console)[-20:])
                raise TimeoutError("no %r from %s. It said:\n%s" % (text, self.name, last))
            return found()[count - 1]

    def until_state(self, state: str, timeout: float = 30.0) -> None:
        end = time.monotonic() + timeout
        while self.state != state:
            if time.monotonic() > end:
                raise TimeoutError("%s is %s, not %s" % (self.name, self.state, state))
            time.sleep(0.005)

    def close(self) -> None:
        """Power off; the flash stays."""
        if self._own_rack:
            self.rack.close()
        elif hasattr(self, "board"):
            self._loop.call(self._power_off)
            self.rack.remove(self.name)
        if hasattr(self, "wires"):
            self._loop.call(self.wires.close)
        self.nor.close()

    def __enter__(self) -> "VChip":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

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
            self._reset_name = reset
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
            reset = getattr(self, "_reset_name", POWERON)
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

    def _line(self, board: str, text: str):
        with self._news:
            self.console.append(text)
            self._news.notify_all()
        self._line_before(board, text)
        if self._on_line:
            self._on_line(text)
