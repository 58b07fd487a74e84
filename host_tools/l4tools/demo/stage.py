"""What the demo runs: hub, tiers, crowd, boards; and the few verbs its scenes are made of."""

import contextlib
import random
import shutil
import time
from pathlib import Path

from l4tools.demo.show import Show
from l4tools.demo.watch import Watch
from l4tools.errors import ToolError
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.crowd import Crowd
from l4tools.mesh.stored import StoredReadings
from l4tools.mesh.tiers import MQTT, tier_on_hub
from l4tools.network import Network
from l4tools.vboard.settings import settings

LANS = 2
BOARDS = 6
CROWD = 48
RESERVED = 4  # members that only the scenes ask for
FULL_UV = 2_060_000  # at the ADC pin, behind 1:2: 4.12 V
POPULAR = 8  # members that everybody asks for now and then
APP = Path(__file__).parent / "app.py"
# What the demo shortens or raises, and says so in the report; the rules are the shipped ones.
SHORTENED = {
    "judge_s": 3,
    "window_s": 60,
    "jitter_s": 2,
    "interval_s": 2,
    "hello_max_s": 5,
    "lifetime_min": 5,
    "limits": {"id_s": 100, "id_burst": 200, "addr_s": 100, "addr_burst": 200, "global_s": 400,
               "global_burst": 800, "checks_s": 100},
}  # fmt: skip


class Stage:
    def __init__(self, folder: Path):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.watch = Watch()
        self.hub = Hub().start()
        self.network = Network.create("demo")
        self.tiers: dict = {}
        self.crowd: Crowd | None = None
        self.battery_pin = settings()["pins"]["battery"]
        self.boards = Boards(
            folder / "boards", self.hub, self.network, on_line=self.watch.line, app=APP
        ).start()
        self.names: list[str] = []
        self.show = Show(self.watch, self.boards.rack.taken, self.stored_live)
        self._rng = random.Random(3)
        self._background = 0.0
        self.readings: StoredReadings | None = None

    def close(self) -> None:
        """Everything ends, last made first, also when one of them fails to."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.hub.close)
            for level in sorted(self.tiers):
                stack.callback(self.tiers[level].stop)
            for part in (self.readings, self.crowd, self.boards):
                if part is not None:
                    stack.callback(part.close)

    # what is there

    def start_tier(self, level: int) -> None:
        folder = self.folder / ("l%d" % level)
        log = self.folder / ("l%d.log" % level)
        self.tiers[level] = t = tier_on_hub(self.network, level, self.hub.address, folder, log)
        t.start()
        if t.ready.get("mqtt"):
            self.hub.forward(MQTT, "127.0.0.1:%d" % t.ready["mqtt"])

    def prepare(self) -> None:
        for level in (1, 2, 3):
            self.start_tier(level)
        self.readings = StoredReadings(self.folder / "l1")
        self.show.say("L1, L2 and L3 run, each with a store of its own")
        self.crowd = Crowd(self.network, self.hub.address, CROWD)
        end = time.monotonic() + 20
        while self.crowd.joined() < CROWD:
            if time.monotonic() > end:
                raise ToolError("The crowd did not join. Read %s/l1.log." % self.folder)
            time.sleep(0.1)
        self.show.say("%d other members have registered; they are what boards look up" % CROWD)
        for lan in range(1, LANS + 1):
            for k in range(1, BOARDS + 1):
                self._add(lan, k)

    def _add(self, lan, k):
        name = "lan%d-%d" % (lan, k)
        config = dict(SHORTENED, p2p=3)
        if k % 2:  # every other board sends its readings over MQTT
            config.update(mqtt=MQTT, ha=False)  # nobody looks at Home Assistant here
        if name == "lan2-6":
            config["battery_pin"] = self.battery_pin
        self.boards.add(name, "10.77.%d.%d" % (lan, 10 + k), config)
        if name == "lan2-6":
            self.boards.rack.board(name).world.set(adc={self.battery_pin: FULL_UV})
        self.names.append(name)

    def power_on_all(self) -> None:
        for name in self.names:
            self.boards.power_on(name)

    def joined(self) -> int:
        return sum(
            1 for n in self.names
            if n in self.watch.boards and self.watch.boards[n].joined_ms is not None
        )  # fmt: skip

    # verbs of the scenes

    def type(self, name: str, text: str) -> None:
        self.boards.type(name, text)

    def pause(self, seconds: float) -> None:
        """Let time pass; a look-up now and then comes from somewhere."""
        end = time.monotonic() + seconds
        while True:
            self._some_traffic()
            self.show.tick()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.1))

    def _some_traffic(self):
        now = time.monotonic()
        if self.crowd is None or now < self._background or self.joined() < len(self.names):
            return
        self._background = now + 0.5
        # Zipf-like: a few are asked for often.
        k = min(int(self._rng.paretovariate(1.0)), POPULAR)
        self.type(self._rng.choice(self.names), "look " + self.crowd.ids[-k].hex())

    def until(self, condition, seconds: float, otherwise: str) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise ToolError(
                    "%s within %d s. Logs are in %s." % (otherwise, seconds, self.folder)
                )
            self.pause(0.1)

    def look(self, name: str, target: str, seconds: float = 4):
        """Type a look-up at a board and wait for its answer: (status, source, us)."""
        since = len(self.watch.looks)
        self.type(name, "look " + target)
        if not self.watch.wait(lambda: self.watch.answer(name, target, since), seconds):
            raise ToolError("%s gave no answer to a look-up. See %s." % (name, self.folder))
        return self.watch.answer(name, target, since)

    def expect(self, name: str, target: str, source, text: str) -> None:
        """A look-up at `name` must be answered by `source` (or one of them)."""
        self.expect_one((name,), target, source, text)

    def expect_one(self, names, target: str, source, text: str) -> None:
        """One board after the other asks, until `source` was the one that answered."""
        wanted = (source,) if isinstance(source, str) else source
        for name in names:
            status, got, us = self.look(name, target)
            if status == "found" and got in wanted:
                self.show.say("%s <- %s in %.1f ms: %s" % (name, got, us / 1000, text))
                return
        raise ToolError(
            "%s expected an answer from %s and got %s (%s). Logs are in %s."
            % (name, " or ".join(wanted), got, status, self.folder)
        )

    def stop_sensors(self) -> None:
        for n in self.names:
            self.type(n, "quiet")

    def ask_stats(self) -> None:
        for n in self.names:
            self.watch.boards[n].stat = {}
            self.type(n, "stat")
        self.watch.wait(lambda: all(self.watch.boards[n].stat for n in self.names), 3)

    # readings, counted upstream

    def stored_live(self):
        """Stored so far, by the authority's own word; None when it does not say."""
        return self.readings.stored if self.readings is not None else None
