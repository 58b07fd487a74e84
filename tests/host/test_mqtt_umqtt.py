"""The MQTT uplink on the unix port, with the real umqtt fork, against the real nats-server.

The board's side is `_BOARD`, a loop like the runner's, steered over stdin; its clock runs ten
times faster than ours, so that a retry after a second costs the test a tenth.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import mha.umqtt
import nats
import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NODE = "00112233445566778899aabbccddeeff"
OTHER = "ff" * 16

_BOARD = r"""
import select, sys, time
from l4mesh import ticks
from l4mesh_io import clock
from l4mesh_io.mqtt import MqttUplink

port, user, password, node = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

class Fast(MqttUplink):
    def wrap_socket(self, sock, server_hostname=None):
        sock = MqttUplink.wrap_socket(self, sock, server_hostname)
        sock.settimeout(0.3)  # a silent broker costs the test less
        return sock

link = Fast("127.0.0.1", port, user, password, node)
link.on_frame(lambda buf, n: print("frame", buf == bytes([n & 255]) * n, n))
stdin = select.poll()
stdin.register(sys.stdin, select.POLLIN)
was = None
while True:
    wait = link.poll(clock.now() * 10 & ticks.MASK)
    if was != link.up:
        was = link.up
        print("up" if was else "down")
    if stdin.poll(min(wait, 5)):
        words = sys.stdin.readline().split()
        if not words:
            break
        if words[0] == "publish":
            n = int(words[1])
            print("taken", link.publish(bytes([n & 255]) * n, n))
        elif words[0] == "why":
            print("why", link.drops, link.why())
        elif words[0] == "stop":
            link.stop()
            break
"""


class Board:
    """The process, its lines, and a deadline for each answer."""

    def __init__(self, folder, port, user=NODE, password="pw", node=NODE):
        (folder / "umqtt").mkdir(exist_ok=True)
        shutil.copy(mha.umqtt.__file__, folder / "umqtt" / "simple.py")
        script = folder / "board.py"
        script.write_text(_BOARD)
        env = dict(os.environ, MICROPYPATH=":".join((str(folder), str(ROOT / "lib"), ".frozen")))
        self.process = subprocess.Popen(
            [BIN / "micropython", script, str(port), user, password, node],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )
        self.lines = []
        self._new = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._new:
                self.lines.append(line.strip())
                self._new.notify_all()

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait(self, start, timeout_s=20):
        """Take lines until one starts with `start`; return it."""
        with self._new:
            seen = []
            deadline = time.monotonic() + timeout_s
            while True:
                while self.lines:
                    seen.append(self.lines.pop(0))
                    if seen[-1].startswith(start):
                        return seen[-1]
                left = deadline - time.monotonic()
                assert left > 0 and self._new.wait(left), "no %r, but %r" % (start, seen)

    def ask(self, text, start):
        self.say(text)
        return self.wait(start)

    def ends(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


class Server:
    """A nats-server with an MQTT listener, on ports that were free."""

    def __init__(self, folder):
        self.folder = folder
        self.port, self.mqtt = free_port(), free_port()
        users = [
            {"user": "svc", "password": "svc", "permissions": {"publish": ">", "subscribe": ">"}},
            user(NODE, "pw"),
            user(OTHER, "pw2", subscribe="nothing"),
        ]
        (folder / "nats.conf").write_text(
            'server_name: "t"\nlisten: "127.0.0.1:%d"\nmqtt { listen: "127.0.0.1:%d" }\n'
            'jetstream { store_dir: "%s" }\nauthorization { users = %s }\n'
            % (self.port, self.mqtt, folder / "js", json.dumps(users))
        )
        self.process = None

    def start(self):
        with open(self.folder / "nats.log", "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "nats-server", "-c", self.folder / "nats.conf"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "nats.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.mqtt), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("nats-server did not start")

    def ends(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    async def client(self):
        return await nats.connect(
            "nats://127.0.0.1:%d" % self.port, user="svc", password="svc", allow_reconnect=False
        )


def user(name, password, subscribe=None):
    return {
        "user": name,
        "password": password,
        "permissions": {
            "publish": ["l4.%s.up" % name, "l4.%s.status" % name],
            "subscribe": [subscribe or "l4.%s.down" % name],
        },
    }


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def made(tmp_path):
    """made(Board or Server, ...) -> one that is ended after the test."""
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


def frame(n):
    return bytes([n & 255]) * n


def test_frames_both_ways_and_the_status(made):
    server = made(Server).start()

    async def check():
        nc = await server.client()
        ups = await nc.subscribe("l4.*.up")
        status = await nc.subscribe("l4.*.status")
        await nc.flush()
        board = made(Board, server.mqtt)
        await asyncio.to_thread(board.wait, "up")
        message = await status.next_msg(10)
        assert (message.subject, message.data) == ("l4.%s.status" % NODE, b"online")
        for n in (1, 60, 85, 86, 500, 1200):
            assert await asyncio.to_thread(board.ask, "publish %d" % n, "taken") == "taken True"
            message = await ups.next_msg(10)
            assert (message.subject, message.data) == ("l4.%s.up" % NODE, frame(n))
            await nc.publish("l4.%s.down" % NODE, frame(n))
            line = await asyncio.to_thread(board.wait, "frame")
            assert line == "frame True %d" % n
        for n in range(1, 41):  # at once
            await nc.publish("l4.%s.down" % NODE, frame(n))
        for n in range(1, 41):
            assert await asyncio.to_thread(board.wait, "frame") == "frame True %d" % n
        why = await asyncio.to_thread(board.ask, "why", "why")
        assert why == "why 0 Connected to MQTT at 127.0.0.1:%d." % server.mqtt
        board.ends()  # kill -9
        assert (await status.next_msg(10)).data == b"offline"
        await nc.close()

    asyncio.run(check())


def test_a_stop_says_offline_too(made):
    server = made(Server).start()

    async def check():
        nc = await server.client()
        status = await nc.subscribe("l4.*.status")
        await nc.flush()
        board = made(Board, server.mqtt)
        await asyncio.to_thread(board.wait, "up")
        board.say("stop")
        assert [(await status.next_msg(10)).data for _ in range(2)] == [b"online", b"offline"]
        await nc.close()

    asyncio.run(check())


def test_a_wrong_password_and_a_forbidden_topic_are_named(made):
    server = made(Server).start()
    stranger = made(Board, server.mqtt, password="wrong")
    forbidden = made(Board, server.mqtt, user=OTHER, password="pw2", node=OTHER)
    for board, word in ((stranger, "user or password refused"), (forbidden, "subscription")):
        why = ""
        deadline = time.monotonic() + 20
        while word not in why:
            assert time.monotonic() < deadline, why
            why = board.ask("why", "why")
            time.sleep(0.02)
        assert board.ask("publish 5", "taken") == "taken False"
        assert board.process.poll() is None


def test_the_broker_is_killed_and_comes_back(made):
    server = made(Server).start()
    board = made(Board, server.mqtt)
    board.wait("up")
    server.ends()
    board.wait("down")
    assert board.ask("publish 5", "taken") == "taken False"
    server.start()
    board.wait("up")
    assert board.ask("publish 5", "taken") == "taken True"


@pytest.mark.parametrize(
    "answer, word",
    [
        (b"", ""),  # silent: a time-out, whose error depends on the socket
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "AssertionError"),
        (b"\x20", ""),
        (b"\x20\x02\x00\x03", "MQTTException"),
        (b"\x20\x02\x00\x00" + b"\xff" * 40, "too long"),
    ],
    ids=["silent", "http", "half", "unavailable", "then nonsense"],
)
def test_a_broker_that_is_none(made, broker, answer, word):
    board = made(Board, broker(answer))
    deadline = time.monotonic() + 20
    drops = 0
    while drops < 2:  # it goes on trying
        assert time.monotonic() < deadline
        why = board.ask("why", "why")
        drops = int(why.split()[1])
        time.sleep(0.02)
    assert "Connecting" in why and "last time" in why and word in why
    assert board.process.poll() is None
