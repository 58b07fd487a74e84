"""The figures of a board: units, which way is better, and what has become worse since."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import NotFound
from ..network import home

WORSE_PCT = 10  # less than this is noise
LOWER, HIGHER = "lower", "higher"

# name: (unit, better)
KNOWN: dict[str, tuple[str, str]] = {
    "Python heap free": ("B", HIGHER),
    "Python heap used": ("B", LOWER),
    "flash free": ("B", HIGHER),
    "SHA-256 of 64 B": ("us", LOWER),
    "SHA-256 of 1 KiB": ("us", LOWER),
    "tag of a QUERY": ("us", LOWER),
    "tag of an ANSWER": ("us", LOWER),
    "AES block": ("us", LOWER),
    "Ed25519 sign": ("ms", LOWER),
    "Ed25519 verify": ("ms", LOWER),
    "Ed25519 longest step": ("ms", LOWER),
    "node without a network, heap": ("B", LOWER),
    "look-up answered, own time p50": ("us", LOWER),
    "look-up answered, own time p95": ("us", LOWER),
    "flash write of 1 KiB": ("ms", LOWER),
    "flash read of 1 KiB": ("ms", LOWER),
    "append and flush, p50": ("ms", LOWER),
    "append and flush, longest": ("ms", LOWER),
    "NVS write": ("ms", LOWER),
    "UDP echo, p50": ("ms", LOWER),
    "UDP echo, p95": ("ms", LOWER),
    "UDP echo, lost": ("%", LOWER),
    "WiFi signal": ("dBm", HIGHER),
}
REGION = "heap outside Python, region %d free"


@dataclass
class Figures:
    """One run. `verdicts`: what was checked; `skipped`: figure or part -> why."""

    about: dict[str, Any] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    verdicts: dict[str, bool] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    virtual: bool = False

    def put(self, name: str, value: float) -> None:
        unit_of(name)
        self.values[name] = value if isinstance(value, int) else float("%.4g" % value)

    def failed(self) -> list[str]:
        return [name for name, good in self.verdicts.items() if not good]

    def rows(self, before: dict[str, Any] | None) -> list[dict[str, Any]]:
        """One a figure; with `before`, the change in % and whether it is worse."""
        old = (before or {}).get("values", {})
        rows = []
        for name in sorted(self.values, key=_place):
            unit, better = unit_of(name)
            row: dict[str, Any] = {"what": name, "value": self.values[name], "unit": unit}
            if before is not None:
                row.update(_change(self.values[name], old.get(name), better))
            rows.append(row)
        return rows

    def document(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "virtual": self.virtual,
            "values": self.values,
            "verdicts": self.verdicts,
            "skipped": self.skipped,
        }


def unit_of(name: str) -> tuple[str, str]:
    if name.startswith(REGION.partition("%")[0]):
        return "B", HIGHER
    return KNOWN[name]


def _place(name: str) -> tuple[int, str]:
    order = list(KNOWN)
    return (order.index(name) if name in KNOWN else 1, name)


def _change(value: float, old: float | None, better: str) -> dict[str, Any]:
    if old is None:
        return {"before": None, "change": "", "worse": False}
    if not old:
        return {"before": old, "change": "", "worse": better == LOWER and value > 0}
    pct = (value - old) / abs(old) * 100
    worse = pct > WORSE_PCT if better == LOWER else pct < -WORSE_PCT
    return {"before": old, "change": "%+.0f %%" % pct, "worse": worse}


def path_of(board: str) -> Path:
    return home() / "bench" / (board + ".json")


def stored(board: str) -> dict[str, Any] | None:
    """The figures kept for this board, or None."""
    try:
        doc = json.loads(path_of(board).read_text())
    except (OSError, ValueError):
        return None
    return doc if isinstance(doc, dict) and isinstance(doc.get("values"), dict) else None


def need_stored(board: str) -> dict[str, Any]:
    before = stored(board)
    if before is None:
        raise NotFound(
            "There are no figures of this board (%s). Keep those of a run with: l4 bench --save"
            % board
        )
    return before


def save(board: str, figures: Figures) -> Path:
    path = path_of(board)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_suffix(".%d" % os.getpid())
    tmp.write_text(json.dumps(figures.document(), indent=1) + "\n")
    os.replace(tmp, path)
    return path
