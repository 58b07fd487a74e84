"""`l4 flash`: a board in its box becomes a node of the mesh."""

import contextlib
import getpass
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ToolError
from ..session import Session
from . import verb

app = verb("A board in its box becomes a node: firmware, files, settings, keys.")

_WAIT_S = 60.0
_USUAL = 4 << 20  # bytes of flash on most boards


@app.command(
    "flash",
    epilog="Example: l4 flash --wifi HomeNet --name porch    "
    "(a first time: --firmware ESP32_GENERIC_C3-v1.27.0.bin)",
)
def flash(
    ctx: typer.Context,
    port: Annotated[
        str | None,
        typer.Option(help="the board's port; default: the only board there is", metavar="PORT"),
    ] = None,
    wifi: Annotated[
        str | None,
        typer.Option(help="the WiFi to join; its password is asked for", metavar="SSID"),
    ] = None,
    wifi_password_file: Annotated[
        Path | None,
        typer.Option(help="its first line is the password (or L4_WIFI_PASSWORD)", metavar="FILE"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="what people call the node")] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(
            help="where a tier listens; default: the network's; repeatable",
            metavar="TIER=IP:PORT",
        ),
    ] = None,
    firmware: Annotated[
        str | None,
        typer.Option(help="MicroPython for the chip, 1.24 or later", metavar="FILE|URL"),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="the checksum of --firmware or of the download")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="JSON with more settings", metavar="FILE")
    ] = None,
    app_file: Annotated[
        Path | None, typer.Option("--app", help="becomes the board's app.py", metavar="FILE")
    ] = None,
    ble: Annotated[
        bool, typer.Option("--ble", help="fetch aioble, which Bluetooth needs, once")
    ] = False,
    erase: Annotated[
        bool, typer.Option("--erase", help="a new board: identity, files, readings go")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be written")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="do not wait until it has joined")
    ] = False,
    wait: Annotated[
        float, typer.Option(help="seconds to wait for it", min=5, metavar="S")
    ] = _WAIT_S,
    baud: Annotated[int, typer.Option(help="speed of the serial line", min=9600)] = 460800,
    no_stub: Annotated[
        bool, typer.Option("--no-stub", help="by the chip's ROM alone: slow, for odd boards")
    ] = False,
    image: Annotated[
        Path | None,
        typer.Option(help="no board: write images for a factory, with tickets", metavar="OUT"),
    ] = None,
    count: Annotated[int, typer.Option(help="how many images", min=1, max=10000)] = 1,
    board: Annotated[
        str | None, typer.Option(help="for --image: e.g. ESP32_GENERIC_C3", metavar="NAME")
    ] = None,
    flash_size: Annotated[
        int | None,
        typer.Option(help="for --image: MiB of flash on the boards; default 4", metavar="MIB"),
    ] = None,
) -> None:
    """Write firmware, files and settings; give the board its keys; wait until it has joined."""
    from ..flash import keep, store
    from ..flash.job import Order
    from ..flash.screen import Screen

    session: Session = ctx.obj
    settings = _settings(session, config, name, upstream, wifi, wifi_password_file)
    try:
        checksum = store.check_sha256(sha256) if sha256 else ""
    except ValueError as e:
        raise typer.BadParameter(str(e))
    if bool(image) != bool(board) or (flash_size or count > 1) and not image:
        raise typer.BadParameter("--image needs --board; --count and --flash-size need --image")
    network = session.load_network()
    order = Order(firmware or "", checksum, settings, app_file, erase, dry_run, ble)
    keep.merged(keep.of_network(network), settings)  # a mistake shows before a board is touched
    if image:
        _factory(session, network, order, image, count, str(board), flash_size)
        return
    with Screen(session) as screen:
        doc = _flash(session, network, order, screen, port, baud, not no_stub, yes)
        if not dry_run:
            device = doc.pop("_port")
            doc["node"] = _follow(session, network, screen, device, doc, wait, not no_wait)
    doc.pop("_port", None)
    session.out.document(doc, lambda out: _say(out, doc, dry_run))


# -- what is wanted ------------------------------------------------------------------------------
def _settings(session, config, name, upstream, wifi, password_file) -> dict[str, Any]:
    """--config, and over it the other options."""
    from ..flash import keep
    from ..network import parse_upstream

    out: dict[str, Any] = keep.read_config(config) if config else {}
    if name is not None:
        out["name"] = name
    if upstream:
        try:
            tiers = parse_upstream(upstream)
        except ValueError as e:
            raise typer.BadParameter(str(e))
        out["upstream"] = [[tier, at] for tier, places in tiers.items() for at in places]
    if wifi is not None:
        out["wifi"] = [[wifi, _wifi_password(session, wifi, password_file)]]
    return keep.checked(out, "The settings") if out else out


def _wifi_password(session: Session, wifi: str, path: Path | None) -> str:
    """Never an argument: those can be read by every user of the machine."""
    if path is not None:
        try:
            return (path.read_text().splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as e:
            raise ToolError(f"{path} could not be read ({e}). Check --wifi-password-file.")
    if "L4_WIFI_PASSWORD" in os.environ:
        return os.environ["L4_WIFI_PASSWORD"]
    if not sys.stdin.isatty():
        raise ToolError(
            "The WiFi's password is needed and there is no terminal to ask for it. Pass "
            "--wifi-password-file FILE or set L4_WIFI_PASSWORD (empty: an open network)."
        )
    try:
        return getpass.getpass(f"Password of {wifi} (empty: none): ", session.out.stderr)
    except EOFError:
        raise ToolError("No password was typed. Nothing was done; start again.") from None


# -- the board -----------------------------------------------------------------------------------
def _flash(session, network, order, screen, port, baud, stub, yes) -> dict[str, Any]:
    """Everything up to the board's restart; the report, with `_port`."""
    from ..flash.job import Job
    from ..flash.rom import open_rom
    from ..usb import ports

    def ask(question: str) -> bool:
        return yes or screen.ask(question)

    device = ports.find(port)
    screen.say(f"Board at {device}")
    with open_rom(device, baud, stub) as rom:
        screen.say(f"{rom.description}, {rom.flash_size >> 20} MiB of flash, MAC {rom.mac}")
        job = Job(rom, order, network, screen.say, ask, screen.bar)
        try:
            job.look()
            job.decide()
            screen.done()
            if not order.dry_run:
                job.write()
                screen.done()
        finally:
            # A board that was only looked at goes on with what it did before.
            if order.dry_run or not rom.written:
                with contextlib.suppress(ToolError):
                    rom.start()
        if not order.dry_run and rom.written:
            rom.start()
    return {**job.report(), "dry_run": order.dry_run, "_port": device}


def _follow(session, network, screen, device, doc, wait, join) -> dict[str, Any]:
    """The board has started: keys, WiFi, mesh."""
    from .. import known
    from ..flash import after

    if not doc["settings"]["wifi"]:
        screen.say("The board knows no WiFi yet. Give it one with: l4 flash --wifi SSID")
        join = False
    elif join and not doc["settings"].get("upstream"):
        screen.say("The network has no upstream address, so nothing takes the node yet.")
        join = False
    screen.bar("Starting", 0, 0)
    with after.console(device) as repl:
        following = after.Following(repl, network, screen.say)
        got = following.until_joined(wait, join)
    screen.done()
    known.remember(network, got.node, doc["settings"].get("name", ""))
    row = got.row()
    if join:
        row.update(_own_word(session, network, got.node))
    return {**row, "sentence": after.sentence(row)}


def _own_word(session: Session, network, node: str) -> dict[str, Any]:
    """Mode and neighbours as the node says them, if it can be asked from here."""
    from ..mesh.way import Way

    try:
        way = Way.of(session, None)
        target = way.find(node)

        async def ask(n):
            async with way.asking(n, target):
                return await n.info(target.id, "status", timeout_s=3.0, addr=target.addr)

        said = way.run(ask)
        return {"mode": said["mode"], "neighbours": said["neighbours"], "asked": True}
    except (ToolError, OSError, KeyError, TimeoutError):
        return {"asked": False}


# -- factory -------------------------------------------------------------------------------------
def _factory(session, network, order, out, count, board, flash_mib) -> None:
    from .. import boards
    from ..flash import choose, factory

    spec = boards.load(board)
    if spec.port != "esp32":
        raise ToolError(f"{board} is no board that can be flashed. Take an ESP32 one.")
    fw = choose.firmware(choose.Wish(order.firmware, order.sha256), spec, "", lambda *a: None)
    assert fw is not None  # nothing can stay where there is no board
    size = (
        (flash_mib << 20)
        if flash_mib
        else (_USUAL if _USUAL in spec.layouts else min(spec.layouts))
    )
    files = factory.make(
        spec, fw, size, order.settings, network, out, count, order.app, order.ble, session.out.note
    )
    rows = [{"file": p, "bytes": p.stat().st_size, "flash": size, "board": board} for p in files]
    session.out.table(rows)
    session.out.note(
        f"For boards with {size >> 20} MiB of flash, one image a board. Write each with: "
        f"esptool --chip {spec.chip} write-flash 0x0 FILE"
    )


# -- what people see -----------------------------------------------------------------------------
def _say(out, doc: dict[str, Any], dry_run: bool) -> None:
    """The report for a person."""
    kept, size = doc["kept"], doc["bytes"]
    python = doc["micropython"]
    out.line(
        "MicroPython %s%s" % (python["version"], "" if python["file"] else ", as it was")
        + "; files at %s, %d blocks" % (doc["files"]["at"], doc["files"]["blocks"])
    )
    survive = ["up to %d unsent readings" % kept["readings"]] if kept["readings"] else []
    survive += ["app.py"] if kept["app"] else []
    survive += kept["files"]
    if survive:
        out.line("Kept: " + ", ".join(survive))
    for row in doc["plan"] if dry_run else []:
        out.line("Would write %(bytes)8d bytes at %(at)s: %(what)s" % row)
    word = "Would write %d" % size["to_write"] if dry_run else "Wrote %d" % size["written"]
    out.line("%s bytes, %d are right already" % (word, max(0, size["wanted"] - size["to_write"])))
    if not dry_run:
        out.line(doc["node"]["sentence"])
