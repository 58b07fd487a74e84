"""After the writing: the board starts, gets its keys, and is followed until it is in the mesh.

All of it is read from the console: `L4 UNPROVISIONED <key>` (it has made its identity and needs
keys), `L4 WiFi <name>: <trouble>`, `L4 node <id>`, `L4 joined by tier N`. Keys go over the raw
REPL, which echoes nothing.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import Refused, ToolError, Unavailable
from ..network import Network
from ..usb import ports, symptoms
from ..usb.ports import Port
from ..usb.repl import Repl

_PORT_S = 15.0
_KEYLESS = re.compile(r"L4 UNPROVISIONED ([0-9a-f]{64})")
_NODE = re.compile(r"L4 node ([0-9a-f]{32}) epoch (\d+)")
_JOINED = re.compile(r"L4 joined by tier (\d) after (\d+) ms")
_MODE = re.compile(r"L4 mode \w+ -> (\w+)")
_NEAR = re.compile(r"L4 neighbour ([0-9a-f]+) at")
_GONE = re.compile(r"L4 neighbour ([0-9a-f]+) is gone")
_WIFI = re.compile(r"L4 WiFi (.+): (wrong password|no such network|no connection|refused.*)")
_CONFIG = re.compile(r"L4 (config\.json: .+|There is no config\.json.+)")
_REFUSED = re.compile(r"L4 tier (\d) refused this node: (.*)")
_WHICH = (
    "import provision as _p\n_n = _p.open_store().load('network')\n"
    "print('' if _n is None else ''.join('%02x' % b for b in _n))"
)


@dataclass
class Joined:
    """What the board said. `seconds`: from the restart until a tier had taken it."""

    node: str = ""
    provisioned: bool = False  # in this run
    tier: int = 0
    seconds: float | None = None
    mode: str = ""
    neighbours: set[str] = field(default_factory=set)
    wifi: str = ""

    def row(self) -> dict[str, Any]:
        return {**asdict(self), "neighbours": len(self.neighbours)}


def sentence(row: dict[str, Any]) -> str:
    """The last line of `l4 flash`."""
    if row["seconds"] is None:
        return f"node {row['node'][:8]} has started"
    more = [f"{row['mode']} mode"] if row["mode"] else []
    n = row["neighbours"]
    more.append("%d neighbour%s" % (n, "" if n == 1 else "s"))
    return f"node {row['node'][:8]} joined in {row['seconds']:.1f} s, {', '.join(more)}"


def find_again(port: Port, wait: float = _PORT_S) -> Port:
    """The board's port after its restart: an S3 comes back as another USB device."""
    if port.is_pty or port.is_url:
        return port
    end = time.monotonic() + wait
    while True:
        try:
            there = ports.every()
            same = [p for p in there if port.serial and p.serial == port.serial]
            here = [p for p in there if p.device == port.device]
            found = same or here or (ports.boards() if len(ports.boards()) == 1 else [])
            if found:
                return found[0]
        except OSError:
            pass  # the list changes while it is read
        if time.monotonic() >= end:
            raise Unavailable(
                f"The board did not come back on USB after its restart (it was {port.device}). "
                "Unplug it, plug it in again and run the same command: nothing is written twice."
            )
        time.sleep(0.2)


def console(port: Port, wait: float = 5.0) -> Repl:
    """The board's console. Just after a restart another program may look at the port, too."""
    end = time.monotonic() + wait
    while True:
        try:
            return Repl(find_again(port))
        except ToolError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.1)


class Following:
    """A board's console from its start on."""

    def __init__(self, repl: Repl, network: Network, tell: Callable[[str], None]):
        self.repl, self.network, self.tell = repl, network, tell
        self.got = Joined()
        self._begun = time.monotonic()
        self._tail: list[str] = []

    def until_joined(self, wait: float, join: bool = True) -> Joined:
        """Give keys if they are needed; until a tier has taken the node, or `wait` is over.

        `join` False: until the node runs. ToolError: what keeps it from joining.
        """
        end = time.monotonic() + wait
        while time.monotonic() < end:
            for line in self.repl.lines(max(0.1, end - time.monotonic())):
                what = self._hear(line)
                if what == "keyless":
                    break  # leave the console for the REPL, then listen again
                if what == "joined" or (what == "node" and not join):
                    self._listen_on(1.0)
                    return self.got
        raise self._late(wait)

    def _listen_on(self, seconds: float) -> None:
        for line in self.repl.lines(seconds):
            self._hear(line)

    def _hear(self, line: str) -> str:
        got = self.got
        self._tail = [*self._tail[-20:], line]
        if m := _KEYLESS.search(line):
            if not got.provisioned:
                self._give(bytes.fromhex(m[1]))
                return "keyless"
        elif m := _NODE.search(line):
            got.node = m[1]
            return "node"
        elif m := _JOINED.search(line):
            got.tier, got.seconds = int(m[1]), time.monotonic() - self._begun
            return "joined"
        elif m := _MODE.search(line):
            got.mode = m[1]
        elif m := _NEAR.search(line):
            got.neighbours.add(m[1])
        elif m := _GONE.search(line):
            got.neighbours.discard(m[1])
        elif m := _WIFI.search(line):
            self._wifi(m[1], m[2])
        elif m := _CONFIG.search(line):
            raise ToolError(
                f"The board refuses its settings: {m[1]} Correct it with --config or the options, "
                "and run l4 flash again."
            )
        elif m := _REFUSED.search(line):
            raise Refused(
                f"Tier {m[1]} refused the node: {m[2]}. See its log; if the board belonged to "
                "another network, run l4 flash --erase."
            )
        elif line.startswith("L4 WiFi is up"):
            got.wifi = line.rpartition(" ")[2]
        return ""

    def _wifi(self, name: str, why: str) -> None:
        step = {
            "wrong password": "Run the same command again with --wifi and the right password; "
            "files and firmware are in place, so it takes seconds.",
            "no such network": "Check the spelling (capitals count) and that it is a 2.4 GHz "
            "network that reaches the board; then run l4 flash --wifi again.",
        }.get(why, "Check the access point, or run l4 flash --wifi with another network.")
        raise ToolError(f'The board cannot join the WiFi "{name}": {why}. {step}')

    def _give(self, public: bytes) -> None:
        """The board has its identity and no keys: give it those of the network."""
        repl = self.repl
        repl.enter()
        its = repl.exec(_WHICH, timeout=15).strip()
        if its and its != self.network.network_id.hex():
            raise Refused(
                f"This board holds keys of another network ({its}). Pass --network with it, or "
                "--erase."
            )
        text = json.dumps(self.network.provision(public))
        said = repl.exec("import provision\nprovision.give(%r)" % text, timeout=30)
        if "L4 PROVISIONED" not in said:
            raise ToolError(
                "The board did not take its keys: %s. Run the same command again." % said.strip()
            )
        self.got.provisioned = True
        self.tell("The board has made its identity and has its keys.")
        repl.soft_reset()  # a hard one leads to the ROM again where BOOT was held at power-on
        self._begun = time.monotonic()

    def _late(self, wait: float) -> ToolError:
        got = self.got
        found = symptoms.diagnose(self.repl.seen)
        if found:
            return ToolError(found)
        if got.wifi:
            return Unavailable(
                f"The node {got.node[:8]} runs with the address {got.wifi}, but no tier took it "
                f"in {wait:.0f} s. Check that the upstream runs (l4 upstream) and is in the same "
                "network; the node goes on trying."
            )
        if got.node:
            return Unavailable(
                f"The node {got.node[:8]} runs, but WiFi did not come up in {wait:.0f} s. Check "
                "--wifi; the node goes on trying."
            )
        if not "".join(self._tail).strip():
            return ToolError(
                "The board is written and verified, but says nothing after its restart. Press its "
                "reset button and look with: l4 monitor"
            )
        return ToolError(
            "The board is written and verified, but did not start as a node in %.0f s; its last "
            "words: %s. Look with: l4 monitor" % (wait, " / ".join(self._tail[-3:]))
        )
