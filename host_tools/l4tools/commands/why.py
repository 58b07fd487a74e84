"""`l4 why NODE`: why a node is in its mode, what would change that, and which sensors fail."""

import typer

from ..session import Session
from . import verb
from ._node import Node, Upstream, Via, way_of

app = verb("Why a node is in its mode, and what would change it.")


@app.command("why", epilog="Example: l4 why porch")
def why(ctx: typer.Context, node: Node, upstream: Upstream = None, via: Via = None) -> None:
    """Why a node is in its mode: the decisive signal, the next judgement, what would change it."""
    session: Session = ctx.obj
    way = way_of(session, upstream, via)
    target = way.find(node, via)

    async def ask(n):
        async with way.asking(n, target):
            said = await n.info(target.id, "why", addr=target.addr)
            if isinstance(said, list):
                return said, None
            state = await n.info(target.id, "status", addr=target.addr)
            return said, state.get("sensors")

    said, sensors = way.run(ask)
    head = {"node": target.id.hex(), "name": target.name}
    if isinstance(said, list):  # a tier is always active; what it tells is what is wrong
        doc = {**head, "mode": "active", "trouble": said}
        lines = ["%s is a tier: always active." % target.label, *(said or ["Nothing is wrong."])]
    else:
        doc = {**head, **said}
        lines = sentences(target.label, said)
        if sensors:  # what is wrong with them, or that nothing is
            doc["sensors"] = sensors
            lines.append("Sensors: " + sensors)

    def say(out):
        for line in lines:
            out.line(line)

    session.out.document(doc, say)


def sentences(label: str, why: dict) -> list[str]:
    """`why` is modes_text.why of the node; fields that it does not have are left out."""
    lines = ["%s is %s, relay %s." % (label, why.get("mode", "?"), why.get("relay", "?"))]
    if "signal" in why:
        since = duration(why.get("since_ms", 0))
        lines.append(
            "Since %s, because %s is %s (threshold %s, direction %s)."
            % (since, why["signal"], why["value"], why["threshold"], why["direction"])
        )
    if "wish" in why:
        due = "; the change comes in %s" % duration(why["change_ms"]) if "change_ms" in why else ""
        lines.append("It wants %s, confirmed %s%s." % (why["wish"], why["confirmed"], due))
    if "next_ms" in why:
        lines.append("Judged again in %s." % duration(why["next_ms"]))
    if why.get("up"):
        lines.append("One step up: " + why["up"])
    if why.get("active"):
        lines.append("Active: " + why["active"])
    return lines


def duration(ms: int) -> str:
    s = ms / 1000
    if s < 120:
        return "%.0f s" % s
    return "%.0f min" % (s / 60) if s < 7200 else "%.1f h" % (s / 3600)
