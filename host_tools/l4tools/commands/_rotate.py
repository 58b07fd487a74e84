"""`l4 network rotate`: a new group key for the network."""

from typing import Annotated

import typer

from ..session import Session
from ._node import Upstream

_TIER_S = 5.0
# L1 hands the key out, so it comes last: the others know it by then.
_ORDER = (3, 2, 1)


def rotate(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="the network", metavar="[NAME]")] = None,
    upstream: Upstream = None,
    again: Annotated[
        bool, typer.Option("--again", help="make no new key; give the newest to the tiers again")
    ] = False,
) -> int:
    """Make a new group key and give it to the tiers; nodes get it when they next join.

    A node whose neighbour already uses it asks within a minute, all others within half of a
    record's lifetime (15 min by default). Nodes take the key before for an hour more, tiers for a
    day. Exit code 4: L1 was not reached; then nothing has changed for the nodes.
    """
    from .. import network as networks
    from ..mesh.way import Way
    from ..output import OK, UNAVAILABLE

    session: Session = ctx.obj
    path = networks.find(name or session.network_name)
    session.network_name = path.stem
    phrase = session.passphrase(f"Passphrase of {path.stem}: ")
    made = networks.Network.load(path, phrase)
    if not again:
        made.rotate()
        made.save(path, phrase)
    way = Way.of(session, upstream)
    steps = way.run(lambda n: _give(n, made, way))
    doc = {"network": made.name, "group": made.group[0], "steps": steps}

    def say(out):
        out.line("group key number %d" % made.group[0])
        for s in steps:
            out.line("%-4s %s: %s" % ("ok" if s["done"] else "FAIL", s["where"], s["said"]))

    session.out.document(doc, say)
    if all(s["done"] for s in steps):
        return OK
    session.out.note(
        "A tier without the new key hears no node that has it, except under the node's own key. "
        "Start it, then: l4 network rotate %s --again" % made.name
    )
    return OK if steps[-1]["done"] else UNAVAILABLE


async def _give(host, made, way):
    from l4mesh.orders import DO_GROUP

    from ..errors import ToolError
    from ..orders import Orders

    steps = []
    try:
        await way.join(host)
    except ToolError:
        pass  # the steps below say who is away
    number, key = made.group
    async with Orders(host) as orders:
        for level in _ORDER:
            done, said = False, "no address of it is known"
            if level in way.upstream:
                try:
                    await orders.give(
                        made.tier_id(level), DO_GROUP, body=bytes((number,)) + key,
                        timeout_s=_TIER_S,
                    )  # fmt: skip
                    done, said = True, "it has the key"
                except ToolError as e:
                    said = str(e).partition(". ")[0].rstrip(".")
            steps.append({"where": "l%d" % level, "done": done, "said": said})
    return steps
