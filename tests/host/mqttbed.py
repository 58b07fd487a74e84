"""Boards that are an MQTT uplink and nothing more, and the brokers they are tried against.

The board's side is `_BOARD` on the unix port, a loop like the runner's, steered over stdin; its
clock runs ten times faster than ours, so that a retry after a second costs the test a tenth.
"""

import datetime
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import mha.umqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NODE = "00112233445566778899aabbccddeeff"
OTHER = "ff" * 16
REAL = Path.home() / ".micropython/lib/umqtt/simple"
FORKS = ("fork", "real")  # of umqtt.simple: the one that pip has, and the one of ESP32 builds

_BOARD = r"""
import json, select, sys, time
from l4mesh import ticks
from l4mesh_io import clock, mqtt_frames
from l4mesh_io.mqtt import MqttUplink

port, user, password, node, ca = sys.argv[1:6]
tls = None
if ca:
    from l4mesh_io.mqtt_tls import Tls
    tls = Tls(ca)

class Fast(MqttUplink):
    def wrap_socket(self, sock, server_hostname=None):
        sock = MqttUplink.wrap_socket(self, sock, server_hostname)
        sock._left = 40  # a silent broker costs the test less
        return sock

link = Fast(sys.argv[6], int(port), user, password, node, tls=tls)
link.on_frame(lambda buf, n: print("frame", buf == bytes([n & 255]) * n, n))
link.hear(link.base + b"/cmd", lambda data, old: print("cmd", data.decode(), old))
stdin = select.poll()
stdin.register(sys.stdin, select.POLLIN)
was = None
slowest = 0
while True:
    t = time.ticks_us()
    connecting = link.sock is None or not link.session
    wait = link.poll(clock.now() * 10 & ticks.MASK)
    if link.up and not connecting:
        slowest = max(slowest, time.ticks_diff(time.ticks_us(), t))
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
        elif words[0] == "flood":  # until the socket takes no more
            n = k = 0
            while k < 20000 and link.publish(bytes(1200), 1200):
                k += 1
            print("flooded", k)
        elif words[0] == "say":
            data = " ".join(words[3:]).encode()
            print("said", link.say(words[1].encode(), data, words[2] == "1"))
        elif words[0] == "why":
            print("why", link.drops, link.why())
        elif words[0] == "slowest":
            print("slowest", slowest // 1000)
        elif words[0] == "stop":
            link.stop()
            break
"""


def umqtt_source(kind: str) -> Path:
    """umqtt.simple of that kind; skips with the cure when it is not here."""
    if kind == "fork":
        return Path(mha.umqtt.__file__)
    for path in (REAL.with_suffix(".mpy"), REAL.with_suffix(".py")):
        if path.exists():
            return path
    pytest.skip("the real umqtt.simple is not installed; `make deps` fetches it")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def frame(n: int) -> bytes:
    return bytes([n & 255]) * n


class Board:
    """The process, its lines, and a deadline for each answer."""

    def __init__(
        self,
        folder,
        port,
        user=NODE,
        password="pw",
        node=NODE,
        umqtt="fork",
        ca="",
        host="127.0.0.1",
    ):
        source = umqtt_source(umqtt)
        lib = folder / ("umqtt-" + umqtt)
        (lib / "umqtt").mkdir(parents=True, exist_ok=True)
        name = source.name if umqtt == "real" else "simple.py"
        shutil.copy(source, lib / "umqtt" / name)
        script = folder / "board.py"
        script.write_text(_BOARD)
        env = dict(os.environ, MICROPYPATH=":".join((str(lib), str(ROOT / "lib"), ".frozen")))
        self.process = subprocess.Popen(
            [BIN / "micropython", script, str(port), user, password, node, ca, host],
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

    def why(self, word, timeout_s=20):
        """Ask why until `word` is in it."""
        deadline = time.monotonic() + timeout_s
        why = self.ask("why", "why")
        while word not in why:
            assert time.monotonic() < deadline, why
            time.sleep(0.02)
            why = self.ask("why", "why")
        return why

    def ends(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


class Broker:
    """A broker on a port that was free: start, kill, freeze, thaw; the same port again."""

    def __init__(self, folder):
        self.folder = folder / self.name
        self.folder.mkdir(exist_ok=True)
        self.mqtt = free_port()
        self.process = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.mqtt), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("%s did not start" % self.name)

    def freeze(self):
        """Half dead: the kernel still takes what comes."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    ends = kill


class Nats(Broker):
    """nats-server with an MQTT listener, and users as access.py writes them."""

    name = "nats"
    service = ("home-assistant", "home-pw")  # may read and command

    def command(self):
        from l4tools.upstream.access import home_user, node_user

        port = free_port()
        self.port = port
        users = [
            {"user": "svc", "password": "svc", "permissions": {"publish": ">", "subscribe": ">"}},
            home_user("home-pw"),
            node_user(NODE, "pw"),
        ]
        stranger = node_user(OTHER, "pw2")
        stranger["permissions"]["subscribe"] = ["nothing"]
        conf = self.folder / "nats.conf"
        conf.write_text(
            'server_name: "t"\nlisten: "127.0.0.1:%d"\nmqtt { listen: "127.0.0.1:%d" }\n'
            'jetstream { store_dir: "%s" }\nauthorization { users = %s }\n'
            % (port, self.mqtt, self.folder / "js", json.dumps([*users, stranger]))
        )
        return [BIN / "nats-server", "-c", conf]


class Mosquitto(Broker):
    """mosquitto with passwords; with `certificate` on TLS."""

    name = "mosquitto"
    service = ("home", "home-pw")

    def __init__(self, folder, certificate=None):
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed; `make bench-deps` (root) installs it")
        super().__init__(folder)
        self._program = program
        passwords = self.folder / "passwords"
        passwords.write_text("%s:pw\nsvc:svc\nhome:home-pw\n" % NODE)
        passwords.chmod(0o600)
        hasher = Path(program).with_name("mosquitto_passwd")
        hasher = hasher if hasher.exists() else Path("/usr/bin/mosquitto_passwd")
        subprocess.run([hasher, "-U", passwords], check=True, capture_output=True)
        conf = self.folder / "mosquitto.conf"
        text = "listener %d 127.0.0.1\nallow_anonymous false\npassword_file %s\nuser root\n" % (
            self.mqtt, passwords,
        )  # fmt: skip
        text += "persistence false\nset_tcp_nodelay true\n"
        if certificate is not None:
            text += "certfile %s\nkeyfile %s\n" % certificate
        conf.write_text(text)

    def command(self):
        return [self._program, "-c", self.folder / "mosquitto.conf"]


BROKERS = {"nats": Nats, "mosquitto": Mosquitto}


def certificates(folder, *hosts, days=(-10, 10)) -> tuple[Path, tuple[Path, Path]]:
    """A throw-away CA's file, and (certificate, key) of a broker that is called `hosts`."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, ca = _certificate("CA of a test", None, None, (), now, (-10, 10))
    key, cert = _certificate("broker", ca, ca_key, hosts, now, days)
    pem = serialization.Encoding.PEM
    files = [folder / n for n in ("ca.pem", "broker.pem", "broker.key")]
    files[0].write_bytes(ca.public_bytes(pem))
    files[1].write_bytes(cert.public_bytes(pem))
    plain = serialization.NoEncryption()
    files[2].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return files[0], (files[1], files[2])


def _certificate(name, issuer, issuer_key, hosts, now, days):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(issuer is None, None), True)
    )
    if hosts:
        names = []
        for h in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(h)))
            except ValueError:
                names.append(x509.DNSName(h))
        made = made.add_extension(x509.SubjectAlternativeName(names), False)
    return key, made.sign(issuer_key or key, hashes.SHA256())
