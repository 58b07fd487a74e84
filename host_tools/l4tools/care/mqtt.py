"""A small MQTT 3.1.1 client for checks and cleaning up: connect, retained messages, publish.

    with Mqtt("192.0.2.7", 1883, user, password) as mqtt:      MqttRefused says why not
        for topic in mqtt.retained("homeassistant/#"): mqtt.clear(topic)

Everything has a deadline; what does not answer is an OSError or MqttRefused.
"""

import os
import socket
import time

_CONNACK = {
    1: "it speaks another version of MQTT",
    2: "it refuses the client's name",
    3: "it is not ready",
    4: "user name or password is wrong",
    5: "this user is not allowed in",
}


class MqttRefused(Exception):
    """The broker said no; the text says why."""


class Mqtt:
    def __init__(self, host: str, port: int, user: str = "", password: str = "", timeout_s=5.0):
        self._timeout_s = timeout_s
        self._sock = socket.create_connection((host, port), timeout_s)
        self._id = 0
        try:
            self._connect(user, password)
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> "Mqtt":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        try:
            self._sock.sendall(b"\xe0\x00")
        except OSError:
            pass  # it has gone already
        self._sock.close()

    def _connect(self, user, password):
        flags = 2 | (0x80 if user else 0) | (0x40 if password else 0)
        body = _text("MQTT") + bytes((4, flags, 0, 60)) + _text("l4-" + os.urandom(6).hex())
        body += (_text(user) if user else b"") + (_text(password) if password else b"")
        self._send(0x10, body)
        kind, data = self._packet(time.monotonic() + self._timeout_s)
        if kind >> 4 != 2 or len(data) != 2:
            raise MqttRefused("what answers there is no MQTT broker")
        if data[1]:
            raise MqttRefused(_CONNACK.get(data[1], "it refuses with code %d" % data[1]))

    def retained(self, pattern: str, wait_s: float = 0.7) -> list[str] | None:
        """Topics with a retained message; None when this user may not read there."""
        self._id += 1
        number = self._id.to_bytes(2, "big")
        self._send(0x82, number + _text(pattern) + b"\0")
        found: list[str] = []
        end_s = time.monotonic() + self._timeout_s
        granted = False
        while True:
            try:
                kind, data = self._packet(end_s)
            except TimeoutError:
                if granted:
                    return sorted(set(found))
                raise
            if kind >> 4 == 9 and data[:2] == number:
                if data[2] & 0x80:
                    return None
                granted = True
                end_s = time.monotonic() + wait_s
            elif kind >> 4 == 3:
                n = int.from_bytes(data[:2], "big")
                if kind & 1 and len(data) > n + 2:
                    found.append(data[2 : 2 + n].decode("utf-8", "replace"))
                    end_s = time.monotonic() + wait_s

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """With QoS 1; returns when the broker has it."""
        self._id += 1
        number = self._id.to_bytes(2, "big")
        self._send(0x32 | (1 if retain else 0), _text(topic) + number + payload)
        end_s = time.monotonic() + self._timeout_s
        while True:
            kind, data = self._packet(end_s)
            if kind >> 4 == 4 and data[:2] == number:
                return

    def clear(self, topic: str) -> None:
        """Take a retained message away."""
        self.publish(topic, b"", retain=True)

    # -- bytes -------------------------------------------------------------------------------

    def _send(self, kind, body):
        n, length = len(body), b""
        while True:
            n, low = divmod(n, 128)
            length += bytes((low | (128 if n else 0),))
            if not n:
                break
        self._sock.sendall(bytes((kind,)) + length + body)

    def _packet(self, end_s):
        kind = self._read(1, end_s)[0]
        n = shift = 0
        while True:
            b = self._read(1, end_s)[0]
            n |= (b & 127) << shift
            shift += 7
            if not b & 128 or shift > 21:
                break
        return kind, self._read(n, end_s)

    def _read(self, n, end_s):
        out = b""
        while len(out) < n:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the broker is silent")
            self._sock.settimeout(left_s)
            part = self._sock.recv(n - len(out))
            if not part:
                raise MqttRefused("it closed the connection")
            out += part
        return out


def _text(text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
