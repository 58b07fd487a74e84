"""A neighbour look-up between two nodes, and the same request and reply by others' means.

All processes of a pair (and the broker) share one CPU: two halted CPUs of a virtual machine wake
each other in 35 to 70 us, and that would be all there is to see (docs/bench.md).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from l4tools.bench.device import Device
from l4tools.bench.load import median, one_cpu
from l4tools.bench.rows import Report, Skip, need
from l4tools.bench.world import ANSWER_SIZE, ASK_LEN, Identity, World, free_port
from l4tools.errors import ToolError
from l4tools.image import umqtt_files
from l4tools.paths import build_dir

NEIGHBOUR = "neighbour look-up"
OURS = [NEIGHBOUR + ", p50", NEIGHBOUR + ", p99"]
MQTT = ["umqtt through mosquitto, p50", "umqtt through mosquitto, p99",
        NEIGHBOUR + " / umqtt through mosquitto"]  # fmt: skip
OTHERS = {
    "zenoh": ("eclipse-zenoh", ["zenoh get, p50", NEIGHBOUR + " / zenoh get"]),
    "aiocoap": ("aiocoap", ["aiocoap GET, p50", NEIGHBOUR + " / aiocoap GET"]),
}


def neighbour(n: int, cpu: int) -> dict:
    """Two MicroPython nodes that met by hello; one asks the other for what it does not know."""
    world = World(256)
    folder = build_dir("bench")
    server, asker = Identity("server"), Identity("asking node")
    ports = free_port(), free_port()
    ends = ["127.0.0.1:%d" % p for p in ports]
    one = world.write(folder / "pair_server.json", server)
    ids = [t.id.hex() for t in world.targets]
    two = World(0).write(folder / "pair_asker.json", asker, targets=ids)
    with Device("served.py", one, ports[0], ends[1], cpu=cpu) as a:
        a.read(60)
        with Device("asker.py", two, ports[1], ends[0], n, cpu=cpu) as b:
            got = b.read(120)
    if got["by"].get("0/5", 0) < n:
        raise ToolError("Look-ups were not answered by the neighbour: %r." % got["by"])
    return got


def umqtt_path() -> str:
    """Folder with umqtt.simple, for MICROPYPATH."""
    out = build_dir("bench/umqtt_lib")
    for name, source in umqtt_files().items():
        path = out / name.removeprefix("lib/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
    return str(out)


class Mosquitto:
    def __init__(self, cpu: int):
        program = need("mosquitto")
        folder = build_dir("bench")
        self.port = free_port()
        conf = folder / "mosquitto.conf"
        conf.write_text("listener %d 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
                        "persistence false\n" % self.port)  # fmt: skip
        self._log = (folder / "mosquitto.log").open("wb")
        self._process = subprocess.Popen([program, "-c", str(conf)], stdout=self._log,
                                         stderr=self._log)  # fmt: skip
        os.sched_setaffinity(self._process.pid, {cpu})

    def __enter__(self):
        import socket

        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        self.__exit__()
        raise ToolError("mosquitto did not start. Read build/bench/mosquitto.log.")

    def __exit__(self, *exc):
        self._process.terminate()
        self._process.wait()
        self._log.close()


def by_mqtt(n: int, cpu: int) -> dict:
    where = umqtt_path()
    with Mosquitto(cpu) as broker:
        with Device("mqtt.py", "answer", broker.port, ANSWER_SIZE, cpu=cpu, extra_path=where) as a:
            a.read()
            with Device("mqtt.py", "ask", broker.port, ASK_LEN, n, cpu=cpu, extra_path=where) as b:
                return b.read(120)


def other_python() -> str:
    """The Python of build/bench/venv, where packages that only the bench wants live."""
    place = build_dir("bench") / "venv"
    python = place / "bin" / "python"
    if not python.exists():
        run = subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True)
        if run.returncode:
            raise Skip("no venv could be made in build/bench; install python3-venv")
    return str(python)


def install(package: str) -> str:
    """The Python that has `package`; Skip when pip can't get it."""
    python = other_python()
    have = subprocess.run([python, "-m", "pip", "show", "-q", package], capture_output=True)
    if have.returncode:
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        got = subprocess.run([*pip, package], capture_output=True, text=True, timeout=180)
        if got.returncode:
            raise Skip("pip could not install %s. Connect to a package index and run again."
                       % package)  # fmt: skip
    return python


def by_other(kind: str, n: int, cpu: int) -> dict:
    """p50 and p99 in us of zenoh or aiocoap, both ends in Python, pinned like the rest."""
    python = install(OTHERS[kind][0])
    script = str(Path(__file__).with_name("others.py"))
    port = str(free_port())
    base = ["taskset", "-c", str(cpu), python, script, kind]
    server = subprocess.Popen([*base, "answer", port, str(ANSWER_SIZE)], stdout=subprocess.PIPE)
    try:
        if server.stdout.readline().strip() != b"ready":
            raise Skip("%s did not start; remove build/bench/venv and run again" % kind)
        run = subprocess.run([*base, "ask", port, str(ASK_LEN), str(n)], capture_output=True,
                             text=True, timeout=120)  # fmt: skip
        if run.returncode:
            last = run.stderr.strip().split("\n")[-1]
            raise Skip("%s failed (%s); remove build/bench/venv and run again" % (kind, last))
        return json.loads(run.stdout.strip().split("\n")[-1])
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _rounds(rounds: int, n: int, other: Callable[[int, int], dict], cpu: int):
    """Pairs (ours, theirs), interleaved."""
    return [(neighbour(n, cpu), other(n, cpu)) for _ in range(rounds)]


def measure(report: Report, quick: bool, only: tuple[str, ...] = ("mqtt", "others")) -> None:
    cpu = one_cpu()
    rounds, n = (1, 100) if quick else (5, 3000)
    mine = []
    try:
        need("mosquitto")
        pairs = _rounds(rounds, n, by_mqtt, cpu)
        mine = [a for a, _ in pairs]
        report.put(MQTT[0], median([b["p50"] for _, b in pairs]), [b["p50"] for _, b in pairs])
        report.put(MQTT[1], median([b["p99"] for _, b in pairs]))
        ratios = [a["p50"] / b["p50"] for a, b in pairs]
        report.put(MQTT[2], median(ratios), ratios)
    except Skip as e:
        report.skip(MQTT, str(e))
    mine = mine or [neighbour(n, cpu) for _ in range(rounds)]
    report.put(OURS[0], median([a["p50"] for a in mine]), [a["p50"] for a in mine])
    report.put(OURS[1], median([a["p99"] for a in mine]))
    if "others" not in only:
        return
    for kind, (_, names) in OTHERS.items():
        try:
            install(OTHERS[kind][0])
            fewer = min(n, 1000)
            pairs = _rounds(min(rounds, 3), fewer, lambda k, c, w=kind: by_other(w, k, c), cpu)
            report.put(names[0], median([b["p50"] for _, b in pairs]))
            ratios = [a["p50"] / b["p50"] for a, b in pairs]
            report.put(names[1], median(ratios), ratios)
        except (Skip, subprocess.TimeoutExpired) as e:
            report.skip(names, str(e))
