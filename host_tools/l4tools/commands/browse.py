"""`l4 browse`: what DNS-SD says of the nodes on a LAN."""

from typing import Annotated

import typer

from ..session import Session
from . import verb

app = verb("Find the nodes on a LAN by DNS-SD, of any network.")

_MODES = ("passive", "standard", "active")


@app.command("browse", epilog="Example: l4 browse --interface 192.168.1.2 --mode standard")
def browse(
    ctx: typer.Context,
    interface: Annotated[
        str,
        typer.Option(
            "--interface", help="ask on the interface with this IPv4 address", metavar="ADDR"
        ),
    ],
    mode: Annotated[
        str | None, typer.Option("--mode", help="only nodes that are " + ", ".join(_MODES))
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", help="how many seconds to listen", min=0.5, max=4.5)
    ] = 4.5,
) -> None:
    """Hosts that run `l4 node --interface` publish themselves and the boards they hear. Whoever
    answers is believed: what is really a node of yours, `l4 ping` tells."""
    import asyncio

    from l4mesh.endpoint import parse_endpoint

    from ..dnssd import browse as look

    session: Session = ctx.obj
    try:
        parse_endpoint(interface + ":1")
    except ValueError:
        raise typer.BadParameter("%r is no IPv4 address; write it like 192.168.1.2" % interface)
    if mode is not None and mode not in _MODES:
        raise typer.BadParameter("modes are " + ", ".join(_MODES))
    found = asyncio.run(look(interface, mode or "", wait))
    found.sort(key=lambda row: (row["network"] or "", row["name"]))
    session.out.table(found, empty="Nobody publishes a node here.")
