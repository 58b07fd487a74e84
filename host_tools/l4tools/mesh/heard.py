"""What a board says of itself on its console, kept as its newest state; for `l4 mesh ps`."""

import re
from collections import deque
from collections.abc import Callable

_KEEP = 100
_JOINED = re.compile(r"joined by tier (\d) after (\d+) ms")
_NODE = re.compile(r"node ([0-9a-f]{32}) epoch (\d+)")
_MODE = re.compile(r"mode \S+ -> (\S+): (.*), judged")
_TROUBLE = ("MemoryError", "Guru Meditation", "E (task_wdt)")


class Heard:
    """One board. `line(text)` takes a console line; `word()` is the state in JSON's terms."""

    def __init__(self):
        self.lines: deque[str] = deque(maxlen=_KEEP)
        self.listeners: list[Callable[[str], None]] = []
        self._clear()

    def _clear(self):
        self.node = None
        self.epoch = None
        self.mode = None
        self.why = None
        self.joined_ms = None
        self.tier = None
        self.upstream = False
        self.neighbours: set[str] = set()
        self.last = ""

    def off(self) -> None:
        """Its power went: who it is stays true, how it is does not."""
        node = self.node
        self._clear()
        self.node = node

    def line(self, text: str) -> None:
        typed, give, _ = text.partition("provision.give(")
        if give:  # its keys, echoed
            text = typed + give + "..)"
        self.lines.append(text)
        for listener in list(self.listeners):
            listener(text)
        if text.startswith("L4 "):
            self._take(text[3:])
        elif text.startswith(_TROUBLE):
            self.last = text

    def _take(self, text):
        self.last = text
        if m := _NODE.match(text):
            self._clear()
            self.last, self.node, self.epoch, self.mode = text, m[1], int(m[2]), "passive"
        elif m := _JOINED.match(text):
            self.tier, self.joined_ms, self.upstream = int(m[1]), int(m[2]), True
        elif m := _MODE.match(text):
            self.mode, self.why = m[1], m[2]
        elif text.startswith("upstream is "):
            self.upstream = text.startswith("upstream is there")
        elif text.startswith("registration ran out"):
            self.joined_ms = self.tier = None
        elif text.startswith("neighbour "):
            change = self.neighbours.discard if text.endswith(" gone") else self.neighbours.add
            change(text.split()[1])

    def word(self) -> dict:
        return {
            "node": self.node,
            "epoch": self.epoch,
            "mode": self.mode,
            "why": self.why,
            "joined_ms": self.joined_ms,
            "tier": self.tier,
            "upstream": self.upstream,
            "neighbours": len(self.neighbours),
            "last": self.last,
        }
