"""`python -m l4tools.mesh.daemon`: hub, tiers and virtual boards of one mesh, until it is stopped.

Its order is one line of JSON on stdin, since it holds the passphrase: {"name", "network" (file),
"passphrase", "boards", "lans", "heap", "loss", "keep", "ble", "no_wifi"}. Operations of the
control socket: state, stop, cut, heal, power, wifi, console. SIGTERM stops it as `stop` does. If
it is killed, its boards and tiers end with it.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from l4tools.errors import NotFound, ToolError
from l4tools.lan.control import ControlServer
from l4tools.lan.hub import Hub
from l4tools.lan.loop import Loop
from l4tools.mesh.boards import Boards
from l4tools.mesh.heard import Heard
from l4tools.mesh.nearby import MORE_HEAP, place_of, radio_word, without_wifi
from l4tools.mesh.place import Place
from l4tools.mesh.tiers import MQTT, UPSTREAM, tier_on_hub
from l4tools.network import Network

LEVELS = (1, 2, 3)
_GOODBYE_S = 0.4


class Mesh:
    """Everything that runs. `start` in the main thread; operations come from the control loop."""

    def __init__(self, order: dict, place: Place, loop: Loop, stop: threading.Event):
        self.place, self._loop, self._stop = place, loop, stop
        self._order = order
        self.network = Network.load(Path(order["network"]), order.pop("passphrase"))
        self.phase = "starting"
        self.cuts: list[str] = []
        self.tiers: dict = {}
        self.heard: dict[str, Heard] = {}
        self.hub = Hub().start()
        self.boards: Boards | None = None
        self.radio = None  # Bluetooth's
        self.away: set[str] = set()  # boards whose WiFi is out of reach

    # life

    def start(self) -> None:
        order, folder = self._order, self.place.folder
        self._keep_or_clear(order["keep"])
        if order["loss"]:
            self.hub.configure(loss=order["loss"])
        for level in LEVELS:
            if self._stop.is_set():
                return
            self._start_tier(level)
        if order.get("ble"):
            from l4tools.radio.broker import Radio  # bumble comes with it

            self.radio = Radio().start()
        self.boards = Boards(
            folder / "boards",
            self.hub,
            self.network,
            on_line=self._line,
            on_event=self._event,
            radio=self.radio and self.radio.address,
        ).start()
        lans = order["lans"]
        for lan, place in sorted((k % lans + 1, k // lans + 1) for k in range(order["boards"])):
            name = "lan%d-%d" % (lan, place)
            self.heard[name] = Heard()
            ip = "10.77.%d.%d" % (lan, 10 + place)
            heap = order["heap"] or self.boards.heap + (MORE_HEAP if self.radio else 0)
            self.boards.add(name, ip, {}, keep=order["keep"], heap=heap)
            if self.radio is not None:
                self.radio.place(ip, *place_of(ip))
        for name in without_wifi(list(self.heard), order.get("no_wifi", 0)):
            self.wifi(name, False)
        for name in self.heard:
            if self._stop.is_set():
                return
            self.boards.power_on(name)
        self.phase = "up"

    def _keep_or_clear(self, keep):
        """Stores and flash of an earlier run: used again, or removed."""
        folder = self.place.folder
        net = self.network.network_id.hex()
        kept = self.place.read("kept.json").get("network")
        if keep and kept not in (None, net):
            raise ToolError(
                "What was kept of the mesh %s belongs to another network. Start it without --keep."
                % self.place.name
            )
        for name in [] if keep else ["boards", "l1", "l2", "l3"]:
            shutil.rmtree(folder / name, ignore_errors=True)
        for level in LEVELS:
            (folder / ("l%d.log" % level)).unlink(missing_ok=True)
        self.place.write("kept.json", {"network": net})

    def _start_tier(self, level):
        folder = self.place.folder / ("l%d" % level)
        log = self.place.folder / ("l%d.log" % level)
        self.tiers[level] = t = tier_on_hub(self.network, level, self.hub.address, folder, log)
        t.start()
        if t.ready.get("mqtt"):
            self.hub.forward(MQTT, "127.0.0.1:%d" % t.ready["mqtt"])

    def close(self) -> None:
        """Boards may say goodbye; then tiers from the edge to the authority; then the hub."""
        self.phase = "stopping"
        if self.boards is not None:
            on = [b["name"] for b in self.boards.rack.ps() if b["state"] == "running"]
            for name in on:
                self.boards.rack.stop(name, _GOODBYE_S)
            if on:
                time.sleep(_GOODBYE_S)
            self.boards.close()
        for level in sorted(self.tiers, reverse=True):
            self.tiers[level].stop()
        if self.radio is not None:
            self.radio.close()
        self.hub.close()

    # from the boards, in the rack's thread

    def _line(self, board, text):
        self.heard[board].line(text)

    def _event(self, board, what):
        if what == "power cut":
            self.heard[board].off()

    # operations

    def ops(self) -> dict:
        return {
            "state": self.state,
            "stop": self.stop,
            "cut": self.cut,
            "heal": self.heal,
            "power": self.power,
            "wifi": self.wifi,
            "console": self.console,
        }

    def state(self) -> dict:
        """What is seen from outside, and what each board says of itself."""
        energy = self.radio.energy() if self.radio is not None else {}
        return {
            "name": self.place.name,
            "network": self.network.network_id.hex(),
            "phase": self.phase,
            "pid": os.getpid(),
            "hub": "%s:%d" % self.hub.address,
            "upstream": {str(t): a for t, a in UPSTREAM},
            "cuts": self.cuts,
            "tiers": [self._tier(level) for level in list(self.tiers)],
            "boards": [self._board(b, energy) for b in self._ps()],
            "traffic": self.hub.stats()["fate"],
        }

    def _ps(self):
        return self.boards.rack.ps() if self.boards is not None else []

    def _tier(self, level):
        t = self.tiers[level]
        return {
            "name": "l%d" % level,
            "node": self.network.tier_id(level).hex(),
            "address": dict(UPSTREAM)[level],
            "state": "running" if t.alive else "ended",
            "pid": t.pid,
            "nats_pid": t.ready.get("nats_pid"),
            "log": str(self.place.folder / ("l%d.log" % level)),
        }

    def _board(self, b, energy=None):
        word = self.heard[b["name"]].word()
        return {
            "name": b["name"],
            "node": word.pop("node"),
            "address": b["ip"] + ":4104",
            "state": b["state"],
            "wifi": b["name"] not in self.away,
            "bluetooth": radio_word((energy or {}).get(b["ip"])),
            **word,
            "taken": b["taken"],
            "starts": sum(b["starts"].values()),
            "cpu_s": b["cpu_s"],
            "pid": b["pid"],
            "tty": b["tty"],
        }

    def stop(self) -> dict:
        """What is about to be stopped."""
        state = self.state()
        self._stop.set()
        return state

    def _where(self, what):
        """A board may be cut by its name."""
        for b in self._ps():
            if b["name"] == what:
                return b["ip"]
        lans = sorted({b["ip"].split(".")[2] for b in self._ps()})
        for part in what.split("-", 1):
            if part.startswith("lan:") and part[4:] not in lans:
                known = ", ".join("lan:" + n for n in lans)
                raise NotFound("There is no %s here. There are: %s." % (part, known))
        return what

    def cut(self, what: str) -> list:
        what = what.lower()
        self.hub.cut(self._where(what))
        if what not in self.cuts:
            self.cuts.append(what)
        return self.cuts

    def heal(self, what: str | None = None) -> list:
        if what is None:
            self.hub.heal()
            self.cuts.clear()
        elif (what := what.lower()) not in self.cuts:
            raise NotFound("%s is not cut. Cut are: %s." % (what, ", ".join(self.cuts) or "none"))
        else:
            self.hub.heal(self._where(what))
            self.cuts.remove(what)
        return self.cuts

    def power(self, name: str, on: bool) -> dict:
        self._known(name)
        (self.boards.power_on if on else self.boards.power_cut)(name)
        return next(self._board(b) for b in self._ps() if b["name"] == name)

    def wifi(self, name: str, on: bool) -> dict:
        """Its access point comes into reach, or goes out of it."""
        self._known(name)
        self.boards.rack.wifi(name, on)
        (self.away.discard if on else self.away.add)(name)
        return next(self._board(b) for b in self._ps() if b["name"] == name)

    def _known(self, name):
        if name not in self.heard:
            raise NotFound(
                "There is no board %s. There are: %s." % (name, ", ".join(self.heard) or "none")
            )
        return self.heard[name]

    def console(self, emit, name: str, lines: int = 0):
        """The newest lines (at most `lines`, 0: all that are kept), then each new one. The board
        speaks in another thread."""
        heard = self._known(name)

        def listener(text):
            self._loop.post(emit, {"line": text})

        for text in list(heard.lines)[-lines:]:
            listener(text)
        heard.listeners.append(listener)
        return lambda: heard.listeners.remove(listener)


def main() -> int:
    order = json.loads(sys.stdin.readline())
    place = Place(order["name"])
    stop = threading.Event()
    loop = Loop()
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Not stop.set() here: the handler may have interrupted stop.wait() with its lock held.
        signal.signal(sig, lambda *_: loop.post(stop.set))
    control = mesh = None
    failed = ""
    try:
        place.make()
        place.take()
        (place.folder / "state.json").unlink(missing_ok=True)
        mesh = Mesh(order, place, loop, stop)
        control = ControlServer(loop, place.socket(), mesh.ops())
        place.write("state.json", {"pid": os.getpid(), "control": control.path})
        loop.start_thread("control")
        mesh.start()
        stop.wait()
    except (ToolError, OSError) as e:
        failed = str(e)
        print(failed, flush=True)
    finally:
        if mesh is not None:
            mesh.close()
        loop.close()
        if control is not None:
            control.close()
            if Path(control.path).parent != place.folder:
                os.rmdir(Path(control.path).parent)
            (place.folder / "state.json").unlink(missing_ok=True)
    if failed and place.held:
        place.write("state.json", {"failed": failed})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
