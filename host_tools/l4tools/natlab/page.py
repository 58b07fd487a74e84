"""build/nat.html: the report as one page that needs nothing else, and weighs populations anew.

Colours say how many set-ups of a cell became direct; the number is the median in ms. The matrix
itself is in the page as data, so that its few lines of script can apply other shares to it.
"""

import json
from html import escape
from pathlib import Path

from ..bench.rows import verdict
from .kinds import HELD_OUT, KINDS
from .populations import POPULATIONS

_FILES = Path(__file__).with_name("page")


def render(doc: dict) -> str:
    """`doc` is that of build/nat.json."""
    parts = [
        _section("Targets", _targets(doc["rows"]), _about(doc)),
        _section("Populations", _populations(doc), _POPULATIONS),
        _section("Ours", _grid(doc["cells"].get("ours", []), doc["kinds"]), _GRID),
        _section(
            "Simultaneous, without prediction",
            _grid(doc["cells"].get("simultaneous", []), doc["kinds"]),
            "Both start together and answer to the address they see: the usual method.",
        ),
        _section(
            "Naive",
            _grid(doc["cells"].get("naive", []), doc["kinds"]),
            "One address by STUN, and only packets from there are believed.",
        ),
    ]
    if doc["cells"].get("nodes"):
        parts.append(
            _section(
                "Ours, assisted by nodes only",
                _grid(doc["cells"]["nodes"], doc["kinds"]),
                "No tier helps: assistants are L4 nodes behind full-cone and port-restricted "
                "routers, reached over their standing mappings.",
            )
        )
    parts.append(_section("Held out", _held_out(doc), _HELD_OUT))
    parts.append(_section("How long", _curves(doc), "Share of set-ups that had it by then."))
    parts.append(_section("Kinds", _kinds(), ""))
    data = {"cells": doc["cells"], "populations": POPULATIONS}
    return (
        (_FILES / "page.html").read_text()
        .replace("{{style}}", (_FILES / "page.css").read_text())
        .replace("{{body}}", "\n".join(parts))
        .replace("{{data}}", json.dumps(data).replace("</", "<\\/"))
        .replace("{{script}}", (_FILES / "page.js").read_text())
    )  # fmt: skip


_POPULATIONS = (
    "Shares of nodes in percent: stated assumptions, no census. Change them, and the last lines "
    "follow. Rates come from this lab's matrix times these shares, not from the field."
)
_GRID = (
    "Rows ask, columns are asked; both ways round are counted together. Green: all became direct "
    "within 5 s; the number is the median in ms. Grey: relayed, as nothing direct can be had."
)
_HELD_OUT = (
    "Three kinds that nobody looked at while the puncher was made, each with every kind: how it "
    "does on what it was not tuned for."
)


def _section(title, body, text):
    text = "<p>%s</p>" % text if text else ""
    return "<section><h2>%s</h2>%s%s</section>" % (escape(title), text, body)


def _about(doc):
    about = doc["about"]
    return escape(
        "%d set-ups in %s, path of %d ms round trip, %g %% loss. %s %s"
        % (about["setups"], about["took"], about["rtt_ms"], 100 * about["loss"],
           doc["method"], doc["machine"]["cpu"])
    )  # fmt: skip


def _targets(rows):
    out = []
    for row in rows:
        said = verdict(row)
        value = "" if row["value"] is None else "%g" % row["value"]
        target = "" if row["target"] is None else (
            ("&le; " if row["better"] == "lower" else "&ge; ") + "%g" % row["target"]
        )  # fmt: skip
        out.append(
            "<tr class='%s'><td>%s</td><td class=n>%s</td><td>%s</td><td class=n>%s</td>"
            "<td class=v>%s</td></tr>"
            % (said.lower(), escape(row["name"]), value, row["unit"], target,
               escape(said or "beside"))
        )  # fmt: skip
    head = "<tr><th>what<th>value<th><th>target<th></tr>"
    return "<table class=targets>%s%s</table>" % (head, "".join(out))


def _by(cells):
    return {frozenset((c["a"], c["b"])): c for c in cells}


def _grid(cells, kinds):
    by = _by(cells)
    shown = [k for k in kinds if k not in HELD_OUT]
    out = ["<tr><th>%s</tr>" % "".join("<th><span>%s</span>" % k for k in shown)]
    for a in shown:
        row = "".join(_cell(by.get(frozenset((a, b)))) for b in shown)
        out.append("<tr><th>%s</th>%s</tr>" % (a, row))
    return "<table class=grid>%s</table>" % "".join(out)


def _cell(c):
    if c is None:
        return "<td class=none></td>"
    share = c["direct"] / c["n"]
    level = "all" if share == 1 else "most" if share >= 0.8 else "some" if share > 0 else "no"
    text = "%d" % c["direct_p50"] if c["direct_p50"] is not None else "relay"
    if c["usable"] < c["n"] and not c["direct"]:
        text = "&ndash;"
    said = "%s x %s: %d of %d direct" % (c["a"], c["b"], c["direct"], c["n"])
    if c["usable"]:
        said += ", %d usable, first path after %s ms" % (c["usable"], c["first_p50"])
    if c.get("why"):
        said += "; else: " + c["why"]
    return "<td class=%s title='%s'>%s</td>" % (level, escape(said, quote=True), text)


def _populations(doc):
    kinds = [k for k in doc["kinds"] if any(k in p for p in POPULATIONS.values())]
    rows = ["<tr><th>%s</tr>" % "".join("<th>%s" % k for k in kinds)]
    for name, shares in POPULATIONS.items():
        cells = "".join(
            "<td><input data-p=%s data-k=%s value=%g size=2></td>" % (name, k, shares.get(k, 0))
            for k in kinds
        )
        rows.append("<tr><th>%s</th>%s</tr>" % (name, cells))
    return "<table class=shares>%s</table><table class=weighed id=weighed></table>" % "".join(rows)


def _held_out(doc):
    by = _by(doc["cells"].get("ours", []))
    shown = doc["kinds"]
    out = ["<tr><th>%s</tr>" % "".join("<th><span>%s</span>" % k for k in shown)]
    for a in HELD_OUT:
        row = "".join(_cell(by.get(frozenset((a, b)))) for b in shown)
        out.append("<tr><th>%s</th>%s</tr>" % (a, row))
    return "<table class=grid>%s</table>" % "".join(out)


def _curves(doc):
    """Shares over time, as a drawing; ms on a scale of roots, so that the first ones show."""
    wide, high, most = 720, 220, 5000
    x = lambda ms: 40 + (wide - 60) * (min(ms, most) / most) ** 0.5
    y = lambda share: 10 + (high - 40) * (1 - share)
    lines = []
    for ms in (50, 150, 250, 500, 1000, 2000, 5000):
        lines.append(
            "<line class=g x1=%.0f x2=%.0f y1=10 y2=%d></line><text x=%.0f y=%d>%d</text>"
            % (x(ms), x(ms), high - 30, x(ms) - 10, high - 12, ms)
        )
    for share in (0, 0.5, 1):
        lines.append("<text x=6 y=%.0f>%d%%</text>" % (y(share) + 4, share * 100))
    for k, (name, values, n) in enumerate(doc["curves"]):
        points = " ".join("%.1f,%.1f" % (x(v), y((i + 1) / n)) for i, v in enumerate(values))
        lines.append("<polyline class=c%d points='%s'></polyline>" % (k, points))
        where = (k, wide - 250, 100 + 17 * k, escape(name))
        lines.append("<text class=c%d x=%d y=%d>%s</text>" % where)
    return "<svg viewBox='0 0 %d %d'>%s</svg>" % (wide, high, "".join(lines))


def _kinds():
    rows = "".join(
        "<tr><th>%s</th><td>%s</td><td>%s</td><td>%s</td></tr>"
        % (name, k.mapping, k.filtering, escape(k.what)) for name, k in KINDS.items()
    )  # fmt: skip
    return "<table class=kinds><tr><th><th>mapping<th>filtering<th></tr>%s</table>" % rows
