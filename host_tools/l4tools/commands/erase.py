"""`l4 erase`: wipe a board: its files and keys, or the whole chip."""

import sys
from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._board import Port

app = verb("Wipe a board.")


@app.command("erase")
def erase(
    ctx: typer.Context,
    port: Port = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    whole: Annotated[
        bool, typer.Option("--all", help="the whole chip, MicroPython too (esptool)")
    ] = False,
) -> None:
    """Wipe a board: all files, identity and keys; MicroPython stays, unless --all.

    Asks first, and says how many readings on the board are not delivered. The node stays known
    upstream until its registration runs out; l4 remove-node keeps it out.

    Example: l4 erase --port /dev/ttyUSB0
    """
    from ..care import backup as care
    from ..errors import ToolError
    from ..flash import keep
    from ..usb import ports
    from ..usb.repl import Repl

    session: Session = ctx.obj
    where = ports.find(port)
    left: int | None = None
    files = 0
    try:
        with Repl(where, timeout=3 if whole else 10) as repl:
            repl.enter(soft_reset=True)
            queue = {p[1:]: repl.read(p) for p in repl.tree("/queue")}
            left = keep.backlog(queue)
            _ask(yes, where.device, left, whole)
            if not whole:
                files = care.erase(repl)
                repl.hard_reset()
    except ToolError:
        if not whole or left is not None:
            raise
        _ask(yes, where.device, None, whole)  # a board that gives no prompt can be wiped, too
    if whole:
        from ..flash.rom import open_rom

        with open_rom(where) as rom:
            rom.erase()
    session.out.record(
        {"port": where.device, "whole_chip": whole, "files": files, "readings_lost": left}
    )
    session.out.note("The board is as new. Make it a node again with: l4 flash")


def _ask(yes, device, left, whole):
    from ..errors import ToolError

    if yes:
        return
    what = "Wipe %s of the board at %s" % ("all" if whole else "files and keys", device)
    if left:
        what += "; %d readings on it are not delivered and will be lost" % left
    elif left is None:
        what += "; it does not answer, so what is on it is not known"
    if not sys.stdin.isatty():
        raise ToolError("%s? Nobody can be asked here. Pass --yes." % what)
    if not typer.confirm(what + "?", err=True):
        raise ToolError("Nothing was done. Run it again when you are sure.")
