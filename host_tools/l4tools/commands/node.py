"""`l4 node`: this machine as a node of the mesh, in the foreground."""

from typing import Annotated

import typer

from ..session import Session
from . import verb

app = verb("Run this machine as a node of the mesh.")


@app.command(epilog="Example: l4 node --interface 192.168.1.2 --name desk")
def node(
    ctx: typer.Context,
    listen: Annotated[
        str,
        typer.Option("--listen", help="IPv4 address and port; port 0: any", metavar="IP:PORT"),
    ] = "",
    interface: Annotated[
        str | None,
        typer.Option(
            "--interface",
            help="find neighbours by multicast on the interface with this address",
            metavar="ADDR",
        ),
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option("--hub", help="join a virtual LAN instead", metavar="127.0.0.1:PORT"),
    ] = None,
    vaddr: Annotated[
        str | None,
        typer.Option("--vaddr", help="with --hub: where", metavar="10.77.LAN.HOST:PORT"),
    ] = None,
    up: Annotated[
        list[str] | None,
        typer.Option(
            "--up", help="where a tier runs; default: the network file", metavar="TIER=IP:PORT"
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="auto, passive, standard or active")
    ] = "auto",
    name: Annotated[str, typer.Option("--name", help="text for people")] = "host",
    dns_sd: Annotated[
        bool,
        typer.Option(
            "--dns-sd/--no-dns-sd",
            help="with --interface: publish this node and the boards it hears (`l4 browse`)",
        ),
    ] = True,
) -> None:
    """The same node as on a board. Nothing is sent to a group of a real network by default:
    name the interface to use with --interface."""
    import asyncio

    from l4mesh.endpoint import parse_endpoint

    from .. import network as networks
    from ..hostrun import run

    session: Session = ctx.obj
    try:
        upstream = networks.parse_upstream(up or [])
        any_port = listen[:-1] + "1" if listen.endswith(":0") else listen
        for given in (hub, vaddr, any_port):
            if given:
                parse_endpoint(given)
    except ValueError as e:
        raise typer.BadParameter(str(e))
    if (hub is None) != (vaddr is None):
        raise typer.BadParameter("--hub and --vaddr go together")
    if interface is not None and hub is not None:
        raise typer.BadParameter("--interface is for real networks, --hub for a virtual one")
    asyncio.run(
        run(
            session.out,
            session.load_network(),
            {
                "hub": hub,
                "vaddr": vaddr,
                "interface": interface,
                "listen": listen
                or "%s:%d" % ((interface, 4104) if interface else ("127.0.0.1", 0)),
                "upstream": {t: a[0] for t, a in upstream.items()} or None,
                "config": {"mode": mode, "name": name},
            },
            interface if dns_sd else None,
        )
    )
