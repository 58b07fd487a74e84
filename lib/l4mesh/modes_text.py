# floor 4: tables
# The words in which modes.Modes explains itself. RAM: loaded when somebody asks why.
"""why(m, now) -> dict, for `l4 why` and the status; `m` is a modes.Modes."""

from . import ticks
from .modes_table import RUNGS

_NO_BOARD = "Active is for Linux hosts with more than 1 GiB free; this is a board."


def _way(m, to):
    """What is between the rung of `m` and rung `to`, as one sentence."""
    cfg = m.cfg
    if to > 3:
        return "This is the top."
    if to == 3 and not m.host:
        return _NO_BOARD
    if to > m.ceil:
        key = "mode" if cfg.mode == "passive" or cfg.mode == "standard" and to == 3 else "relay"
        return "%s: %s in the config keeps it here." % (key, getattr(cfg, key))
    bad = []
    for i in range(len(m.rules)):
        rule = m.rules[i]
        v = m.values[i]
        rise = m.band(rule)[0]
        if v is not None and m.rung < rule[1] <= to and v < rise:
            bad.append("%s is %d and must be %d or more" % (rule[0], v, rise))
    if not bad:
        return "Nothing is in the way of %s, judgement by judgement." % RUNGS[to]
    return "%s, at %d judgements in a row." % ("; ".join(bad), cfg.confirm)


def why(m, now: int) -> dict:
    if m.judge_at < 0:
        return {"mode": RUNGS[0], "relay": "off", "up": "No sample was taken yet."}
    minutes = m.minutes.advance(now) - m.since_min
    last = m.last
    out = {
        "mode": "standard" if m.rung == 2 else RUNGS[m.rung],
        "relay": "full" if m.relay_full else "quota" if m.rung else "off",
        "since_ms": ticks.diff(now, m.since) if minutes < 8000 else minutes * 60000,
        "signal": last[0],
        "value": last[1],
        "threshold": last[2],
        "direction": last[3],
        "next_ms": max(0, ticks.diff(m.judge_at, now)),
        "up": _way(m, m.rung + 1),
        "active": "" if m.rung == 3 else _way(m, 3),
    }
    if m.wish != m.rung:
        out["wish"] = RUNGS[m.wish]
        out["confirmed"] = "%d of %d" % (m.streak, m.cfg.confirm)
        if m.due >= 0:
            out["change_ms"] = max(0, ticks.diff(m.due, now))
    return out
