"""`l4 backup`: a board's settings, files, readings and identity in one encrypted file."""

from pathlib import Path
from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._board import Port

app = verb("Save a board's files and settings; restore puts them back.")


@app.command("backup")
def backup(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(help="file to write; must not exist", metavar="OUT")],
    port: Port = None,
) -> None:
    """Save what makes a board this board: settings, app.py, undelivered readings, identity, keys.

    The file holds the board's secret identity: it is encrypted with the network's passphrase. The
    program on the board is stopped for it and started again.

    Example: l4 backup kitchen.l4board --port /dev/ttyUSB0
    """
    from .. import network
    from ..care import backup as care
    from ..errors import ToolError
    from ..usb.repl import Repl

    session: Session = ctx.obj
    if out.exists():
        raise ToolError(f"{out} exists already. Choose another name, or move that file away.")
    path = network.find(session.network_name)
    phrase = session.passphrase(f"Passphrase of {path.stem}: ")
    network.Network.load(path, phrase)  # so that a mistyped one is not found out at restore
    with Repl(port) as repl:
        repl.enter(soft_reset=True)
        taken = care.take(repl)
        repl.soft_reset()
    care.save(out, taken, phrase)
    session.out.record({"file": out, **taken.rows()})
    session.out.note(
        "The file holds the board's identity, under the passphrase of %s." % path.stem
    )
