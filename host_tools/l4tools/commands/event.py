"""`l4 event`: an event for all nodes that listen for its topic."""

import sys
from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._node import Upstream, way_of

app = verb("Push an event to the nodes that listen for its topic.")


@app.command("event", epilog="Example: l4 event alarm '{\"on\": true}'")
def event(
    ctx: typer.Context,
    topic: Annotated[str, typer.Argument(help="what app.py listens for, 1 to 32 bytes")],
    data: Annotated[str, typer.Argument(help="text; - reads it from stdin")] = "",
    upstream: Upstream = None,
) -> None:
    """Hand an event to L1, signed by the owner; it goes to every node that listens for the topic.

    Nodes that are not there at that moment miss it: events are news, not settings.
    """
    from l4mesh.orders import DO_PUBLISH

    from ..orders import Orders
    from ..upstream.pushed import MOST_DATA

    session: Session = ctx.obj
    name = topic.encode()
    body = sys.stdin.buffer.read(MOST_DATA + 1) if data == "-" else data.encode()
    if not 0 < len(name) <= 32 or not topic.isprintable():
        raise typer.BadParameter("a topic has 1 to 32 bytes of printable text")
    if len(body) > _ROOM:
        raise typer.BadParameter(f"an event has {_ROOM} bytes at most; this one has {len(body)}")
    way = way_of(session, upstream)
    l1 = way.find("l1")

    async def ask(n):
        async with Orders(n) as orders:
            payload = bytes((len(name),)) + name + body
            return await orders.give(l1.id, DO_PUBLISH, body=payload, addr=l1.addr)

    reached = way.run(ask).arg
    session.out.record({"topic": topic, "bytes": len(body), "asked_for_by": reached})


# What a signed order has room for: its head, the cookie, the signature and the topic are in it.
_ROOM = 900
