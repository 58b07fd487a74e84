"""What any broker must do for us, tried against the two we name: NATS's listener and mosquitto.

First the connection alone (a board that is an uplink and nothing more, by both forks of umqtt),
then whole firmware on a virtual board with tiers above it.
"""

import random
import time

import paho.mqtt.client as paho
import pytest
from mqttbed import BROKERS, FORKS, NODE, OTHER, Board, Mosquitto, Nats, certificates, frame

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
