"""`l4 provision`: settings and keys for one board over USB, for many from a signed fleet file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ToolError
from ..session import Session
from . import verb

app = verb("Give boards their settings and keys: over USB, or many from a signed fleet file.")


@app.callback(
    invoke_without_command=True,
    epilog="Example: l4 provision --wifi HomeNet --name porch --set interval_s=30",
)
def provision(
    ctx: typer.Context,
    port: Annotated[
        list[str] | None,
        typer.Option(
            help="the board's port; default: the only board there is. With --fleet repeatable",
            metavar="PORT",
        ),
    ] = None,
    wifi: Annotated[
        list[str] | None,
        typer.Option(
            help="a WiFi to join; its password is asked for. Repeatable, best first; comes before "
            "those the board knows",
            metavar="SSID",
        ),
    ] = None,
    wifi_password_file: Annotated[
        Path | None,
        typer.Option(help="a line a --wifi, in their order (or L4_WIFI_PASSWORD)", metavar="FILE"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="what people call the node")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="a setting of config.json; repeatable", metavar="KEY=VALUE"),
    ] = None,
    app_file: Annotated[
        Path | None, typer.Option("--app", help="becomes the board's app.py", metavar="FILE")
    ] = None,
    improv: Annotated[
        bool,
        typer.Option("--improv", help="WiFi and name only, by Improv; the node goes on running"),
    ] = False,
    fleet: Annotated[
        Path | None,
        typer.Option(help="a signed CSV with a row a board", metavar="FILE"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="with --fleet: one board only")] = False,
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="take over a board of another network")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="do not wait until it has joined")
    ] = False,
    wait: Annotated[float, typer.Option(help="seconds to wait for it", min=5, metavar="S")] = 60.0,
) -> None:
    """Write settings, give keys to a board that has none, restart it, wait until it has joined."""
    if ctx.invoked_subcommand is not None:
        return
    session: Session = ctx.obj
    if fleet is not None:
        if wifi or name or set_ or app_file or improv:
            raise typer.BadParameter("--fleet has it all in its rows; leave the other options out")
        _fleet(session, fleet, port, once, new_keys=new_keys, wait_s=wait, join=not no_wait)
        return
    if port and len(port) > 1 or once:
        raise typer.BadParameter("several boards need --fleet")
    device = port[0] if port else None
    if improv:
        if set_ or app_file or new_keys:
            raise typer.BadParameter("Improv carries WiFi and name only; leave --improv out")
        _improv(session, device, wifi or [], wifi_password_file, name)
        return
    want = _want(session, wifi or [], wifi_password_file, name, set_ or [], app_file)
    _usb(session, device, want, new_keys=new_keys, wait_s=wait, join=not no_wait)


@app.command("sign", epilog="Example: l4 provision sign fleet.csv")
def sign(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="the CSV", metavar="FLEET.csv")],
) -> None:
    """Check a fleet file and sign it with the owner's key: FLEET.csv.sig beside it."""
    from ..provision import fleet

    session: Session = ctx.obj
    network = session.load_network()
    sig, rows, others = fleet.sign(file, network)
    if others:
        session.out.note(
            f"{file} holds passwords and could be read by other users; its mode is 0600 now. "
            "Change the passwords if somebody did."
        )
    session.out.record(
        {"file": file, "signature": sig, "network": network.name, "boards": len(rows)}
    )


def _want(session, wifi, password_file, name, set_, app_file):
    from ..provision.want import Want, parse_set, read_app, with_passwords

    try:
        settings: dict[str, Any] = parse_set(set_)
    except ValueError as e:
        raise typer.BadParameter(str(e))
    if "wifi" in settings:
        raise typer.BadParameter("a password is never an argument: use --wifi")
    if "mqtt_password" in settings:
        raise typer.BadParameter(
            "a password is never an argument: put it into a file for l4 flash --config FILE, or "
            "into the column mqtt_password of a fleet file"
        )
    if name is not None:
        settings["name"] = name
    # What is wrong is said before anything is asked for.
    Want(settings).check(None)
    app_text = read_app(app_file) if app_file else None
    nets = with_passwords(session, wifi, password_file)
    return Want(settings, nets, app=app_text).check(None)


def _usb(session: Session, device: str | None, want, **options: Any) -> None:
    from .. import known
    from ..provision import board
    from ..usb import ports
    from ..usb.repl import Repl

    network = session.load_network()
    with Repl(ports.find(device)) as repl:
        doc = board.provision(repl, network, want, session.out.note, **options)
    known.remember(network, doc["node"], doc["name"])
    session.out.record(doc)


def _improv(session: Session, device, wifi, password_file, name) -> None:
    from ..provision.improv_client import STATES, ImprovClient, ImprovError
    from ..provision.want import with_passwords

    if len(wifi) > 1:
        raise typer.BadParameter("Improv takes one network at a time: give one --wifi")
    nets = with_passwords(session, wifi, password_file)
    with ImprovClient(device) as client:
        client.probe()
        if name is not None:
            client.name(name)
        for ssid, password in nets:
            session.out.note(f"The device tries {ssid}; that takes up to half a minute")
            try:
                client.join(ssid, password)
            except ImprovError as e:
                raise ToolError(_why(client.lines, ssid) or str(e)) from None
        firmware, version, chip, called, *_ = client.info()
        client.probe()
        session.out.record(
            {
                "state": STATES.get(client.state, client.state),
                "firmware": firmware,
                "version": version,
                "chip": chip,
                "name": called,
                "wifi": wifi,
            }
        )


def _why(lines, ssid: str) -> str:
    """The reason in words, which our own firmware says on the console."""
    for line in reversed(lines):
        _, mark, why = line.partition("L4 WiFi not changed: ")
        if mark:
            why = why.removeprefix(ssid + ": ")
            return (
                f'The device cannot join "{ssid}": {why}. Check the name (capitals count) and the '
                "password, and run the same command again; its former settings are in place."
            )
    return ""


def _fleet(session: Session, path: Path, given, once: bool, **options: Any) -> None:
    from .. import known
    from ..provision import fleet
    from ..provision.run_fleet import FleetRun

    network = session.load_network()
    loaded = fleet.load(path, network)
    if fleet.open_to_others(path):
        session.out.note(
            f"{path} holds passwords and can be read by other users: chmod 600 {path}"
        )
    run = FleetRun(loaded, network, session.out.note, given, **options)
    rows = run.all(once)
    for row in rows:
        known.remember(network, row["node"], row["name"])
    session.out.table(rows)
    if run.failed:
        raise ToolError(
            f"{run.failed} board{'s' if run.failed > 1 else ''} failed; why is said above. Run "
            "the same command again: what is done stays done."
        )
