"""What a chaos run runs: hub, tiers, brokers, boards; the ledger of what was taken; the stream."""

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from l4tools.chaos import mosquitto
from l4tools.chaos.ledger import Ledger, Verdict
from l4tools.chaos.stream import Stream
from l4tools.errors import ToolError
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import MQTT, UPSTREAM
from l4tools.network import Network
from l4tools.upstream.config import tier_config
from l4tools.upstream.process import TierProcess

APP = Path(__file__).parent / "app.py"
MOSQUITTO = "10.77.0.2:1883"  # L2 is its client; the MQTT listener of NATS is L3's
LANS = 2
CONFIG = {"interval_s": 2, "good_s": 5, "ntp": "", "ha": False}


class Stage:
    """`with Stage(folder, boards=20) as s:` all boards have joined. Methods are thread-safe.

    Every third board sends by datagrams alone, the next by NATS's MQTT listener, the next by
    mosquitto where that is installed.
    """

    def __init__(self, folder: Path, boards: int, config: dict | None = None, seed: int = 1):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.ledger = Ledger()
        self.hub = Hub(seed=seed)
        self.network = Network.create("chaos")
        self.tiers: dict[int, TierProcess] = {}
        self.held = {level: threading.RLock() for level in (1, 2, 3)}  # who hurts a tier has it
        self.mosquitto = mosquitto.Mosquitto(folder / "mosquitto") if mosquitto.program() else None
        self.stream: Stream | None = None
        self.names = ["b%02d" % k for k in range(1, boards + 1)]
        self.ways: dict[str, str] = {}
        self._config = {**CONFIG, **(config or {})}
        self.lines: dict[str, list[str]] = {name: [] for name in self.names}
        self.boards = Boards(
            folder / "boards", self.hub, self.network, app=APP,
            on_line=lambda name, text: self.lines[name].append(text), on_event=self._event,
        )  # fmt: skip

    def _event(self, name, what):
        """In the rack's thread. A start is what follows a reset, too."""
        self.ledger.down(name)
        if what.startswith("start") and name in self.boards.rack.boards:
            self.boards.rack.board(name).world.pins.clear()

    # -- life ----------------------------------------------------------------------------------

    def __enter__(self) -> "Stage":
        self.hub.start()
        self.boards.start()
        try:
            if self.mosquitto is not None:
                self.mosquitto.start()
                self.hub.forward(MOSQUITTO, "127.0.0.1:%d" % self.mosquitto.port)
            for level in (1, 2, 3):
                self._make_tier(level)
            self.stream = Stream(self.folder / "l1")
            for k, name in enumerate(self.names):
                self._make_board(k, name)
            for name in self.names:
                self.boards.power_on(name)
            self.boards.wait_joined(self.names, 180)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.hub.close)
            if self.mosquitto is not None:
                stack.callback(self.mosquitto.kill)
            for level in sorted(self.tiers):
                stack.callback(self.tiers[level].stop)
            stack.callback(self.boards.close)
            if self.stream is not None:
                stack.callback(self.stream.close)

    def _make_tier(self, level):
        options = {"mqtt_port": 0} if level == 3 else {}
        if level == 2 and self.mosquitto is not None:
            port = self.mosquitto.port
            options["broker"] = {"host": "127.0.0.1", "port": port, "user": "", "password": ""}
        config = tier_config(
            self.network, level, self.folder / ("l%d" % level),
            {t: a for t, a in UPSTREAM if t < level},
            hub="%s:%d" % self.hub.address, vaddr=dict(map(tuple, UPSTREAM))[level], **options,
        )  # fmt: skip
        log = open(self.folder / ("l%d.log" % level), "a", buffering=1)
        self.tiers[level] = TierProcess(config, lambda line: log.write(line + "\n"))
        self.start_tier(level)

    def _make_board(self, k, name):
        ways = ("udp", "nats", "mosquitto" if self.mosquitto is not None else "udp")
        way = self.ways[name] = ways[k % 3]
        config = dict(self._config)
        if way == "nats":
            config["mqtt"] = MQTT
        elif way == "mosquitto":
            config.update(mqtt=MOSQUITTO, mqtt_user="chaos", mqtt_password="chaos")
        self.boards.add(name, "10.77.%d.%d" % (1 + k % LANS, 11 + k // LANS), config)
        self.ledger.add(name, self.board(name).world)

    def board(self, name: str):
        return self.boards.rack.board(name)

    # -- tiers ---------------------------------------------------------------------------------

    def start_tier(self, level: int) -> None:
        with self.held[level]:
            tier = self.tiers[level].start()
            if tier.ready.get("mqtt"):
                self.hub.forward(MQTT, "127.0.0.1:%d" % tier.ready["mqtt"])

    def cut_tier(self, level: int) -> None:
        """Its machine loses power: nats-server and tier are gone, with no time for anything."""
        self.kill_nats(level)
        self.tiers[level].kill()

    def kill_nats(self, level: int) -> bool:
        """SIGKILL; its tier starts it again. False when there was none to kill."""
        folder = self.folder / ("l%d" % level) / "nats"
        try:
            pid = int((folder / "nats.pid").read_text())
            command = Path("/proc/%d/cmdline" % pid).read_bytes().split(b"\0")
            if os.fsencode(folder.resolve() / "nats.conf") not in command:
                return False
            os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            return False
        return True

    def nats_runs(self, level: int) -> bool:
        """Does the tier's nats-server run, and not as a zombie?"""
        try:
            pid = int((self.folder / ("l%d" % level) / "nats/nats.pid").read_text())
            stat = Path("/proc/%d/stat" % pid).read_text()
        except (OSError, ValueError):
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"

    # -- the end -------------------------------------------------------------------------------

    def heal(self) -> None:
        """Everything that was hurt is well again, whoever did it."""
        self.hub.heal()
        self.hub.configure(loss=0.0)
        for name in self.names:
            self.boards.rack.wifi(name, True)
            self.boards.rack.power_on(name)
        for level, tier in self.tiers.items():
            with self.held[level]:
                if not tier.alive:
                    tier.stop()
                    self.start_tier(level)
        if self.mosquitto is not None and self.mosquitto._process is None:
            self.mosquitto.start()

    def backlog(self) -> int:
        """Readings taken and not seen in the stream."""
        return len(self.ledger.taken() - set(self.stream.seen()))

    def drain(self, seconds: float, tell: Callable[[str], None] = lambda text: None) -> float:
        """No more readings; wait until all are stored: -> how long it took. ToolError: never."""
        self.ledger.quiet()
        start = told = time.monotonic()
        while self.backlog():
            now = time.monotonic()
            if now - told > 5:
                told = now
                tell("still on boards: %s" % self.missing())
            if now - start > seconds:
                raise ToolError(
                    "%d readings were not stored within %d s: %s. Logs are in %s."
                    % (self.backlog(), seconds, self.missing(), self.folder)
                )
            time.sleep(0.1)
        return time.monotonic() - start

    def missing(self) -> dict[str, int]:
        """Board -> how many of its readings are not seen in the stream."""
        seen = set(self.stream.seen())
        left = {n: len(self.ledger.taken(n) - seen) for n in self.names}
        return {n: k for n, k in left.items() if k}

    def judge(self) -> Verdict:
        """By the whole stream, read anew."""
        stored, strange = self.stream.read()
        if strange:
            raise ToolError("The stream holds what no board sent: %s" % strange[:3])
        return self.ledger.judge(stored)

    def rng(self, *about) -> random.Random:
        return random.Random(repr(about))
