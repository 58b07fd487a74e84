"""A rack of virtual boards: one loop for all their terminals, sensors and resets.

`python -m l4tools.vboard --folder DIR spec.json` runs a rack and its hub as one process with a
control socket; `Rack` is the same for use inside another program. All methods are thread-safe.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from l4tools.errors import NotFound, ToolError
from l4tools.image import Files, build_image, compile_mpy
from l4tools.lan import addr as A
from l4tools.lan.loop import Loop
from l4tools.vboard.bench_desk import Desk
from l4tools.vboard.board import Board
from l4tools.vboard.settings import UNIX, settings
from l4tools.vboard.world import World


def compile_standins(folder: Path) -> Path:
    """The modules of boards/UNIX as .mpy in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(UNIX.glob("*.py")):
        (folder / (path.stem + ".mpy")).write_bytes(compile_mpy(path, path.name))
    return folder


class Rack:
    """`hub`: a Hub, or a ControlClient of one with `hub_address`. None: boards without network.
    `radio`: address of a simulated Bluetooth radio (radio.broker). None: boards without Bluetooth.

    `on_line(board, text)` gets each console line, `on_event(board, what)` starts, exits, sleeps;
    both are called in the rack's thread.
    """

    def __init__(
        self,
        folder: Path | str,
        hub=None,
        *,
        hub_address: tuple[str, int] | None = None,
        radio: tuple[str, int] | None = None,
        loop: Loop | None = None,
        on_line: Callable[[str, str], None] | None = None,
        on_event: Callable[[str, str], None] | None = None,
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own_loop = loop is None
        self.loop = loop or Loop()
        self._hub = hub
        self._hub_address = hub_address or (hub.address if hub is not None else None)
        self._radio = radio
        self._on_line, self._on_event = on_line, on_event
        self.boards: dict[str, Board] = {}
        self.desk = Desk(self.loop, self._power)
        self._modules = compile_standins(self.folder / "modules")

    # -- life ----------------------------------------------------------------------------------
    def run_in_thread(self) -> "Rack":
        """Serve the boards from a thread of its own, until close()."""
        self.loop.start_thread("rack")
        return self

    def __enter__(self) -> "Rack":
        return self.run_in_thread() if self._own_loop else self

    def __exit__(self, *exc) -> None:
        self.close()

    def close(self) -> None:
        """All power off; every process is gone when this returns."""
        if self._own_loop:
            self.loop.stop()
        self.loop.call(self._close)
        if self._own_loop:
            self.loop.close()

    def _close(self):
        for board in self.boards.values():
            board.close()
        self.desk.close()

    # -- boards --------------------------------------------------------------------------------
    def add(
        self,
        name: str,
        ip: str,
        *,
        image: Path | bytes | None = None,
        config: dict | None = None,
        files: Files | None = None,
        heap: int | None = None,
        env: dict[str, str] | None = None,
        keep: bool = False,
        on: bool = False,
        chip: dict | None = None,
    ) -> Board:
        """Put a board on the rack, off (or `on`).

        Its flash is `image`, or is built of `config` and `files` (default: the project).
        `keep`: use the flash and NVS that the folder has from an earlier run, if any.
        `heap`: bytes for the firmware, without the stand-ins' share.
        `chip`: flash, port, boot and world of a virtual chip (vchip) that the board sits on.
        """
        if name in self.boards:
            raise ToolError("There is a board %r already. Choose another name." % name)
        if any(board.ip == ip for board in self.boards.values()):
            raise ToolError("There is a board at %s already. Choose another address." % ip)
        if A.lan_of(A.pack_ip(ip)) < 1:
            raise ToolError("%s is in no virtual LAN. Use 10.77.LAN.HOST, LAN from 1 on." % ip)
        folder = self.folder / name
        if folder.exists() and not keep:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        flash = folder / "flash.img"
        if chip is None and not flash.exists():
            if image is None:
                image = build_image(None, config, files)
            flash.write_bytes(image if isinstance(image, bytes) else Path(image).read_bytes())
        return self.loop.call(self._add, name, ip, folder, heap, env or {}, on, dict(chip or {}))

    def _add(self, name, ip, folder, heap, env, on, chip):
        radio = settings()["radio"]
        full = {
            "L4_DESK": "%s:%d" % self.desk.address,
            "L4_TX_US": str(radio["tx_us"]),
            "L4_TX_BURST": str(radio["tx_burst"]),
            "MICROPYPATH": str(self._modules),
        }
        if self._hub_address:
            full["L4_HUB"] = "%s:%d" % tuple(self._hub_address)
        if self._radio:
            full["L4_RADIO"] = "%s:%d" % tuple(self._radio)
        full.update(env)
        world = chip.pop("world", None) or World(folder / "nvs.json")
        self.desk.worlds[ip] = world
        board = Board(
            self.loop,
            name,
            ip,
            folder,
            world,
            full,
            heap,
            on_line=self._on_line,
            on_event=self._on_event,
            on_down=self._down,
            **chip,
        )
        self.boards[name] = board
        if on:
            board.power_on()
        return board

    def remove(self, name: str) -> None:
        """Take a board off the rack; its folder stays."""
        board = self.board(name)
        del self.boards[name]
        self.desk.worlds.pop(board.ip, None)
        self.loop.call(board.close)

    def board(self, name: str) -> Board:
        if name not in self.boards:
            known = ", ".join(sorted(self.boards)) or "none"
            raise NotFound("No board %r on this rack. There are: %s." % (name, known))
        return self.boards[name]

    def power_on(self, name: str) -> None:
        self.loop.call(self.board(name).power_on)

    def power_cut(self, name: str) -> None:
        """SIGKILL, now; the board stays off until power_on."""
        self.loop.call(self.board(name).power_cut)

    start = power_on

    def stop(self, name: str, grace: float = 0.5) -> None:
        """Ctrl-C now, and the power off `grace` seconds later: time for a goodbye."""
        board = self.board(name)
        self.loop.call(board.write, b"\x03")
        self.loop.call(self.loop.call_later, grace, board.power_cut)

    def reset(self, name: str) -> None:
        self.loop.call(self.board(name).reset)

    def write(self, name: str, data: bytes) -> None:
        """Type to a board's console."""
        self.loop.call(self.board(name).write, data)

    def wifi(self, name: str, up: bool) -> None:
        """Take a board's access point away, or give it back."""
        self.loop.call(self._wifi, self.board(name), up)

    def _wifi(self, board, up):
        board.world.set_ap(up)
        if self._hub is not None:
            (self._hub.heal if up else self._hub.cut)(what=board.ip)
            if not up:
                self._hub.leave(ip=board.ip)

    def taken(self) -> dict[str, int]:
        """Readings taken by each board's queue, counted by its LED pulses."""
        return {name: board.world.taken for name, board in self.boards.items()}

    def ps(self) -> list[dict]:
        """One dict a board: name, ip, tty, state, pid, starts, taken, cpu_s."""
        return self.loop.call(self._ps)

    def _ps(self):
        return [
            {
                "name": b.name,
                "ip": b.ip,
                "tty": b.tty,
                "state": b.state,
                "pid": b.pid,
                "starts": {str(k): n for k, n in sorted(b.starts.items())},
                "taken": b.world.taken,
                "cpu_s": round(b.cpu_s(), 2),
            }
            for b in self.boards.values()
        ]

    # -- from desk and boards ------------------------------------------------------------------
    def _power(self, ip: str, op: str, value: int):
        for board in self.boards.values():
            if board.ip == ip and board.state == "running":
                if op == "feed":
                    board.feed()
                elif op == "wdt":
                    board.wdt(value)
                elif op == "sleep":
                    board.sleep(value)
                elif op == "bootloader":
                    board.bootloader()
                else:
                    board.reset(value)

    def _down(self, ip: str):
        self.desk.forget(ip)
        if self._hub is not None:
            try:
                self._hub.drop(ip=ip)
            except (ToolError, OSError):
                pass  # the hub went first; it has nothing to forget any more

    # -- control channel -----------------------------------------------------------------------
    def control_ops(self) -> dict[str, Callable]:
        return {
            "ps": self.ps,
            "taken": self.taken,
            "power_on": self.power_on,
            "power_cut": self.power_cut,
            "stop": self.stop,
            "reset": self.reset,
            "wifi": self.wifi,
            "write": lambda name, text: self.write(name, text.encode()),
            "world": lambda name, values: self.board(name).world.set(**values),
            "console": self._console,
        }

    def _console(self, emit, name=None):
        """Stream console lines (of one board, or all) to a control client."""
        before = {}
        for board in [self.board(name)] if name else self.boards.values():
            old = before[board.name] = board._on_line

            def line(who, text, old=old):
                old(who, text)
                emit({"board": who, "line": text})

            board._on_line = line

        def stop():
            for who, old in before.items():
                self.boards[who]._on_line = old

        return stop
