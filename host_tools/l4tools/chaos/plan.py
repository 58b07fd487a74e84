"""The kinds of harm, and a seeded plan of when which is done to whom.

Each kind is a context manager `kind(stage, rng)`: harm, then, at its end, back to what it was. It
yields a word on who was hit. Each has a thread of its own, so that several things fail at once.
"""

import contextlib
import random
import threading
import time
from collections import Counter

from l4tools.errors import ToolError

_BACK_S = 60


@contextlib.contextmanager
def power_cut(s, rng):
    name = rng.choice(s.names)
    s.boards.power_cut(name)
    yield name
    s.boards.power_on(name)


@contextlib.contextmanager
def reset(s, rng):
    name = rng.choice(s.names)
    s.boards.rack.reset(name)
    yield name


@contextlib.contextmanager
def wifi(s, rng):
    name = rng.choice(s.names)
    s.boards.rack.wifi(name, False)
    yield name
    s.boards.rack.wifi(name, True)


def _tier(level):
    @contextlib.contextmanager
    def cut(s, rng):
        with s.held[level]:
            s.cut_tier(level)
            yield "L%d" % level
            s.start_tier(level)

    return cut


def _nats(level):
    @contextlib.contextmanager
    def killed(s, rng):
        """Its tier sees that and starts it again."""
        with s.held[level]:
            if not s.kill_nats(level):
                raise ToolError("L%d has no nats-server to kill. See %s." % (level, s.folder))
            yield "L%d" % level
            end = time.monotonic() + _BACK_S
            while not s.nats_runs(level):
                if time.monotonic() > end:
                    raise ToolError("L%d did not start its nats-server again." % level)
                time.sleep(0.05)

    return killed


@contextlib.contextmanager
def mosquitto(s, rng):
    s.mosquitto.kill()
    yield "mosquitto"
    s.mosquitto.start()


@contextlib.contextmanager
def link(s, rng):
    what = rng.choice(("l1", "l2", "l3", "upstream", "lan:1", "lan:2", "l3-l1", "l2-l1"))
    s.hub.cut(what)
    yield what
    s.hub.heal(what)


@contextlib.contextmanager
def loss(s, rng):
    part = rng.choice((0.1, 0.3, 0.5))
    s.hub.configure(loss=part)
    yield "%d %%" % (100 * part)
    s.hub.configure(loss=0.0)


# name -> (what is done, for how many seconds: from, to)
KINDS = {
    "power_cut": (power_cut, 0.2, 4.0),
    "reset": (reset, 0.0, 0.0),
    "wifi": (wifi, 1.0, 5.0),
    "l1": (_tier(1), 0.2, 4.0),
    "l2": (_tier(2), 0.2, 4.0),
    "l3": (_tier(3), 0.2, 4.0),
    "nats": (_nats(1), 0.0, 0.5),
    "nats_mqtt": (_nats(3), 0.0, 0.5),
    "mosquitto": (mosquitto, 0.1, 3.0),
    "link": (link, 1.0, 6.0),
    "loss": (loss, 1.0, 5.0),
}


def kinds(stage) -> list[str]:
    return [k for k in KINDS if k != "mosquitto" or stage.mosquitto is not None]


class Plan:
    """`times` harms of each of `which` within `seconds`; the same seed, the same plan."""

    def __init__(self, seed: int, which, times: int, seconds: float):
        self.seconds = seconds
        self.done: Counter = Counter()
        self.log: list[tuple[float, str, str, float]] = []  # (s, kind, who, for s)
        self.failed: list[Exception] = []
        self._orders = {}
        for kind in which:
            rng = random.Random("%d %s" % (seed, kind))
            _, low, high = KINDS[kind]
            at = sorted(seconds * (i + rng.random()) / times for i in range(times))
            self._orders[kind] = (rng, [(t, rng.uniform(low, high)) for t in at])

    def run(self, stage, meanwhile) -> None:
        """All of it, however long it takes; `meanwhile()` is called all the time."""
        start = time.monotonic()
        threads = [
            threading.Thread(target=self._do, args=(stage, kind, start), daemon=True)
            for kind in self._orders
        ]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads) or time.monotonic() - start < self.seconds:
            meanwhile()
            time.sleep(0.1)
            if self.failed:
                break
        for t in threads:
            t.join()
        if self.failed:
            raise self.failed[0]

    def _do(self, stage, kind, start):
        rng, orders = self._orders[kind]
        try:
            for at, lasts in orders:
                self._sleep(start + at - time.monotonic())
                with KINDS[kind][0](stage, rng) as who:
                    self.log.append((round(time.monotonic() - start, 2), kind, who, lasts))
                    self._sleep(lasts)
                self.done[kind] += 1
                if self.failed:
                    return
        except Exception as e:  # told by run(); the others end soon
            self.failed.append(e)

    def _sleep(self, seconds):
        end = time.monotonic() + seconds
        while not self.failed and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
