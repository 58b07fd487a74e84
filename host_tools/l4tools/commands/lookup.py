"""`l4 lookup NODE`: where a node is, and who knew."""

from typing import Annotated

import typer

from ..errors import NotFound, Unavailable
from ..session import Session
from . import verb
from ._node import Node, Upstream, way_of

app = verb("Ask the mesh where a node is.")
Authority = Annotated[
    bool, typer.Option("--authority", help="let the authority (L1) answer, no cache")
]


@app.command("lookup", epilog="Example: l4 lookup porch --authority")
def lookup(
    ctx: typer.Context, node: Node, upstream: Upstream = None, authority: Authority = False
) -> None:
    """Ask the mesh where a node is; says which tier knew and how long it took."""
    session: Session = ctx.obj
    way = way_of(session, upstream)
    target = way.find(node)
    result = find(way, target, authority=authority)
    session.out.record(found(target, result))


def find(way, target, trace=False, authority=False):
    """A LookupResult that found something; anything else is raised as a sentence."""

    async def ask(n):
        await way.join(n)
        return await n.lookup(target.id, trace=trace, authority=authority)

    result = way.run(ask)
    if result.status == "found":
        return result
    if result.status == "unknown":
        raise NotFound(
            "The authority knows no node %s. Check the id; a board that was just switched on "
            "joins within seconds, and one that is off is forgotten after its lifetime."
            % target.label
        )
    if result.status == "unavailable":
        raise Unavailable(
            "Nobody above could be asked about %s, and nobody near has it. Look with: l4 status"
            % target.label
        )
    raise Unavailable(
        "The look-up of %s ended without a word from those who were asked. Try again, and look "
        "with: l4 status" % target.label
    )


def found(target, result) -> dict:
    from l4mesh.record import O_EPOCH, O_TIER
    from l4mesh.wire import u30

    return {
        "node": target.id.hex(),
        "name": target.name,
        "status": result.status,
        "source": result.source,
        "ms": result.ms,
        "tier": result.record[O_TIER],
        "endpoints": result.endpoints,
        "epoch": u30(result.record, O_EPOCH),
    }
