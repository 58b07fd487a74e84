"""`l4 doctor`: what is wrong, why, and what to do about it."""

import sys

import typer

from ..session import Session
from . import verb
from ._board import MaybeNode, Port, usb
from ._node import Upstream, Via, way_of

app = verb("What is wrong with board, cable, WiFi, broker or clock, and the fix.")


@app.command("doctor")
def doctor(
    ctx: typer.Context,
    node: MaybeNode = None,
    port: Port = None,
    upstream: Upstream = None,
    via: Via = None,
) -> int:
    """Check a board on USB or, with NODE, a node on the network; each finding names its fix.

    On USB the program on the board is stopped and started again. Without the network's passphrase,
    checks that need its keys are skipped. Exit code 0: all is well; 1: there are findings.

    Example: l4 doctor --port /dev/ttyUSB0
    """
    from ..care import checks
    from ..output import FAILED, OK

    session: Session = ctx.obj
    if usb(port, node):
        found = checks.on_usb(port, _network(session))
    else:
        found = _asked(session, node, upstream, via)

    def say(out):
        for f in found:
            out.line("%-7s %s: %s" % (f.verdict, f.check, f.cause))
            if f.fix:
                out.line("        -> %s" % f.fix)

    doc = {"well": checks.well(found), "findings": [f._asdict() for f in found]}
    session.out.document(doc, say)
    return OK if doc["well"] else FAILED


def _asked(session, node, upstream, via):
    from ..care.checks_node import on_network
    from ..errors import ToolError
    from ..orders import Orders

    way = way_of(session, upstream, via)
    target = way.find(node, via)

    async def ask(n):
        if target.addr is None:
            try:
                await way.join(n)
            except ToolError:
                pass  # the checks say what does not answer
        async with Orders(n) as orders:
            return await on_network(n, orders, way.network, target, way.upstream)

    return way.run(ask)


def _network(session):
    """The network, if its passphrase is at hand or a person can be asked for it; else None."""
    import os

    from ..errors import ToolError

    at_hand = session.passphrase_file is not None or "L4_PASSPHRASE" in os.environ
    if not at_hand and not sys.stdin.isatty():
        return None
    try:
        return session.load_network()
    except ToolError as e:
        session.out.note("Without keys: %s" % e)
        return None
