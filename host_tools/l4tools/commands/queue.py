"""`l4 queue NODE`: the readings that wait on a board, and what they do to its flash."""

import time

import typer

from ..session import Session
from . import verb
from ._node import Node, Upstream, Via, way_of

app = verb("What waits on a board: how many readings, how old, how the flash wears.")


@app.command("queue", epilog="Example: l4 queue 7f3a")
def queue(ctx: typer.Context, node: Node, upstream: Upstream = None, via: Via = None) -> None:
    """Readings taken and not yet stored upstream, the age of the oldest, and the flash's wear.

    `flash_years`: at the rate since the board's start, until the flash has been written as often
    as its maker promises; an estimate (docs/bench.md says how bytes on flash were measured).
    """
    session: Session = ctx.obj
    way = way_of(session, upstream, via)
    target = way.find(node, via)

    async def ask(n):
        async with way.asking(n, target):
            return await n.info(target.id, "status", addr=target.addr)

    said = way.run(ask)
    session.out.record(describe(said, time.time()))


def describe(said: dict, now_s: float) -> dict:
    """The fields of `l4 queue`, of a status document and the time of this machine."""
    from ..readings import wear
    from ..readings.clocks import KNOWN
    from ..readings.formats import when

    if "queue" not in said:
        return {"waiting": 0, "delivery": "This node takes no readings."}
    oldest, age, since = said.get("oldest"), None, None
    if oldest:
        sequence, flags, stamp = oldest
        if flags & KNOWN:
            since, age = when(stamp), max(0, round(now_s - stamp / 1000))
    minutes = said["minutes"]
    return {
        "waiting": said["queue"],
        "oldest_sequence": oldest[0] if oldest else None,
        "oldest_time": since or ("not known yet" if oldest else None),
        "oldest_age_s": age,
        "dropped": said["dropped"],
        "segments": said["segments"],
        "delivery": said["sync"],
        "taken_since_start": said["taken"],
        "flash_bytes_since_start": wear.flash_bytes(said["written"]),
        "flash_years": wear.years(said["written"], minutes),
    }
