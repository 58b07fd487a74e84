"""`l4 ota`: build, push and watch updates over the mesh."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import Refused, ToolError
from ..session import Session
from . import verb
from ._node import Node, Upstream, Via, way_of

app = verb("Update boards over the mesh: signed, staged, back by itself if it fails.")

_SOURCE = "your app.py or its folder, or a checkout; default: this project, app.py stays"
Counter = Annotated[
    int | None,
    typer.Option("--counter", help="version counter; default: one above the last", metavar="N"),
]
Target = Annotated[
    str, typer.Option("--target", help="chip as in esp32c3; `any`: all", metavar="CHIP")
]
Version = Annotated[
    str | None, typer.Option("--version", help="name of the version, for people", metavar="TEXT")
]


def _build(session: Session, network, path, counter, target, version):
    """A Bundle signed by the owner of `network`."""
    from l4mesh import __version__

    from .. import network as networks
    from ..ota import bundle as bundles
    from ..ota.counter import take

    files = bundles.project_bundle(path)
    n = take(networks.find(session.network_name or network.name), counter)
    name = version if version is not None else "%s-%d" % (__version__, n)
    return bundles.Bundle.build(files, network.owner_seed, counter=n, name=name, target=target)


@app.command("build")
def build(
    ctx: typer.Context,
    path: Annotated[Path | None, typer.Argument(help=_SOURCE, metavar="[PATH]")] = None,
    out: Annotated[Path, typer.Option("--out", help="where to write it", metavar="FILE")] = ...,
    target: Target = "any",
    counter: Counter = None,
    version: Version = None,
) -> None:
    """Make a signed bundle. Example: l4 ota build --out v7.l4b"""
    session: Session = ctx.obj
    made = _build(session, session.load_network(), path, counter, target, version)
    made.write(out)
    session.out.record({**made.public(), "file": out})


@app.command("push")
def push(
    ctx: typer.Context,
    nodes: Annotated[
        list[str] | None, typer.Argument(help="nodes, as for `l4 ping`", metavar="[NODE]...")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="all boards of the running mesh that are on")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option("--bundle", help="from `l4 ota build`; default: build now", metavar="FILE"),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="build of " + _SOURCE, metavar="PATH")
    ] = None,
    canary: Annotated[
        int,
        typer.Option("--canary", help="the first N alone, until neighbours confirm", metavar="N"),
    ] = 0,
    peers: Annotated[
        bool, typer.Option("--peers", help="later nodes fetch from updated ones of their LAN")
    ] = False,
    wait: Annotated[
        int, typer.Option("--wait", help="s for a node to judge it", metavar="S", min=1)
    ] = 600,
    target: Target = "any",
    counter: Counter = None,
    version: Version = None,
    upstream: Upstream = None,
    via: Via = None,
) -> int:
    """Offer an update and follow it. Example: l4 ota push --all --canary 1"""
    session: Session = ctx.obj
    nodes = nodes or []
    if bool(nodes) == every:
        raise typer.BadParameter("name the nodes to update, or pass --all")
    if via and len(nodes) != 1:
        raise typer.BadParameter("--via is the address of one NODE")
    if file and (source or counter is not None or version is not None):
        raise typer.BadParameter("--bundle is finished; --from, --counter and --version build one")
    if not 0 <= canary <= 64:
        raise typer.BadParameter("--canary is from 0 to 64")
    from ..ota import rollout
    from ..ota.bundle import Bundle

    way = way_of(session, upstream, via)
    targets = _targets(way, nodes, every, via)
    if file is None:
        made = _build(session, way.network, source, counter, target, version)
    else:
        made = Bundle.read(file)
    if not made.signed_by(way.network.owner_public):
        raise Refused(
            "%s is not signed by the owner of the network %s. Name the network that it was built "
            "for with --network." % (file, way.network.name)
        )
    session.out.note("Update %d (%s), %d bytes." % (made.counter, made.name, len(made.data)))

    async def go(host):
        work = rollout.Rollout(way, host, made, session.out.note, wait, peers)
        return await work.push(targets, canary), work.stopped

    rows, stopped = way.run(go, {"limits": rollout.LIMITS})
    doc = rollout.document(made, rows, stopped)
    session.out.document(doc, lambda out: _say(out, doc))
    return 0 if all(r.state == "good" for r in rows) else 1


def _targets(way, nodes, every, via):
    if every:
        found = [t for t in way.known() if t.tier == 4]
        on = {b["name"] for b in way.mesh["boards"] if b["state"] == "running"} if way.mesh else ()
        targets = [t for t in found if t.name in on]
        if not targets:
            raise ToolError("No mesh with boards runs here. Name the nodes: l4 ota push NODE...")
    else:
        targets = [way.find(n, via) for n in dict.fromkeys(nodes)]
    for t in targets:
        if t.tier != 4:
            raise ToolError("%s is a tier, not a board. Update it by installing l4." % t.label)
    return targets


def _say(out, doc):
    rows = [{**r, "node": r["node"][:8]} for r in doc["nodes"]]
    out.table(rows, ["name", "node", "state", "confirmed", "why"])
    if doc["stopped"]:
        out.line("Stopped: a canary failed, the others keep what they have.")


@app.command("status")
def status(
    ctx: typer.Context,
    node: Node,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """What a node runs and what became of its last update. Example: l4 ota status lan1-1"""
    session: Session = ctx.obj
    way = way_of(session, upstream, via)
    target = way.find(node, via)

    async def ask(n):
        async with way.asking(n, target):
            return await n.info(target.id, "status", addr=target.addr)

    said = way.run(ask)
    ota = said.get("ota")
    doc = {"name": target.name or said.get("name"), "node": target.id.hex()}
    doc.update(ota if isinstance(ota, dict) else {"state": "factory"})
    if "refused" in doc:
        from ..ota.offer import reason

        doc["refused"] = reason(doc["refused"], doc.get("seen", 0))
    session.out.record(doc)
