"""`l4 trace NODE`: a look-up with each hop's time."""

import typer

from ..session import Session
from . import verb
from ._node import Node, Upstream, way_of
from .lookup import Authority, find, found

app = verb("Look a node up and show which tier answered, with each hop's time.")


@app.command("trace", epilog="Example: l4 trace porch")
def trace(
    ctx: typer.Context, node: Node, upstream: Upstream = None, authority: Authority = False
) -> None:
    """Look a node up and show each tier on the way: its own time, the wire to it, the total."""
    session: Session = ctx.obj
    way = way_of(session, upstream)
    target = way.find(node)
    result = find(way, target, trace=True, authority=authority)
    names = {way.network.tier_id(level).hex()[:8]: "l%d" % level for level in (1, 2, 3)}
    rows = hops(result, names)
    doc = {**found(target, result), "hops": rows}

    def say(out):
        out.table(rows, ["tier", "node", "own_ms", "wire_ms", "total_ms"])
        out.line(
            "%s answered by %s in %d ms; it is at %s"
            % (
                target.label,
                result.source,
                result.ms,
                ", ".join("%s (%s)" % (a, k) for k, a in result.endpoints.items()) or "no address",
            )
        )

    session.out.document(doc, say)


def hops(result, names) -> list[dict]:
    """Nearest first. `total_ms`: from question to answer there, with all above. `wire_ms`: on the
    way there and back. `own_ms`: None where it is not told; it is then part of the next wire_ms.
    """
    near = list(reversed(result.hops))
    rows = []
    asked_ms = float(result.ms)  # how long the one below waited for this hop
    for k, hop in enumerate(near):
        last = k == len(near) - 1
        own = hop.ms if last else result.own_ms if k == 0 else None
        rows.append(
            {
                "tier": names.get(hop.id_prefix, "l%d" % hop.tier),
                "node": hop.id_prefix,
                "own_ms": own,
                "wire_ms": round(max(0.0, asked_ms - hop.ms), 1),
                "total_ms": hop.ms,
                "answered": last,
            }
        )
        asked_ms = hop.ms - (own or 0.0)
    return rows
