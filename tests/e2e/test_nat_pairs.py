"""Real MicroPython nodes behind real NATs of the lab: who becomes direct, who is relayed."""

import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "host"))
from natbed import once  # noqa: E402

EASY = {"pub", "fc", "rc", "pr", "clash"}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return once(tmp_path_factory, "live", timeout_s=150)


def test_all_nodes_know_their_nat(live):
    assert len(live["ready"]) == 18 and not live["log"], live["log"][:3]
    types = {h: n[0] for h, n in live["nat"].items() if h.startswith("a-")}
    assert types == {
        "a-pub": 1, "a-fc": 2, "a-rc": 3, "a-pr": 4, "a-clash": 4, "a-symseq": 5, "a-sym": 5,
        "a-symhi": 5, "a-udpblk": 6,
    }  # fmt: skip


def test_28_pairs_become_direct(live):
    trials = live["direct"]
    assert len({frozenset((t["a"], t["b"])) for t in trials}) == 28 == len(trials)
    failed = [(t["a"], t["b"], t["why"]) for t in trials if t["direct_ms"] is None]
    assert len(failed) <= 1, failed  # one in a thousand packets more is lost here and there
    assert all(t["first_ms"] is not None for t in trials)
    easy = [t["direct_ms"] for t in trials if t["a"] in EASY and t["b"] in EASY]
    assert statistics.median(easy) < 400, easy  # 2.2 round trips of 60 ms, on a busy machine


def test_six_pairs_are_relayed(live):
    trials = live["relayed"]
    assert len(trials) == 6
    for t in trials:
        assert t["first_ms"] is not None, t
        tcp = "udpblk" in (t["a"], t["b"])
        assert t["direct_ms"] is None and (tcp or t["by"] == "udp"), t
        assert tcp or "guessed" in t["why"], t
