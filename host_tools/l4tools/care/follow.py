"""A board's lines as they come, over USB or over the network, also across its restarts.

Both yield (seconds since 1970, text). Text in parentheses is ours: the board is gone, is back.
Tracebacks are held until they are whole and come with the names of the sources.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from ..errors import ToolError, Unavailable
from . import flightlog

Said = tuple[float, str]
_AGAIN_S = 0.5
_SLICE_S = 0.3
_HOLD_S = 1.0
_EVERY_S = 1.0
_OLD = 10  # entries from before that are shown first


class Tracebacks:
    """Takes lines, gives lines: those of a traceback together, explained."""

    def __init__(self):
        self._held: list[str] = []
        self._since_s = 0.0

    def take(self, text: str) -> list[str]:
        if text.startswith("Traceback (most recent call last)"):
            before = self.flush()
            self._held = [text]
            self._since_s = time.monotonic()
            return before
        if not self._held:
            return [text]
        self._held.append(text)
        return [] if text.startswith(" ") else self.flush()

    def flush(self) -> list[str]:
        held, self._held = self._held, []
        return flightlog.explain("\n".join(held)).split("\n") if held else []

    def late(self) -> list[str]:
        """What waited too long for its end."""
        waits = self._held and time.monotonic() - self._since_s > _HOLD_S
        return self.flush() if waits else []


def over_usb(port: str | None, seconds: float | None = None) -> Iterator[Said]:
    """Console lines of the board at `port`. Nothing is typed: the board goes on."""
    from ..usb import ports
    from ..usb.repl import Repl

    end = None if seconds is None else time.monotonic() + seconds
    found = ports.find(port)
    trace = Tracebacks()
    gone = False
    while end is None or time.monotonic() < end:
        try:
            with Repl(found) as repl:
                if gone:
                    gone = False
                    yield time.time(), "(the board is back)"
                while end is None or time.monotonic() < end:
                    for line in repl.lines(_SLICE_S):
                        for text in trace.take(line):
                            yield time.time(), text
                    for text in trace.late():
                        yield time.time(), text
        except ToolError as e:
            if not gone:
                for text in trace.flush():
                    yield time.time(), text
                gone = True
                yield time.time(), "(%s Waiting for it.)" % str(e).partition(". ")[0].rstrip(".")
            time.sleep(_AGAIN_S)
    for text in trace.flush():
        yield time.time(), text


async def over_network(
    orders, node_id: bytes, addr=None, seconds: float | None = None, every_s: float = _EVERY_S
) -> AsyncIterator[Said]:
    """New entries of the flight recorder, asked for once a second; first the newest old ones."""
    end = None if seconds is None else time.monotonic() + seconds
    since, silent, first = 65536, False, True
    while end is None or time.monotonic() < end:
        try:
            log = await flightlog.page(orders, node_id, since, addr)
        except Unavailable:
            if first:
                raise
            if not silent:
                silent = True
                yield time.time(), "(it does not answer; asking on)"
            continue
        if silent:
            silent = False
            yield time.time(), "(it answers again)"
        since = log.next
        booted_s = time.time() - log.now_s
        for e in log.entries[-_OLD:] if first else log.entries:
            # Only the boot that runs has a known begin.
            at_s = booted_s + e.at_s if e.boot == log.boot else 0.0
            for text in e.text.split("\n"):
                yield at_s, text
        first = False
        await asyncio.sleep(every_s)


def stamp(at_s: float) -> str:
    if not at_s:
        return "--:--:--.-"
    return time.strftime("%H:%M:%S", time.localtime(at_s)) + ".%d" % (at_s * 10 % 10)


def show(out, said: list[Said], item: Said) -> None:
    """Keep one line, and print it for a person."""
    said.append(item)
    if not out.json:
        out.line("%s %s" % (stamp(item[0]), item[1]))


def document(said: list[Said]) -> list[dict]:
    return [{"at": round(at, 3) or None, "text": text} for at, text in said]
