"""esptool without its words: they go to a list, its progress to a callback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from esptool.logger import EspLog, EspLogBase


class QuietLog(EspLogBase):
    """`lines`: what esptool would have printed. `progress_to` gets 0..1 of the present command."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.progress_to: Callable[[float], None] | None = None

    def print(self, *args: Any, **kw: Any) -> None:
        self.lines.append(" ".join(map(str, args)))

    def err(self, *args: Any, suggestion: str | None = None) -> None:
        self.print(*args)

    warn = err
    note = hint = debug = warning = error = print

    def set_verbosity(self, mode: int | str) -> None:
        pass

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        if self.progress_to and total_iters:
            self.progress_to(cur_iter / total_iters)


@contextmanager
def quiet() -> Iterator[QuietLog]:
    """esptool's log (there is one a process) is this one; afterwards all is as before."""
    before, log = EspLog.instance, QuietLog()
    EspLog.instance = log
    try:
        yield log
    finally:
        EspLog.instance = before
