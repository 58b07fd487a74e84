"""`l4 upstream`: the tiers above the boards, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ToolError
from ..session import Session
from . import verb

app = verb("Run the tiers above the boards: L3 (edge), L2 (global), L1 (the authority).")

_OPEN = (
    "Open to the network: whoever reaches {where} can send datagrams to the mesh ports and try to "
    "log in by MQTT. Only what carries a key of this network is answered. Over MQTT a node's "
    "password is sent in clear; its readings are sealed. NATS itself stays on loopback."
)


@app.command(epilog="Example: l4 upstream --listen 192.168.1.2")
def upstream(
    ctx: typer.Context,
    tier: Annotated[
        list[int] | None,
        typer.Option("--tier", help="1, 2 or 3; repeatable; default: all three", min=1, max=3),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", help="IPv4 address for mesh and MQTT", metavar="ADDR")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", help="mesh port, for one tier", min=1024, max=65535)
    ] = None,
    mqtt_port: Annotated[
        int, typer.Option("--mqtt-port", help="0: any free one, the same each time", min=0)
    ] = 0,
    no_mqtt: Annotated[
        bool, typer.Option("--no-mqtt", help="no MQTT on the nearest tier")
    ] = False,
    mqtt_broker: Annotated[
        str | None,
        typer.Option(
            "--mqtt-broker", help="your broker instead of our MQTT listener", metavar="HOST:PORT"
        ),
    ] = None,
    mqtt_user: Annotated[
        str, typer.Option("--mqtt-user", help="who the tier is there", metavar="NAME")
    ] = "",
    mqtt_password_file: Annotated[
        Path | None,
        typer.Option("--mqtt-password-file", help="its first line", metavar="FILE"),
    ] = None,
    mqtt_ca: Annotated[
        Path | None,
        typer.Option("--mqtt-ca", help="TLS to it, checked by this CA (PEM)", metavar="FILE"),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="folder of the stores", metavar="DIR")
    ] = None,
    nats: Annotated[
        str | None,
        typer.Option("--nats", help="your NATS servers instead of private ones", metavar="URLS"),
    ] = None,
    tcp_port: Annotated[
        int | None,
        typer.Option(
            "--tcp-port", help="also by TCP, for nodes without UDP; one tier", min=1, max=65535
        ),
    ] = None,
    tcp_cert: Annotated[
        Path | None, typer.Option("--tcp-cert", help="by TLS: certificate (PEM)", metavar="FILE")
    ] = None,
    tcp_key: Annotated[
        Path | None, typer.Option("--tcp-key", help="its key, if not in it", metavar="FILE")
    ] = None,
    no_relay: Annotated[
        bool, typer.Option("--no-relay", help="relay for nobody (L3 and L1 do)")
    ] = False,
    up: Annotated[
        list[str] | None,
        typer.Option(
            "--up", help="where a tier above runs, e.g. L2=192.0.2.7:4112", metavar="TIER=IP:PORT"
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="run the tier of this file; no network", metavar="FILE"),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="write that file for one tier and end", metavar="FILE"),
    ] = None,
) -> None:
    """Run the upstream here until Ctrl-C; on loopback only, unless --listen says otherwise.

    With your own broker: l4 upstream --mqtt-broker 192.168.1.5:1883 --mqtt-user l4
    --mqtt-password-file password.txt
    """
    from .. import network as networks
    from ..upstream import launch

    session: Session = ctx.obj
    if config is not None:
        launch.run(session.out, [launch.read_config(config)])
        return
    levels = sorted(set(tier or networks.TIERS))
    if tcp_port is not None and len(levels) > 1:
        raise typer.BadParameter("--tcp-port is for one tier; say which with --tier")
    if (tcp_cert or tcp_key) and tcp_port is None:
        raise typer.BadParameter("--tcp-cert is about TCP; say where with --tcp-port")
    if port is not None and len(levels) > 1:
        raise typer.BadParameter("--port is for one tier; say which with --tier")
    try:
        above = networks.parse_upstream(up or [])
    except ValueError as e:
        raise typer.BadParameter(str(e))
    if mqtt_broker is None and (mqtt_user or mqtt_password_file or mqtt_ca):
        raise typer.BadParameter("say which broker with --mqtt-broker HOST:PORT")
    broker = _broker(mqtt_broker, mqtt_user, mqtt_password_file, mqtt_ca)
    path = networks.find(session.network_name)
    phrase = session.passphrase(f"Passphrase of {path.stem}: ")
    made = networks.Network.load(path, phrase)
    plan = launch.Plan(
        network=made,
        levels=levels,
        listen=launch.check_address(listen),
        port=port,
        mqtt_port=None if no_mqtt else mqtt_port,
        data=data or networks.home() / "upstream" / made.name,
        nats=nats,
        up={level: found[0] for level, found in above.items()},
        broker=broker,
        tcp=_tcp(tcp_port, tcp_cert, tcp_key),
        relay=not no_relay,
    )
    if export is not None:
        if len(levels) > 1:
            raise typer.BadParameter("--export is for one tier; say which with --tier")
        if export.exists():
            raise ToolError(f"{export} exists already. Choose another name.")
        launch.export(plan, export)
        session.out.record({"file": export, "tier": levels[0]})
        session.out.note(
            "Secrets: this file lets a machine be that tier. Keep no copy. "
            f"Run it there with: l4 upstream --config {export.name}"
        )
        return
    if not listen.startswith("127."):
        session.out.note(_OPEN.format(where=listen))
    for line in launch.remember(plan, path, phrase):
        session.out.note(line)
    launch.run(session.out, plan.configs(), plan.links)


def _tcp(port, cert, key):
    """What a tier is told about TCP; {} without."""
    told = {"tcp_port": port, "tcp_cert": cert, "tcp_key": key}
    paths = {k: str(Path(v).absolute()) for k, v in told.items() if v is not None and v != port}
    return {"tcp_port": port, **paths} if port is not None else {}


def _broker(where, user, password_file, ca):
    """The Broker of the options; None without --mqtt-broker. A file that can't be used is told."""
    from ..upstream.broker_bridge import Broker

    if where is None:
        return None
    texts = []
    for path in (password_file, ca):
        try:
            texts.append(path.read_text() if path else "")
        except (OSError, ValueError) as e:
            raise ToolError(f"{path} can't be read ({e}). Check the path.") from None
    broker = Broker.parse(where, user=user, password=texts[0].partition("\n")[0], ca=texts[1])
    try:
        broker.context()
    except OSError as e:  # ssl.SSLError
        raise ToolError(f"{ca} holds no certificate ({e}). Give the CA's, as PEM.") from None
    return broker
