"""Provision board after board from a fleet file: those plugged in now, then those that come."""

import time
from collections.abc import Callable
from typing import Any

from ..errors import ToolError
from ..network import Network
from ..usb import ports
from ..usb.ports import Port
from ..usb.repl import Repl
from . import board
from .fleet import Fleet
from .journal import Journal

_LOOK_S = 0.5


class FleetRun:
    """`given`: ports to take instead of whatever is plugged in. `say`: for people."""

    def __init__(
        self,
        fleet: Fleet,
        network: Network,
        say: Callable[[str], None],
        given: list[str] | None = None,
        **options: Any,
    ):
        self.journal = Journal(fleet)
        self.fleet, self.network, self.say, self.options = fleet, network, say, options
        self._given = given or []
        self._seen: set[str] = set()  # devices tried already and still there
        self.failed = 0

    def all(self, once: bool = False) -> list[dict[str, Any]]:
        """Until every row is done (or the given ports are, or one board `once`); the table."""
        for port in self._ports():
            if not self.journal.left:
                break
            try:
                worked = self.one(port)
            except ToolError as e:
                if once:
                    raise
                self.failed += 1
                self.say(f"{port.device}: {e}")
                continue
            if worked and once:
                break
        return self.rows()

    def one(self, port: Port) -> bool:
        """The board at a port. False: it is done already."""
        with Repl(port) as repl:
            seen = board.look(repl)
            row = self.journal.row_for(seen.uid)
            if row is None:
                self.say(f"{port.device}: board {seen.uid} is done already.")
                repl.hard_reset()
                return False
            self.say(f"{port.device}: board {seen.uid} becomes {row.name}")
            self.journal.add(row, seen.uid, "begun")
            done = board.provision(
                repl, self.network, row.want, self.say, seen=seen, **self.options
            )
        self.journal.add(
            row, seen.uid, "done", node=done["node"], tier=done["tier"], joined_s=done["joined_s"]
        )
        left = len(self.journal.left)
        self.say(f"{row.name} is done, node {done['node'][:8]}; {left} of its file left")
        return True

    def rows(self) -> list[dict[str, Any]]:
        out = []
        for row in self.fleet.rows:
            said = self.journal.of(row)
            out.append(
                {
                    "name": row.name,
                    "board": said.get("board") or row.board,
                    "state": said.get("state") or "to do",
                    "node": said.get("node", ""),
                    "joined_s": said.get("joined_s"),
                }
            )
        return out

    def _ports(self):
        if self._given:
            yield from (ports.find(p) for p in self._given)
            return
        waiting = False
        while True:
            there = ports.boards()
            self._seen &= {p.device for p in there}
            new = [p for p in there if p.device not in self._seen]
            for port in new:
                self._seen.add(port.device)
                yield port
                waiting = False
            if not new:
                if not waiting:
                    waiting = True
                    n = len(self.journal.left)
                    self.say(
                        f"Plug in the next board ({n} left; Ctrl-C stops, a later run goes on)."
                    )
                time.sleep(_LOOK_S)
