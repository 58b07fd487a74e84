"""`l4 ping NODE`: is it there, how far is it, how is it."""

import asyncio
from typing import Annotated

import typer

from ..errors import Unavailable
from ..session import Session
from . import verb
from ._node import Node, Upstream, Via, way_of

app = verb("Ask a node whether it is there, and how it is.")

_PAUSE_S = 0.1


@app.command("ping", epilog="Example: l4 ping porch --count 10")
def ping(
    ctx: typer.Context,
    node: Node,
    count: Annotated[int, typer.Option("--count", help="how often", min=1, max=1000)] = 3,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """Ask a node whether it is there: round trips, mode, battery and load."""
    session: Session = ctx.obj
    way = way_of(session, upstream, via)
    target = way.find(node, via)
    answers = way.run(lambda n: pings(way, n, target, count))
    got = [a for a in answers if a is not None]
    ms = sorted(round(a["ms"], 1) for a in got)
    last = {k: v for k, v in got[-1].items() if k != "ms"}
    session.out.record(
        {
            "node": target.id.hex(),
            "name": target.name,
            "sent": count,
            "received": len(got),
            "ms": {"min": ms[0], "median": ms[len(ms) // 2], "max": ms[-1]},
            **last,
        }
    )


async def pings(way, n, target, count) -> list[dict | None]:
    """An answer each, None where none came; Unavailable when there was none at all."""
    answers: list[dict | None] = []
    async with way.asking(n, target):
        for k in range(count):
            if k:
                await asyncio.sleep(_PAUSE_S)
            try:
                answers.append(await n.pong(target.id, addr=target.addr))
            except Unavailable:
                if not any(answers):
                    raise
                answers.append(None)
    return answers
