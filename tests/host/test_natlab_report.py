"""How set-ups of the NAT lab are laid out, summed up and shown; no lab is built here."""

import itertools
import json

import pytest
from l4tools.bench.rows import verdict
from l4tools.natlab import populations
from l4tools.natlab.figures import Figures
from l4tools.natlab.kinds import HELD_OUT, KINDS, TUNED, rules
from l4tools.natlab.page import render
from l4tools.natlab.report import curves, judge
from l4tools.natlab.trials import (
    Cells,
    Trial,
    easy,
    percentile,
    predictable,
    rounds,
    strict_random,
)


def direct(a, b, ms, **more):
    return Trial(a, b, first_ms=ms, by="direct", direct_ms=ms, **more)


def relayed(a, b, ms, **more):
    return Trial(
        a, b, first_ms=ms, by="udp", relay_ms=ms, why="its ports can't be guessed", **more
    )


def test_rounds_have_each_pair_once_and_each_host_once_a_round():
    left, right = ["a%d" % i for i in range(7)], ["b%d" % i for i in range(7)]
    all_rounds = rounds(left, right)
    assert sorted(itertools.chain(*all_rounds)) == sorted(itertools.product(left, right))
    for pairs in all_rounds:
        assert len({h for p in pairs for h in p}) == 2 * len(pairs) == 14
    # The first half of them has each pair of kinds, whoever of the two asks.
    half = {frozenset((a[1:], b[1:])) for pairs in all_rounds[:4] for a, b in pairs}
    assert len(half) == 28


def test_percentiles_are_values_that_were_measured():
    values = list(range(1, 101))
    assert percentile(values, 0.5) == 50 and percentile(values, 0.95) == 95
    assert percentile([7.0], 0.95) == 7.0 == percentile([7.0], 0.5)
    assert percentile([1, 2, 3], 1.0) == 3


def test_populations_are_of_kinds_and_whole():
    for shares in populations.POPULATIONS.values():
        assert sum(shares.values()) == 100 and set(shares) <= set(TUNED)
        assert not set(shares) & set(HELD_OUT)
    assert populations.weighted("home", lambda a, b: 1) == pytest.approx(1)
    only = lambda a, b: a == b == "pr"
    assert populations.weighted("home", only) == pytest.approx(0.66**2)


def test_cells_count_both_ways_round_and_blocked_ones_as_never_direct():
    cells = Cells([direct("pr", "sym", 300), relayed("sym", "pr", 130), direct("pr", "pr", 100)])
    assert cells.direct("sym", "pr") == cells.direct("pr", "sym") == 0.5
    assert cells.usable("pr", "sym") == 1
    assert cells.direct("udpblk", "pr") == 0 and not cells.has("home")
    with pytest.raises(KeyError):
        cells.direct("fc", "fc")
    row = next(r for r in cells.table(["pr", "sym"]) if r["a"] != r["b"])
    assert (row["n"], row["direct"], row["usable"], row["direct_p50"]) == (2, 1, 2, 300)
    assert "guessed" in row["why"]
    late = Trial("pr", "sym", first_ms=100, direct_ms=5001)
    assert late.usable and not late.direct


def test_what_counts_as_what():
    assert easy(direct("pr", "clash", 1)) and not easy(direct("pr", "sym", 1))
    assert predictable(direct("pr", "symseq", 1)) and predictable(direct("sym", "symblk", 1))
    assert not predictable(direct("pr", "symhi", 1)) and not predictable(direct("pr", "pr", 1))
    assert strict_random(direct("symhi", "eim", 1)) and not strict_random(direct("symhi", "fc", 1))


def found():
    """Set-ups of every pair: direct as the simultaneous baseline could, else relayed."""
    out, base = [], []
    for a, b in itertools.product(KINDS, KINDS):
        soft = {"pub", "fc", "rc", "pr"}
        good = {a, b} <= soft
        out.append(direct(a, b, 140) if good else relayed(a, b, 190))
        if "udpblk" not in (a, b):
            base.append(direct(a, b, 130, method="simultaneous"))
    out.append(relayed("pr", "symhi", 400, killed=True))
    return {"matrix": out, "baselines": base, "far": [direct("pr", "pr", 500, rtt=240)]}


def test_rows_say_what_was_met_and_what_was_not():
    rows, cells = judge(found())
    by = {r["name"]: r for r in rows}
    assert len(by) == len(rows) and set(cells) == {"ours", "simultaneous"}
    for row in rows:
        assert {"name", "value", "unit", "better", "target", "stretch"} <= set(row)
    assert verdict(by["direct, home, ours"]) == "MISSED"
    assert verdict(by["direct, easy cells, p50"]) == "met"
    assert verdict(by["set-ups without any path"]) == "met"
    assert verdict(by["set-ups"]) == "MISSED" and by["set-ups"]["value"] == 18 * 18 + 1
    assert by["usable path, L3 dead or dying"]["value"] == 100
    assert by["direct, easy cells, RTT 240 ms, p95 / (2.5 RTT + 30 ms)"]["value"] < 1
    assert by["direct, home, simultaneous"]["target"] is None


def test_without_trials_a_row_is_skipped_and_says_so():
    f = Figures()
    f.times("relay", [], None, 250)
    assert f.rows[0]["value"] is None and f.rows[0]["skipped"]
    assert verdict(f.rows[0]) == "skipped"


def test_the_page_needs_nothing_else():
    trials = found()
    rows, cells = judge(trials)
    kinds = list(KINDS)
    doc = {
        "rows": rows, "method": "m <script>", "machine": {"cpu": "c"}, "kinds": kinds,
        "about": {"setups": 1, "took": "1 s", "rtt_ms": 60, "loss": 0.01},
        "cells": {n: c.table(kinds) for n, c in cells.items()}, "curves": curves(trials),
    }  # fmt: skip
    page = render(doc)
    assert "{{" not in page and "src=" not in page and "http" not in page.split("<script>")[0]
    assert "m &lt;script&gt;" in page and page.count("data-p=home") == 11
    data = json.loads(page.split("const DATA = ")[1].split(";\n")[0])
    assert data["populations"]["home"]["pr"] == 66


def test_rules_of_every_kind_are_whole():
    for kind in KINDS:
        if not KINDS[kind].carrier:
            text = rules(kind, "198.18.1.1", "198.18.2.1")
            assert text.count("{") == text.count("}") and "hook postrouting" in text
            assert ("masquerade" in text) == (kind != "pubfw")
