"""`l4 upstream` and `l4 node` as a user runs them."""

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from l4tools.hostnode import HostNode
from l4tools.network import Network, path_of
from l4tools.upstream import launch
from l4tools.upstream.process import environment
from tierbed import run, until

PHRASE = "four words or more"
WAIT_S = 60
L4 = [sys.executable, "-c", "import sys; from l4tools.cli import main; sys.exit(main())"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    monkeypatch.setenv("L4_PASSPHRASE", PHRASE)
    network = Network.create("home")
    network.save(path_of("home"), PHRASE)
    return tmp_path, network


class Command:
    """`l4 ARGS` in the background; its stdout and stderr as lines."""

    def __init__(self, *args):
        self.child = subprocess.Popen(
            L4 + list(args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "L4_PASSPHRASE": PHRASE},
            start_new_session=True,
        )
        self.out, self.err = [], []
        self._new = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.child.stdout, self.out), (self.child.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))
            self._new.put(line)
        self._new.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    def wait_for(self, word, lines):
        """The first line with this word."""
        while True:
            for line in list(lines):
                if word in line:
                    return line
            try:
                self._new.get(timeout=WAIT_S)
            except queue.Empty:
                raise AssertionError("no %r in %s %s" % (word, self.out, self.err)) from None
            assert self.child.poll() is None or any(t.is_alive() for t in self._threads), self.err

    def document(self):
        """The JSON document that it printed."""
        self.wait_for("]", self.out)
        return json.loads("\n".join(self.out))

    def end(self, number=signal.SIGTERM):
        self.child.send_signal(number)
        code = self.child.wait(WAIT_S)
        for thread in self._threads:
            thread.join(5)
        return code


def l4(*args):
    done = subprocess.run(
        L4 + list(args),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**environment(), "L4_PASSPHRASE": PHRASE},
        timeout=WAIT_S,
    )
    return done.returncode, done.stdout, done.stderr


def free_ports(n):
    import socket

    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
    try:
        for s in socks:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in socks]
    finally:
        for s in socks:
            s.close()


def with_ports(network):
    """The same network, with addresses of its own in the file: tests run side by side."""
    for level, port in zip((1, 2, 3), free_ports(3), strict=True):
        network.upstream[level] = ["127.0.0.1:%d" % port]
    path_of("home").unlink()
    network.save(path_of("home"), PHRASE)
    return network


def test_three_tiers_and_a_node_from_start_to_ctrl_c(home):
    folder, network = home
    network = with_ports(network)
    with Command("--json", "upstream") as up:
        rows = up.document()
        assert [r["tier"] for r in rows] == ["L3", "L2", "L1"]
        assert [r["mesh"] for r in rows] == [network.upstream[t][0] for t in (3, 2, 1)]
        assert rows[0]["mqtt"].startswith("127.0.0.1:") and rows[1]["mqtt"] is None
        assert sorted(p.name for p in (folder / "upstream/home").iterdir()) == ["l1", "l2", "l3"]
        with Command("node", "--name", "desk") as node:
            node.wait_for("Joined through L3", node.err)
            shown = dict(line.split(None, 1) for line in node.out)

            async def main():
                async with HostNode(network, ephemeral=True) as n:
                    await n.join(20)
                    found = await n.lookup(bytes.fromhex(shown["node"]))
                    assert found.status == "found"
                    assert found.endpoints["lan"] == shown["at"]
                    assert (await n.info(bytes.fromhex(shown["node"])))["name"] == "desk"

            run(main())
            assert node.end(signal.SIGINT) == 0
        pids = [
            int((folder / ("upstream/home/l%d/nats/nats.pid" % t)).read_text()) for t in (1, 2)
        ]
        assert up.end(signal.SIGINT) == 0
        for pid in pids:
            assert not alive(pid)
    assert PHRASE not in "\n".join(up.err)
    for secret in (network.master, network.owner_seed, network.group[1]):
        assert secret.hex() not in "\n".join(up.out + up.err)


def alive(pid):
    try:
        return "nats-server" in Path("/proc/%d/cmdline" % pid).read_text()
    except OSError:
        return False


def test_a_tier_that_ends_is_started_again(home):
    _, network = home
    with_ports(network)
    with Command("--json", "upstream", "--tier", "1") as up:
        assert [r["mqtt"] for r in up.document()] == [None]

        async def main():
            async with HostNode(network, upstream={1: network.upstream[1][0]}) as n:
                await n.join(20)
                os.kill(child_of(up.child.pid), signal.SIGKILL)
                await asyncio.to_thread(up.wait_for, "started again", up.err)

                async def there():
                    return await n.ping(network.tier_id(1))

                await until(there, "L1 answers again")

        run(main())
        assert up.end() == 0


def child_of(pid):
    """The tier process that `l4 upstream` started."""
    pids = Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()
    assert len(pids) == 1
    return int(pids[0])


def test_the_launcher_takes_its_tiers_with_it(home):
    _, network = home
    with_ports(network)
    with Command("--json", "upstream", "--tier", "1") as up:
        up.document()
        tier = child_of(up.child.pid)
        up.child.kill()
        up.child.wait()

        async def gone():
            def ended():
                try:
                    stat = Path("/proc/%d/stat" % tier).read_text()
                except OSError:
                    return True
                return stat.rpartition(")")[2].split()[0] == "Z"

            await until(ended, "the tier ends when stdin does")

        run(gone())


def test_another_machine_gets_its_tier_and_not_the_master_key(home):
    folder, network = home
    with_ports(network)
    code, out, err = l4(
        "upstream", "--tier", "3", "--export", str(folder / "l3.json"), "--no-mqtt"
    )
    assert code == 0, err
    text = (folder / "l3.json").read_text()
    assert (folder / "l3.json").stat().st_mode & 0o777 == 0o600
    assert network.master.hex() not in text and network.owner_seed.hex() not in text
    assert json.loads(text)["up"] == [[t, network.upstream[t][0]] for t in (1, 2)]
    assert "Secrets" in err
    # .. and it runs from that file alone
    doc = {**json.loads(text), "listen": "127.0.0.1", "port": 0, "data": str(folder / "edge")}
    (folder / "l3.json").write_text(json.dumps(doc))
    with Command("--json", "upstream", "--config", str(folder / "l3.json")) as up:
        assert [r["node"] for r in up.document()] == [network.tier_id(3).hex()]
        assert up.end() == 0


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--tier", "4"], 2, "4"),
        (["--port", "5000"], 2, "--port is for one tier"),
        (["--up", "L9=1.2.3.4:5000"], 2, "L9"),
        (["--listen", "192.0.2.1"], 1, "192.0.2.1 is no address of this machine"),
        (["--config", "/nowhere"], 1, "/nowhere can't be read"),
        (["--tier", "1", "--nats", "nats://127.0.0.1:1"], 4, "No NATS server let us in"),
    ],
)
def test_mistakes_are_sentences(home, args, code, says):
    with_ports(home[1])
    got, out, err = l4("upstream", *args)
    assert got == code and says in err, err
    assert "Traceback" not in err and not out


def test_where_the_tiers_listen_is_kept_for_the_boards(home):
    from l4tools.upstream.launch import Plan, remember

    path = path_of("home")

    def listens(addr, level=3, port=4113):
        plan = Plan(Network.load(path, PHRASE), [level], addr, port, None, home[0], None, {})
        return remember(plan, path, PHRASE), Network.load(path, PHRASE).upstream

    said, there = listens("0.0.0.0")
    assert "0.0.0.0 is none to give to boards" in said[0] and there == {}
    assert listens("127.0.0.1") == ([], {3: ["127.0.0.1:4113"]})
    assert listens("192.0.2.7") == ([], {3: ["192.0.2.7:4113"]})  # now somebody else can hear it
    assert listens("192.0.2.7", 1, 4111)[1] == {3: ["192.0.2.7:4113"], 1: ["192.0.2.7:4111"]}
    # An address that somebody chose, or that changed, is not replaced; it is told.
    said, there = listens("192.0.2.8")
    assert there[3] == ["192.0.2.7:4113"]
    assert "L3 is at 192.0.2.7:4113" in said[0] and "listens at 192.0.2.8:4113" in said[0]


def test_a_port_that_is_taken_is_named(home):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        code, _, err = l4("upstream", "--tier", "1", "--port", str(port))
    assert code == 1
    assert "127.0.0.1:%d cannot be used" % port in err


def test_a_node_says_what_is_wrong(home):
    for args, says in (
        (["--listen", "192.0.2.1:0"], "192.0.2.1:0 cannot be used"),
        (["--mode", "lazy"], "mode must be one of"),
        (["--hub", "127.0.0.1:9"], "--hub and --vaddr go together"),
    ):
        code, out, err = l4("node", *args)
        assert code in (1, 2) and says in err, err
        assert "Traceback" not in err


def test_tiers_are_not_given_the_passphrase(monkeypatch):
    monkeypatch.setenv("L4_PASSPHRASE", PHRASE)
    assert "L4_PASSPHRASE" not in environment()


def test_a_broker_of_ones_own_is_written_into_the_settings(home):
    folder, network = home
    with_ports(network)
    (folder / "pw").write_text("geheim\n")
    where = ("upstream", "--tier", "3", "--export", str(folder / "l3.json"))
    broker = ("--mqtt-broker", "192.0.2.9:1883")
    for more, said in (
        (("--mqtt-user", "u"), "--mqtt-broker"),
        ((*broker, "--mqtt-password-file", str(folder / "none")), "can't be read"),
        ((*broker, "--mqtt-ca", str(folder / "pw")), "holds no certificate"),
        (("--mqtt-broker", "192.0.2.9"), "192.168.1.5:1883"),
    ):
        code, out, err = l4(*where, *more)
        assert code and said in err.replace("\n", " ") and "geheim" not in out + err
    code, out, err = l4(
        *where, *broker, "--mqtt-user", "u", "--mqtt-password-file", str(folder / "pw")
    )
    assert code == 0, err
    assert "geheim" not in out + err
    doc = json.loads((folder / "l3.json").read_text())
    want = {"host": "192.0.2.9", "port": 1883, "user": "u", "password": "geheim", "ca": ""}
    assert doc["broker"] == want and doc.get("mqtt_port") is None


def test_it_says_where_nodes_without_udp_come_in():
    said = []
    out = SimpleNamespace(table=lambda rows: None, note=said.append)
    config = {"tier": 3, "tcp_port": 4443, "data": "/x", "listen": "0.0.0.0"}
    ready = {"udp": "0.0.0.0:4113", "mqtt": None, "nats": None, "id": "00"}
    launch._show(out, [SimpleNamespace(name="L3", ready=ready, config=config)])
    assert said[0].endswith('"tcp": [[3, "127.0.0.1:4443"]].'), said
    del config["tcp_port"], said[:]
    launch._show(out, [SimpleNamespace(name="L3", ready=ready, config=config)])
    assert len(said) == 1 and "TCP" not in said[0]
