"""`l4 network ticket`: one-time tickets for factory images."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import NotFound, ToolError
from ..session import Session
from . import verb
from ._node import Upstream, way_of

app = verb("One-time tickets: a factory image holds one in place of keys.")

_MOST_SHOWN = 20


@app.command("new")
def new(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", help="folder for the files ID.ticket", metavar="DIR")
    ],
    count: Annotated[int, typer.Option("--count", help="one a board", metavar="N")] = 1,
    days: Annotated[
        float, typer.Option("--days", help="how long they are good", metavar="D")
    ] = 90,
) -> None:
    """Make tickets. Needs no upstream; L1 recognises them by the network's master key.

    A ticket lets one board into the network, until it expires: keep the files and images as you
    would keep a key. Example: l4 network ticket new --count 20 --days 30 --out tickets
    """
    from .. import tickets
    from ..network import utc

    session: Session = ctx.obj
    try:
        made = tickets.issue(session.load_network(), count, days)
    except ValueError as e:
        raise typer.BadParameter(str(e))
    files = [tickets.write(out, raw) for raw in made]
    expires = utc(tickets.parse(made[0]).expires)
    doc = {"count": count, "expires": expires, "folder": out, "files": [f.name for f in files]}
    session.out.record(doc, hide=["files"] if count > _MOST_SHOWN else ())


@app.command("list")
def list_(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(help="folder with ticket files", metavar="[DIR]")
    ] = None,
    used: Annotated[bool, typer.Option("--used", help="ask L1 who used them")] = False,
    upstream: Upstream = None,
) -> None:
    """The tickets in a folder; with --used those that L1 knows, and who used them.

    Example: l4 network ticket list tickets --used
    """
    from .. import tickets

    session: Session = ctx.obj
    if folder is None and not used:
        raise typer.BadParameter("give a folder with tickets, or --used to ask L1, or both")
    rows = {}
    if folder is not None:
        paths = sorted(folder.glob("*" + tickets.SUFFIX))
        if not folder.is_dir():
            raise NotFound(f"{folder} is no folder. Give the one that `ticket new --out` wrote.")
        rows = {t.id.hex(): tickets.row(t) for t in map(tickets.read, paths)}
    if used:
        _add_used(rows, _ask_used(session, upstream), folder is None)
    session.out.table(list(rows.values()), empty="There is no ticket here.")


def _ask_used(session, upstream):
    way = way_of(session, upstream)
    target = way.find("l1")
    if target.addr is None:
        raise ToolError(
            "L1 keeps the list of used tickets, and its address is not known here. "
            "Pass --upstream L1=IP:PORT."
        )

    async def ask(n):
        async with way.asking(n, target):
            return await n.info(target.id, "tickets", addr=target.addr)

    return way.run(ask)


def _add_used(rows, said, all_of_them):
    """What L1 said, into the rows."""
    from .. import tickets
    from ..network import utc

    for row in rows.values():
        row.update({"node": None, "used": None, "tried_again": 0, "tried_by": None})
    for ticket_id, node, at, revoked, again, by in said:
        row = rows.get(ticket_id)
        if row is None:
            if not all_of_them:
                continue
            raw = bytes.fromhex(ticket_id)
            row = rows[ticket_id] = {
                "ticket": ticket_id,
                "expires": utc(tickets.expires_s(raw)),
                "state": "",
            }
        row["state"] = "revoked" if revoked else "used"
        row.update(
            {"node": node, "used": utc(at) if node else None, "tried_again": again, "tried_by": by}
        )


@app.command("revoke")
def revoke(
    ctx: typer.Context,
    which: Annotated[
        list[str], typer.Argument(help="ticket files or ids of 16 hex digits", metavar="TICKET...")
    ],
    upstream: Upstream = None,
) -> None:
    """Make tickets worthless, at L1. The board that used one stays in the network.

    Example: l4 network ticket revoke tickets/002238a5cf75865b.ticket
    """
    import asyncio

    from .. import ticket_trade

    session: Session = ctx.obj
    ids = [_id_of(text) for text in which]
    way = way_of(session, upstream)
    for text, (_, network) in zip(which, ids, strict=True):
        if network not in (None, way.network.network_id):
            raise ToolError(
                f"{text} is a ticket of the network {network.hex()}, not of {way.network.name}. "
                "Say which network it is of with --network NAME."
            )
    rows = []
    for ticket_id, _ in ids:
        node = asyncio.run(ticket_trade.revoke(way.network, ticket_id, way.upstream, way.link))
        rows.append({"ticket": ticket_id.hex(), "state": "revoked", "node": node})
    session.out.table(rows)
    if any(row["node"] for row in rows):
        session.out.note("Boards that used one keep their keys; take them out: l4 remove-node ID")


def _id_of(text: str) -> tuple[bytes, bytes | None]:
    """(ticket id, network id or None) of what was typed."""
    from .. import tickets

    try:
        ticket_id = bytes.fromhex(text)
    except ValueError:
        ticket_id = b""
    if len(ticket_id) == 8:
        return ticket_id, None
    if not Path(text).exists():
        raise ToolError(
            f"{text} is neither a ticket file nor an id of 16 hex digits. "
            "See: l4 network ticket list DIR"
        )
    t = tickets.read(Path(text))
    return t.id, t.network
