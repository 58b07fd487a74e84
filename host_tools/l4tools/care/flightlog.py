"""The flight recorder as a host reads it (format: lib/l4mesh_io/recorder.py, logpage.py).

`over_usb(repl)` and `over_network(orders, node_id, addr)` give a Log; `document(log)` is what
`l4 log --json` prints. Short names in tracebacks become those of the sources again.
"""

import contextlib
from typing import NamedTuple

from l4mesh.orders import DO_CRASH, DO_LOG
from l4mesh_io import recorder

from ..errors import ToolError

KINDS = {1: "line", 2: "boot", 3: "end", 4: "trace"}
_CAUSES = ("unknown", "power", "reset", "watchdog", "deep sleep", "soft reset")
_ALL = 65536
_PAGE = 1100
_HEAD = 10


class Entry(NamedTuple):
    """`at_s`: seconds since that boot."""

    boot: int
    kind: str
    at_s: float
    text: str


class Crash(NamedTuple):
    """What the log held when boot number `boot` ended by `cause`."""

    boot: int
    cause: str
    entries: list[Entry]


class Log(NamedTuple):
    """`now_s`: since boot, when it was read; None over USB. `next`: entry number to go on from."""

    boot: int
    entries: list[Entry]
    crash: Crash | None = None
    now_s: float | None = None
    next: int = _ALL


def entries(data: bytes, boot: int) -> list[Entry]:
    """Entries in their order; `boot` is the newest boot's number. Damage ends the list."""
    out = []
    o = 0
    while o < len(data):
        n = data[o]
        e = data[o + 1 : o + 1 + n]
        if n < 6 or len(e) < n:
            break
        at_s = 60 * int.from_bytes(e[2:4], "big") + int.from_bytes(e[4:6], "big") / 1000
        number = boot - ((boot - e[0]) & 255)
        text = e[6:].decode("utf-8", "replace")
        out.append(Entry(number & 0xFFFF, KINDS.get(e[1], "line"), round(at_s, 3), explain(text)))
        o += 1 + n
    return out


def crash_of(data: bytes) -> Crash | None:
    """A crash file; None for what is none."""
    if len(data) < 8 or data[:4] != b"L4C1":
        return None
    boot = int.from_bytes(data[4:6], "big")
    cause = _CAUSES[data[6]] if data[6] < len(_CAUSES) else _CAUSES[0]
    return Crash(boot, cause, entries(data[8:], boot))


class _Rtc:
    def __init__(self, data):
        self._data = data

    def memory(self):
        return self._data


def log_of_memory(memory: bytes) -> Log:
    """The log in a copy of RTC memory."""
    found = recorder.read(_Rtc(memory))
    if found is None:
        return Log(0, [])
    return Log(found[0], entries(found[2], found[0]))


def over_usb(repl) -> Log:
    """From a board in its raw REPL, whatever firmware it has."""
    text = repl.exec(
        "from binascii import hexlify\n"
        "try:\n import machine\n m = machine.RTC().memory()\nexcept Exception:\n m = b''\n"
        "print(hexlify(m).decode())\n"
    )
    log = log_of_memory(bytes.fromhex(text.strip()))
    names = [p for p in repl.tree("/log") if p.rpartition(".")[2].isdigit()]
    if not names:
        return log
    newest = max(names, key=lambda p: int(p.rpartition(".")[2]))
    return log._replace(crash=crash_of(repl.read(newest)))


async def over_network(orders, node_id: bytes, addr=None, crash: bool = True) -> Log:
    """By the owner's orders."""
    log = await page(orders, node_id, _ALL, addr)
    data, total = b"", 1
    while crash and len(data) < total:
        total, part = await orders.give(
            node_id, DO_CRASH, len(data), addr=addr, room=_PAGE
        )  # fmt: skip
        if not part:
            break
        data += part
    return log._replace(crash=crash_of(data))


async def page(orders, node_id: bytes, since: int, addr=None) -> Log:
    """What came since entry number `since` (65536: all that is there)."""
    found: list[Entry] = []
    while True:
        answer = await orders.give(node_id, DO_LOG, since, addr=addr, room=_PAGE)
        head = answer.data[:_HEAD]
        if len(head) < _HEAD:
            raise ToolError("The board's log cannot be read. Update its firmware: l4 ota.")
        first, after, boot, minute, ms = (
            int.from_bytes(head[i : i + 2], "big") for i in range(0, _HEAD, 2)
        )
        some = entries(answer.data[_HEAD:], boot)
        found += some
        since = (first + len(some)) & 0xFFFF
        if since == after or not some:
            return Log(boot, found, None, 60 * minute + ms / 1000, after)


_names: dict = {}


def explain(text: str) -> str:
    """A traceback with the names of the sources, when it is one."""
    if 'File "' not in text:
        return text
    from .. import shrink
    from ..image import project_files

    if not _names:
        with contextlib.suppress(ToolError, OSError):  # an installation without the sources
            shrink.project(project_files(), names=_names)
    return shrink.explain(text, _names)


def document(log: Log) -> dict:
    crash = log.crash
    return {
        "boot": log.boot,
        "entries": [e._asdict() for e in log.entries],
        "crash": None
        if crash is None
        else {**crash._asdict(), "entries": [e._asdict() for e in crash.entries]},
    }


def lines(found: list[Entry]) -> list[str]:
    """For people: seconds since boot, a headline for each boot."""
    out = []
    boot = None
    for e in found:
        if e.boot != boot:
            boot = e.boot
            out.append("-- boot %d" % boot)
        first, *rest = e.text.split("\n")
        out.append("%9.1f  %s" % (e.at_s, first))
        out += [" " * 11 + more for more in rest]
    return out
