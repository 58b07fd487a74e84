"""What the verbs that ask one node have in common: their arguments and checks."""

from typing import Annotated

import typer
from l4mesh.endpoint import parse_endpoint

Node = Annotated[
    str,
    typer.Argument(
        help="a board's name, l1, l2, l3, a node id or 4 or more digits of it", metavar="NODE"
    ),
]
Upstream = Annotated[
    list[str] | None,
    typer.Option(
        "--upstream",
        help="ask these over UDP, not the running mesh; repeatable",
        metavar="TIER=IP:PORT",
    ),
]
Via = Annotated[
    str | None,
    typer.Option("--via", help="the node's own address: ask it directly", metavar="IP:PORT"),
]


def way_of(session, upstream, via=None):
    """The Way, with bad addresses as usage errors."""
    from ..mesh.way import Way
    from ..network import parse_upstream

    try:
        parse_upstream(upstream or [])
        if via:
            parse_endpoint(via)
    except ValueError as e:
        raise typer.BadParameter(str(e))
    return Way.of(session, upstream, via)
