"""Sensors of users on virtual boards: the README's page, and sensors that go wrong."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30


class Bench:
    """One board with an app.py."""

    def __init__(self, folder, app=None):
        self.lines = []
        self.hub = Hub().start()
        path = None
        if app is not None:
            path = folder / "app.py"
            path.write_text(app)
        self.boards = Boards(
            folder / "rack", self.hub, Network.create("bench"), on_line=self._line, app=path
        ).start()
        self.boards.add("a", "10.77.1.11", {"interval_s": 1, "upstream": []})
        self.board = self.boards.rack.board("a")
        self.boards.power_on("a")

    def _line(self, name, text):
        self.lines.append(text)

    def wait(self, part, after=0):
        """The first line with `part`, from line `after` on."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for text in self.lines[after:]:
                if part in text:
                    return text
            time.sleep(0.02)
        pytest.fail("it never said %r but: %s" % (part, self.lines[after:]))

    def close(self):
        self.boards.close()
        self.hub.close()


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(app=None):
        made.append(Bench(tmp_path, app))
        return made[0]

    yield make
    for b in made:
        b.close()


def page():
    """The README's section: (code, what the board says in the end)."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## Add your own sensor") :]
    text = text[: text.index("\n## ")]
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    assert "l4 deploy app.py --port TTY" in text
    return code, [line for line in text.splitlines() if line.startswith("L4 ")]


def test_the_page_does_what_it_says(bench, tmp_path):
    code, promised = page()
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) < 15 and len(promised) == code.count("Sensor(")
    (tmp_path / "app.py").write_text(code)
    b = bench()
    b.wait("first reading: temperature")  # the app.py that is shipped
    out = subprocess.run(
        [
            *(Path(sys.executable).with_name("l4"), "deploy", "app.py", "--port", b.board.tty),
            *("--seconds", "5"),
        ],
        cwd=tmp_path,
        env=dict(os.environ, L4_HOME=str(tmp_path / "home")),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert out.returncode == 0, out.stderr
    for line in promised:
        assert line in out.stdout, out.stdout


WRONG = """
import asyncio, time
from l4drivers.ds18b20 import DS18B20
from sensors import Sensor

def hang():
    print("hanging")
    while True:
        time.sleep(1)

def bug():
    return None + 1

async def slow():
    await asyncio.sleep_ms(120)
    return 1.5

def sensors(board):
    wire = DS18B20(5)
    return [
        Sensor("two words", "", 1, bug),
        Sensor("late", "", 1, 5),
        Sensor("good", "", 1, lambda: 7),
        Sensor("slow", "s", 1, slow),
        Sensor("bug", "", 1, bug),
        Sensor("nobody", "C", 1, DS18B20(6).read),
        Sensor("stuck", "", 1, hang),
    ] + [Sensor("w" + rom[-6:], "C", 1, wire.reader(rom)) for rom in wire.roms()]
"""


def test_what_is_wrong_is_told_and_costs_one_sensor(bench):
    b = bench(WRONG)
    b.wait("sensor two words is left out: a name has no space")
    b.wait("sensor late is left out: read must be a function")
    b.wait("sensor bug: TypeError")
    b.wait('File "app.py", line 12')
    b.wait("hanging")
    said = len(b.lines)
    b.boards.rack.loop.call(b.board._bite)  # the watchdog, without the wait for its 30 s
    b.wait("sensor stuck hung the board: it is left out for 10 min", said)
    for name in ("good=7", "slow=1.5 s", "w16a1f1=18.5 C", "w16a213=55.25 C"):
        b.wait("first reading: " + name, said)
    b.wait("sensor nobody: No DS18B20 on pin 6: check the 4.7", said)
    assert not [x for x in b.lines[said:] if "hanging" in x]
    taken = b.boards.rack.taken()["a"]
    end = time.monotonic() + PATIENCE
    while b.boards.rack.taken()["a"] < taken + 4:
        assert time.monotonic() < end
        time.sleep(0.05)


COUNTER = """
from l4drivers.counter import Counter
from sensors import Sensor

def sensors(board):
    rain = Counter(14, debounce_ms=10)
    return [Sensor("rain", "mm", 1, lambda: print("TOTAL", rain.total()), total=True)]

def loop(node, now):
    print("LOOP")

def event(node, e):
    raise ValueError("event")
"""


def test_a_counter_counts_and_loop_may_return_nothing(bench):
    b = bench(COUNTER)
    b.wait("TOTAL 0")
    b.boards.rack.loop.call(b.board.world.pulse, 14, 7, 40, 40)
    b.wait("TOTAL 7")
    said = len(b.lines)
    b.wait("LOOP", said)
    assert not [x for x in b.lines if "TOTAL 8" in x]
