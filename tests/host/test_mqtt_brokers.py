"""What any broker must do for us, tried against the two we name: NATS's listener and mosquitto.

First the connection alone (a board that is an uplink and nothing more, by both forks of umqtt),
then whole firmware on a virtual board with tiers above it.
"""

import asyncio
import json
import random
import time
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
import tierbed
from l4mesh.config import Config
from l4tools.care import checks, remove
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import MQTT, UPSTREAM
from l4tools.network import Network
from l4tools.upstream.broker_bridge import Broker, BrokerBridge
from l4tools.upstream.config import tier_config
from l4tools.upstream.connect import connect
from l4tools.upstream.process import TierProcess
from l4tools.upstream.readings import Readings
from mqttbed import (
    BROKERS,
    FORKS,
    NODE,
    OTHER,
    Board,
    Mosquitto,
    Nats,
    certificates,
    frame,
    free_port,
)

UP, DOWN = "l4/%s/up" % NODE, "l4/%s/down" % NODE
STATUS, CMD = "l4/%s/status" % NODE, "l4/%s/cmd" % NODE


class Client:
    """The other end: an MQTT client that keeps what it hears, as (topic, payload, retained)."""

    def __init__(self, broker, *topics, user=None):
        self.heard = []
        c = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        c.username_pw_set(*(user or broker.service))
        c.reconnect_delay_set(1, 1)
        granted = []
        c.on_connect = lambda c, *_: [c.subscribe(t) for t in topics]
        c.on_subscribe = lambda c, u, mid, codes, p: granted.extend(codes)
        c.on_message = lambda c, u, m: self.heard.append((m.topic, m.payload, bool(m.retain)))
        self.c = c
        c.connect("127.0.0.1", broker.mqtt, 60)
        c.loop_start()
        until(lambda: len(granted) >= len(topics), "the subscriptions")
        assert not [x for x in granted if x.is_failure]

    def publish(self, topic, data, retain=False):
        self.c.publish(topic, data, retain=retain)

    def next(self, topic, what=""):
        """Take the first message on `topic` that holds `what`."""

        def find():
            return next((m for m in self.heard if m[0] == topic and what.encode() in m[1]), None)

        found = until(find, "a message on %s, but %r" % (topic, self.heard[-5:]))
        self.heard.remove(found)
        return found

    def ends(self):
        self.c.disconnect()
        self.c.loop_stop()


def until(condition, what, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "never happened: %s" % what
        time.sleep(0.01)


@pytest.fixture
def made(tmp_path):
    """made(Board, Client or a broker, ...) -> one that is ended after the test."""
    things = []

    def make(kind, *args, **kw):
        thing = kind(*args, **kw) if kind is Client else kind(tmp_path, *args, **kw)
        things.append(thing)
        return thing

    yield make
    for thing in reversed(things):
        thing.ends()


@pytest.fixture(params=list(BROKERS))
def broker(request, made):
    return made(BROKERS[request.param]).start()


@pytest.fixture(params=FORKS)
def umqtt(request):
    return request.param


def svc(made, broker, *topics):
    # NATS keeps subjects of tiers off MQTT users: its service speaks NATS. Here it stands for it.
    return made(Client, broker, *topics, user=("svc", "svc"))


def test_frames_both_ways_and_the_status(made, broker, umqtt):
    other = svc(made, broker, UP, STATUS)
    board = made(Board, broker.mqtt, umqtt=umqtt)
    board.wait("up")
    assert other.next(STATUS)[1:] == (b"online", False)
    for n in (1, 60, 85, 86, 500, 1200):
        assert board.ask("publish %d" % n, "taken") == "taken True"
        assert other.next(UP)[1] == frame(n)
        other.publish(DOWN, frame(n))
        assert board.wait("frame") == "frame True %d" % n
    for n in range(1, 41):  # at once
        other.publish(DOWN, frame(n))
    for n in range(1, 41):
        assert board.wait("frame") == "frame True %d" % n
    assert board.ask("why", "why") == "why 0 Connected to MQTT at 127.0.0.1:%d." % broker.mqtt
    later = svc(made, broker, STATUS)
    assert later.next(STATUS)[1:] == (b"online", True)  # who comes later knows, too
    board.ends()  # kill -9
    assert other.next(STATUS, "offline")


def test_a_stop_says_offline_and_a_start_online(made, broker, umqtt):
    other = svc(made, broker, STATUS)
    for _ in range(2):
        board = made(Board, broker.mqtt, umqtt=umqtt)
        board.wait("up")
        other.next(STATUS, "online")
        board.say("stop")
        other.next(STATUS, "offline")


def test_a_wrong_password_is_named(made, broker, umqtt):
    board = made(Board, broker.mqtt, password="wrong", umqtt=umqtt)
    board.why("user or password refused")
    assert board.ask("publish 5", "taken") == "taken False"
    assert board.process.poll() is None


def test_other_topics_and_what_the_broker_kept(made, broker):
    home = made(Client, broker, STATUS)
    home.publish(CMD, b"kept", retain=True)
    board = made(Board, broker.mqtt)
    assert board.wait("cmd") == "cmd kept 1"
    home.publish(CMD, b"fresh")
    assert board.wait("cmd") == "cmd fresh 0"
    config = "homeassistant/sensor/l4_%s/t/config" % NODE
    assert board.ask("say %s 1 {}" % config, "said") == "said True"
    seen = svc(made, broker, "homeassistant/#")
    assert seen.next(config)[1:] == (b"{}", True)


def test_nats_keeps_nodes_off_what_is_not_theirs(made):
    broker = made(Nats).start()
    other = svc(made, broker, "l4/#", "homeassistant/#")
    deaf = made(Board, broker.mqtt, user=OTHER, password="pw2", node=OTHER)
    deaf.why("subscription")
    board = made(Board, broker.mqtt)
    board.wait("up")
    for topic in (
        "l4/%s/cmd" % OTHER, CMD, "l4/%s/up" % OTHER, "homeassistant/status",
        "homeassistant/sensor/l4_%s/t/config" % OTHER,
    ):  # fmt: skip
        assert board.ask("say %s 0 forged" % topic, "said") == "said True"
    assert board.ask("publish 5", "taken") == "taken True"
    assert other.next(UP)[1] == frame(5)
    assert not [m for m in other.heard if m[1] == b"forged"]


def test_a_broker_that_is_killed_again_and_again(made, broker):
    rng = random.Random(6)
    board = made(Board, broker.mqtt)
    board.wait("up")
    for _ in range(4):
        for _ in range(rng.randrange(20)):
            board.say("publish %d" % rng.randrange(1, 1200))
        broker.kill()
        board.wait("down")
        assert board.ask("publish 5", "taken") == "taken False"
        broker.start()
        board.wait("up", 30)
    other = svc(made, broker, UP)
    board.say("publish 77")
    assert other.next(UP, "M" * 77)


def test_a_broker_that_is_half_dead(made, broker):
    board = made(Board, broker.mqtt)
    board.wait("up")
    broker.freeze()
    try:
        # Its kernel takes what comes until it is full: then nothing more, and nothing waits.
        until(lambda: board.ask("flood", "flooded") == "flooded 0", "the socket to be full")
        board.wait("down", 30)  # no answer to the ping
        why = board.ask("why", "why")
        assert "ETIMEDOUT" in why
        assert int(board.ask("slowest", "slowest").split()[1]) < 2500
    finally:
        broker.thaw()
    board.wait("up", 60)


# -- TLS: a broker of one's own ------------------------------------------------------------------


def test_tls_with_a_certificate_that_is_checked(made, tmp_path, umqtt):
    ca, pair = certificates(tmp_path, "127.0.0.1", "localhost")
    broker = made(Mosquitto, certificate=pair).start()
    for host in ("127.0.0.1", "localhost"):
        board = made(Board, broker.mqtt, ca=str(ca), host=host, umqtt=umqtt)
        board.wait("up")
        for n in (1, 85, 86, 1200):
            assert board.ask("publish %d" % n, "taken") == "taken True"
        assert "by TLS" in board.ask("why", "why")
        board.ends()


def test_tls_half_dead_and_back(made, tmp_path):
    ca, pair = certificates(tmp_path, "127.0.0.1")
    broker = made(Mosquitto, certificate=pair).start()
    board = made(Board, broker.mqtt, ca=str(ca))
    board.wait("up")
    broker.freeze()
    try:
        until(lambda: board.ask("flood", "flooded") == "flooded 0", "the socket to be full")
        board.wait("down", 30)
        assert int(board.ask("slowest", "slowest").split()[1]) < 2500
    finally:
        broker.thaw()
    board.wait("up", 60)


def test_tls_to_whoever_answers_is_refused(made, tmp_path):
    ca, pair = certificates(tmp_path, "localhost")
    broker = made(Mosquitto, certificate=pair).start()
    made(Board, broker.mqtt, ca=str(ca)).why("certificate")  # another name
    (tmp_path / "x").mkdir()
    other, old = certificates(tmp_path / "x", "127.0.0.1", days=(-9, -2))
    made(Board, broker.mqtt, ca=str(other), host="localhost").why("certificate")  # another CA
    broker.kill()
    broker = made(Mosquitto, certificate=old).start()
    made(Board, broker.mqtt, ca=str(other)).why("certificate")  # over


def test_doctor_asks_with_the_log_in_of_the_settings(made):
    broker = made(Mosquitto).start()
    where = "127.0.0.1:%d" % broker.mqtt
    cfg = Config({"mqtt": where, "mqtt_user": NODE, "mqtt_password": "pw"})
    assert checks.broker(where, None, None, cfg).verdict == checks.OK
    cfg.mqtt_password = "geheim"
    found = checks.broker(where, None, None, cfg)
    assert found.verdict == checks.BAD and "mqtt_password" in found.fix
    assert "geheim" not in repr(found)
    cfg.mqtt_tls = True
    assert checks.broker(where, None, None, cfg).verdict == checks.SKIPPED


def test_a_tier_says_what_is_wrong_with_its_broker(made, tmp_path):
    ca, pair = certificates(tmp_path, "localhost")
    broker = made(Mosquitto, certificate=pair).start()

    async def said(*, password="svc", ca=ca, host="localhost", port=broker.mqtt):
        tier = SimpleNamespace(level=3)
        b = Broker(host, port, "svc", password, ca.read_text() if ca else "")
        bridge = BrokerBridge(tier, b)
        await bridge.start()
        try:
            await tierbed.until(lambda: "not connected yet" not in bridge.trouble(), "an answer")
            assert b.where in bridge.trouble() or not bridge.trouble()
            assert not bridge.trouble() or not bridge._publish(NODE, b"x")
            return bridge.trouble()
        finally:
            await bridge.stop()

    (tmp_path / "y").mkdir()
    other = certificates(tmp_path / "y", "localhost")[0]
    assert asyncio.run(said()) == ""
    for wrong in (
        {"password": "geheim"}, {"ca": None}, {"ca": other}, {"host": "127.0.0.1"},
        {"port": free_port()},
    ):  # fmt: skip
        text = asyncio.run(said(**wrong))
        assert text.startswith("No connection to the MQTT broker at ") and "geheim" not in text


# -- the whole firmware, with tiers above it -----------------------------------------------------

APP = """
from sensors import Sensor

n = [0]

def sensors(board):
    quiet = board.machine.ADC(board.machine.Pin(34))

    def count():
        if quiet.read_uv() > 2000000:
            return None
        n[0] += 1
        return n[0]

    return [
        Sensor("count", "", 0.2, count),
        Sensor("warm", "\\u00b0C", 3600, lambda: 21.5, kind="temperature"),
    ]
"""


HEAP = 288 << 10  # everything on, commands too, with words of 64 bits


class World:
    """L1, and L3 with our own MQTT listener or as a client of mosquitto; one board."""

    def __init__(self, folder, kind):
        self.folder = folder
        self.network = Network.create("brokers")
        self.hub = Hub().start()
        self.lines = []
        self.tiers = {}
        self.mosquitto = Mosquitto(folder).start() if kind == "mosquitto" else None
        app = folder / "app.py"
        app.write_text(APP)
        self.boards = Boards(
            folder / "b", self.hub, self.network, app=app,
            on_line=lambda name, text: self.lines.append(text),
        ).start()  # fmt: skip
        for level in (1, 3):
            self._tier(level)
        l3 = self.tiers[3].ready
        if self.mosquitto:
            self.mqtt, self.user = self.mosquitto.mqtt, ("home", "home-pw")
        else:
            text = (folder / "l3/nats/home-assistant.txt").read_text().split()
            self.mqtt, self.user = l3["mqtt"], (text[-3], text[-1])
        self.hub.forward(MQTT, "127.0.0.1:%d" % self.mqtt)
        # Only MQTT leads up, but for joining, by which NATS learns of the node.
        config = {"interval_s": 1, "mqtt": MQTT, "upstream": UPSTREAM[:1], "log_level": 3}
        if self.mosquitto:
            config.update(mqtt_user=NODE, mqtt_password="pw")
        self.boards.add("a", "10.77.1.11", config, heap=HEAP)
        self.boards.power_on("a")

    def _tier(self, level):
        above = {t: a for t, a in UPSTREAM if t < level and t != 2}
        more = {}
        if level == 3 and self.mosquitto:
            b = {
                "host": "127.0.0.1",
                "port": self.mosquitto.mqtt,
                "user": "svc",
                "password": "svc",
            }
            more["broker"] = b
        config = tier_config(
            self.network, level, self.folder / ("l%d" % level), above,
            hub="%s:%d" % tuple(self.hub.address), vaddr="10.77.0.%d:4104" % level,
            mqtt_port=0 if level == 3 and not self.mosquitto else None, **more,
        )  # fmt: skip
        self.tiers[level] = TierProcess(config).start()

    def kill_broker(self):
        """kill -9; it is back at once, on the same port."""
        if self.mosquitto:
            self.mosquitto.kill()
            self.mosquitto.start()
            return
        pid = int((self.folder / "l3/nats/nats.pid").read_text())
        tierbed.kill(pid)  # L3 starts it again

    def said(self, part, count=1):
        until(
            lambda: sum(part in x for x in self.lines) >= count,
            "%r in %s" % (part, self.lines[-8:]),
            60,
        )

    def client(self, *topics):
        self.host = self.mqtt
        return Client(_At(self.mqtt, self.user), *topics)

    def stored(self):
        """{sequence: text} of L1's stream; a doubled one fails."""

        async def read():
            state = json.loads((self.folder / "l1/nats/state.json").read_text())
            nc = await connect(self.tiers[1].ready["nats"], state["user"], state["password"])
            try:
                return [r async for r in Readings(nc.jetstream()).iter_all()]
            finally:
                await nc.close()

        found = {}
        for r in asyncio.run(read()):
            assert (r[1], r[2]) not in found, "stored twice"
            found[r[1], r[2]] = r[6]
        return found

    def ends(self):
        self.boards.close()
        for tier in self.tiers.values():
            tier.stop()
        if self.mosquitto:
            self.mosquitto.ends()
        self.hub.close()


class _At:
    def __init__(self, port, user):
        self.mqtt, self.service = port, user


@pytest.fixture(params=list(BROKERS))
def world(request, tmp_path):
    w = World(tmp_path, request.param)
    yield w
    w.ends()


def ask(home, base, **given):
    home.publish(base + "/cmd", json.dumps(given).encode())
    return json.loads(home.next(base + "/cmd/ack")[1])


def test_readings_home_assistant_and_commands(world):
    world.said("joined")
    node = world.boards.ids["a"].hex()
    base = "l4/" + node
    home = world.client("homeassistant/#", base + "/state", base + "/status", base + "/cmd/ack")
    try:
        topic = "homeassistant/sensor/l4_%s/%%s/config" % node
        for name in ("count", "warm", "rssi", "backlog"):
            doc = json.loads(home.next(topic % name)[1])
            assert doc["dev"]["name"] == "a" and doc["~"] == base
            # `l4 remove-node` knows it by its name
            assert remove.topics(bytes.fromhex(node), [topic % name]) == [topic % name]
        assert doc["ent_cat"] == "diagnostic"
        home.next(base + "/status", "online")
        state = json.loads(home.next(base + "/state", "21.5")[1])
        assert state["warm"] == 21.5 and state["rssi"] < 0
        home.heard.clear()
        home.publish("homeassistant/status", b"online")  # it was started again
        assert json.loads(home.next(topic % "warm")[1])["dev_cla"] == "temperature"
        # Commands
        assert ask(home, base, do="read", id=1) == {"id": 1, "ok": True, "why": ""}
        assert ask(home, base, do="mode", mode="passive", id=2)["ok"]
        a = ask(home, base, do="format", id="x")
        assert a["id"] == "x" and not a["ok"] and "no such command" in a["why"]
        assert "l4 ota push" in ask(home, base, do="ota", id=4)["why"]
        world.said("passive")
        # The broker again and again, and what was taken meanwhile
        rng = random.Random(11)
        for _ in range(3):
            time.sleep(rng.random())
            world.kill_broker()
        assert ask_when_back(home, base)["ok"]
        world.said("node ", 2)  # it has restarted
        taken = world.boards.rack.taken
        before = taken()["a"]
        until(lambda: taken()["a"] > before + 5, "readings after the restart")
        world.boards.rack.board("a").world.set(adc={34: 3000000})  # no more of them
        until(lambda: len(world.stored()) >= taken()["a"], "all readings stored", 60)
        assert len(world.stored()) == taken()["a"] > 20
        found = [x for _, x in sorted(world.stored().items()) if x.startswith("count=")]
        again = found.index("count=1", 1)
        for part in (found[:again], found[again:]):
            assert part == ["count=%d" % (i + 1) for i in range(len(part))]
    finally:
        home.ends()


def ask_when_back(home, base):
    """A restart, asked for until the board is there again."""
    deadline = time.monotonic() + 60
    while True:
        home.publish(base + "/cmd", b'{"do": "restart", "id": 9}')
        until_s = time.monotonic() + 1
        while time.monotonic() < until_s:
            found = [m for m in home.heard if m[0].endswith("/ack") and b"9" in m[1]]
            if found:
                return json.loads(found[0][1])
            time.sleep(0.02)
        assert time.monotonic() < deadline, "the board did not come back"
