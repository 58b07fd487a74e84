"""Home Assistant's part of the firmware: what is made at start, names on flash, commands."""

import json
import os
import sys
from binascii import hexlify

import home
import home_start
from l4mesh import ticks
from l4mesh.counters import C_MEM_ERROR
from l4mesh.orders import DO_IDENTIFY, DO_RESTART, DONE, NOT_HERE
from l4mesh.prng import XorShift
from l4mesh_io import clock
from sensors import Sensor, Sensors

PATH = "%s/home-%s.json" % (os.getenv("TMPDIR") or "/tmp", hexlify(os.urandom(4)).decode())


class Thing:
    def __init__(self, **kw):
        for k in kw:
            setattr(self, k, kw[k])


class Up:
    base = b"l4/x"
    up = True
    session = 1
    pongs = 0

    def __init__(self):
        self.heard = {}
        self.said = {}

    def hear(self, topic, f):
        self.heard[topic] = f

    def say(self, topic, data, retain=False):
        self.said.setdefault(topic.decode(), []).append(data)
        return True


class Care:
    def __init__(self):
        self.orders = []
        self.led = True

    def do(self, kind, arg, room):
        self.orders.append((kind, arg))
        if kind == DO_IDENTIFY and not self.led:
            return NOT_HERE, 0, b"no led_pin in config.json"
        return DONE, 0, b""


class Supervisor:
    def __init__(self, app=True, battery=None):
        self.up = Up()
        self.jobs = []
        self.taken = []
        self.bounds = []
        self.cares = Care()
        modes = Thing(mode=2, bound=self.bounds.append)
        queue = Thing(pending=3)
        self.errors = []
        self.node = Thing(
            id=bytes(16), uplink=self.up, modes=modes, notes={}, queue=queue,
            counters=Thing(inc=self.errors.append),
        )  # fmt: skip
        self.cfg = Thing(name="porch", mode="auto", ota="auto")
        self.wifi = Thing(rssi=lambda: -61)
        self.board = Thing(battery_mv=lambda: battery, battery=lambda: 80, sleep_s=0)
        self.runner = Thing(add=self.jobs.append)
        if app:
            self.sensors = Sensors(
                [Sensor("t", "V", 3600, lambda: 2), Sensor("rssi", "", 9, lambda: 1)]
            )
        self.now = clock.now()
        home_start.begin(self, XorShift(1), "0.1.0")

    def care(self):
        return self.cares

    def poll_sensors(self, now):
        return self.sensors.poll(now, lambda data, n: not self.taken.append(data))

    def run(self, ms=1000):
        while ms > 0:
            wait = min([job(self.now) for job in self.jobs])
            assert 0 < wait <= 1000
            self.now = ticks.add(self.now, wait)
            ms -= wait

    def ask(self, **given):
        self.up.heard[b"l4/x/cmd"](json.dumps(given).encode(), 0)
        self.run()
        return json.loads(self.up.said["l4/x/cmd/ack"].pop().decode())


def bench(**kw):
    home.KEPT = PATH
    try:
        os.remove(PATH)
    except OSError:
        pass
    return Supervisor(**kw)


def names(s):
    return [t.split("/")[3] for t in s.up.said if t.startswith("homeassistant/")]


def test_what_is_announced():
    s = bench(battery=3900)
    s.run(5000)
    assert sorted(names(s)) == ["backlog", "battery", "rssi", "t"]  # app.py's rssi, not ours
    with open(PATH) as f:
        assert json.load(f) == ["t", "rssi", "backlog", "battery"]
    state = json.loads(s.up.said["l4/x/state"][-1].decode())
    assert state["backlog"] == 3 and state["battery"] == 80
    s = bench()
    s.run(5000)
    assert "battery" not in names(s)


def test_names_of_before_are_cleared_and_a_broken_file_is_none():
    for text, gone in (('["old", 5, "t"]', ["old"]), ("[", []), ("{}", []), ("7", [])):
        home.KEPT = PATH
        with open(PATH, "w") as f:
            f.write(text)
        s = Supervisor()
        s.run(3000)
        assert [n for n in names(s) if n == "old"] == gone
    os.remove(PATH)


def test_read():
    s = bench()
    assert s.ask(do="read", id=1) == {"id": 1, "ok": True, "why": ""}
    s.run()
    assert s.taken == [b"t=2 V", b"rssi=1"]
    assert s.ask(do="read")["ok"]
    s.run()
    assert len(s.taken) == 4
    s = bench(app=False)
    assert "no sensors" in s.ask(do="read")["why"]
    assert sorted(names(s)) == ["backlog", "rssi"]


def test_restart_and_identify():
    s = bench()
    assert s.ask(do="restart", id="x")["ok"] and s.cares.orders == [(DO_RESTART, 0)]
    assert s.ask(do="identify")["ok"] and s.ask(do="identify", s=30)["ok"]
    assert s.cares.orders[1:] == [(DO_IDENTIFY, 10), (DO_IDENTIFY, 30)]
    for bad in (-1, 601, "5", None, 1.5, []):
        assert "whole number" in s.ask(do="identify", s=bad)["why"]
        s.run(2000)
    s.cares.led = False
    a = s.ask(do="identify", id=2)
    assert not a["ok"] and "led_pin" in a["why"]


def test_mode():
    s = bench()
    for mode in ("auto", "passive", "standard"):
        assert s.ask(do="mode", mode=mode)["ok"] and s.cfg.mode == mode
    assert s.bounds == ["auto", "passive", "standard"]
    a = s.ask(do="mode", mode="active")
    assert a["ok"] and "as far as standard" in a["why"]
    for bad in ("fast", None, 5, ["auto"]):
        assert "one of auto" in s.ask(do="mode", mode=bad)["why"]
        s.run(2000)


def test_ota():
    s = bench()
    assert "l4 ota push" in s.ask(do="ota")["why"]
    s.node.notes["ota"] = lambda: {"slot": "a", "version": "1.2"}
    a = s.ask(do="ota")
    assert a["ok"] and '"version": "1.2"' in a["why"]
    s.cfg.ota = "never"
    a = s.ask(do="ota")
    assert not a["ok"] and "switched off" in a["why"]


def test_the_code_of_commands_comes_and_goes():
    s = bench()
    sys.modules.pop("verbs", None)
    s.run(5000)
    assert "verbs" not in sys.modules
    assert s.ask(do="read", id=1)["ok"] and "verbs" in sys.modules
    s.run(50000)
    assert "verbs" in sys.modules
    s.run(20000)
    assert "verbs" not in sys.modules and "l4mesh.commands" not in sys.modules
    assert s.ask(do="read", id=2)["ok"]


def test_no_room_for_commands():
    s = bench()

    class Verbs:
        def __init__(self, s):
            raise MemoryError

    sys.modules["verbs"] = Thing(Verbs=Verbs)
    s.up.heard[b"l4/x/cmd"](b'{"do": "read"}', 0)
    s.run()
    del sys.modules["verbs"]
    assert s.errors == [C_MEM_ERROR] and "l4/x/cmd/ack" not in s.up.said
    assert s.ask(do="read")["ok"]


def test_a_full_flash_is_told():
    s = bench()
    home.KEPT = "/no/such/folder/ha.json"
    s.run(1000)
    home_start.begin(s, XorShift(1), "0.1.0")  # says so, and goes on
    s.node.queue = None
    s.run(70000)
    assert json.loads(s.up.said["l4/x/state"][-1].decode())["backlog"] is None
