"""Virtual boards without WiFi find each other by Bluetooth; one without a radio says so."""

import contextlib
import json
import time

import pytest
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network
from l4tools.radio.broker import Radio

PATIENCE = 60
APP = """
import json


def sensors(board):
    return []


def loop(node, now):
    if node.nearby is not None:
        print("NEAR " + json.dumps(node.nearby.document(now)))
    return 500
"""


class Room:
    """Boards of one network; `lines` by board. `radio` None: they have no Bluetooth."""

    def __init__(self, folder, radio):
        folder.mkdir()
        self.lines = {}
        self.network = Network.create("room")
        self.hub = Hub().start()
        app = folder / "app.py"
        app.write_text(APP)
        self.boards = Boards(
            folder / "rack", self.hub, self.network, on_line=self._line, app=app,
            radio=radio and radio.address,
        ).start()  # fmt: skip

    def close(self):
        self.boards.close()
        self.hub.close()

    def _line(self, name, text):
        self.lines.setdefault(name, []).append(text)

    def add(self, name, host, **config):
        # Room for what both radios and the application take on 64 bits.
        full = {"wifi": [], "upstream": [], "led_pin": None, **config}
        self.boards.add(name, "10.77.1.%d" % host, full, heap=self.boards.heap + 160 * 1024)
        self.boards.power_on(name)

    def wait(self, what, condition, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (what, {n: x[-8:] for n, x in self.lines.items()})
            time.sleep(0.1)

    def near(self, name):
        """The neighbours that a board told of last, and its counts."""
        said = [x for x in self.lines.get(name, ()) if x.startswith("NEAR ")]
        doc = json.loads(said[-1][5:]) if said else {"nearby": [], "counts": {}}
        return doc["nearby"], doc["counts"]


@pytest.fixture
def air():
    with contextlib.closing(Radio(seed=5).start()) as radio:
        yield radio


def test_two_without_wifi_see_each_other_and_others_say_what_is_missing(tmp_path, air):
    air.refuse("10.77.1.23")
    with contextlib.closing(Room(tmp_path / "air", air)) as room:
        room.add("a", 21)
        room.add("b", 22)
        room.add("c", 23)  # its radio does not come up
        plain(tmp_path / "plain", room.boards._files())
        room.wait("both see one", lambda: all(len(room.near(n)[0]) == 1 for n in "ab"))
        sid, path, age, dbm, mode, endpoint, uplink, met = room.near("a")[0][0]
        assert path == "ble" and dbm < 0 and mode == "passive"
        assert endpoint == "0.0.0.0:0" and uplink == 0
        room.wait("again and again", lambda: room.near("a")[1]["taken"] >= 3)
        assert len(room.near("a")[0]) == 1
        assert not [x for n in "ab" for x in room.lines[n] if "Traceback" in x or "fails" in x]
        room.wait("c tells", lambda: any("radio does not start" in x for x in room.lines["c"]))
        room.wait("c runs", lambda: any(x.startswith("L4 node ") for x in room.lines["c"]))


def plain(folder, files):
    """A board without Bluetooth, with the same files."""
    with contextlib.closing(Room(folder, None)) as room:
        room.boards._compiled = files
        room.add("d", 24)
        said = "L4 Bluetooth is off: this board has none. WiFi goes on."
        room.wait("d tells", lambda: said in room.lines.get("d", ()))
        room.wait("d runs", lambda: any(x.startswith("L4 node ") for x in room.lines["d"]))
        assert not [x for x in room.lines["d"] if "Traceback" in x]
