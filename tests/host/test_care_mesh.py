"""`l4 log`, `monitor`, `identify`, `remove-node` over the network, on a running virtual mesh."""

import asyncio
import contextlib
import io
import json
import os
import time
from pathlib import Path

import pytest
from l4mesh.orders import DO_RESTART
from l4tools import cli
from l4tools.care import checks_node, remove
from l4tools.mesh import client, place, way
from l4tools.mesh.way import Target
from l4tools.network import Network
from l4tools.orders import Orders

HEAP = "409600"
PHRASE = "four quite common words"
PATIENCE_S = 30


def l4(*args):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(a) for a in args])
    return code, out.getvalue(), err.getvalue()


def doc(*args, code=0):
    got, out, err = l4(*args, "--json")
    assert got == code, err
    return json.loads(out)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Two boards; what `l4 mesh up --json` printed, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("L4_HOME", str(tmp_path_factory.mktemp("l4")))
        patch.setenv("L4_PASSPHRASE", PHRASE)
        try:
            rows = doc("mesh", "up", "test", "--boards", 2, "--lans", 1, "--heap", HEAP)
            yield {r["name"]: r for r in rows}
        finally:
            l4("mesh", "down", "--json")


def until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return value


def texts(found):
    return [e["text"] for e in found["entries"]]


def test_the_log_of_a_board_that_goes_on_working(mesh):
    found = doc("log", "lan1-1")
    said = "\n".join(texts(found))
    assert "joined by tier 3" in said and "boot" in said
    assert found["crash"] is None
    assert any(e["kind"] == "boot" for e in found["entries"])
    code, out, _ = l4("log", "lan1-1")
    assert code == 0 and "-- boot" in out and "No crash is recorded." in out
    assert doc("log", "lan1-1", "--last-crash") == {"crash": None}


def test_identify_blinks_the_led(mesh):
    assert doc("identify", "lan1-2", "--seconds", 5)["seconds"] == 5
    # 20 pulses on top of one for each reading
    until(lambda: taken("lan1-2") >= 15, "the LED blinks")
    assert any("it is this board (5 s)" in t for t in texts(doc("log", "lan1-2")))


def taken(name):
    return next(b["taken"] for b in doc("mesh", "ps")["boards"] if b["name"] == name)


def test_monitor_over_the_network_shows_old_and_new(mesh):
    found = doc("monitor", "lan1-1", "--seconds", 1.5)
    assert any("joined by tier 3" in line["text"] for line in found)
    here = [line["at"] for line in found if line["at"]]
    assert here and all(abs(at - time.time()) < 600 for at in here)
    code, out, _ = l4("monitor", "lan1-1", "--seconds", 0.2)
    assert code == 0 and "joined by tier 3" in out


def test_a_restart_by_the_owners_order_is_no_crash(mesh):
    network = Network.load(Path(os.environ["L4_HOME"]) / "test.l4net", PHRASE)
    asked = way.Way(network, client.state(place.Place("test")), {})
    target = asked.find("lan1-1")

    async def restart(n):
        async with Orders(n) as orders:
            await orders.give(target.id, DO_RESTART, addr=target.addr)

    boots = [e for e in doc("log", "lan1-1")["entries"] if e["kind"] == "boot"]
    asked.run(restart)
    client.wait_joined(place.Place("test"), PATIENCE_S, lambda text: None)

    def again():
        code, out, _ = l4("log", "lan1-1", "--json")
        found = json.loads(out) if code == 0 else {"boot": 0}
        return found if found["boot"] > boots[-1]["boot"] else None

    found = until(again, "it boots")
    ends = [e["text"] for e in found["entries"] if e["kind"] == "end"]
    assert ends[-1] == "restart: the owner's order"
    assert found["crash"] is None


def test_port_and_node_at_once_is_a_mistake():
    assert l4("log", "lan1-1", "--port", "/dev/null")[0] == 2


def test_doctor_over_the_network(mesh):
    def neighbours_heard():
        """It was restarted a moment ago: the first hellos are on their way."""
        code, out, _ = l4("doctor", "lan1-1", "--json")
        return code == 0 and "neighbours hear each other" in out and json.loads(out)

    said = until(neighbours_heard, "the neighbour is heard")
    assert said["well"], said
    by = {f["check"]: f for f in said["findings"]}
    assert {"node", "joined", "its upstream", "multicast", "crashes"} <= set(by)
    assert {"upstream L1", "upstream L2", "upstream L3"} <= set(by)
    assert "1 neighbours hear each other" in by["multicast"]["cause"]
    l4("mesh", "cut", "l2")
    try:
        said = doc("doctor", "lan1-1", code=1)
    finally:
        l4("mesh", "heal")
    by = {f["check"]: f for f in said["findings"]}
    assert by["upstream L2"]["verdict"] == "bad" and "l4 upstream" in by["upstream L2"]["fix"]
    assert by["upstream L3"]["verdict"] == "ok" and not said["well"]


def test_doctor_of_a_node_that_is_off(mesh):
    l4("mesh", "power", "lan1-2", "off")
    try:
        said = doc("doctor", "lan1-2", code=1)
    finally:
        l4("mesh", "power", "lan1-2", "on")
        client.wait_joined(place.Place("test"), PATIENCE_S, lambda text: None)
    assert said["findings"][0]["check"] == "node" and "power" in said["findings"][0]["fix"]


class Told:
    """A host whose nodes say what the test wants: {short id: {topic: answer}}."""

    def __init__(self, words):
        self.words = words

    async def info(self, node_id, topic, timeout_s=5.0, addr=None):
        return self.words[node_id.hex()[:16]][topic]


def test_multicast_that_gets_lost():
    me, other = "a1" * 8, "b2" * 8
    target = Target(bytes.fromhex(me) + bytes(8), "me", b"\x0a\x00\x00\x01\x10\x08")
    row = [other, "10.0.0.2:4104", "lan"]
    words = {
        me: {"neighbours": [row], "counters": {"hello_tx": 9, "hello_rx": 9}},
        other: {"neighbours": []},
    }
    found = asyncio.run(checks_node.multicast(Told(words), target))
    assert found.verdict == "warn" and "1 of 1 neighbours do not hear" in found.cause
    assert "IGMP snooping" in found.fix
    words[other]["neighbours"] = [[me, "10.0.0.1:4104", "lan"]]
    assert asyncio.run(checks_node.multicast(Told(words), target)).verdict == "ok"
    words[me] = {"neighbours": [], "counters": {"hello_tx": 9}}
    found = asyncio.run(checks_node.multicast(Told(words), target))
    assert found.verdict == "warn" and "never heard one" in found.cause


def test_what_a_node_says_of_itself():
    well = {"joined": True, "tier": 3, "upstream": [[3, True, 5]], "boot": "Normal start."}
    assert all(f.verdict == "ok" for f in checks_node.by_status(well))
    ill = {"joined": False, "tier": 0, "upstream": [[3, False, 0]], "dropped": 4,
           "mqtt": "Connecting to MQTT at 10.0.0.9:1883.",
           "boot": "Safe mode after 5 bad boots: mend app.py."}  # fmt: skip
    found = {f.check: f for f in checks_node.by_status(ill)}
    assert {c: f.verdict for c, f in found.items()} == {
        "joined": "bad", "its upstream": "bad", "start": "bad", "broker": "warn",
        "readings": "warn",
    }  # fmt: skip
    assert all(f.fix for f in found.values())


def test_removal_has_to_be_confirmed_and_names_what_is_lost(mesh):
    code, _, err = l4("remove-node", "lan1-2", "--json")
    assert code == 1 and "Pass --yes" in err and "lan1-2" in err
    assert l4("remove-node", "l3", "--yes")[0] == 2


def test_a_removed_node_is_gone_everywhere(mesh):
    node = mesh["lan1-2"]["node"]
    port = mqtt_port()
    found = doc("remove-node", "lan1-2", "--yes", "--readings", "--broker", "127.0.0.1:%d" % port)
    by = {s["where"].split()[0]: s for s in found["steps"]}
    assert found["removed"] and found["node"] == node
    assert by["node"]["done"] and "forgets its keys" in by["node"]["said"]
    assert by["mqtt"]["done"] and "cleared 1 retained" in by["mqtt"]["said"]
    assert by["l1"]["done"] and "its registration" in by["l1"]["said"]
    assert by["l3"]["done"] and "its MQTT user" in by["l3"]["said"]
    assert l4("lookup", node, "--authority")[0] == 3
    # The board is as new: it says another public key.
    log = Path(os.environ["L4_HOME"]) / "mesh" / "test" / "boards" / "lan1-2" / "console.log"
    until(lambda: log.read_text("utf-8", "replace").count("L4 UNPROVISIONED") >= 2, "a new key")
    # The other one goes on.
    assert doc("ping", "lan1-1", "--count", 1)["received"] == 1
    again = doc("remove-node", node, "--undo")
    assert again["removed"] is False and all(s["done"] for s in again["steps"])


def mqtt_port():
    here = place.Place("test")
    for tier in client.state(here)["tiers"]:
        for folder in (here.folder / tier["name"]).rglob("state.json"):
            port = json.loads(folder.read_text()).get("mqtt")
            if port:
                return port
    raise AssertionError("no MQTT listener")


def test_without_l1_it_is_said_that_nothing_keeps_it_out(mesh, monkeypatch):
    monkeypatch.setattr(remove, "_TIER_S", 0.3)
    monkeypatch.setattr(way, "_JOIN_S", 0.5)
    l4("mesh", "cut", "l1")
    try:
        code, out, err = l4("remove-node", mesh["lan1-1"]["node"], "--undo", "--json")
    finally:
        l4("mesh", "heal")
    assert code == 4
    steps = {s["where"]: s for s in json.loads(out)["steps"]}
    assert not steps["l1"]["done"] and "L1 was not reached" not in out
