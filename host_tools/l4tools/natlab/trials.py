"""Set-ups between pairs and what they came to: how rounds are laid out, how results are summed up.

A Trial is one set-up: `first_ms` to the first usable path (a PING over it was answered), `by`
which kind that was, `direct_ms` to the direct one. Times count from the moment the asking side's
application asked for the way.
"""

import statistics
from dataclasses import asdict, dataclass

from .kinds import KINDS
from .populations import BLOCKED, EASY, POPULATIONS, PREDICTABLE, weighted

OURS, NAIVE, SIMULTANEOUS = "ours", "naive", "simultaneous"
LIMIT_S = 5.0


@dataclass
class Trial:
    a: str  # kind of who asks
    b: str
    method: str = OURS
    first_ms: float | None = None
    by: str = ""  # direct, udp or tcp: what the first path was
    direct_ms: float | None = None
    relay_ms: float | None = None
    assisted: str = "tiers"  # or nodes
    killed: bool = False  # L3 was dead, or died meanwhile
    rtt: int = 60
    why: str = ""
    again: bool = False  # a second try: the first one did not become direct

    @property
    def direct(self) -> bool:
        return self.direct_ms is not None and self.direct_ms <= LIMIT_S * 1000

    @property
    def usable(self) -> bool:
        return self.first_ms is not None


def rounds(left: list[str], right: list[str]) -> list[list[tuple[str, str]]]:
    """Every pair once; in a round each host is in one pair at most."""
    n = max(len(left), len(right))
    out = []
    for r in range(n):
        pairs = [(left[i], right[(i + r) % n]) for i in range(len(left))
                 if (i + r) % n < len(right)]  # fmt: skip
        if pairs:
            out.append(pairs)
    return out


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    v = sorted(values)
    return v[min(len(v) - 1, max(0, -int(-share * len(v) // 1) - 1))]


class Cells:
    """Trials by the pair of kinds, whichever of the two asked."""

    def __init__(self, trials: list[Trial]):
        self.trials = trials
        self._by = {}
        for t in trials:
            self._by.setdefault(frozenset((t.a, t.b)), []).append(t)

    def of(self, a: str, b: str) -> list[Trial]:
        return self._by.get(frozenset((a, b)), [])

    def direct(self, a: str, b: str) -> float:
        """Share that became direct; pairs with UDP blocked never do and are not tried."""
        found = self.of(a, b)
        if not found:
            if a in BLOCKED or b in BLOCKED:
                return 0.0
            raise KeyError("no trial of %s with %s" % (a, b))
        return sum(t.direct for t in found) / len(found)

    def usable(self, a: str, b: str) -> float:
        found = self.of(a, b)
        return sum(t.usable for t in found) / len(found) if found else 0.0

    def table(self, kinds: list[str]) -> list[dict]:
        """For the page and for who wants to weigh anew: a row a pair."""
        out = []
        for i, a in enumerate(kinds):
            for b in kinds[i:]:
                found = self.of(a, b)
                if found:
                    direct = [t.direct_ms for t in found if t.direct]
                    first = [t.first_ms for t in found if t.usable]
                    out.append({
                        "a": a, "b": b, "n": len(found), "direct": len(direct),
                        "usable": len(first),
                        "direct_p50": round(statistics.median(direct)) if direct else None,
                        "first_p50": round(statistics.median(first)) if first else None,
                        "why": _commonest(t.why for t in found if not t.direct),
                    })  # fmt: skip
        return out

    def has(self, population: str) -> bool:
        p = [k for k in POPULATIONS[population] if k not in BLOCKED]
        return all(self.of(a, b) for a in p for b in p)

    def share(self, population: str) -> float:
        """Percent of a population's pairs that become direct."""
        return 100 * weighted(population, self.direct)


def _commonest(words):
    words = [w for w in words if w]
    return max(sorted(set(words)), key=words.count) if words else ""


def easy(t: Trial) -> bool:
    return t.a in EASY and t.b in EASY


def predictable(t: Trial) -> bool:
    """Hard, but what its ports will be can be guessed from few."""
    both = (t.a, t.b)
    hard = sum(k in PREDICTABLE for k in both)
    return hard >= 1 and all(k in PREDICTABLE or k in EASY for k in both)


def strict_random(t: Trial) -> bool:
    """A cone that filters by port, and any port of all."""
    both = {t.a, t.b}
    other = both - {"symhi"}
    return "symhi" in both and len(other) == 1 and KINDS[other.pop()] in _STRICT


_STRICT = [KINDS[k] for k in ("pubfw", "pr", "eim", "clash", "cgpr")]


def blocked(t: Trial) -> bool:
    return t.a in BLOCKED or t.b in BLOCKED


def plain(trials: list[Trial]) -> list[dict]:
    return [asdict(t) for t in trials]
