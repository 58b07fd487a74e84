"""Readings as text for other programs: CSV (RFC 4180) and InfluxDB's line protocol.

Times are UTC. A reading whose time is not known has none in CSV (`earliest`, `latest` say what
is), and is left out of the line protocol, which would make it one of "now".
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from .series import Reading

COLUMNS = (
    "time", "node", "sensor", "value", "unit", "error_s", "predicted", "earliest", "latest",
    "queue", "sequence", "via",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def when(ms: int | None) -> str | None:
    """ISO 8601 with ms, UTC; None stays None. A board can say any 48 bits: shown as they are."""
    if ms is None:
        return None
    try:
        t = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return "%d ms" % ms
    return t.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (t.microsecond // 1000)


def row(r: Reading) -> dict:
    """One reading as a flat object: `--json`, and the columns of CSV."""
    known = r.time_ms is not None
    return {
        "time": when(r.time_ms),
        "node": r.node.hex(),
        "sensor": r.sensor,
        "value": r.value,
        "unit": r.unit,
        "error_s": None if r.error_ms is None else r.error_ms / 1000,
        "predicted": r.predicted,
        "earliest": None if known else when(r.earliest_ms),
        "latest": None if known else when(r.latest_ms),
        "queue": r.queue.hex(),
        "sequence": r.sequence,
        "via": r.via.hex() if r.via else None,
    }


def to_csv(readings: Iterable[Reading], head: bool = True) -> Iterator[str]:
    """Lines of CSV. Text that a spreadsheet would take for a formula gets a quote in front."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    if head:
        yield ",".join(COLUMNS)
    for r in readings:
        cells = row(r)
        for key in ("sensor", "value", "unit"):
            if isinstance(cells[key], str) and cells[key][:1] in ("=", "+", "-", "@"):
                cells[key] = "'" + cells[key]
        cells["predicted"] = int(r.predicted)
        write.writerow(["" if cells[c] is None else cells[c] for c in COLUMNS])
        yield out.getvalue().rstrip("\n")
        out.seek(0)
        out.truncate()


def _tag(text: str) -> str:
    """Escaped for a tag or a field key of the line protocol."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text.replace("\\", "\\\\").replace(",", r"\,").replace("=", r"\=").replace(" ", r"\ ")


def to_line(readings: Iterable[Reading]) -> Iterator[str]:
    """`l4,node=..,sensor=..[,unit=..] value=..,predicted=.. <ns>`."""
    for r in readings:
        if r.time_ms is None:
            continue
        tags = ["l4", "node=" + r.node.hex(), "sensor=" + (_tag(r.sensor) or "-")]
        if r.unit:
            tags.append("unit=" + _tag(r.unit))
        if isinstance(r.value, float):
            value = "value=%.10g" % r.value
        else:
            text = "".join(c if c.isprintable() else "?" for c in r.value)
            value = 'text="%s"' % text.replace("\\", "\\\\").replace('"', r"\"")
        predicted = ",predicted=%s" % ("true" if r.predicted else "false")
        yield "%s %s%s %d" % (",".join(tags), value, predicted, r.time_ms * 1000000)
