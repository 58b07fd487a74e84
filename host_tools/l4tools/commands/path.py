"""`l4 path NODE`: how this machine reaches a node, or by what ways a node reaches others."""

import asyncio
from typing import Annotated

import typer

from ..errors import NotFound, Unavailable
from ..session import Session
from . import verb
from ._node import Node, Upstream, Via, way_of

app = verb("Direct or relayed: by whom, since when, what was tried, and why not direct.")

_REACH_S = 12.0
_TRY_S = 1.5
_LOOK_S = 0.1


@app.command("path", epilog="Example: l4 path porch")
def path(
    ctx: typer.Context,
    node: Node,
    ways: Annotated[
        bool, typer.Option("--ways", help="the ways that NODE itself has to others, by its word")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", help="s to wait for a direct path", min=0, max=60)
    ] = 10.0,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """How NODE is reached from here: direct or relayed, by whom, what was tried, why not direct.

    It opens a way and waits until that is direct, or until it is known why it is not."""
    session: Session = ctx.obj
    way = way_of(session, upstream, via)
    target = way.find(node, via)
    head = {"node": target.id.hex(), "name": target.name}
    if ways:

        async def ask(n):
            async with way.asking(n, target):
                return await n.info(target.id, "ways", addr=target.addr)

        doc = {**head, "ways": way.run(ask)}
        session.out.document(doc, lambda out: _say_ways(out, target.label, doc["ways"]))
        return

    async def go(n):
        if target.addr is None:
            await way.join(n)
        return await find(n, target.id, target.addr, wait)

    doc = {**head, **way.run(go)}
    if doc["state"] == "none":
        tried = ", ".join("%s %s" % (_by(what), outcome) for what, outcome, _ in doc["tried"])
        raise Unavailable(
            "%s cannot be reached: %s (tried: %s). Is it on, and its setting `nat` not never?"
            % (target.label, doc["why"], tried or "nothing")
        )
    session.out.document(doc, lambda out: _say(out, target.label, doc))


async def find(n, node_id, addr=None, wait_s=10.0) -> dict:
    """How HostNode `n` reaches this node."""
    tried = []
    for a in [addr] if addr is not None else await n.where(node_id, 5.0):
        found = await _direct(n, node_id, a)
        tried.append([_text(a), "answers" if found else "silent", 0])
        if found:
            return {**found, "state": "direct", "by": None, "endpoint": _text(a), "tried": tried,
                    "why": None}  # fmt: skip
    if addr is not None:
        return _none(tried, "it does not answer there")
    at = asyncio.get_running_loop().time()
    if await n.beyond.reach(node_id, _REACH_S) is None:
        w = n.beyond.way(node_id)
        row = _row(n, node_id)
        more = row["tried"] if row else []
        return _none(tried + more, (w.why if w is not None else "") or "no relay carries")
    first_ms = (asyncio.get_running_loop().time() - at) * 1000
    await _settled(n, node_id, wait_s)
    row = _row(n, node_id)
    return {
        "state": row["state"],
        "by": row.get("by"),
        "endpoint": row.get("endpoint"),
        "ms": round(first_ms),
        "rtt_ms": row["rtt"],
        "since_s": row["since_s"],
        "tried": tried + row["tried"],
        "why": row["why"] or None,
    }


def _none(tried, why):
    return {"state": "none", "by": None, "endpoint": None, "tried": tried, "why": why}


async def _direct(n, node_id, addr):
    try:
        said = await n.pong(node_id, _TRY_S, addr)
    except (Unavailable, NotFound):
        return None
    return {"ms": round(said["ms"], 1), "rtt_ms": round(said["ms"], 1), "since_s": 0}


def _row(n, node_id):
    from l4mesh.ways_text import document

    from ..link import now_ms

    ways = n.node.ways
    rows = document(ways, now_ms()) if ways is not None else []
    for row in rows:
        if row["peer"] in (node_id.hex(), node_id[:8].hex()):
            return row
    return None


async def _settled(n, node_id, wait_s):
    """Until the way is direct, or it was said why it will not be."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + wait_s
    while loop.time() < end_s:
        w = n.beyond.way(node_id)
        if w is None or w.use is None or w.use.channel is None or w.why and not w.punching:
            return
        await asyncio.sleep(_LOOK_S)


def _text(addr):
    from l4mesh.endpoint import format_endpoint

    return format_endpoint(addr)


def _say(out, label, doc):
    if doc["state"] == "direct":
        out.line("%s is reached directly, at %s." % (label, doc["endpoint"]))
    else:
        out.line("%s is reached by %s, which relays." % (label, _by(doc["by"])))
    if doc.get("ms") is not None:
        out.line("First usable after %s ms, round trip %s ms." % (doc["ms"], doc["rtt_ms"]))
    if doc["state"] == "relayed":
        out.line("Not direct: %s." % (doc["why"] or "it is still being tried"))
    for what, outcome, ms in doc["tried"]:
        out.line("  %-22s %s%s" % (_by(what), outcome, " after %d ms" % ms if ms else ""))


def _by(name):
    if name in ("l1", "l2", "l3"):
        return name.upper()
    return "node " + name if name and len(name) == 16 else name or ""


def _say_ways(out, label, rows):
    if not rows:
        out.line("%s has no ways: nobody behind a NAT wanted it, and it wanted nobody." % label)
        return
    out.table(
        [
            {
                "peer": r["peer"],
                "state": r["state"],
                "by": r.get("by") or r.get("endpoint") or "",
                "since_s": r["since_s"],
                "rtt_ms": r["rtt"],
                "not direct": r["why"],
                "tried": ", ".join("%s %s" % (_by(t[0]), t[1]) for t in r["tried"]),
            }
            for r in rows
        ]
    )
