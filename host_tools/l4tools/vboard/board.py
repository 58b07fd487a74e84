"""The supervisor of one virtual board: what the chip, its ROM and its power supply do.

A process that ends by itself is a soft reset (Ctrl-D, sys.exit); one that dies of a signal is a
panic. Reset, deep sleep and the watchdog are asked of the desk, outside the process, and end in
SIGKILL: as on the chip nothing runs after them. Reset causes are machine's: 1 power on, 2 hard or
panic, 3 watchdog, 4 deep sleep, 5 soft.

    state      becomes    when
    off        running    power_on
    running    running    soft reset, reset, watchdog, panic
    running    sleeping   machine.deepsleep(ms)
    sleeping   running    the time is over, or reset()
    any        off        power_cut
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from l4tools.lan.loop import Loop, Timer
from l4tools.vboard.child import Child
from l4tools.vboard.console import HostPort, Lines
from l4tools.vboard.settings import settings
from l4tools.vboard.world import World

POWER_ON, HARD, WATCHDOG, DEEP_SLEEP, SOFT = 1, 2, 3, 4, 5
_ROM = {
    POWER_ON: b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n",
    HARD: b"rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n",
    WATCHDOG: b"rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n",
    DEEP_SLEEP: b"rst:0x5 (DEEPSLEEP_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n",
}
_RAW = b"raw REPL; CTRL-B to exit"
_BANNER = b"MicroPython "
_SHORT_RUN_S = 0.15  # runs shorter than this, several in a row, are slowed down


class Board:
    """Made by Rack.add. `tty` is what mpremote connects to; `world` its surroundings."""

    def __init__(
        self,
        loop: Loop,
        name: str,
        ip: str,
        folder: Path,
        world: World,
        env: dict[str, str],
        heap: int | None = None,
        on_line: Callable[[str, str], None] | None = None,
        on_event: Callable[[str, str], None] | None = None,
        on_down: Callable[[str], None] | None = None,
        flash: Path | None = None,
        port=None,
        boot: Callable[[int], tuple[bytes, dict | None]] | None = None,
    ):
        """`port`: a serial line like HostPort's, made elsewhere. `boot(cause)` -> (what the ROM
        prints, environment of this run, or None: nothing to run, and the board is off).
        """
        self.name, self.ip, self.folder, self.world = name, ip, folder, world
        self.flash = flash or folder / "flash.img"
        self.romfs = folder / "romfs.img"  # there: firmware of the variant romfs
        self.heap = heap or settings()["heap"]["limit"]
        self.state = "off"
        self.starts: Counter = Counter()  # by reset cause
        self._loop, self._env = loop, env
        self._on_line = on_line or (lambda board, line: None)
        self._on_event = on_event or (lambda board, what: None)
        self._on_down = on_down or (lambda ip: None)
        self._port = port or HostPort(loop, self.write)
        self._boot = boot
        self._booted: dict[str, str] = {}
        self.on_bootloader: Callable[[], None] | None = None
        self.tty = self._port.path
        self._log = open(folder / "console.log", "a", encoding="utf-8", buffering=1)
        self._lines = Lines(self._line)
        self._child: Child | None = None
        self._raw = self._ctrl_b = False
        self._held: bytes | None = None
        self._tail = b""
        self._next: tuple = (SOFT, 0)  # cause of the next start, ms until then
        self._timer: Timer | None = None
        self._wdt: Timer | None = None
        self._wdt_ms = 0
        self._short_runs = 0

    # -- power and resets -----------------------------------------------------------------------
    def power_on(self) -> None:
        if self.state == "off":
            self._start(POWER_ON)

    def power_cut(self) -> None:
        """Everything stops at this instant; RTC memory is lost, flash and NVS are not."""
        self.state = "off"
        self._cancel()
        self.world.lost_power()
        self._drop_child()

    def reset(self, cause: int = HARD, after_ms: int = 0) -> None:
        """Pull the reset line. With `after_ms` the board sleeps until then (0 < ms)."""
        if self.state == "off":
            return
        self._cancel()
        self.world.hard_reset()
        self._next = (cause, after_ms)
        if self.state == "sleeping":
            self._again()
        elif self._child:
            self._child.kill()

    def sleep(self, ms: int) -> None:
        """machine.deepsleep(ms); 0 = until somebody resets it."""
        self.reset(DEEP_SLEEP, ms or 10**12)

    def bootloader(self) -> None:
        """machine.bootloader(): a reset that ends in the ROM's loader, where there is one."""
        if self.on_bootloader:
            self.on_bootloader()
        self.reset()

    def wdt(self, ms: int) -> None:
        self._wdt_ms = ms
        self.feed()

    def feed(self) -> None:
        if self._wdt:
            self._wdt.cancel()
        if self._wdt_ms and self.state == "running":
            self._wdt = self._loop.call_later(self._wdt_ms / 1000, self._bite)

    def _bite(self):
        self.say(b"E (task_wdt): Task watchdog got triggered.\r\n")
        self.reset(WATCHDOG)

    def _cancel(self):
        self._wdt_ms = 0
        for timer in (self._timer, self._wdt):
            if timer:
                timer.cancel()
        self._timer = self._wdt = None

    def _drop_child(self):
        """Gone when this returns, without a last word."""
        if self._child:
            child, self._child, self._held = self._child, None, None
            child.destroy()
            self._on_down(self.ip)
            self._on_event(self.name, "power cut")

    def close(self) -> None:
        self.state = "off"
        self._cancel()
        self._drop_child()
        self._port.close()
        self._log.close()

    # -- the process ----------------------------------------------------------------------------
    def _start(self, cause: int):
        self.state = "running"
        self._next = (SOFT, 0)
        self._tail = b""
        if cause != SOFT:
            self._raw = self._ctrl_b = False
            text, booted = self._boot(cause) if self._boot else (_ROM[cause], {})
            self.say(text)
            if booted is None:
                self.state = "off"
                return
            self._booted = booted
        self.starts[cause] += 1
        env = dict(self._env, L4_CAUSE=str(cause), L4_FLASH=str(self.flash), L4_IP=self.ip)
        env.update(self._booted)
        if self._raw:
            env["L4_RAW"] = "1"
        total = self.heap + settings()["heap"]["standins"]
        if env.get("L4_RADIO"):
            total += settings()["heap"]["bluetooth"]
        if self.romfs.exists():
            env["L4_ROM"] = str(self.romfs)
            total += self.romfs.stat().st_size  # flash on a chip, a block of the heap here
        args = ["-X", "heapsize=%d" % total, "-c", "import _boot"]
        self._child = Child(self._loop, args, env, self._output, self._exited)
        self._held = b"" if self._raw else None
        if self._raw:
            self._child.write(b"\x01")
        self._on_event(self.name, "start %d" % cause)

    def _exited(self, code: int):
        ran = time.monotonic() - self._child.started
        self._child = None
        if self._held:
            self.say(self._held)
        self._held = None
        self._on_down(self.ip)
        self._on_event(self.name, "exit %d" % code)
        if self._next[0] == SOFT:
            self.world.soft_reset()
            if code < 0:  # died of a signal that nobody here sent: the chip would panic
                self.say(b"Guru Meditation Error: Core  0 panic'ed (signal %d).\r\n" % -code)
                self.world.hard_reset()
                self._next = (HARD, 0)
            else:
                self.say(b"MPY: soft reboot\r\n")
        self._short_runs = self._short_runs + 1 if ran < _SHORT_RUN_S else 0
        self._again()

    def _again(self):
        cause, ms = self._next
        if ms:
            self.state = "sleeping"
            self._next = (cause, 0)
            self._on_event(self.name, "sleep")
        elif self._short_runs > 3:
            ms = min(1000, 50 * self._short_runs)
        if ms:
            self._timer = self._loop.call_later(ms / 1000, self._start, cause)
        else:
            self._start(cause)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def cpu_s(self) -> float:
        return self._child.cpu_s() if self._child else 0.0

    # -- the serial line ------------------------------------------------------------------------
    def write(self, data: bytes) -> None:
        """Type to the board, as its terminal does."""
        if b"\x02" in data:
            self._ctrl_b = True
        if self._child:
            self._child.write(data)

    def _output(self, data: bytes):
        """From the process: follow the REPL's mode, hide the banner that raw mode replaced."""
        if self._held is not None:
            held = self._held + data
            end = held.find(_RAW)
            start = self._banner(held)
            if end < 0:
                keep = len(held) if start < 0 else start
                keep = max(0, keep - len(_BANNER)) if start < 0 else keep
                data, self._held = held[:keep], held[keep:]
            else:
                data = (held[:start] if 0 <= start < end else b"") + held[end:]
                self._held = None
        self._tail = (self._tail + data)[-max(64, len(data)) :]
        if _RAW in self._tail:
            self._raw, self._ctrl_b = True, False
            self._tail = self._tail.rpartition(_RAW)[2]
        if self._ctrl_b and self._tail.endswith(b">>> "):
            self._raw = self._ctrl_b = False
        self._tail = self._tail[-64:]
        self.say(data)

    def _banner(self, held: bytes) -> int:
        """Where the banner starts: it begins a line."""
        at = held.find(_BANNER)
        while at >= 0:
            if (held[at - 1 : at] if at else self._tail[-1:]) in (b"", b"\n"):
                return at
            at = held.find(_BANNER, at + 1)
        return -1

    def say(self, data: bytes):
        self._port.write(data)
        if not self._raw:
            self._lines.feed(data)

    def _line(self, text: str):
        self._log.write(text + "\n")
        self._on_line(self.name, text)
