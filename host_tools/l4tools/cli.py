"""The `l4` command: a table of verbs, each a module that is loaded when it is asked for.

`main` is the only place that turns exceptions into sentences and exit codes (output.py). The
global options may stand before or after the verb: `l4 --json network list`, `l4 network list
--json`; everything after `--` is left alone.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import __version__
from .commands import verb
from .errors import ToolError
from .output import FAILED, OK, UNAVAILABLE, USAGE, Out
from .session import Session

# verb: its line in `l4 --help`. The module is commands/VERB.py, a verb without one is not offered.
VERBS = {
    "flash": "A board in its box becomes a node: firmware, files, settings, keys.",
    "provision": "Give boards their settings and keys: over USB, or many from a fleet file.",
    "deploy": "Push changed code to a board over USB and follow its log.",
    "bench": "Self-test and benchmark on a board.",
    "ota": "Update boards over the mesh: signed, staged, back by itself if it fails.",
    "monitor": "A board's log, over USB or the network.",
    "log": "What a board remembers of its last crash.",
    "doctor": "What is wrong with board, cable, WiFi, broker or clock, and the fix.",
    "backup": "Save a board's files and settings; restore puts them back.",
    "restore": "Put a backup onto a board.",
    "erase": "Wipe a board.",
    "identify": "Blink a board's LED.",
    "remove-node": "Take a node out of the network, everywhere.",
    "readings": "What the boards measured: newest, query, CSV, line protocol, a plot.",
    "event": "Push an event to the nodes that listen for its topic.",
    "queue": "What waits on a board: how many readings, how old, how the flash wears.",
    "network": "Your networks: make, list, show; what a board is given.",
    "mesh": "Virtual boards on this machine: up, down, ps.",
    "upstream": "Run the tiers above the boards: L3, L2, L1.",
    "node": "Run this machine as a node of the mesh.",
    "lookup": "Ask the mesh where a node is.",
    "ping": "Ask a node whether it is there, and how it is.",
    "path": "How a node is reached: direct or relayed, by whom, since when, why.",
    "trace": "Look a node up and show which tier answered, with each hop's time.",
    "browse": "Find the nodes on a LAN by DNS-SD, of any network.",
    "status": "A node's state: mode, neighbours, cache, queue.",
    "why": "Why a node is in its mode, and what would change it.",
    "nat": "What NAT a node is behind, and which pairs will need a relay.",
}
_FLAGS = ("--json", "-v", "--verbose")
_WITH_VALUE = ("--network", "--passphrase-file")

app = verb("l4: a mesh of ESP32 boards, and everything above it.")


class Verbs(TyperGroup):
    """The commands of VERBS; `l4 --help` reads the table only, so it loads none of them."""

    def __init__(self, **kw: Any) -> None:
        super().__init__(**kw)
        self.commands = {
            name: TyperCommand(name, help=line, rich_markup_mode=None)
            for name, line in VERBS.items()
            if importlib.util.find_spec(_module(name))
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, typer.main.get_command(importlib.import_module(_module(name)).app), rest


def _version(ctx: typer.Context, asked: bool) -> None:
    if asked:
        ctx.obj.out.document({"version": __version__}, lambda out: out.line("l4 " + __version__))
        raise typer.Exit()


@app.callback(cls=Verbs)
def options(
    ctx: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="show the traceback of a failure")
    ] = False,
    network: Annotated[
        str | None,
        typer.Option("--network", help="which network, if you have several", metavar="NAME"),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", help="its first line opens the network", metavar="FILE"),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version", callback=_version, is_eager=True),
    ] = False,
) -> None:
    session: Session = ctx.obj
    session.network_name = network
    session.passphrase_file = passphrase_file


def hoist(argv: list[str]) -> tuple[list[str], list[str]]:
    """(global options, the rest) of `argv`: the parser wants the global ones first."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _FLAGS or word.startswith(tuple(o + "=" for o in _WITH_VALUE)):
            front.append(word)
        elif word in _WITH_VALUE:
            front += [word, *[value for value in [next(words, None)] if value is not None]]
        else:
            rest.append(word)
    return front, rest


def main(argv: list[str] | None = None) -> int:
    """Run `l4` and return its exit code."""
    front, rest = hoist(sys.argv[1:] if argv is None else argv)
    out = Out(json="--json" in front, verbose="-v" in front or "--verbose" in front)
    try:
        code = run(out, front + rest or ["--help"])
        if code == OK:
            out.finish()
        return code
    except ToolError as e:
        hidden = None if e.__suppress_context__ else e.__context__
        out.error(str(e), cause=e.__cause__ or hidden)
        return e.exit_code
    except typer.TyperException as e:  # a wrong argument; its ctx knows which command's
        ctx = getattr(e, "ctx", None)
        text = e.format_message().removeprefix("Invalid value: ").rstrip(".") + "."
        out.error(text, f"How it is used: {ctx.command_path if ctx else 'l4'} --help")
        return USAGE
    except (TimeoutError, ConnectionError) as e:  # a command should have said it better
        out.error(
            f"Nobody answered ({e or type(e).__name__}).",
            "Check that the mesh and its upstream are running; -v shows what was waited for.",
            cause=e,
        )
        return UNAVAILABLE
    except Exception as e:
        out.error(
            f"l4 has a bug: {type(e).__name__}: {e}",
            "" if out.verbose else "Run the same command with -v for the traceback to report.",
            cause=e,
        )
        return FAILED


def run(out: Out, args: list[str]) -> int:
    """Parse and do. Click's own way out is not used: it would know neither JSON nor our codes."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args, prog_name="l4", standalone_mode=False, obj=Session(out))
    except typer.Abort as e:
        # Click also turns every EOFError into this; those are failures like any other.
        raise e.__cause__ or ToolError("Stopped. Nothing more was done.") from None
    except SystemExit as e:
        # .. and ends silently on any broken pipe. Ours is handled in Out; this one is a peer's.
        if isinstance(e.__context__, BrokenPipeError):
            raise e.__context__ from None
        raise
    return code if isinstance(code, int) else OK


def _module(name: str) -> str:
    return "l4tools.commands." + name.replace("-", "_")
