"""`l4 remove-node`: take a node out of the network, everywhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._node import Node, Upstream, Via, way_of

app = verb("Take a node out of the network, everywhere.")


@app.command("remove-node")
def remove_node(
    ctx: typer.Context,
    node: Node,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    readings: Annotated[
        bool, typer.Option("--readings", help="also delete the readings it delivered, at L1")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="let a node that was removed join again")
    ] = False,
    broker: Annotated[
        str | None,
        typer.Option("--broker", help="clear retained topics there", metavar="HOST:PORT"),
    ] = None,
    broker_user: Annotated[
        str | None, typer.Option("--broker-user", help="default: the node's own user")
    ] = None,
    broker_password_file: Annotated[
        Path | None, typer.Option("--broker-password-file", help="its first line", metavar="FILE")
    ] = None,
    prefix: Annotated[
        str, typer.Option("--discovery-prefix", help="of Home Assistant's discovery topics")
    ] = "homeassistant",
    upstream: Upstream = None,
    via: Via = None,
) -> int:
    """Take a node out: it forgets its keys, L1 keeps it out, caches, MQTT user and topics go.

    Its readings stay stored, unless --readings. What could not be reached is told. Only L1 keeps
    the node out: exit code 4 when L1 was not reached. A node that was not reached still knows the
    group key: `l4 network rotate` makes a new one for the others.

    Example: l4 remove-node 7f3a --broker 192.0.2.7:1883
    """
    from .. import known
    from ..care import remove
    from ..errors import ToolError, Unavailable
    from ..orders import Orders
    from ..output import OK, UNAVAILABLE

    session: Session = ctx.obj
    way = way_of(session, upstream, via)
    target = way.find(node, via)
    if target.tier != 4:
        raise typer.BadParameter("a tier can't be removed; stop its process instead")
    to = _broker(broker)
    password = _password(way, target, broker_user, broker_password_file)

    async def backlog(n):
        try:
            async with way.asking(n, target):
                return (await n.info(target.id, "status", 2.0, addr=target.addr)).get("queue")
        except ToolError:
            return None

    if not yes and not undo:
        _ask(session, target, way.run(backlog), readings)

    async def work(n):
        steps = []
        try:
            await way.join(n)
        except Unavailable as e:
            steps.append({"where": "upstream", "done": False, "said": str(e).partition(". ")[0]})
        async with Orders(n) as orders:
            if not undo:
                steps.append(await remove.forget(orders, target))
                if to:  # while the node's MQTT user is still there
                    steps.append(
                        remove.broker(
                            *to, broker_user or target.id.hex(), password, target.id, prefix
                        )
                    )
            steps += await remove.tiers(
                orders, way.network, way.upstream, target.id, undo, readings
            )
        return steps

    steps = way.run(work)
    kept_out = any(s["where"] == "l1" and s["done"] for s in steps)
    if kept_out and not undo:
        known.forget(way.network, target.id.hex())
    doc = {"node": target.id.hex(), "name": target.name, "removed": kept_out and not undo}

    def say(out):
        for s in steps:
            out.line("%-4s %s: %s" % ("ok" if s["done"] else "FAIL", s["where"], s["said"]))

    session.out.document({**doc, "steps": steps}, say)
    if not kept_out:
        session.out.note("L1 was not reached: the node can join again. Repeat the command.")
        return UNAVAILABLE
    if not undo and not steps[0]["done"]:
        session.out.note(
            "The node still has the group key. Make a new one for the others: l4 network rotate"
        )
    return OK


def _ask(session, target, queue, readings):
    from ..errors import ToolError

    what = "Remove %s from the network" % target.label
    if queue:
        what += "; %d readings on it are not delivered and will be lost" % queue
    elif queue is None:
        what += "; it does not answer, so its keys stay on it"
    if readings:
        what += "; what it delivered is deleted at L1"
    if not sys.stdin.isatty():
        raise ToolError("%s? Nobody can be asked here. Pass --yes." % what)
    if not typer.confirm(what + "?", err=True):
        raise ToolError("Nothing was done. Run it again when you are sure.")


def _broker(text):
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter("--broker is HOST:PORT, for instance 192.0.2.7:1883")
    return host, int(port)


def _password(way, target, user, path):
    if user is None:
        return way.network.mqtt_password(target.id)
    if path is None:
        return ""
    try:
        return path.read_text().split("\n")[0]
    except OSError as e:
        raise typer.BadParameter("%s could not be read (%s)" % (path, e.strerror or e))
