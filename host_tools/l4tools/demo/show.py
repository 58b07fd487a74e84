"""What a person sees: a live table on a terminal, plain lines elsewhere."""

import os
import re
import sys
import time
from pathlib import Path

from l4tools.demo.watch import SOURCES, Watch


class Show:
    """`scene(text)` starts a scene; `tick()` refreshes. Use as a context manager."""

    def __init__(self, watch: Watch, taken, stored):
        self._watch = watch
        self._taken = taken  # () -> {board: n}
        self._stored = stored  # () -> int or None
        self._scene = "setting up"
        self._log: list[str] = []
        self._live = None
        self._next = 0.0
        self._plain = not sys.stdout.isatty()

    def __enter__(self):
        if not self._plain:
            from rich.live import Live

            self._live = Live(self._table(), refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(self, *exc):
        if self._live:
            self._live.update(self._table())
            self._live.__exit__(*exc)

    def save_svg(self, path) -> None:
        """The table as it stands, as a picture (docs/demo.svg is made so)."""
        from rich.console import Console

        console = Console(record=True, width=150, file=open(os.devnull, "w"))
        console.print(self._table())
        svg = console.export_svg(title="make demo")
        # The picture stands alone: no fonts from elsewhere.
        Path(path).write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S))

    def scene(self, text: str) -> None:
        self._scene = text
        self.say("== " + text)

    def say(self, text: str) -> None:
        at = time.monotonic() - self._watch.start
        line = "%5.1f s  %s" % (at, text)
        self._log.append(line)
        if self._plain:
            print(line, flush=True)
        self.tick()

    def tick(self) -> None:
        now = time.monotonic()
        if self._live:
            self._live.update(self._table())
        elif self._plain and now >= self._next:
            self._next = now + 10
            print("        " + self._line(), flush=True)

    def _line(self):
        w = self._watch
        joined = sum(1 for b in w.boards.values() if b.joined_ms is not None)
        c = w.counts()
        looks = " ".join("%s %d" % (k, v) for k, v in c.items() if v)
        return "%d boards joined; look-ups: %s; readings taken %d, stored %s" % (
            joined, looks or "none yet", sum(self._taken().values()), self._stored(),
        )  # fmt: skip

    def _table(self):
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        t = Table(title="l4mesh: " + self._scene, title_justify="left", expand=False)
        for name in ("board", "mode", "joined", "nbrs") + SOURCES + ("none", "taken"):
            t.add_column(name, justify="left" if name in ("board", "mode") else "right")
        t.add_column("last word", no_wrap=True, max_width=56)
        taken = self._taken()
        for name in sorted(taken):
            b = self._watch.boards.get(name)
            if b is None:
                t.add_row(name, "-", *[""] * 10, "off")
                continue
            looks = [str(b.looks.get(s, "")) for s in SOURCES]
            none = b.looks.get("unavailable", 0) + b.looks.get("failed", 0)
            joined = "%d ms" % b.joined_ms if b.joined_ms is not None else "no"
            t.add_row(
                name, b.mode, joined, str(len(b.neighbours)), *looks, str(none or ""),
                str(taken[name]), b.last,
            )  # fmt: skip
        return Group(t, Text(self._line()), *[Text(x, style="dim") for x in self._log[-6:]])
