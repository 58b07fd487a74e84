# floor 4: tables
# What was found out about the NAT, for people. RAM: 1 kB, loaded when somebody wants to know.
"""why(summary, seen) -> a line for `l4 status`; document(..) -> topic 5 of INFO, for `l4 nat`."""

from .endpoint import format_endpoint
from .nat_type import FIXED, SUBS, TYPES


def why(summary, seen) -> str:
    if seen is None:
        return "not known yet"
    text = TYPES[summary[0]]
    if summary[1]:
        text += ", " + SUBS[summary[1]]
    if seen.main is not None:
        text += ", seen as " + format_endpoint(seen.main)
    if summary[3] & FIXED:
        text += ", the router maps " + format_endpoint(seen.fixed)
    return text


def document(summary, seen, busy: bool, took_ms: int) -> dict:
    d = {"nat": list(summary), "why": why(summary, seen), "busy": busy}
    if seen is not None:
        d["local"] = format_endpoint(seen.local)
        d["asked"] = seen.asked
        d["mapped"] = sorted(set([format_endpoint(m[3]) for m in seen.mapped]))
        d["seen"] = None if seen.main is None else format_endpoint(seen.main)
        d["fixed"] = format_endpoint(seen.fixed) if summary[3] & FIXED else None
        d["took_ms"] = took_ms
    return d
