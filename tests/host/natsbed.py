"""What the tests of the upstream's storage share: a real server, a connection, records, MQTT."""

import asyncio
import contextlib
import os
import signal
import socket

from l4tools.upstream.connect import connect
from l4tools.upstream.private_nats import PrivateNats


@contextlib.contextmanager
def server(tmp_path, mqtt_port=None, name="nats", **options):
    nats = PrivateNats(tmp_path / name, mqtt_port=mqtt_port, **options)
    try:
        yield nats.start()
    finally:
        nats.stop()


def run(nats, test, timeout_s=60):
    """Run `await test(js)` with a connection to `nats`."""

    async def main():
        async with asyncio.timeout(timeout_s):
            nc = await connect(nats.url, nats.user, nats.password)
            try:
                return await test(nc.jetstream())
            finally:
                await nc.close()

    return asyncio.run(main())


def kill(nats):
    """Power cut: SIGKILL, and wait until the process is gone."""
    pid = nats.pid
    os.kill(pid, signal.SIGKILL)
    while nats.alive:
        os.sched_yield()
    return pid


def record(epoch, counter, fill=0, lifetime_min=60):
    """136 bytes in the shape of a record; the storage does not check signatures."""
    head = b"R\x01" + bytes(4) + epoch.to_bytes(4, "big") + counter.to_bytes(4, "big")
    body = bytes([fill]) * 55 + lifetime_min.to_bytes(2, "big")
    return head + body + b"\0" + bytes([fill]) * 64


def node(i):
    return i.to_bytes(8, "big") + bytes(8)


class Mqtt:
    """The few MQTT 3.1.1 packets that the tests need, on a blocking socket."""

    def __init__(self, port, user, password, timeout_s=3.0):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.inbox = []
        text = lambda s: len(s).to_bytes(2, "big") + s.encode()
        body = b"\0\4MQTT\4\xc2\0\0" + text("c" + user) + text(user) + text(password)
        self._send(0x10, body)
        kind, answer = self._packet()
        self.code = answer[1] if kind == 0x20 else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _send(self, kind, body):
        n, length = len(body), b""
        while True:
            n, low = n >> 7, n & 0x7F
            length += bytes([low | (0x80 if n else 0)])
            if not n:
                break
        self.sock.sendall(bytes([kind]) + length + body)

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise ConnectionError("closed")
            data += part
        return data

    def _packet(self):
        kind, length, shift = self._exactly(1)[0], 0, 0
        while True:
            b = self._exactly(1)[0]
            length |= (b & 0x7F) << shift
            shift += 7
            if not b & 0x80:
                return kind, self._exactly(length)

    def _until(self, wanted):
        while True:
            kind, body = self._packet()
            if kind & 0xF0 == wanted:
                return kind, body
            if kind & 0xF0 == 0x30:
                self.inbox.append(self._message(kind, body))

    def _message(self, kind, body):
        n = 2 + int.from_bytes(body[:2], "big")
        return body[2:n].decode(), body[n + (2 if kind & 6 else 0) :]

    def publish(self, topic, data):
        """QoS 1; returns when the PUBACK is here."""
        name = topic.encode()
        self._send(0x32, len(name).to_bytes(2, "big") + name + b"\0\7" + data)
        self._until(0x40)

    def subscribe(self, topic, qos=0):
        """Returns the server's code: the QoS, or 0x80 for refused."""
        name = topic.encode()
        self._send(0x82, b"\0\1" + len(name).to_bytes(2, "big") + name + bytes([qos]))
        return self._until(0x90)[1][2]

    def ping(self):
        self._send(0xC0, b"")
        self._until(0xD0)

    def next(self):
        """(topic, data) of the next message; raises after the time-out."""
        return self.inbox.pop(0) if self.inbox else self._message(*self._until(0x30))
