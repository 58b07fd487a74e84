"""Each fault alone, again and again, on a few boards; lost and doubled must be 0 after each.

What is provoked elsewhere: docs/testing.md has the table.
"""

import os
import queue
import threading
import time

import pytest
from l4mesh.wire import T_BATCH
from l4tools.chaos.plan import Plan, kinds
from l4tools.chaos.stage import Stage
from l4tools.image import build_image, read_image
from l4tools.lan import addr as A

SOAK = bool(os.environ.get("L4_SOAK"))
DRAIN_S = 200
PATIENCE_S = 90
CODE = (".mpy", ".py", "config.json")


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("faults") / "run", 4, {"interval_s": 1}) as s:
        yield s


@pytest.fixture(autouse=True)
def counted(stage):
    """Around each fault: readings are taken; all of them are in the stream once in the end."""
    before = len(stage.ledger.taken())
    stage.ledger.quiet(False)
    yield
    stage.heal()
    stage.drain(DRAIN_S)
    verdict = stage.judge()
    assert verdict.good, verdict
    assert verdict.taken > before, "no reading was taken meanwhile"


def until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def more(stage, n=1, names=None):
    """Wait for new readings, of each board or of these."""
    names = names or stage.names
    want = {name: len(stage.ledger.taken(name)) + n for name in names}
    until(
        lambda: all(len(stage.ledger.taken(name)) >= want[name] for name in names),
        "no more readings: %s" % {n: stage.lines[n][-3:] for n in names},
    )


def hurt(stage, seed, which, times, seconds):
    plan = Plan(seed, which, times, seconds)
    plan.run(stage, lambda: None)
    assert all(plan.done[kind] == times for kind in which), plan.done


def test_brokers_are_killed_at_random(stage):
    which = [k for k in ("nats_mqtt", "mosquitto") if k in kinds(stage)]
    times = 100 if SOAK else 8
    hurt(stage, 1, which, times, 1.2 * times)


def test_wifi_flaps(stage):
    times = 60 if SOAK else 3
    hurt(stage, 2, ["wifi"], times, 2 * times)


class Tap:
    """Once armed, calls `then(sender)` in a thread of its own when a BATCH goes to `to`."""

    def __init__(self, stage, to, then, senders=None):
        self._to, self._then, self._senders = A.pack(to), then, senders
        self._box = queue.Queue()
        self.done = 0
        self._armed = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._off = stage.hub.tap(self._seen)

    def arm(self):
        self._armed = True

    def _seen(self, t, src, dst, payload, fate):
        if self._armed and dst == self._to and payload[1] == T_BATCH and fate == "sent":
            who = A.text_ip(src)
            if self._senders is None or who in self._senders:
                self._armed = False
                self._box.put(who)

    def _run(self):
        while (src := self._box.get()) is not None:
            self._then(src)
            self.done += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._off()
        self._box.put(None)
        self._thread.join()


def test_nats_is_killed_while_a_batch_is_on_its_way_to_it(stage):
    times = 20 if SOAK else 3
    with Tap(stage, "10.77.0.1:4104", lambda src: stage.kill_nats(1)) as tap:
        for i in range(times):
            until(lambda: stage.nats_runs(1), "L1 did not start NATS again")
            tap.arm()
            until(lambda i=i: tap.done > i, "no batch came")


def test_a_board_is_reset_while_it_syncs(stage):
    times = 12 if SOAK else 2
    udp = {stage.board(n).ip: n for n in stage.names if stage.ways[n] == "udp"}
    with Tap(stage, "10.77.0.3:4104", lambda ip: stage.boards.rack.reset(udp[ip]), udp) as tap:
        for i in range(times):
            stage.hub.cut("upstream")
            more(stage, 3, udp.values())
            tap.arm()
            stage.hub.heal("upstream")
            until(lambda i=i: tap.done > i, "no batch left")
            if SOAK:  # a boot that lives for five seconds is a good one
                more(stage, 6, udp.values())


def test_no_new_reading_is_taken_for_an_old_one_after_a_wipe(stage):
    wiped = dict(zip(("nvs", "files", "both"), stage.names, strict=False))
    more(stage, 2)
    stage.drain(DRAIN_S)  # what is on the flash goes with it: nothing may be left there
    for what, name in wiped.items():
        board = stage.board(name)
        stage.boards.power_cut(name)
        if what != "nvs":
            made = {p: d for p, d in read_image(board.flash).items() if p.endswith(CODE)}
            board.flash.write_bytes(build_image(None, None, made, shrink=False, umqtt=False))
        if what != "files":
            board.world._nvs.clear()
            board.world._keep_nvs()
        stage.boards._given.discard(name)
    stage.ledger.quiet(False)
    before = dict(stage.boards.ids)
    for name in wiped.values():
        stage.boards.power_on(name)
    stage.boards.wait_joined(wiped.values(), PATIENCE_S)
    more(stage, 3, wiped.values())
    same = {what: stage.boards.ids[name] == before[name] for what, name in wiped.items()}
    assert same == {"nvs": True, "files": True, "both": False}
