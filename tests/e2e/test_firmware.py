"""The shipped firmware on virtual boards: what a bench test of a real board would try."""

import time

import pytest
from l4mesh.endpoint import parse_endpoint
from l4tools.errors import ToolError
from l4tools.image import build_image
from l4tools.lan.cable import BlockingCable
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network

PATIENCE = 30


class Bench:
    def __init__(self, folder):
        self.lines = {}
        self.hub = Hub().start()
        self.boards = Boards(folder, self.hub, Network.create("bench"), on_line=self._line).start()

    def _line(self, name, text):
        self.lines.setdefault(name, []).append(text)

    def add(self, name, host, **config):
        self.boards.add(name, "10.77.1.%d" % host, {"interval_s": 1, "upstream": [], **config})
        self.boards.power_on(name)

    def wait(self, name, part, after=0):
        """The first line with `part`, from line `after` on; fails with what was said instead."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for text in self.lines.get(name, [])[after:]:
                if part in text:
                    return text
            time.sleep(0.02)
        pytest.fail("%s never said %r but: %s" % (name, part, self.lines.get(name, [])[after:]))

    def until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                pytest.fail(what)
            time.sleep(0.05)

    def close(self):
        self.boards.close()
        self.hub.close()


@pytest.fixture
def bench(tmp_path):
    b = Bench(tmp_path)
    yield b
    b.close()


def test_two_boards_find_each_other_and_take_readings(bench):
    bench.add("a", 11)
    bench.add("b", 12)
    bench.wait("a", "neighbour")
    bench.wait("b", "neighbour")
    bench.until(lambda: bench.boards.rack.taken()["a"] >= 3, "no readings were taken")


def test_a_broken_config_is_told_and_the_board_is_still_there(bench):
    bench.add("good", 11)
    bench.add("bad", 12, port="many")
    assert "port must be a whole number" in bench.wait("bad", "config.json")
    bench.wait("bad", "safe mode")
    bench.wait("bad", "node ")
    # It says hello like any other, but its application stays off.
    bench.wait("good", "neighbour")
    time.sleep(1)
    assert bench.boards.rack.taken()["bad"] == 0


def test_a_board_without_keys_gives_a_person_time_to_type_them(bench):
    bench.boards._given.add("a")  # nobody gives it any
    bench.add("a", 11)
    bench.wait("a", "UNPROVISIONED")
    bench.boards.rack.write("a", b"\x03")
    bench.wait("a", "MicroPython")
    bench.boards.rack.write("a", b"import machine; print('bites after', machine.WDT._ms)\r\n")
    assert int(bench.wait("a", "bites after 6").split()[-1]) >= 600000


def test_an_unknown_key_names_the_nearest(bench):
    bench.add("bad", 12, hello_max=3)
    assert "hello_max is no setting; the nearest is hello_max_s" in bench.wait(
        "bad", "config.json"
    )


def test_empty_datagrams_do_not_kill_the_socket(bench):
    bench.add("a", 11)
    bench.wait("a", "node ")
    cable = BlockingCable(bench.hub.address, "10.77.1.99:4104")
    try:
        for _ in range(100):
            cable.send(b"", 0, parse_endpoint("10.77.1.11:4104"))
            time.sleep(0.005)
        # Still served: a newcomer becomes its neighbour, which takes frames both ways.
        bench.add("b", 12)
        bench.wait("b", "neighbour")
        bench.wait("a", "neighbour")
        assert bench.boards.rack.board("a").cpu_s() < 5  # it does not spin on the dead socket
    finally:
        cable.close()


def test_noise_of_all_lengths_is_ignored(bench):
    bench.add("a", 11)
    bench.wait("a", "node ")
    cable = BlockingCable(bench.hub.address, "10.77.1.99:4104")
    try:
        for n in (1, 27, 28, 43, 44, 100, 1199, 1200, 1201, 1472):
            for first in (0x00, 0xC4, 0xFF):
                data = bytes([first]) + bytes(range(256)) * 6
                cable.send(data[:n], n, parse_endpoint("10.77.1.11:4104"))
                time.sleep(0.005)
        bench.add("b", 12)
        bench.wait("a", "neighbour")
    finally:
        cable.close()
    assert not [x for x in bench.lines["a"] if "Traceback" in x]


def test_a_power_cut_costs_no_reading_and_moves_the_epoch(bench):
    bench.add("a", 11)
    first = bench.wait("a", "node ")
    bench.until(lambda: bench.boards.rack.taken()["a"] >= 4, "no readings were taken")
    bench.boards.power_cut("a")
    said = len(bench.lines["a"])
    bench.boards.power_on("a")
    second = bench.wait("a", "node ", said)
    assert first.split()[2] == second.split()[2]  # the same identity
    assert int(second.split()[-1]) == int(first.split()[-1]) + 1
    taken = bench.boards.rack.taken()["a"]
    bench.until(lambda: bench.boards.rack.taken()["a"] > taken, "no readings after the cut")


def test_an_app_that_raises_does_not_stop_the_node(tmp_path):
    app = tmp_path / "app.py"
    app.write_text("def sensors(board):\n    raise RuntimeError('no such sensor')\n")
    b = Bench(tmp_path / "rack")
    b.boards._app = app
    try:
        b.add("a", 11)
        assert "no such sensor" in b.wait("a", "the node runs without it")
        b.add("b", 12)
        b.wait("a", "neighbour")
    finally:
        b.close()


def _tight_image(boards, config, spare):
    """The firmware in a flash with `spare` blocks left."""
    files = boards._files()
    low, high = 8, 512  # blocks: too few, enough
    while high - low > 1:
        k = (low + high) // 2
        try:
            build_image(None, config, files, shrink=False, umqtt=False, block_count=k)
            high = k
        except ToolError:
            low = k
    return build_image(None, config, files, shrink=False, umqtt=False, block_count=high + spare)


def test_a_full_flash_is_told_and_neighbours_are_still_served(bench):
    config = {"wifi": [["bench", "bench-pass"]], "interval_s": 1, "led_pin": 2, "name": "full"}
    image = _tight_image(bench.boards, config, 4)
    bench.boards.rack.add("full", "10.77.1.21", image=image, heap=bench.boards.heap)
    bench.boards.power_on("full")
    bench.wait("full", "node ")
    bench.wait("full", "a reading could not be stored")
    bench.add("b", 12)
    bench.wait("b", "neighbour")
    bench.wait("full", "neighbour")
    assert not [x for x in bench.lines["full"] if "Traceback" in x]
