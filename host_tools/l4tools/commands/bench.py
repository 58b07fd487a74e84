"""`l4 bench`: self-test and benchmark on a board."""

from typing import Annotated, Any

import typer

from ..output import FAILED, OK
from ..session import Session
from . import verb
from ._board import Port

app = verb("Self-test and benchmark on a board.")

_LOUD = (
    "THIS BOARD IS VIRTUAL: it runs on this machine's processor, about a hundred times as fast as "
    "a chip. These are no figures of an ESP32: compare them with its own only."
)


@app.command("bench", epilog="Example: l4 bench --save    and after a change: l4 bench --compare")
def bench(
    ctx: typer.Context,
    port: Port = None,
    quick: Annotated[bool, typer.Option("--quick", help="fewer repetitions")] = False,
    save: Annotated[bool, typer.Option("--save", help="keep the figures to compare with")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="fail when there is nothing to compare with")
    ] = False,
) -> int:
    """Check and measure the board: memory, hashes, signatures, a look-up, flash, the network.

    The node is stopped meanwhile and restarted at the end. Figures are compared with those that
    --save kept for this board; what is worse by more than 10 % is marked. Exit code 1: a check
    failed.
    """
    from ..bench_device import figures, run
    from ..usb import ports
    from ..usb.repl import Repl

    session: Session = ctx.obj
    found = ports.find(port)
    with Repl(found, timeout=30) as repl:
        got = run.Run(
            repl, 5 if quick else 20, lambda ip: _way(found, ip), lambda s: _say(session, s)
        ).all()
    board = got.about["id"]
    before = figures.need_stored(board) if compare else figures.stored(board)
    rows = got.rows(before)
    doc: dict[str, Any] = {**got.document(), "figures": rows}
    if save:
        doc["saved"] = str(figures.save(board, got))
    if before is not None:
        doc["worse"] = [row["what"] for row in rows if row["worse"]]
    if session.out.json:
        session.out.document(doc, lambda out: None)
    else:
        _print(session.out, got, rows, doc)
    return FAILED if got.failed() else OK


def _way(port, ip: str):
    from ..bench_device import echo, run
    from ..errors import ToolError

    try:
        hub = echo.hub_of(port.device)
        if hub is not None:
            return echo.virtual(hub, ip)
        if port.is_pty:
            raise run.Skipped("the board is virtual, and no mesh that runs here has it")
        return echo.real(ip)
    except ToolError as e:
        raise run.Skipped(str(e)) from None


def _say(session: Session, part: str) -> None:
    if session.out.stderr.isatty():
        session.out.note("measuring: " + part)


def _print(out, got, rows: list[dict[str, Any]], doc: dict[str, Any]) -> None:
    about = got.about
    out.line(
        "%s, MicroPython %s, %s MHz, id %s"
        % (about["machine"], about["micropython"], about["mhz"], about["id"])
    )
    if got.virtual:
        out.line(_LOUD)
    shown = []
    for row in rows:
        line = {"what": row["what"], "value": "%g" % row["value"], "unit": row["unit"]}
        if "before" in row:
            old = row["before"]
            line["before"] = "" if old is None else "%g" % old
            line["change"] = row["change"] + ("  WORSE" if row["worse"] else "")
        shown.append(line)
    out.table(shown)
    for name, good in got.verdicts.items():
        out.line("%s  %s" % ("ok    " if good else "FAILED", name))
    for name, why in got.skipped.items():
        out.line("skipped  %s: %s" % (name, why))
    if "saved" in doc:
        out.line("Kept in %s." % doc["saved"])
    if got.failed():
        out.note("Failed: %s. Run it again; if it stays so, l4 doctor." % ", ".join(got.failed()))
