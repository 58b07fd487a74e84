"""VChip: a virtual ESP32 on its dev board. esptool flashes it; what was flashed then runs."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from l4tools.vboard.board import Board
from l4tools.vboard.rack import Rack
from l4tools.vchip.chips import chip as chip_by_name
from l4tools.vchip.core import Core
from l4tools.vchip.nor import Nor
from l4tools.vchip.nvs import ChipWorld
from l4tools.vchip.wires import Wires


class VChip(Core):
    """`folder` keeps flash.bin (blank when new), the console's log and the board's stand-ins.

    `hub`: a virtual LAN's (lan/hub.py) or its ControlClient with `hub_address`; None: no network.
    `rack`: one that is shared; the chip makes its own otherwise. (Power goes by these methods,
    not the rack's.) `strict`: images for another chip or place are refused while they are
    written; a chip takes them and does not boot. All methods may be called from any thread.
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
        kind = chip_by_name(chip)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name or self.folder.name
        place = hashlib.sha256(str(self.folder.resolve()).encode()).digest()
        nor = Nor(self.folder / "flash.bin", flash_size)
        super().__init__(kind, nor, mac or b"\x02L4" + place[:3], strict)
        self._console: deque[str] = deque(maxlen=5000)
        self._on_line = on_line
        self._news = threading.Condition()
        self._own_rack = rack is None
        if rack is None:
            rack = Rack(self.folder, hub, hub_address=hub_address)
            rack.run_in_thread()
        self.rack, self._loop = rack, rack.loop
        try:
            self.world = ChipWorld(self.nor)
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
    def console(self) -> list[str]:
        """The lines of its console so far, newest last."""
        with self._news:
            return list(self._console)

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
            return [line for line in self._console if text in line]

        with self._news:
            if not self._news.wait_for(lambda: len(found()) >= count, timeout):
                last = "\n".join(list(self._console)[-20:])
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

    def _line(self, board: str, text: str):
        with self._news:
            self._console.append(text)
            self._news.notify_all()
        self._line_before(board, text)
        if self._on_line:
            self._on_line(text)
