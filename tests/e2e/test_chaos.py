"""Twenty boards: an outage of all upstream from which they come back at once, then chaos.

L4_SOAK=1: five minutes of outage and ten of chaos. L4_CHAOS_SEED chooses another plan.
"""

import os
import time
from collections import Counter

import pytest
from l4mesh.wire import T_BATCH
from l4tools.chaos.run import chaos, summary
from l4tools.chaos.stage import Stage

SOAK = bool(os.environ.get("L4_SOAK"))
SEED = int(os.environ.get("L4_CHAOS_SEED", "6"))
OUTAGE_S = 300 if SOAK else 20
CHAOS_S, TIMES = (600, 24) if SOAK else (60, 3)
DRAIN_S = 300


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("chaos") / "run", 20, seed=SEED) as s:
        yield s


def waiting(stage):
    return len(stage.ledger.taken()) - len(stage.stream.seen())


def test_an_outage_of_which_all_come_back_at_once(stage):
    stage.ledger.quiet(False)
    l1 = bytes((10, 77, 0, 1))
    arrived, windows = [0], Counter()

    def seen(t, src, dst, payload, fate):
        if dst[:4] == l1 and payload[1] == T_BATCH and fate == "sent":
            arrived[0] += 1
            windows[int(t * 4)] += 1

    stage.hub.cut("upstream")
    end = time.monotonic() + OUTAGE_S
    while time.monotonic() < end:
        time.sleep(0.2)
    backlog = stage.backlog()
    assert backlog >= OUTAGE_S * 20 // 4  # a reading in 2 s each; half of them on a busy machine
    untap = stage.hub.tap(seen)
    stage.hub.heal("upstream")
    took = stage.drain(DRAIN_S)
    untap()
    verdict = stage.judge()
    print("outage: backlog %d, drained in %.1f s by %d batches, %d in the worst quarter second; %s"
          % (backlog, took, arrived[0], max(windows.values()), verdict))  # fmt: skip
    assert verdict.good, verdict
    # Each board has four batches on their way at most, and few come twice. (A batch may pass two
    # tiers: what is counted here are those that reach L1, by whatever way.)
    assert max(windows.values()) <= 20 * 4
    assert arrived[0] <= 4 * (20 + verdict.stored // 20)


def test_chaos(stage):
    report = chaos(stage, CHAOS_S, SEED, TIMES, tell=print)
    print("\n".join(summary(report)))
    assert (report["lost"], report["doubled"], report["wrong"]) == (0, 0, 0), report
    assert report["stored"] == report["taken"] + report["extra"]
    assert report["extra"] <= report["harms"]["power_cut"] + report["harms"]["reset"]
    assert report["taken"] > 20 * CHAOS_S // 8
    assert all(n == TIMES for n in report["harms"].values()) and len(report["harms"]) >= 10
