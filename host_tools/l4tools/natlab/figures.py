"""The targets of NAT traversal as rows in the form of bench.json (l4tools/bench/rows.py)."""

from ..bench.rows import HIGHER, LOWER, tidy, verdict
from .populations import POPULATIONS
from .trials import (
    Cells,
    Trial,
    blocked,
    easy,
    percentile,
    predictable,
    strict_random,
)

__all__ = ["Figures", "verdict"]

_DIRECT = {"home": 95, "mixed": 90, "mobile": 80}


class Figures:
    """`put` rows in the order in which they are to be read."""

    def __init__(self):
        self.rows: list[dict] = []

    def put(self, name, value, unit, better=LOWER, target=None, spread=None, skipped=None):
        row = {"name": name, "value": None if value is None else tidy(value), "unit": unit,
               "better": better, "target": target, "stretch": None}  # fmt: skip
        if spread:
            row["spread"] = [tidy(min(spread)), tidy(max(spread))]
        if value is None:
            row["skipped"] = skipped or "There were no trials of it in this run."
        self.rows.append(row)

    def share(self, name, trials, good, target=None):
        """Percent of the trials that are good."""
        value = 100 * sum(map(good, trials)) / len(trials) if trials else None
        self.put(name, value, "%", HIGHER, target)

    def times(self, name, values, p50=None, p95=None):
        """Rows for the median and the 95th percentile, where there is a target or none at all."""
        for share, word, target in ((0.5, "p50", p50), (0.95, "p95", p95)):
            if target is None and (p50 or p95):
                continue
            value = percentile(values, share) if values else None
            self.put("%s, %s" % (name, word), value, "ms", LOWER, target, values)

    # -- what the report is made of ------------------------------------------------------------

    def populations(self, cells: dict[str, Cells], note: str = "") -> None:
        """`cells`: by method, ours first."""
        for method, found in cells.items():
            for p in POPULATIONS:
                if found.has(p):
                    target = _DIRECT[p] if method in ("ours", "nodes") else None
                    who = "ours, assisted by nodes" if method == "nodes" else method
                    name = "direct, %s, %s%s" % (p, who, note)
                    self.put(name, found.share(p), "%", HIGHER, target)

    def ours(self, trials: list[Trial], note: str = "") -> None:
        """Success and times of our own set-ups at the reference path, nobody killed."""
        udp = [t for t in trials if not blocked(t)]
        easies = [t for t in trials if easy(t)]
        self.share("direct, cone and public cells" + note, easies, _direct, 100)
        hard = [t for t in trials if predictable(t)]
        self.share("direct within 5 s, predictable hard cells" + note, hard, _direct, 95)
        random = [t for t in trials if strict_random(t)]
        self.share("direct within 5 s, cone by port x full random" + note, random, _direct, 85)
        self.times("direct, easy cells" + note, _ms(easies), 150, None)
        self.times("direct, easy cells" + note, _ms(easies), None, 200)
        self.times("direct, predictable hard cells" + note, _ms(hard), 600, None)
        first = [t.first_ms for t in udp if t.usable]
        self.times("first usable path, pairs with UDP" + note, first, None, 250)
        first = [t.first_ms for t in trials if blocked(t) and t.usable]
        self.times("first usable path, UDP blocked" + note, first, None, 500)

    def relays(self, trials: list[Trial], note: str = "") -> None:
        udp = [t.relay_ms for t in trials if t.relay_ms is not None and not blocked(t)]
        self.times("relay by UDP, place kept" + note, udp, None, 250)
        tcp = [t.relay_ms for t in trials if t.relay_ms is not None and blocked(t)]
        self.times("relay by TCP" + note, tcp, None, 350)

    def far(self, trials: list[Trial]) -> None:
        """At other round trips: how much of the bound was needed."""
        for rtt in sorted({t.rtt for t in trials}):
            ms = _ms([t for t in trials if t.rtt == rtt and easy(t)])
            value = percentile(ms, 0.95) / (2.5 * rtt + 30) if ms else None
            name = "direct, easy cells, RTT %d ms, p95 / (2.5 RTT + 30 ms)" % rtt
            self.put(name, value, "ratio", LOWER, 1)

    def dead(self, trials: list[Trial]) -> None:
        killed = [t for t in trials if t.killed]
        self.share("usable path, L3 dead or dying", killed, lambda t: t.usable, 99.5)

    def setups(self, trials: list[Trial]) -> None:
        self.put("set-ups", len(trials), "", HIGHER, 3000)
        failed = sum(not t.usable for t in trials)
        self.put("set-ups without any path", failed, "", LOWER, 0)
        self.share("set-ups with a path", trials, lambda t: t.usable, 99.9)


def _direct(t):
    return t.direct


def _ms(trials):
    return [t.direct_ms for t in trials if t.direct]
