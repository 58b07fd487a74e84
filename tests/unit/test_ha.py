"""Home Assistant: what is announced, when, and what a state is; payloads against the rules."""

import json

from l4mesh import ticks
from l4mesh.ha import Diagnostic, Home
from l4mesh.prng import XorShift

NODE = "00112233445566778899aabbccddeeff"
BASE = "l4/" + NODE
STATE, BATCH = BASE + "/state", BASE + "/batch"
CONFIG = "homeassistant/sensor/l4_%s/%%s/config" % NODE
WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

# The rules of Home Assistant's MQTT discovery, as far as sensors go: abbreviation -> type.
SENSOR = {
    "~": str, "name": str, "uniq_id": str, "stat_t": str, "val_tpl": str, "unit_of_meas": str,
    "dev_cla": str, "stat_cla": str, "ent_cat": str, "exp_aft": int, "frc_upd": bool,
    "avty_t": str, "avty": list, "avty_mode": str, "pl_avail": str, "pl_not_avail": str,
    "dev": dict, "o": dict, "ic": str, "en": bool, "def_ent_id": str, "json_attr_t": str,
}  # fmt: skip
DEVICE = {
    "ids": list, "cns": list, "name": str, "mf": str, "mdl": str, "sw": str, "hw": str, "sn": str,
    "sa": str, "cu": str, "via_device": str,
}  # fmt: skip
ORIGIN = {"name": str, "sw": str, "url": str}
STATE_CLASSES = ("measurement", "total", "total_increasing")


def only(doc, allowed):
    for key in doc:
        assert key in allowed, key
        assert isinstance(doc[key], allowed[key]), key


def check_topic(topic):
    """<prefix>/<component>/[<node_id>/]<object_id>/config -> object_id"""
    parts = topic.split("/")
    assert len(parts) == 5 and parts[:2] == ["homeassistant", "sensor"] and parts[4] == "config"
    for part in parts[2:4]:
        assert part and not [c for c in part if c not in WORD]
    assert len(topic) <= 107  # what mqtt_frames has room for
    return parts[3]


def check_config(topic, data):
    """One announcement against the rules; its document."""
    name = check_topic(topic)
    assert len(data) <= 600
    doc = json.loads(data.decode())
    only(doc, SENSOR)
    only(doc["dev"], DEVICE)
    only(doc["o"], ORIGIN)
    assert doc["dev"]["ids"] and doc["o"]["name"]
    assert doc["uniq_id"] == "l4_%s_%s" % (NODE, name)
    assert doc["stat_t"].replace("~", doc["~"]) == STATE
    assert doc["val_tpl"] == "{{ value_json['%s'] }}" % name
    assert doc.get("stat_cla", "measurement") in STATE_CLASSES
    assert doc.get("ent_cat", "diagnostic") in ("diagnostic", "config")
    assert "avty" not in doc or "avty_t" not in doc
    if "avty_t" in doc:
        assert doc["avty_t"].replace("~", doc["~"]) == BASE + "/status"
    return doc


class Source:
    def __init__(self, name, unit="", kind=None, total=False, every_s=10):
        self.name = name
        self.unit = unit
        self.kind = kind
        self.total = total
        self.every_ms = every_s * 1000
        self.value = None
        self.news = False

    def give(self, value):
        self.value = value
        self.news = True


class Up:
    """The connection; the test is the broker."""

    base = BASE.encode()

    def __init__(self):
        self.up = False
        self.session = self.pongs = 0
        self.refuse = 0  # so many messages
        self.said = []
        self.heard = {}

    def hear(self, topic, f):
        self.heard[topic.decode()] = f

    def say(self, topic, data, retain=False):
        assert isinstance(topic, bytes) and isinstance(data, bytes) and len(data) <= 1200
        if not self.up or self.refuse:
            self.refuse -= self.refuse > 0
            return False
        self.said.append((topic.decode(), data, retain))
        return True

    def connect(self):
        self.up = True
        self.session += 1


class Bench:
    def __init__(self, *sources, kept=(), **kw):
        self.now = ticks.MASK - 5000  # it wraps during each test
        self.up = Up()
        self.kept = []
        self.wall = None
        about = ("porch", "ESP32", "0.1.0")
        self.home = Home(
            self.up, NODE, about, sources, XorShift(1), lambda: self.wall, kept,
            self.kept.append, **kw
        )  # fmt: skip

    def run(self, ms):
        while ms > 0:
            wait = self.home.poll(self.now)
            assert 0 < wait <= 5000
            self.now = ticks.add(self.now, min(wait, ms))
            ms -= wait
        return self

    def take(self, topic=None):
        """What was said (on `topic`) since the last take."""
        out = [m for m in self.up.said if topic is None or m[0] == topic]
        self.up.said[:] = []
        return out

    def state(self):
        """The last state, as an object; it must not be retained."""
        found = self.take(STATE)
        assert found and not found[-1][2]
        return json.loads(found[-1][1].decode())


def some():
    return [
        Source("temperature", "°C", "temperature"),
        Source("door"),
        Source("energy", "kWh", "energy", True),
        Source('a "b" ö', "%"),
        Diagnostic("rssi", "dBm", "signal_strength", lambda: -61),
    ]


def test_every_announcement_keeps_the_rules():
    b = Bench(*some())
    b.up.connect()
    b.run(1000)
    said = b.take()
    assert [m[2] for m in said] == [True] * 5
    docs = [check_config(topic, data) for topic, data, _ in said]
    assert [check_topic(m[0]) for m in said] == [
        "temperature",
        "door",
        "energy",
        "a__b___",
        "rssi",
    ]
    t, door, energy, odd, rssi = docs
    assert (t["unit_of_meas"], t["dev_cla"], t["stat_cla"]) == ("°C", "temperature", "measurement")
    assert not [k for k in ("unit_of_meas", "dev_cla", "stat_cla") if k in door]  # a text
    assert energy["stat_cla"] == "total_increasing" and odd["name"] == 'a "b" ö'
    assert rssi["ent_cat"] == "diagnostic" and "ent_cat" not in t
    assert t["exp_aft"] == 180 and t["avty_t"] == "~/status"
    d = t["dev"]
    assert d["ids"] == ["l4_" + NODE] and d["name"] == "porch" and d["sw"] == "0.1.0"


def test_the_longest_names_fit():
    b = Bench(*[Source("n" * 55 + str(i), "°C/h", "temperature") for i in range(3)])
    b.home._about = ("x" * 32, "M" * 40, "10.10.10")
    b.up.connect()
    b.run(1000)
    said = b.take()
    assert len(said) == 3 and len({m[0] for m in said}) == 3
    for topic, data, _ in said:
        check_config(topic, data)


def test_one_message_a_poll_and_again_what_was_not_taken():
    b = Bench(*some())
    b.up.connect()
    b.up.refuse = 2
    sizes = []
    for _ in range(7):
        b.home.poll(b.now)
        sizes.append(len(b.up.said))
    assert sizes == [0, 0, 1, 2, 3, 4, 5]


def test_again_after_each_connect_and_each_start_of_home_assistant():
    b = Bench(*some())
    b.up.connect()
    b.run(5000)
    assert len(b.take()) == 6  # with a state
    b.up.up = False
    b.run(2000)
    b.up.connect()
    b.run(5000)
    assert len([m for m in b.take() if m[2]]) == 5
    birth = b.up.heard["homeassistant/status"]
    birth(b"offline", 0)
    b.run(20000)
    assert not [m for m in b.take() if m[2]]
    birth(b"online", 0)
    b.run(400)
    assert b.take() == []  # not all boards at once
    b.run(12000)
    found = b.take()
    assert [m[2] for m in found[:6]] == [True] * 5 + [False]
    assert found[5][0] == STATE  # nothing is retained, so it is told


def test_delays_differ():
    starts = set()
    for seed in range(1, 8):
        b = Bench(Source("t"))
        b.home._rng = XorShift(seed)
        b.up.connect()
        b.run(5000)
        b.take()
        b.up.heard["homeassistant/status"](b"online", 0)
        ms = 0
        while not b.up.said:
            b.run(50)
            ms += 50
        starts.add(ms // 1000)
    assert len(starts) >= 3 and max(starts) <= 11


def test_states():
    t, door, energy, odd, rssi = some()
    b = Bench(t, door, energy, odd, rssi)
    b.up.connect()
    b.run(5000)
    nothing = {"temperature": None, "door": None, "energy": None, "a__b___": None}
    nothing["rssi"] = -61
    assert b.state() == nothing
    t.give(21.456789)
    door.give("open")
    energy.give(17)
    odd.give("no number")
    b.run(2500)
    assert b.state() == {
        "temperature": 21.4568, "door": "open", "energy": 17, "a__b___": None, "rssi": -61
    }  # fmt: skip
    for i in range(20):  # ten a second
        t.give(i)
        b.run(100)
    assert len(b.take(STATE)) <= 3
    b.run(2000)
    b.take()
    b.run(20000)
    assert b.take(STATE) == []  # nothing new, nothing said


def test_no_stale_state():
    t, slow = Source("t", "V", every_s=10), Source("slow", "V", every_s=3600)
    b = Bench(t, slow)
    b.up.connect()
    t.give(1)
    slow.give(2)
    b.run(5000)
    assert b.state() == {"t": 1, "slow": 2}
    b.run(85000)
    b.take()
    b.run(8000)
    assert b.state() == {"t": None, "slow": 2}
    t.give(3)
    b.run(2000)
    assert b.state()["t"] == 3


def test_values_of_an_outage_come_with_their_own_time():
    t, door = Source("t", "V"), Source("door")
    b = Bench(t, door, Diagnostic("rssi", "dBm", None, lambda: -50))
    took = []
    for i in range(5):
        t.give(i / 2)
        door.give("open" if i % 2 else "shut")
        b.run(1000)
        took.append(i)
    b.run(60000)
    b.up.connect()
    b.run(5000)
    assert not [m for m in b.take() if m[0] == BATCH]  # nobody knows the date
    b.wall = ((1795000100000).to_bytes(6, "big"), 2)
    b.run(3000)
    found = [m for m in b.take() if m[0] == BATCH]
    assert len(found) == 1 and not found[0][2]
    doc = json.loads(found[0][1].decode())
    assert doc["err"] == 2
    assert [(n, v) for n, _, v in doc["r"]] == [
        x for i in range(5) for x in (("t", i / 2), ("door", "open" if i % 2 else "shut"))
    ]
    times = [ms for _, ms, _ in doc["r"]]
    assert times == sorted(times) and times[0] == times[1]
    assert 1795000100000 - 76000 <= times[0] <= 1795000100000 - 68000
    assert times[8] - times[0] == 4000
    t.give(9)
    b.run(2000)
    assert not [m for m in b.take() if m[0] == BATCH]  # while connected it is a state only


def test_an_outage_that_is_longer_than_the_memory():
    t = Source("temperature", "V")
    b = Bench(t)
    b.wall = ((1795000100000).to_bytes(6, "big"), 1)
    for i in range(100):
        t.give(i)
        b.run(1000)
    b.up.connect()
    b.run(20000)
    found = [m[1] for m in b.take() if m[0] == BATCH]
    assert len(found) > 1 and max([len(x) for x in found]) <= 600
    values = [r[2] for x in found for r in json.loads(x.decode())["r"]]
    assert values == list(range(68, 100)) and b.home.dropped == 68
    t.give(1)
    b.up.up = False
    b.run(2500)
    b.now = ticks.add(b.now, 400000001)  # more than ticks can tell apart
    b.run(2000)
    assert b.home.dropped == 69


def test_a_sensor_that_is_gone_is_cleared():
    b = Bench(Source("new"), Source("t"), kept=["old", "t", "older"])
    assert b.kept == [["old", "t", "older", "new"]]  # before anyone hears of it
    b.up.connect()
    b.run(5000)
    said = [m for m in b.take() if m[2]]
    assert [m[0] for m in said] == [CONFIG % n for n in ("old", "older", "new", "t")]
    assert [len(m[1]) > 0 for m in said] == [False, False, True, True]
    b.up.pongs += 1  # of a ping that may have left before
    b.run(1000)
    b.up.up = False
    b.run(1000)
    b.up.connect()  # the connection broke: it may not have come through, so again
    b.run(5000)
    assert len([m for m in b.take() if m[2]]) == 4
    assert len(b.kept) == 1
    b.up.pongs += 2
    b.run(1000)
    assert b.kept[1:] == [["new", "t"]]
    b.up.heard["homeassistant/status"](b"online", 0)
    b.run(15000)
    assert [m[0] for m in b.take() if m[2]] == [CONFIG % "new", CONFIG % "t"]
    assert len(b.kept) == 2


def test_nothing_is_written_when_nothing_changed():
    b = Bench(Source("t"), kept=["t"])
    b.up.connect()
    b.run(5000)
    b.up.pongs += 5
    b.run(5000)
    assert b.kept == []


def test_a_sleeper_is_not_offline():
    b = Bench(Source("t", "V"), sleep_s=600)
    b.up.connect()
    b.run(1000)
    topic, data, _ = b.take()[0]
    doc = check_config(topic, data)
    assert doc["exp_aft"] == 1800 and "avty_t" not in doc and "avty" not in doc


def test_too_many_sensors_for_one_message():
    sources = [Source("sensor_%03d" % i, "V") for i in range(60)]
    b = Bench(*sources)
    assert 0 < b.home.hidden < 60
    b.up.connect()
    for s in sources:
        s.give(-1.23456e-100)
    b.run(10000)
    shown = b.state()
    assert len(shown) == 60 - b.home.hidden
    texts = [Source("%03d" % i) for i in range(30)]
    b = Bench(*texts)
    b.up.connect()
    for s in texts:
        s.give("x" * 90)
    b.run(10000)
    assert len(b.state()) == 30 - b.home.hidden > 20


def test_no_memory_for_an_announcement():
    b = Bench(Source("t"))

    def config(i):
        raise MemoryError

    b.home.config = config
    b.up.connect()
    b.run(20000)
    assert b.take() == [] and b.home.short == 4
    del b.home.config
    b.run(8000)
    assert [m[0] for m in b.take()] == [CONFIG % "t", STATE]


def test_what_makes_announcements_may_go_after_each():
    told = []
    b = Bench(Source("t"), Source("u"), told=lambda: told.append(len(b.up.said)))
    b.up.connect()
    b.run(5000)
    b.up.session += 1
    b.run(5000)
    assert told == [2, 5]  # the third was the state
