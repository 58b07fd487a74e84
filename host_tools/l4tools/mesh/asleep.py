"""Is a node silent because it sleeps? Its neighbours know: its hello says for how long."""

import asyncio

from l4mesh.record import CAP_SLEEPS, O_CAPS
from l4mesh.wire import u16

from ..errors import ToolError, Unavailable

_WAIT_S = 2.0
_MOST = 16  # boards that are asked


class Asleep(Unavailable):
    """`doc`: asleep, back_s (at most so long; None: nobody near heard it), heard_s, by."""

    def __init__(self, label: str, doc: dict):
        self.doc = doc
        if doc["back_s"] is None:
            said = "%s sleeps; when it wakes is not known here. Try again later." % label
        else:
            said = "%s sleeps, back in %d s (%s heard it %d s ago). Ask again then." % (
                label, doc["back_s"], doc["by"], doc["heard_s"],
            )  # fmt: skip
        super().__init__(said)


async def asleep(way, n, target) -> Asleep | None:
    """Ask those who are awake, then the authority's record; None: it is no sleeper."""
    others = [t for t in way.known() if t.tier == 4 and t.addr and t.id != target.id][:_MOST]
    said = await asyncio.gather(*(_neighbours(n, t) for t in others))
    best = None
    for t, rows in zip(others, said, strict=True):
        for row in rows:
            if len(row) > 10 and row[0] == target.id.hex()[:16] and row[10] and row[2] != "ble":
                if best is None or row[5] < best["heard_s"]:
                    back = max(0, row[9] - row[5])
                    best = {"asleep": True, "back_s": back, "heard_s": row[5], "by": t.label}
    if best is None and not await _says_so(n, target):
        return None
    none = {"asleep": True, "back_s": None, "heard_s": None, "by": None}
    return Asleep(target.label, best or none)


async def _neighbours(n, target):
    try:
        return await n.info(target.id, "neighbours", timeout_s=_WAIT_S, addr=target.addr)
    except (ToolError, TimeoutError):
        return []


async def _says_so(n, target):
    found = await n.lookup(target.id, timeout_s=_WAIT_S)
    return found.record is not None and bool(u16(found.record, O_CAPS) & CAP_SLEEPS)
