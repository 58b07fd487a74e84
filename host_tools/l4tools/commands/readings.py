"""`l4 readings`: what the boards measured, as the upstream keeps it."""

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from ..errors import NotFound, Unavailable
from ..session import Session
from . import verb

app = verb("Readings: the newest, a query by node, sensor and time, CSV, line protocol, a plot.")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d+)([smhdw])")
_TAIL = 20
_SHOWN = ("time", "node", "sensor", "value", "unit", "note")


@app.command(
    "readings",
    epilog="Example: l4 readings 7f3a --sensor temperature --since 2h --plot",
)
def readings(
    ctx: typer.Context,
    node: Annotated[
        str | None,
        typer.Argument(help="a board's name, a node id or 4 or more digits of it; default: all"),
    ] = None,
    sensor: Annotated[str | None, typer.Option("--sensor", help="only this sensor")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="from then on: 90s, 15m, 2h, 7d ago, or 2026-11-23T10:00"),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="up to then")] = None,
    tail: Annotated[
        int | None,
        typer.Option("--tail", min=1, help="the newest N; 20 when nothing else is asked for"),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="all that match, not the newest")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="then each new one, until Ctrl-C")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV (RFC 4180), UTC")] = False,
    line_protocol: Annotated[
        bool, typer.Option("--line-protocol", help="InfluxDB's line protocol")
    ] = False,
    plot: Annotated[bool, typer.Option("--plot", help="a curve for each sensor")] = False,
    sent_only: Annotated[
        bool, typer.Option("--sent-only", help="leave out what a sensor's line predicted")
    ] = False,
    nats: Annotated[
        str | None,
        typer.Option("--nats", help="your own server, if L1 uses one", metavar="URL"),
    ] = None,
) -> None:
    """Readings by time, as L1 keeps them; times in UTC.

    A value marked "predicted" was not sent: the board's line told it, within the sensor's band.
    A time with ~ is not known exactly; "between .. and .." is all that is known.
    """
    from ..readings.source import Source
    from ..upstream.connect import StoreAway

    session: Session = ctx.obj
    if csv + line_protocol + plot + session.out.json > 1:
        raise typer.BadParameter("--csv, --line-protocol, --plot and --json: one of them")
    if follow and (plot or session.out.json or until):
        raise typer.BadParameter("--follow prints lines for ever; it goes with none of --plot, "
                                 "--json and --until")  # fmt: skip
    now = time.time()
    window = [None if t is None else moment(t, now) for t in (since, until)]
    source = Source.find(session.network_name, nats)
    many = None if all_ or csv or line_protocol or plot or since else (tail or _TAIL)
    if tail:
        many = tail
    how = "csv" if csv else "line" if line_protocol else "plot" if plot else "table"
    try:
        asyncio.run(_run(session, source, node, sensor, window, many, follow, how, not sent_only))
    except StoreAway as e:
        raise Unavailable(
            f"The readings at {source.where} cannot be read ({e}). Is L1 running? See: l4 status"
        )


def moment(text: str, now_s: float) -> int:
    """ms since 1970 of `2h` (ago) or of an ISO date, UTC when it has no zone."""
    if found := _AGO.fullmatch(text):
        return round((now_s - int(found[1]) * _UNITS[found[2]]) * 1000)
    try:
        t = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time. Give 90s, 15m, 2h or 7d (ago), or 2026-11-23T10:00"
        )
    return round((t if t.tzinfo else t.replace(tzinfo=UTC)).timestamp() * 1000)


async def _run(session, source, node, sensor, window, many, follow, how, predicted):
    from ..readings import formats
    from ..readings.series import Live, series

    async with source.open() as store:
        names = _names()
        one = await _node(store, node, names) if node else None
        async with Live(store, one) as live:
            # Followed first, then read: nothing falls between; what is in both is shown once.
            found = await series(store, one, sensor, *window, predicted)
            last = {(r.node, r.queue): r.sequence for r in sorted(found, key=lambda r: r.sequence)}
            found = found[-many:] if many else found
            _show(session.out, found, how, names, follow)
            while follow:
                r = await live.next()
                if sensor not in (None, r.sensor) or (r.predicted and not predicted):
                    continue
                if r.sequence <= last.get((r.node, r.queue), -1):
                    continue
                if how == "csv":
                    text = "".join(formats.to_csv([r], head=False))
                elif how == "line":
                    text = "".join(formats.to_line([r]))
                else:
                    text = "  ".join(str(v) for v in _row(r, names).values() if v != "")
                if text:
                    session.out.document(None, lambda out, text=text: out.line(text))
                    session.out.stdout.flush()


def _names() -> dict[bytes, str]:
    """What the boards are called: those of a running mesh, and those that were flashed here."""
    from .. import known
    from ..mesh import client, place

    names = {bytes.fromhex(node): name for node, name in known.everywhere().items() if name}
    for here in place.running():
        for b in client.state(here)["boards"]:
            if b["node"]:
                names[bytes.fromhex(b["node"])] = b["name"]
    return names


async def _node(store, text, names) -> bytes:
    """The id of the node meant: by name, or by the beginning of its id among those that sent."""
    word = text.lower()
    for node_id, name in names.items():
        if word == name.lower():
            return node_id
    if len(word) >= 4 and not word.strip("0123456789abcdef"):
        known = await store.senders() | set(names)
        found = sorted(n for n in known if n.hex().startswith(word))
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(n.hex() for n in found)
            raise NotFound(f"Several nodes begin with {text}: {ids}. Give more digits.")
    raise NotFound(f"No readings of a node {text!r} are here. See: l4 readings --all")


def _show(out, found, how, names, follow):
    from ..readings import formats

    if how == "csv":
        out.document(None, lambda out: [out.line(text) for text in formats.to_csv(found)])
    elif how == "line":
        out.document(None, lambda out: [out.line(text) for text in formats.to_line(found)])
    elif how == "plot":
        from ..readings.plot import draw

        out.document(None, lambda out: [out.line(text) for text in draw(found, names, out)])
    elif out.json:
        rows = [formats.row(r) for r in found]
        out.table(rows, formats.COLUMNS)
    else:
        rows = [_row(r, names) for r in found]
        out.table(rows, _SHOWN, empty="" if follow else "No readings match.")


def _row(r, names) -> dict:
    from ..readings.formats import when

    note = "predicted" if r.predicted else "volatile" if r.volatile else ""
    shown = when(r.time_ms)
    if shown is None:
        spans = [when(t) for t in (r.earliest_ms, r.latest_ms)]
        note = "time unknown"
        if spans[0] and spans[1]:
            note = "between %s and %s" % tuple(spans)
        elif spans[0] or spans[1]:
            note = "after %s" % spans[0] if spans[0] else "before %s" % spans[1]
        shown = "?"
    elif r.error_ms is None or r.error_ms > 5000:
        shown = "~" + shown
    value = "%.6g" % r.value if isinstance(r.value, float) else r.value
    return {
        "time": shown,
        "node": names.get(r.node) or r.node.hex()[:16],
        "sensor": r.sensor,
        "value": value,
        "unit": r.unit,
        "note": note,
    }
