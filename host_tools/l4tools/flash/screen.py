"""What a person sees while a board is flashed: lines on stderr, at a terminal a bar."""

import sys
from typing import Any

from ..errors import ToolError
from ..session import Session


class Screen:
    """Nothing with --json."""

    def __init__(self, session: Session):
        self._out = session.out
        self._bars: Any = None
        self._task: Any = None
        self._what = ""
        self._show = not session.out.json and session.out.stderr.isatty()

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *exc: object) -> None:
        self.done()

    def say(self, text: str) -> None:
        self.done()
        self._out.note(text)

    def ask(self, question: str) -> bool:
        self.done()
        if not sys.stdin.isatty():
            raise ToolError(f"{question} There is no terminal to answer at: pass --yes to go on.")
        self._out.stderr.write(question + " [y/N] ")
        self._out.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def bar(self, what: str, done: int, total: int) -> None:
        """Show how far `what` is; total 0: not known."""
        if not self._show:
            return
        if self._bars is None or what != self._what:
            self._open(what, total)
        self._bars.update(self._task, completed=done, total=total or None)

    def _open(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        self.done()
        self._what = what
        columns = [TextColumn("{task.description}"), BarColumn()]
        columns += [DownloadColumn()] if total else []
        self._bars = Progress(*columns, console=Console(file=self._out.stderr), transient=True)
        self._task = self._bars.add_task(what, total=total or None)
        self._bars.start()

    def done(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
