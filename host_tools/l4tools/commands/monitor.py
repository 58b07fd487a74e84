"""`l4 monitor`: what a board says, as it says it."""

from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._board import MaybeNode, Port, by_order, usb
from ._node import Upstream, Via

app = verb("A board's log, over USB or the network.")


@app.command("monitor")
def monitor(
    ctx: typer.Context,
    node: MaybeNode = None,
    port: Port = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="end after so long; default: Ctrl-C", min=0.1)
    ] = None,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """A board's console over USB or, with NODE, its flight recorder over the network.

    Goes on when the board restarts, is unplugged and plugged in again. Tracebacks show the names
    of the sources. Ctrl-C ends it. With --json the lines are printed at the end, as one document.

    Example: l4 monitor --port /dev/ttyUSB0 --seconds 60
    """
    from ..care import follow

    session: Session = ctx.obj
    said: list = []

    async def ask(orders, target):
        async for item in follow.over_network(orders, target.id, target.addr, seconds):
            follow.show(session.out, said, item)

    try:
        if usb(port, node):
            for item in follow.over_usb(port, seconds):
                follow.show(session.out, said, item)
        else:
            by_order(session, node, upstream, via, ask)
    except KeyboardInterrupt:
        pass
    session.out.document(follow.document(said), lambda out: None)
