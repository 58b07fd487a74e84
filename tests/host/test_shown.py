"""What Home Assistant is told of a board that a neighbour speaks for (upstream/shown.py)."""

import asyncio
import json
import time

import paho.mqtt.client as paho
import pytest
from carrybed import Carrier, closed
from l4tools.upstream.access import HOME
from l4tools.upstream.shown import Shown, event
from tierbed import Bed, run, until

NODE, VIA, OTHER = b"\x11" * 16, b"\x22" * 16, b"\x33" * 16
NOW = 1_795_000_000_000
CONFIG = "homeassistant/sensor/l4_%s/%s/config"


def reading(text, ms=NOW, flags=1, error_s=2):
    return bytes((flags,)) + ms.to_bytes(6, "big") + error_s.to_bytes(2, "big") + text.encode()


class Desk:
    """A broker that only writes down, and a loop whose time passes when `later` is run."""

    def __init__(self):
        self.said, self.waiting = [], []
        self.shown = Shown(
            lambda t, p, r: self.said.append((t, p, r)),
            lambda s, f: self.waiting.append(f),
            lambda: NOW,
        )

    def carried(self, *readings, via=VIA, node=NODE):
        self.shown.carried(event(node, via, list(readings)))

    def settle(self):
        for f in self.waiting:
            f()
        self.waiting.clear()

    def config(self, name="t", node=NODE):
        topic = CONFIG % (node.hex(), name)
        return [json.loads(p) for t, p, retain in self.said if t == topic and retain]

    def states(self, node=NODE):
        topic = "l4/%s/state" % node.hex()
        return [json.loads(p) for t, p, retain in self.said if t == topic and not retain]


def test_a_sensor_is_announced_with_its_custodian_before_its_state_comes():
    desk = Desk()
    desk.carried(reading("t=21.5 °C"), reading("door=open"))
    (doc,) = desk.config()
    assert doc["dev"]["via_device"] == "l4_" + VIA.hex()
    assert doc["dev"]["ids"] == ["l4_" + NODE.hex()] and doc["dev"]["name"]
    assert doc["uniq_id"] == "l4_%s_t" % NODE.hex() and doc["unit_of_meas"] == "°C"
    assert doc["stat_cla"] == "measurement" and doc["o"]["name"]
    assert doc["exp_aft"] == 900 and "avty_t" not in doc
    (door,) = desk.config("door")
    assert "stat_cla" not in door and "unit_of_meas" not in door
    assert desk.states() == []
    desk.settle()
    assert desk.states() == [{"t": 21.5, "door": "open"}]


def test_it_is_announced_once_and_again_by_another_custodian():
    desk = Desk()
    for i in range(3):
        desk.carried(reading("t=%d °C" % i))
    assert len(desk.config()) == 1
    desk.settle()
    assert desk.states() == [{"t": 2.0}]
    desk.carried(reading("t=9 °C"), via=OTHER)
    assert [d["dev"]["via_device"] for d in desk.config()] == [
        "l4_" + VIA.hex(),
        "l4_" + OTHER.hex(),
    ]


def test_the_boards_own_announcement_is_taken_over():
    desk = Desk()
    own = {
        "~": "l4/" + NODE.hex(), "name": "kitchen.t", "uniq_id": "l4_x_kitchen_t",
        "stat_t": "~/state", "dev_cla": "temperature", "exp_aft": 180, "avty_t": "~/status",
        "dev": {"ids": ["l4_" + NODE.hex()], "name": "kitchen", "mdl": "C3", "sw": "1"},
        "o": {"name": "l4mesh"},
    }  # fmt: skip
    desk.shown.heard(CONFIG % (NODE.hex(), "kitchen_t"), json.dumps(own).encode())
    desk.carried(reading("kitchen.t=20 °C"))
    (doc,) = desk.config("kitchen_t")
    own["dev"]["via_device"] = "l4_" + VIA.hex()
    own["exp_aft"] = 900
    del own["avty_t"]
    assert doc == own


def test_what_we_said_before_a_restart_is_taken_over_too():
    before = Desk()
    before.carried(reading("t=20 °C"))
    doc = before.config()[0]
    doc["dev_cla"] = "temperature"
    desk = Desk()
    desk.shown.heard(CONFIG % (NODE.hex(), "t"), json.dumps(doc).encode())
    desk.carried(reading("t=21 °C"), via=OTHER)
    assert desk.config()[0]["dev_cla"] == "temperature"
    assert desk.config()[0]["dev"]["via_device"] == "l4_" + OTHER.hex()


def test_nothing_is_said_in_the_name_of_a_board_that_is_online():
    desk = Desk()
    status = "l4/%s/status" % NODE.hex()
    desk.carried(reading("t=1 °C"))
    desk.shown.heard(status, b"online")
    desk.said.clear()
    desk.settle()
    desk.carried(reading("t=2 °C"))
    desk.settle()
    assert desk.said == []
    desk.shown.heard(status, b"offline")
    desk.carried(reading("t=3 °C"))
    desk.settle()
    assert desk.states() == [{"t": 3.0}] and len(desk.config()) == 1


def test_old_values_are_never_states_and_have_their_own_time():
    desk = Desk()
    old = NOW - 600_000
    desk.carried(reading("t=5 °C", old, error_s=7), reading("t=6 °C", NOW - 1000))
    desk.settle()
    assert desk.states() == [{"t": 6.0}]
    batch = [json.loads(p) for t, p, _ in desk.said if t.endswith("/batch")]
    assert batch == [{"err": 7, "r": [["t", old, 5.0]]}]
    desk.carried(reading("t=4 °C", NOW - 2000))  # overtaken on its way
    desk.settle()
    assert desk.states()[-1] == {"t": 6.0}


def test_readings_without_a_date_and_the_firmwares_own_are_not_shown():
    desk = Desk()
    desk.carried(
        reading("t=5 °C", 77, flags=0), reading("#clock 1 2 3", flags=9),
        reading("t=5 °C", error_s=0xFFFF),
    )  # fmt: skip
    desk.settle()
    assert desk.said == [] and desk.shown.undated == 2


def test_malformed_events_and_announcements_change_nothing():
    desk = Desk()
    for data in (b"", NODE, NODE + VIA, NODE + VIA + b"\x05abc", NODE + VIA + b"\x02ab"):
        desk.shown.carried(data)
    for payload in (b"{", b"[]", b'{"dev": 1}', b"\xff"):
        desk.shown.heard(CONFIG % (NODE.hex(), "t"), payload)
    assert desk.said == []


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("shown"), mqtt=True) as bed:
        yield bed


def test_home_assistant_sees_it_on_the_upstreams_listener(bed):
    """L1's event goes to L3, and from there to who listens as Home Assistant does."""
    folder = bed.folder / "l3/nats"
    password = json.loads((folder / "state.json").read_text())["home"]
    got = {}
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "ha", protocol=paho.MQTTv311)
    client.username_pw_set(HOME, password)
    client.on_connect = lambda c, *a: c.subscribe([("homeassistant/#", 0), ("l4/+/state", 0)])
    client.on_message = lambda c, u, m: got.__setitem__(m.topic, m.payload)

    async def main():
        topic, state = CONFIG % (NODE.hex(), "t"), "l4/%s/state" % NODE.hex()
        async with bed.node("carrier") as c:
            await c.join()
            carrier = Carrier(c)
            for first in range(40):  # L3's own subscription takes a moment to reach L1
                time8 = int(time.time() * 1000).to_bytes(6, "big") + b"\0\2"
                await carrier.carry(closed(bed, NODE, first, ["t=21 C"], time8=time8))
                await asyncio.sleep(0.2)
                if topic in got:
                    break
            assert json.loads(got[topic])["dev"]["via_device"] == "l4_" + c.ident.id.hex()
            await until(lambda: state in got, "no state")
            assert json.loads(got[state]) == {"t": 21.0}

    client.connect("127.0.0.1", bed.tiers[3].ready["mqtt"])
    client.loop_start()
    try:
        run(main())
    finally:
        client.disconnect()
        client.loop_stop()
