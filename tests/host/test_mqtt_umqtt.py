"""The MQTT uplink on the unix port against brokers that are none: it says so, and goes on trying.

What real brokers do is in test_mqtt_brokers.py.
"""

import socket
import threading
import time

import pytest
from mqttbed import FORKS, Board


@pytest.fixture
def made(tmp_path):
    """made(Board, ...) -> one that is ended after the test."""
    things = []

    def make(kind, *args, **kw):
        thing = kind(tmp_path, *args, **kw)
        things.append(thing)
        return thing

    yield make
    for thing in reversed(things):
        thing.ends()


@pytest.fixture
def broker():
    """broker(answer) -> port of a TCP server that sends `answer` to what connects and hangs on."""
    kept = []

    def start(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        kept.append(listener)

        def serve():
            while True:
                try:
                    s = listener.accept()[0]
                    kept.append(s)
                    s.sendall(answer)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for s in kept:
        s.close()


@pytest.mark.parametrize("umqtt", FORKS)
@pytest.mark.parametrize(
    "answer, word",
    [
        (b"", "ETIMEDOUT"),  # silent
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "AssertionError"),
        (b"\x20", ""),
        (b"\x20\x02\x00\x03", "MQTTException"),
        (b"\x20\x02\x00\x00" + b"\xff" * 40, "too long"),
    ],
    ids=["silent", "http", "half", "unavailable", "then nonsense"],
)
def test_a_broker_that_is_none(made, broker, answer, word, umqtt):
    board = made(Board, broker(answer), umqtt=umqtt)
    deadline = time.monotonic() + 20
    drops = 0
    while drops < 2:  # it goes on trying
        assert time.monotonic() < deadline
        why = board.ask("why", "why")
        drops = int(why.split()[1])
        time.sleep(0.02)
    assert "Connecting" in why and "last time" in why and word in why
    assert board.process.poll() is None
