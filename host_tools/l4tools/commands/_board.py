"""What verbs about one board have in common: it is at a port, or a NODE on the network."""

from typing import Annotated

import typer

from ._node import way_of

Port = Annotated[
    str | None,
    typer.Option(
        "--port",
        help="the board on USB: a device, socket://HOST:PORT or rfc2217://HOST:PORT",
        metavar="PORT",
    ),
]
MaybeNode = Annotated[
    str | None,
    typer.Argument(
        help="a node on the network, as for `l4 ping`; default: the board on USB", metavar="[NODE]"
    ),
]


def usb(port: str | None, node: str | None) -> bool:
    """Is the board on USB meant? A port and a NODE at once are a mistake."""
    if port is not None and node is not None:
        raise typer.BadParameter("--port is the board on USB, NODE one on the network: name one")
    return node is None


def by_order(session, node, upstream, via, give):
    """`await give(orders, target)` over the network; returns (target, result)."""
    from ..orders import Orders

    way = way_of(session, upstream, via)
    target = way.find(node, via)

    async def go(n):
        async with way.asking(n, target), Orders(n) as orders:
            return await give(orders, target)

    return target, way.run(go)
