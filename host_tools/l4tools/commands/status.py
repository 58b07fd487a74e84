"""`l4 status [NODE]`: the state of a node by its own word, or of the mesh as a whole."""

import asyncio
from typing import Annotated

import typer

from ..errors import ToolError, Unavailable
from ..mesh.asleep import Asleep
from ..session import Session
from . import verb
from ._node import Upstream, Via, way_of

app = verb("A node's state: mode, neighbours, cache, queue.")

_FIELDS = ("node", "address", "path", "mode", "battery", "heard_s", "rtt_ms", "signed")
_NEAR = ("node", "path", "heard_s", "dbm", "mode", "address", "uplink", "met")
_MORE = ("loss_pct", "hello_s", "sleeps")
_FIRST = ("id", "name", "mode", "joined", "tier", "upstream", "upper", "neighbours", "cache")
_WAIT_S = 2.0


@app.command("status", epilog="Example: l4 status porch --neighbours")
def status(
    ctx: typer.Context,
    node: Annotated[
        str | None,
        typer.Argument(help="a node, as for `l4 ping`; default: the whole mesh", metavar="[NODE]"),
    ] = None,
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="also who it hears and asks")
    ] = False,
    counters: Annotated[
        bool, typer.Option("--counters", help="also all that it counted, if not zero")
    ] = False,
    nearby: Annotated[
        bool, typer.Option("--nearby", help="also whom it hears by Bluetooth")
    ] = False,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """A node's state by its own word; without NODE the mesh: tiers, members, boards."""
    session: Session = ctx.obj
    if node is None and (neighbours or counters or nearby or via):
        raise typer.BadParameter(
            "--neighbours, --counters, --nearby and --via are about one NODE; name it"
        )
    way = way_of(session, upstream, via)
    if node is None:
        doc = way.run(lambda n: whole(way, n))
        if not any(x["up"] for x in doc["tiers"] + doc["boards"]):
            raise way.no_upstream()
        session.out.document(doc, lambda out: say_whole(out, doc))
        return
    from ..readings import wear

    target = way.find(node, via)
    if nearby and target.tier < 4:
        raise ToolError("A tier has no Bluetooth. Ask a board with --nearby.")
    asked = {"status": True, "neighbours": neighbours, "counters": counters, "nearby": nearby}
    topics = [topic for topic, wanted in asked.items() if wanted]

    async def ask(n):
        async with way.asking(n, target):
            return [await n.info(target.id, topic, addr=target.addr) for topic in topics]

    try:
        said = dict(zip(topics, way.run(ask), strict=True))
    except Asleep as e:
        doc = {"id": target.id.hex(), "name": target.name, **e.doc}
        word = str(e)
        session.out.document(doc, lambda out: out.line(word))
        return
    doc = in_order(said["status"])
    if "written" in doc:  # bytes of the queue since the start
        doc["wear_years"] = wear.years(doc["written"], doc["minutes"])
    rows = near = None
    names = {t.id.hex()[:16]: t.name for t in way.known()}
    if "neighbours" in said:
        rows = doc["neighbour_list"] = neighbour_rows(said["neighbours"], names)
    if "nearby" in said:
        near = doc["nearby_list"] = nearby_rows(said["nearby"], names)
        doc["nearby_counts"] = said["nearby"].get("counts")
    if "counters" in said:
        doc["counters"] = dict(sorted(said["counters"].items()))
    if session.out.json:
        session.out.record(doc)
        return
    session.out.record(tidy(doc))
    if rows is not None:
        session.out.table(rows, empty="It hears nobody.")
    if near is not None:
        session.out.table(near, empty="It hears nobody by Bluetooth.")


def in_order(doc: dict) -> dict:
    """A board's dict comes in any order."""
    first = [k for k in _FIRST if k in doc]
    return {k: doc[k] for k in first + sorted(doc.keys() - set(first))}


def tidy(doc: dict) -> dict:
    """For people: pairs and triples of numbers in words, lists of their own left out."""
    doc = {k: v for k, v in doc.items() if k not in ("neighbour_list", "nearby_list")}
    if doc.get("nearby_counts"):  # what was thrown away, and why
        doc["nearby_counts"] = {k: v for k, v in sorted(doc["nearby_counts"].items()) if v}
    for key in ("upstream", "upper"):
        if key in doc:
            doc[key] = ", ".join(
                "L%d %s" % (level, "%s ms" % rtt if up else "silent")
                for level, up, rtt in doc[key]
            )
    if isinstance(doc.get("cache"), list):
        doc["cache"] = "%d of %d" % tuple(doc["cache"])
    return doc


def neighbour_rows(said: list, names: dict) -> list[dict]:
    """A node tells eleven fields of each neighbour (an older one eight), a tier three of each
    tier above."""
    rows = []
    for one in said:
        if len(one) >= len(_FIELDS):
            fields = dict(zip(_FIELDS + _MORE, one, strict=False))
            row = {"name": names.get(one[0]), **dict.fromkeys(_FIELDS + _MORE), **fields}
            if row["address"].startswith("0."):  # a link or a way: its number in that node
                row["address"] = None
            if row["battery"] == 255 or not row["mode"]:  # mains, or it never said
                row["battery"] = None
            row["rtt_ms"] = row["rtt_ms"] / 10 if row["rtt_ms"] else None
            row["signed"] = bool(row["signed"])
            row["sleeps"] = bool(row["sleeps"])
            if row["loss_pct"] == -1:  # it does not number its hellos, or was heard once
                row["loss_pct"] = None
        else:
            row = dict(zip(("tier", "up", "rtt_ms"), one, strict=False))
        rows.append(row)
    return rows


def nearby_rows(said: dict, names: dict) -> list[dict]:
    """Whom a board hears by Bluetooth; `node` None: a member whose name it does not know yet."""
    rows = []
    for one in said.get("nearby", ()):
        row = {"name": names.get(one[0]), **dict(zip(_NEAR, one, strict=False))}
        row["node"] = row["node"] or None
        row["uplink"], row["met"] = bool(row["uplink"]), bool(row["met"])
        if row["address"] == "0.0.0.0:0":
            row["address"] = None
        rows.append(row)
    return rows


async def whole(way, n) -> dict:
    """Everybody that is known here, asked at once for a status."""
    targets = [t for t in way.known() if t.addr is not None]
    joined, *said = await asyncio.gather(_joined(n), *(_one(n, t) for t in targets))
    tiers = [tier_row(t, s) for t, s in zip(targets, said, strict=True) if t.tier < 4]
    boards = [board_row(t, s) for t, s in zip(targets, said, strict=True) if t.tier == 4]
    members = [t["registered"] for t in tiers if t["registered"] is not None]
    return {
        "network": way.network.name,
        "mesh": way.mesh["name"] if way.mesh else None,
        "upstream": joined,
        "members": members[0] if members else None,
        "cuts": way.mesh["cuts"] if way.mesh else [],
        "tiers": tiers,
        "boards": boards,
    }


async def _joined(n):
    try:
        await n.join(2 * _WAIT_S)
        return True
    except Unavailable:  # what is silent shows in the rows
        return False


async def _one(n, target):
    try:
        return await n.info(target.id, "status", timeout_s=_WAIT_S, addr=target.addr)
    except (ToolError, TimeoutError):
        return None


def tier_row(target, said) -> dict:
    said = said or {}
    upper = said.get("upper") or []
    return {
        "name": target.name,
        "node": target.id.hex(),
        "up": bool(said),
        "registered": said.get("registered"),
        "cache": said.get("cache"),
        "silent_above": ["l%d" % level for level, up, _ in upper if not up],
        "store": said.get("nats"),
        "readings": (said.get("readings") or {}).get("stored"),
    }


def board_row(target, said) -> dict:
    said = said or {}
    return {
        "name": target.name,
        "node": target.id.hex(),
        "up": bool(said),
        "mode": said.get("mode"),
        "joined": said.get("joined"),
        "tier": said.get("tier"),
        "neighbours": said.get("neighbours"),
        "cache": (said.get("cache") or [None])[0],
        "queue": said.get("queue"),
        "sensors": said.get("sensors"),
    }


def say_whole(out, doc) -> None:
    out.line(
        "network %s, mesh %s: %s members registered, upstream %s, cut: %s"
        % (
            doc["network"],
            doc["mesh"] or "not here",
            "?" if doc["members"] is None else doc["members"],
            "answers" if doc["upstream"] else "is silent",
            ", ".join(doc["cuts"]) or "nothing",
        )
    )
    for rows in (doc["tiers"], doc["boards"]):
        if rows:
            out.table([{**row, "node": row["node"][:8]} for row in rows])
