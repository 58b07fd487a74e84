"""`l4 restore`: put a backup onto the same board, or onto its replacement."""

from pathlib import Path
from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._board import Port

app = verb("Put a backup onto a board.")


@app.command("restore")
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="written by l4 backup", metavar="FILE")],
    port: Port = None,
    identity: Annotated[
        bool,
        typer.Option("--identity", help="another board takes over the identity; the old is gone"),
    ] = False,
) -> None:
    """Put a backup onto a board. The same board gets all of it, but keeps the readings it has.

    Another board gets settings and files only, and stays the node it is: undelivered readings and
    keys are left out. With --identity it becomes the node of the backup; that is refused while the
    node still answers, since two boards with one identity lock each other out.

    Example: l4 restore kitchen.l4board --identity
    """
    from .. import network
    from ..care import backup as care
    from ..errors import Refused
    from ..usb.repl import Repl

    session: Session = ctx.obj
    path = network.find(session.network_name)
    kept = care.load(file, session.passphrase(f"Passphrase of {path.stem}: "))
    with Repl(port) as repl:
        repl.enter(soft_reset=True)
        now = care.read_keys(repl)
        same = now.get("public") == kept.keys.get("public")
        if identity and not same and kept.node and _answers(session, kept.node):
            raise Refused(
                "Node %s answers: the board that was backed up is alive. Take it out first: "
                "l4 erase on that board; or restore without --identity." % kept.node
            )
        done = care.restore(repl, kept, identity or same, now)
        repl.soft_reset()
    session.out.record({"node": kept.node, "same_board": same, **done})
    if done["left_out"] and (same or identity):
        session.out.note("The board has readings already; the queue of the backup was left out.")
    elif done["left_out"]:
        session.out.note(
            "This is another board: %d files of the old one's identity were left out. If that "
            "board is gone for good, run it again with --identity." % len(done["left_out"])
        )


def _answers(session, node: str) -> bool:
    """Does the node of the backup still run? False also when nobody can be asked."""
    from ..errors import ToolError
    from ..mesh.way import Way

    try:
        way = Way.of(session)
        target = way.find(node)

        async def ask(n):
            await way.located(n, target)
            await n.ping(target.id, 3.0, target.addr)

        way.run(ask)
    except ToolError:
        return False
    return True
