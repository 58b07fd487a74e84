"""`l4 log`: what a board remembers: its newest events, and what led to its last crash."""

from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._board import MaybeNode, Port, by_order, usb
from ._node import Upstream, Via

app = verb("What a board remembers of its last crash.")


@app.command("log")
def log(
    ctx: typer.Context,
    node: MaybeNode = None,
    port: Port = None,
    last_crash: Annotated[
        bool, typer.Option("--last-crash", help="only what led to the newest crash")
    ] = False,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """A board's newest events and its last crash, over USB or, with NODE, over the network.

    Reading over USB stops the program on the board; it is started again afterwards.

    Example: l4 log --last-crash
    """
    from ..care import flightlog

    session: Session = ctx.obj
    if usb(port, node):
        from ..usb.repl import Repl

        with Repl(port) as repl:
            repl.enter()
            found = flightlog.over_usb(repl)
            repl.soft_reset()
    else:
        _, found = by_order(
            session, node, upstream, via,
            lambda orders, t: flightlog.over_network(orders, t.id, t.addr),
        )  # fmt: skip

    def say(out):
        if not last_crash:
            for text in flightlog.lines(found.entries) or ["Nothing is recorded."]:
                out.line(text)
        crash = found.crash
        if crash is None:
            out.line("No crash is recorded.")
        else:
            out.line("Boot %d ended by %s. Before that:" % (crash.boot, crash.cause))
            for text in flightlog.lines(crash.entries):
                out.line(text)

    doc = flightlog.document(found)
    session.out.document({"crash": doc["crash"]} if last_crash else doc, say)
