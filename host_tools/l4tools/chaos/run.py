"""One chaos run: harm by the plan, then peace, then the judgement."""

import time
from collections.abc import Callable

from l4tools.chaos.plan import Plan, kinds
from l4tools.chaos.stage import Stage

DRAIN_S = 300


class Waits:
    """How long readings waited and how many, looked at all the time."""

    def __init__(self, stage: Stage):
        self._stage = stage
        self._since: dict[int, float] = {}
        self.peak = 0
        self.longest_s = 0.0
        self._next = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.5
        waiting = self._stage.ledger.taken() - set(self._stage.stream.seen())
        self.peak = max(self.peak, len(waiting))
        self._since = {v: self._since.get(v, now) for v in waiting}
        oldest = min(self._since.values(), default=now)
        self.longest_s = max(self.longest_s, now - oldest)


def chaos(
    stage: Stage,
    seconds: float,
    seed: int,
    times: int,
    which=None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict:
    """The report. `times`: harms of each kind. ToolError when it does not come to an end."""
    plan = Plan(seed, which or kinds(stage), times, seconds)
    waits = Waits(stage)
    told = [time.monotonic()]

    def meanwhile():
        waits.look()
        if time.monotonic() - told[0] > 5:
            told[0] = time.monotonic()
            tell(
                "%d harms; %d readings taken, %d wait"
                % (sum(plan.done.values()), len(stage.ledger.taken()), stage.backlog())
            )

    stage.ledger.quiet(False)
    try:
        plan.run(stage, meanwhile)
    finally:
        stage.heal()
    tell("all is well again; waiting for the readings that boards still have")
    stage.ledger.quiet()
    drained_s = stage.drain(DRAIN_S, tell)
    waits.look()
    time.sleep(1)  # time for what should not come
    v = stage.judge()
    return {
        "seed": seed,
        "seconds": seconds,
        "boards": len(stage.names),
        "ways": {w: list(stage.ways.values()).count(w) for w in sorted(set(stage.ways.values()))},
        "harms": dict(sorted(plan.done.items())),
        "read": v.read,
        "taken": v.taken,
        "stored": v.stored,
        "lost": len(v.lost),
        "doubled": len(v.doubled),
        "wrong": len(v.wrong),
        "extra": v.extra,
        "values": {"lost": v.lost[:20], "doubled": v.doubled[:20], "wrong": v.wrong[:20]},
        "longest_wait_s": round(waits.longest_s, 1),
        "backlog_peak": waits.peak,
        "drained_s": round(drained_s, 1),
        "plan": plan.log,
    }


def summary(r: dict) -> list[str]:
    harms = ", ".join("%s %d" % item for item in r["harms"].items())
    ways = ", ".join("%s %d" % item for item in r["ways"].items())
    return [
        "seed %d, %d s, %d boards (%s)" % (r["seed"], r["seconds"], r["boards"], ways),
        "harms     %s" % harms,
        "readings  taken %(taken)d, stored %(stored)d, lost %(lost)d, doubled %(doubled)d" % r,
        "          stored without a blink, the power went between: %(extra)d; wrong: %(wrong)d"
        % r,
        "waiting   %(backlog_peak)d at most, %(longest_wait_s)g s at most, "
        "drained %(drained_s)g s after the end" % r,
    ]
