"""`l4 mesh`: a mesh of virtual boards on this machine: started, shown, disturbed, stopped."""

import time
from typing import Annotated

import typer

from ..errors import NotFound, ToolError
from ..output import OK
from ..session import Session
from . import verb

app = verb("Virtual boards on this machine, with an upstream of their own.")

_MOST = 60
_COLUMNS = {
    "up": ["name", "node", "address", "tty", "mode", "joined"],
    "ps": ["name", "node", "address", "state", "mode", "joined", "near", "taken", "last"],
}
Name = Annotated[str | None, typer.Argument(help="the mesh; default: the one", metavar="[NAME]")]


@app.command("up", epilog="Example: l4 mesh up home --boards 6 --lans 2")
def up(
    ctx: typer.Context,
    name: Name = None,
    boards: Annotated[int, typer.Option("--boards", help="how many", min=1, max=_MOST)] = 4,
    lans: Annotated[int, typer.Option("--lans", help="on how many LANs", min=1, max=20)] = 2,
    heap: Annotated[
        int, typer.Option("--heap", help="bytes for each board; 0: as a chip has", min=0)
    ] = 0,
    loss: Annotated[
        float, typer.Option("--loss", help="part of datagrams lost, 0 to 0.9", min=0, max=0.9)
    ] = 0,
    ble: Annotated[
        bool, typer.Option("--ble", help="the boards have Bluetooth: a simulated radio")
    ] = False,
    no_wifi: Annotated[
        float,
        typer.Option("--no-wifi", help="part of the boards out of WiFi's reach", min=0, max=0.9),
    ] = 0,
    keep: Annotated[
        bool, typer.Option("--keep", help="go on with the flash and stores of the last time")
    ] = False,
) -> None:
    """Start hub, L1, L2, L3 and virtual boards; returns when the boards have joined."""
    from ..mesh import client

    session: Session = ctx.obj
    place, path, phrase = _owner(session, name or session.network_name)
    order = {
        "name": place.name, "network": str(path), "passphrase": phrase, "boards": boards,
        "lans": min(lans, boards), "heap": heap, "loss": loss, "keep": keep, "ble": ble,
        "no_wifi": no_wifi,
    }  # fmt: skip
    client.start(place, order)
    try:
        state = client.wait_joined(place, 40 + 2 * boards, session.out.note)
    except KeyboardInterrupt:
        session.out.note("The mesh runs on in the background. Stop it with: l4 mesh down")
        raise
    rows = state["tiers"] + state["boards"]
    session.out.table(rows if session.out.json else _lines(rows, 16), _COLUMNS["up"])
    session.out.note("Ask them: l4 lookup lan1-1, l4 status, l4 why lan1-1. Stop: l4 mesh down")


def _owner(session, name):
    """(place, network file, passphrase): of a network that is there, or made now."""
    from .. import network
    from ..mesh.place import Place

    if name is None:
        known = network.available()
        name = network.find(None).stem if known else "home"
    path = network.path_of(name) if name.endswith(network.SUFFIX) else None
    try:
        place = Place(path.stem if path else name)
        path = path or network.path_of(name)
    except ValueError as e:
        raise typer.BadParameter(str(e))
    if place.runs():
        raise ToolError(
            "The mesh %s is running already. See it with `l4 mesh ps`, stop it with "
            "`l4 mesh down`." % place.name
        )
    if path.exists():
        phrase = session.passphrase(f"Passphrase of {place.name}: ")
        network.Network.load(path, phrase)  # a wrong one is best said now
    else:
        made = network.Network.create(place.name)
        phrase = session.passphrase(f"Passphrase for the new network {place.name}: ", new=True)
        made.save(path, phrase, new=True)
        session.out.note(f"Made the network {place.name}: {path}")
    return place, path, phrase


@app.command("ps", epilog="Example: l4 mesh ps --watch")
def ps(
    ctx: typer.Context,
    name: Name = None,
    watch: Annotated[bool, typer.Option("--watch", help="again every second")] = False,
) -> None:
    """What runs, seen from outside (state, pid) and by the nodes' own word (mode, joined)."""
    from ..mesh import client, place

    session: Session = ctx.obj
    if watch and session.out.json:
        raise typer.BadParameter("--watch is for people; ask again for another --json document")
    wanted = name or session.network_name
    if wanted is None and not place.all_places():
        session.out.table([], empty="No mesh runs. Start one with: l4 mesh up")
        return
    here = place.the_place(wanted)
    _say_if_ended(here)
    while True:
        state = client.state(here)
        if watch and session.out.stdout.isatty():
            print("\x1b[H\x1b[2J", end="", file=session.out.stdout)
        _show(session, state)
        if not watch:
            return
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            return


def _say_if_ended(place):
    """One that was not stopped and does not run: say so, once."""
    if place.runs() or not (place.folder / "state.json").exists():
        return
    (place.folder / "state.json").unlink()
    raise NotFound(
        "The mesh %s is not running any more; it was not stopped, its last words were: %s. "
        "Start it again with: l4 mesh up %s" % (place.name, place.last_words(), place.name)
    )


def _show(session, state):
    def say(out):
        out.table(_lines(state["tiers"] + state["boards"], 8), _COLUMNS["ps"])
        fate = ", ".join("%d %s" % (n, what) for what, n in sorted(state["traffic"].items()))
        out.line(
            "datagrams: %s; cut: %s" % (fate or "none", ", ".join(state["cuts"]) or "nothing")
        )

    session.out.document(state, say)


def _lines(rows, digits):
    """Rows of the state as a person wants them: they fit a terminal."""
    lines = []
    for row in rows:
        line = {**row, "node": (row["node"] or "")[:digits]}
        line["address"] = row["address"].partition(":")[0]
        line["near"] = row.get("neighbours")
        if row["name"] in ("l1", "l2", "l3"):
            line["mode"] = "active"
        elif row["tier"]:
            line["joined"] = "L%d, %d ms" % (row["tier"], row["joined_ms"])
        else:
            line["joined"] = "no"
        lines.append(line)
    return lines


@app.command("down", epilog="Example: l4 mesh down")
def down(ctx: typer.Context, name: Name = None) -> None:
    """Stop everything that `up` started, and say what that was."""
    from ..mesh import client, place

    session: Session = ctx.obj
    here = place.the_place(name or session.network_name)
    _say_if_ended(here)
    was = client.stop(here)
    doc = {
        "stopped": here.name,
        "boards": [b["name"] for b in was["boards"] if b["pid"]],
        "tiers": [t["name"] for t in was["tiers"] if t["pid"]],
        "processes": len(client.pids_of(was)),
        "readings": sum(b["taken"] for b in was["boards"]),
    }
    session.out.record(doc)


@app.command("cut", epilog="Example: l4 mesh cut upstream")
def cut(
    ctx: typer.Context,
    what: Annotated[
        str, typer.Argument(help="upstream, l1, l2, l3, lan:1, a board, or a link A-B")
    ],
) -> None:
    """Take a connection away: nothing passes until `l4 mesh heal`."""
    _cuts(ctx.obj, lambda c: c.cut(what=what))


@app.command("heal", epilog="Example: l4 mesh heal upstream")
def heal(
    ctx: typer.Context,
    what: Annotated[str | None, typer.Argument(help="what was cut; default: all")] = None,
) -> None:
    """Undo a cut."""
    _cuts(ctx.obj, lambda c: c.heal(what=what))


def _cuts(session, change):
    cuts = _call(session, change)
    doc = {"cut": cuts}
    session.out.document(doc, lambda out: out.line("Cut: " + (", ".join(cuts) or "nothing")))


@app.command("power", epilog="Example: l4 mesh power lan1-1 off")
def power(
    ctx: typer.Context,
    board: Annotated[str, typer.Argument(help="its name", metavar="BOARD")],
    on: Annotated[str, typer.Argument(help="on or off, at once", metavar="on|off")],
) -> None:
    """Switch a board off as a power cut does, or on."""
    if on not in ("on", "off"):
        raise typer.BadParameter("say on or off, not %r" % on)
    session: Session = ctx.obj

    def switch(client):
        _known(client, board)
        return client.power(name=board, on=on == "on")

    row = _call(session, switch)
    session.out.record({k: row[k] for k in ("name", "state", "starts", "taken", "pid")})


@app.command("wifi", epilog="Example: l4 mesh wifi lan1-2 on")
def wifi(
    ctx: typer.Context,
    board: Annotated[str, typer.Argument(help="its name", metavar="BOARD")],
    on: Annotated[str, typer.Argument(help="on or off", metavar="on|off")],
) -> None:
    """Bring a board's access point into its reach, or out of it."""
    if on not in ("on", "off"):
        raise typer.BadParameter("say on or off, not %r" % on)
    session: Session = ctx.obj

    def change(client):
        _known(client, board)
        return client.wifi(name=board, on=on == "on")

    row = _call(session, change)
    session.out.record({k: row[k] for k in ("name", "state", "wifi")})


@app.command("console", epilog="Example: l4 mesh console lan1-1 --lines 20")
def console(
    ctx: typer.Context,
    board: Annotated[str, typer.Argument(help="its name", metavar="BOARD")],
    lines: Annotated[
        int,
        typer.Option("--lines", help="the N newest, then end; 0: go on until Ctrl-C", min=0),
    ] = 0,
) -> int:
    """A board's console: the newest lines it has said, then each new one."""
    session: Session = ctx.obj
    said: list[str] = []

    def follow(client):
        _known(client, board)
        client.console(name=board, lines=lines)
        while not lines or len(said) < lines:
            got = client.next(3600)
            if got is None:
                return
            said.append(got["line"])
            if not session.out.json:
                session.out.line(got["line"])

    try:
        _call(session, follow)
    except KeyboardInterrupt:
        pass
    session.out.document({"board": board, "lines": said}, lambda out: None)
    return OK


def _known(client, board):
    """The control channel carries sentences only; "no such board" gets its exit code here."""
    names = [b["name"] for b in client.state()["boards"]]
    if board not in names:
        raise NotFound(
            "There is no board %s. There are: %s." % (board, ", ".join(names) or "none yet")
        )


def _call(session, f):
    from ..mesh import place

    here = place.the_place(session.network_name)
    _say_if_ended(here)
    client = here.client()
    try:
        return f(client)
    finally:
        client.close()
