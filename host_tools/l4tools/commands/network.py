"""`l4 network`: make, list and show networks, change the group key, work out what a board gets."""

from typing import Annotated

import typer

from ..errors import ToolError
from ..session import Session
from . import verb
from ._rotate import rotate
from ._ticket import app as ticket_app

app = verb("Your networks: their keys live in one encrypted file each.")
app.add_typer(ticket_app, name="ticket")
app.command("rotate", epilog="Example: l4 network rotate home")(rotate)


@app.command("new", epilog="Example: l4 network new home")
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="letters, digits, - and _", metavar="NAME")],
    upstream: Annotated[
        list[str] | None,
        typer.Option(
            "--upstream",
            help="where a tier listens, e.g. L3=192.0.2.7:4104; repeatable",
            metavar="TIER=IP:PORT",
        ),
    ] = None,
) -> None:
    """Make a network: owner key, master key and group key, all new and random."""
    from .. import network

    session: Session = ctx.obj
    try:
        made = network.Network.create(name, network.parse_upstream(upstream or []))
    except ValueError as e:
        raise typer.BadParameter(str(e))
    path = network.path_of(name)
    if path.exists():
        raise ToolError(f"{path} exists already. Choose another name: l4 network list")
    made.save(path, session.passphrase(f"Passphrase for {name}: ", new=True), new=True)
    session.out.record({**made.public(), "file": path})
    session.out.note(
        "Back up the file and remember its passphrase: without either, nothing can be added to "
        "this network again."
    )


@app.command("list", epilog="Example: l4 network list")
def list_(ctx: typer.Context) -> None:
    """The networks of this user; needs no passphrase."""
    from .. import network

    session: Session = ctx.obj
    rows = [
        {"name": path.stem, "changed": network.utc(path.stat().st_mtime), "file": path}
        for path in network.available()
    ]
    empty = f"There is no network in {network.home()} yet. Make one with: l4 network new NAME"
    session.out.table(rows, empty=empty)


@app.command("show", epilog="Example: l4 network show home --json")
def show(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="the network", metavar="[NAME]")] = None,
) -> None:
    """Ids, group key number and endpoints of a network; never a secret."""
    session: Session = ctx.obj
    session.out.record(session.load_network(name).public())


@app.command("provision", epilog="Example: l4 network provision home PUBKEY_HEX")
def provision(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="the network", metavar="NAME")],
    public: Annotated[
        str, typer.Argument(help="the board's public key, 64 hex digits", metavar="PUBKEY_HEX")
    ],
) -> None:
    """Print what the board with this public key is given. The output contains secrets."""
    from l4mesh import keys

    session: Session = ctx.obj
    key = _public_key(public)
    made = session.load_network(name)
    given = made.provision(key)
    warning = "Secrets: give nodekey and group to this board only, and keep no copy."
    doc = {"node": keys.node_id(key).hex(), **given, "warning": warning}
    session.out.record(doc, hide=["warning"])
    session.out.note(warning)


def _public_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise typer.BadParameter(
            f"{text!r} is no public key; a board prints its own, 64 hex digits, at first boot"
        )
    return key
