"""Virtual boards that join a network: images, power, keys over the console, and what they say."""

import json
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from l4tools import blelib
from l4tools.errors import ToolError
from l4tools.image import build_image, compiled, project_files, read_image
from l4tools.mesh.tiers import UPSTREAM
from l4tools.network import Network
from l4tools.vboard.rack import Rack
from l4tools.vboard.settings import settings

_KEYLESS = re.compile(r"^L4 UNPROVISIONED ([0-9a-f]{64})$")
_NODE = re.compile(r"^L4 node ([0-9a-f]{32}) epoch (\d+)")


class Boards:
    """`add` puts boards on a rack; each gets its keys the first time it says that it has none,
    typed at its console as a person with `l4 network provision` would do it.

    `ids`: board name -> node id (bytes), once it runs. `on_line(board, text)` sees all lines.
    """

    def __init__(
        self,
        folder: Path,
        hub,
        network: Network,
        *,
        on_line: Callable[[str, str], None] | None = None,
        on_event: Callable[[str, str], None] | None = None,
        app: Path | None = None,
        radio: tuple[str, int] | None = None,
    ):
        """`radio`: address of a simulated Bluetooth radio, which all boards then have."""
        self.network = network
        self.ids: dict[str, bytes] = {}
        self.joined: dict[str, int] = {}  # board -> ms from the node's start
        self._said = threading.Condition()
        self._user_line = on_line
        self._app = app
        self._compiled = None
        self._ble = radio is not None
        heap = settings()["heap"]
        self.heap = int(os.environ.get("L4_HEAP", 0)) or heap["limit"] + heap["ble"] * self._ble
        self._given: set[str] = set()
        self.rack = Rack(folder, hub, on_line=self._line, on_event=on_event, radio=radio)

    def start(self) -> "Boards":
        self.rack.run_in_thread()
        return self

    def close(self) -> None:
        self.rack.close()

    def add(self, name: str, ip: str, config: dict, *, keep: bool = False, heap=None) -> None:
        """A board with our default wiring; `config` goes over it."""
        pins = settings()["pins"]
        full = {
            "name": name,
            "wifi": [["bench", "bench-pass"]],
            "upstream": UPSTREAM,
            "led_pin": pins["led"],
            **config,
        }
        image = build_image(None, full, self._files(), shrink=False, umqtt=False)
        self.rack.add(name, ip, image=image, keep=keep, heap=heap or self.heap)

    def _files(self):
        """The project compiled, once for all boards: only config.json differs."""
        if self._compiled is None:
            files = project_files()
            if self._app is not None:
                files["app.py"] = self._app
            self._compiled = read_image(build_image(None, None, files))
            if self._ble:
                self._compiled.update(compiled(blelib.for_virtual()))
        return self._compiled

    def power_on(self, name: str) -> None:
        self.joined.pop(name, None)
        self.rack.power_on(name)

    def power_cut(self, name: str) -> None:
        self.joined.pop(name, None)
        self.rack.power_cut(name)

    def type(self, name: str, text: str) -> None:
        """One line at a board's console."""
        self.rack.write(name, text.encode() + b"\n")

    def _line(self, name, text):
        m = _KEYLESS.match(text)
        if m and name not in self._given:
            self._given.add(name)
            threading.Thread(target=self._give, args=(name, bytes.fromhex(m[1]))).start()
        m = _NODE.match(text)
        if m:
            self.ids[name] = bytes.fromhex(m[1])
        m = re.match(r"^L4 joined by tier (\d) after (\d+) ms", text)
        with self._said:
            if m:
                self.joined[name] = int(m[2])
            self._said.notify_all()
        if text == "L4 PROVISIONED":
            self.rack.write(name, b"\x04")  # soft reset, as a person would
        if self._user_line:
            self._user_line(name, text)

    def _give(self, name, public):
        keys = json.dumps(self.network.provision(public))
        self.rack.write(name, b"\x03")  # out of what it waits in, to the prompt
        time.sleep(0.3)
        self.rack.write(name, ("import provision; provision.give(%r)\r\n" % keys).encode())

    def wait_joined(self, names, seconds: float) -> None:
        """Until all `names` are registered; says who is missing otherwise."""
        end = time.monotonic() + seconds
        with self._said:
            while True:
                missing = [n for n in names if n not in self.joined]
                left = end - time.monotonic()
                if not missing:
                    return
                if left <= 0:
                    raise ToolError(
                        "%s did not join in %d s. Read the console logs in %s."
                        % (", ".join(missing), seconds, self.rack.folder)
                    )
                self._said.wait(min(left, 0.5))
