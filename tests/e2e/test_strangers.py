"""Boards among 1,000 strangers whose addresses change: nothing grows, and they know each other.

A minute; ten with L4_SOAK=1.
"""

import contextlib
import json
import os
import time
from statistics import median

from l4tools.demo.stage import APP
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network
from l4tools.radio.broker import Radio
from l4tools.radio.strangers import Strangers

SECONDS = 600 if os.environ.get("L4_SOAK") else 60
WARM = SECONDS / 4
STRANGERS = 1000
NAMES = ("a", "b")


def resident(pid):
    """KiB of memory that a process has, by the kernel's word."""
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class Street:
    def __init__(self, folder, radio):
        self.said, self.errors = {}, []
        network = Network.create("street")
        self.hub = Hub().start()
        self.boards = Boards(
            folder, self.hub, network, on_line=self._line, app=APP, radio=radio.address
        ).start()

    def close(self):
        self.boards.close()
        self.hub.close()

    def _line(self, name, text):
        for kind in ("stat", "info"):
            if text.startswith("L4 %s {" % kind):
                self.said[name, kind] = json.loads(text[8:])
        if "Traceback" in text or "MemoryError" in text or "Unhandled" in text:
            self.errors.append((name, text))

    def ask(self, words):
        """{board: its answer}."""
        kind = words.split()[0]
        for name in NAMES:
            self.said.pop((name, kind), None)
            self.boards.type(name, words)
        end = time.monotonic() + 30
        while not all((name, kind) in self.said for name in NAMES):
            assert time.monotonic() < end, (words, self.errors, list(self.said))
            time.sleep(0.05)
        return {name: self.said[name, kind] for name in NAMES}

    def pids(self):
        return {p["name"]: p["pid"] for p in self.boards.rack.ps()}


def test_nothing_grows_among_strangers(tmp_path):
    with (
        Radio(seed=9) as radio,
        contextlib.closing(Street(tmp_path / "boards", radio)) as street,
    ):
        for k, name in enumerate(NAMES):
            config = {"wifi": [], "upstream": [], "interval_s": 3600}
            heap = street.boards.heap + 160 * 1024
            street.boards.add(name, "10.77.1.%d" % (11 + k), config, heap=heap)
            street.boards.power_on(name)
        end = time.monotonic() + 90
        while len(street.boards.ids) < 2:
            assert time.monotonic() < end, street.errors
            time.sleep(0.1)
        with contextlib.closing(Strangers(radio, STRANGERS, seed=9)) as crowd:
            live, mem = _watch(street)
            assert crowd.addresses > STRANGERS * SECONDS / 15
            assert min(crowd.sent.values()) > SECONDS * STRANGERS / 20
        near = street.ask("info 7")
        ids = {name: street.boards.ids[name].hex()[:16] for name in NAMES}
        for name, other in (NAMES, NAMES[::-1]):
            assert len(near[name]["nearby"]) <= 50
            assert [r for r in near[name]["nearby"] if r[0] == ids[other]], near[name]
            counts = near[name]["counts"]
            assert counts["not_ours"] > 100 and counts["network"] + counts["malformed"] > 10
            half = len(live[name]) // 2
            assert max(live[name][half:]) <= 1.01 * max(live[name][:half]), live[name]
            assert median(live[name][half:]) <= 1.01 * median(live[name][:half]), live[name]
            assert max(mem[name][half:]) <= 1.01 * max(mem[name][:half]), mem[name]
        assert not street.errors


def _watch(street):
    """Bytes live after a collection, and KiB resident, of each board, again and again."""
    live = {name: [] for name in NAMES}
    mem = {name: [] for name in NAMES}
    pids = street.pids()
    begun = time.monotonic()
    while (at := time.monotonic() - begun) < SECONDS:
        if at > WARM:
            for name, stat in street.ask("stat").items():
                live[name].append(stat["live"])
                mem[name].append(resident(pids[name]))
        time.sleep(SECONDS / 60)
    assert street.pids() == pids, "a board was restarted"
    return live, mem
