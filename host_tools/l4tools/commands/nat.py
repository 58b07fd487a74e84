"""`l4 nat [NODE]`: what NAT this machine, or a node, is behind, and what that means for pairs."""

import asyncio
from typing import Annotated

import typer

from ..errors import ToolError, Unavailable
from ..session import Session
from . import verb
from ._node import Upstream, Via, way_of

app = verb("What NAT a node is behind, and which pairs will need a relay.")

_JOIN_S = 3.0
_CHECK_S = 40.0
_LOOK_S = 0.05


@app.command("nat", epilog="Example: l4 nat porch")
def nat(
    ctx: typer.Context,
    node: Annotated[
        str | None,
        typer.Argument(help="a node, as for `l4 ping`; default: this machine", metavar="[NODE]"),
    ] = None,
    assistant: Annotated[
        list[str] | None,
        typer.Option(
            "--assistant",
            help="also ask this one, a node or any STUN server (repeat; this machine only)",
            metavar="IP:PORT",
        ),
    ] = None,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """The kind of NAT, the addresses it gives, and what comes of it with each kind of peer.

    For this machine it asks now: tiers and members see where its packets come from, and try what
    gets back in. A node tells what it found out last."""
    from ..natwords import explain, say

    session: Session = ctx.obj
    if node is None and via:
        raise typer.BadParameter("--via is about a NODE; name it")
    if node is not None and assistant:
        raise typer.BadParameter("--assistant is about this machine; leave NODE away")
    more = [_endpoint(a) for a in assistant or []]
    way = way_of(session, upstream, assistant[0] if assistant else via)
    if node is None:
        label, said = "This machine", way.run(lambda n: look(n, more))
        if not said["asked"]:
            raise ToolError(
                "There is nobody to ask. Start tiers with `l4 upstream`, or name an --assistant."
            )
        head = {"node": None, "name": None}
    else:
        target = way.find(node, via)
        if target.tier < 4:
            raise ToolError(
                "%s is a tier: it has an address that everybody reaches, and looks at no NAT. "
                "Name a node." % target.label
            )

        async def ask(n):
            async with way.asking(n, target):
                return await n.info(target.id, "nat", addr=target.addr)

        label, said = target.label, way.run(ask)
        if not said:
            raise ToolError(
                "%s does not look at its NAT: it saw no sign of one, or its setting `nat` is "
                "never. Set `nat` to always, if it is to find out all the same." % label
            )
        head = {"node": target.id.hex(), "name": target.name}
    doc = {**head, **explain(said)}
    session.out.document(doc, lambda out: say(out, label, doc))


def _endpoint(text: str) -> bytes:
    from l4mesh.endpoint import parse_endpoint

    try:
        return parse_endpoint(text)
    except ValueError as e:
        raise typer.BadParameter("--assistant: %s" % e) from None


async def look(n, more: list[bytes]) -> dict:
    """What this machine is behind, found out by its own node; `more`: assistants' endpoints."""
    from l4mesh import natcheck

    from ..link import now_ms

    try:
        await n.join(_JOIN_S)  # then the tiers have names, and know who asks
    except Unavailable:
        pass  # STUN needs no registration, and --assistant none of them
    check = n.node.nat or natcheck.begin(n.node)
    known = check.helpers()
    check.helpers = lambda: known + [(a, None) for a in more if a not in [k[0] for k in known]]
    before, waited_s = check.times, 0.0
    check.check(now_ms())
    n.node.sockets.wake()
    while check.times == before and waited_s < _CHECK_S:
        await asyncio.sleep(_LOOK_S)
        waited_s += _LOOK_S
    return check.document()
