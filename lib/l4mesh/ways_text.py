# floor 4: tables
# What people are told of ways. RAM: loaded when somebody asks.
"""document(ways, now): for INFO topic 6, a row each:

{"peer": id or its first 8 bytes, "state", "by": "l3" or a node, "endpoint", "since_s", "ms",
 "rtt", "why": not direct, "tried": [[what, outcome, ms], ..]}
"""

from . import ticks
from .endpoint import format_endpoint, id_text

STATES = ("none", "opening", "relayed", "direct")  # way.py
WORDS = (
    "works", "not a member", "the peer has no place there", "full", "too many channels of ours",
    "too many channels from this address", "its quota is used up", "relays for nobody",
    "no relay over a relay", "ended",
)  # fmt: skip


def word(code) -> str:
    return "silent" if code < 0 else WORDS[code] if code < len(WORDS) else "refused"


def reason(code: int, heard: bool) -> str:
    """Why there is no way at all."""
    if not heard:
        return "no relay answers"
    return "no relay carries: " + word(code)


def name(what) -> str:
    return what if isinstance(what, str) else id_text(what)


def _row(ways, w, now):
    p = w.use
    by = p.relay if p is not None and p.channel is not None else None
    d = {
        "peer": id_text(w.id or w.peer),
        "state": STATES[w.state],
        "since_s": max(0, ticks.diff(now, w.since) // 1000),
        "ms": w.ms,
        "rtt": w.rtt,
        "why": w.why,
        "tried": [[name(what), word(code), ms] for what, code, ms in w.tried],
    }
    if by is not None:
        d["by"] = name(ways.name(by))
    elif p is not None:
        d["endpoint"] = format_endpoint(p.addr)
    return d


def document(ways, now: int) -> list:
    return [_row(ways, w, now) for w in ways.all]
