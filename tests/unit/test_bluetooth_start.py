"""Bluetooth at the start: what is missing costs a sentence, and nothing else.

A board without Bluetooth is in tests/e2e/test_nearby_boards.py: start_first.py wants a board.
"""

import sys

import bluetooth_first
import bluetooth_start
import console
from air import Named, home
from l4mesh.prng import XorShift

NAMES = ("bluetooth", "aioble", "turns", "machine")


class Radio:
    def __init__(self, error=None):
        self.error = error
        self.on = []

    def active(self, on):
        if self.error is not None:
            raise self.error
        self.on.append(on)


class World:
    """Modules as they would be on a board, put back afterwards; what was said."""

    def __init__(self, radio=None, aioble=None, chip="", boots=0):
        self.had = {n: sys.modules.pop(n, None) for n in NAMES}
        self.stopped = []
        if radio is not None:
            sys.modules["bluetooth"] = Named(BLE=lambda: radio)
        else:
            sys.modules["bluetooth"] = None  # as if it were not there
        sys.modules["aioble"] = aioble
        self.tasks = []
        rtc = Named(memory=lambda: b"L4B" + bytes((boots, 0)) + bytes(40))
        sys.modules["machine"] = Named(RTC=lambda: rtc)
        self.free = [200000, 170000]
        self.gc, bluetooth_start.gc = (
            bluetooth_start.gc,
            Named(collect=lambda: None, mem_free=lambda: self.free[bool(self.s.node.late)]),
        )
        sys.modules["turns"] = Named(start=self.start, turn=lambda: None)
        for n in NAMES:
            if sys.modules[n] is None and sys.implementation.name == "micropython":
                del sys.modules[n]
        self.said = []
        self.say, console.say = console.say, self.said.append
        self.power = []
        self.late = []
        node = home(1)
        node.nearby = None
        node.late = []
        node.notes = {}
        self.s = Named(
            cfg=Named(
                mqtt_tls=False, ble="auto", ble_company=0xFFFF, battery_pin=None,
                fall_heap_kib=24,
            ),
            ble=None,
            wifi=Named(power=lambda *a: self.power.append(a)), node=node,
            runner=Named(add=self.late.append),
        )  # fmt: skip
        self.shared, bluetooth_first.shared = bluetooth_first.shared, lambda: chip == "C3"

    def __enter__(self):
        return self

    def __exit__(self, *a):
        console.say = self.say
        bluetooth_first.shared = self.shared
        bluetooth_start.gc = self.gc
        for n in NAMES:
            sys.modules.pop(n, None)
            if self.had[n] is not None:
                sys.modules[n] = self.had[n]

    def start(self, coro):
        coro.close()
        self.tasks.append(coro)

    def run(self):
        why = bluetooth_first.early(self.s)  # as start_first.py does
        if why:
            self.s.ble = why
            console.say(why)
        bluetooth_start.begin(self.s, XorShift(1))
        return self.s


def refused(w, why):
    s = w.run()
    assert s.ble is None and s.node.nearby is None and w.late == [] and s.node.late == []
    assert len(w.said) == 1 and why in w.said[0] and w.said[0].endswith(". WiFi goes on.")
    assert w.said[0] == s.node.notes["bluetooth"]()


def test_a_board_without_aioble():
    with World(Radio()) as w:
        refused(w, "`l4 flash --ble` puts it there")
        assert w.power == []  # WiFi keeps its speed


def test_a_radio_that_does_not_start():
    for error in (OSError(19), RuntimeError("nimble"), MemoryError()):
        with World(Radio(error), Named()) as w:
            refused(w, "the radio does not start")


def test_tls_on_a_chip_with_one_radio():
    with World(Radio(), Named(), "C3") as w:
        w.s.cfg.mqtt_tls = True
        refused(w, "no room for it")


def test_no_room_for_the_rest():
    radio = Radio()
    with World(radio, Named(stop=lambda: radio.on.append("stop"))) as w:

        def full(f):
            raise MemoryError

        w.s.runner.add = full
        s = w.run()
        assert s.ble is None and s.node.nearby is None and radio.on == [True, "stop"]
        assert "there is no room for it" in s.node.notes["bluetooth"]()
        assert s.node.late == []


def test_room_for_the_node_comes_first():
    radio = Radio()
    with World(radio, Named(stop=lambda: radio.on.append("stop"))) as w:
        w.free[1] = 24 * 1024 - 1
        s = w.run()
        assert s.ble is None and radio.on == [True, "stop"] and w.late == []
        assert s.node.late == [] and s.node.nearby is None and w.tasks == []
        assert "there is no room for it" in s.node.notes["bluetooth"]()


def test_after_two_bad_boots_it_is_left_out():
    with World(Radio(), Named(), boots=2) as w:
        refused(w, "the last boots ended badly")
    with World(Radio(), Named(), boots=1) as w:
        assert w.run().ble is not None


def test_it_starts():
    radio = Radio()
    with World(radio, Named()) as w:
        s = w.run()
        assert radio.on == [True] and w.power == [(True, True)] and w.said == []
        assert s.ble is not None and s.node.late == [s.node.nearby] and len(w.late) == 1
        assert len(w.tasks) == 1 and w.late[0](0) == 40
        assert s.node.notes["bluetooth"]() == "0 nearby by Bluetooth, 0 of them known by name."
        assert s.ble.cost == 30000
