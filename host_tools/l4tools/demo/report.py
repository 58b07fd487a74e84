"""build/demo/report.json, the summary, and the verdict."""

import json
from pathlib import Path

from l4tools.demo.stage import SHORTENED, Stage
from l4tools.demo.watch import SOURCES
from l4tools.vboard.settings import settings


def build(s: Stage) -> dict:
    """The report; figures come from outside the nodes wherever they can."""
    w = s.watch
    taken = s.boards.rack.taken()
    by_node = s.readings.by_node()
    stored = {n: by_node[w.boards[n].id] for n in s.names}
    stats = [w.boards[n].stat for n in s.names]
    standins = settings()["heap"]["standins"]
    own = sorted(us for st in stats for us in st.get("own_us", []))
    return {
        "boards": len(s.names),
        "joined": s.joined(),
        "lookups": w.counts(),
        "latency_ms": w.latencies(),
        "own_time_ms": {
            "p50": round(own[len(own) // 2] / 1000, 3) if own else None,
            "p99": round(own[len(own) * 99 // 100] / 1000, 3) if own else None,
            "n": len(own),
        },
        "readings": {
            "taken": sum(taken.values()),
            "stored": sum(stored.values()),
            "lost": sum(max(0, taken[n] - stored[n]) for n in s.names),
            "doubled": s.readings.doubled,
            "dropped": sum(st.get("dropped", 0) for st in stats),
        },
        "mode_changes": w.modes,
        "heap": {
            "limit": s.boards.heap,
            "peak": max((st.get("peak", 0) for st in stats), default=0) - standins,
            "live": max((st.get("live", 0) for st in stats), default=0) - standins,
            "note": "64-bit; what the stand-ins take (%d B) is left out" % standins,
        },
        "shortened": {"config": SHORTENED, "note": "the rule table and the code are as shipped"},
    }


def faults(r: dict) -> list[str]:
    """What the demo promises and did not show; empty when all is well."""
    out = []
    if r["joined"] != r["boards"]:
        out.append("%d of %d boards are joined" % (r["joined"], r["boards"]))
    for source in SOURCES + ("unavailable",):
        if not r["lookups"][source]:
            out.append("no look-up ended as '%s'" % source)
    if r["lookups"]["failed"]:
        out.append("%d look-ups failed" % r["lookups"]["failed"])
    for k in ("lost", "doubled", "dropped"):
        if r["readings"][k]:
            out.append("%d readings %s" % (r["readings"][k], k))
    if not r["readings"]["taken"]:
        out.append("no readings were taken")
    if not any(m["to"] == "standard+relay" for m in r["mode_changes"]):
        out.append("no mode rose by demand")
    if not any(m["to"] == "passive" and "battery" in m["why"] for m in r["mode_changes"]):
        out.append("no mode fell by battery")
    return out


def save(r: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(r, indent=1, ensure_ascii=False) + "\n")


def summary(r: dict) -> list[str]:
    looks = r["lookups"]
    rows = ["", "boards joined  %d of %d" % (r["joined"], r["boards"])]
    for source in SOURCES:
        if source in r["latency_ms"]:
            lat = r["latency_ms"][source]
            rows.append(
                "look-ups %-5s %4d   p50 %6.1f ms   p99 %6.1f ms"
                % (source, looks[source], lat["p50"], lat["p99"])
            )
    rows.append(
        "look-ups else  unknown %d, unavailable %d, failed %d"
        % (looks["unknown"], looks["unavailable"], looks["failed"])
    )
    own = r["own_time_ms"]
    if own["n"]:
        rows.append("a node's own time  p50 %.2f ms   p99 %.2f ms" % (own["p50"], own["p99"]))
    rows.append(
        "readings       taken %(taken)d, stored %(stored)d, lost %(lost)d, doubled %(doubled)d"
        % r["readings"]
    )
    for m in r["mode_changes"]:
        if m["from"] != "passive":
            rows.append("mode           %(node)s %(from)s -> %(to)s: %(why)s" % m)
    rows.append("heap           limit %(limit)d B a board, %(live)d B live at most" % r["heap"])
    return rows
