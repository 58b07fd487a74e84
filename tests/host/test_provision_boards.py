"""Virtual boards are provisioned as a user would do it; Improv beside REPL, node and app."""

import json
import subprocess
import sys
import time

import pytest
from l4tools.network import Network
from l4tools.provision.improv_client import ASK_STATE, HEAD, ImprovClient, ImprovError, encode
from provbed import PHRASE, bed, wait

# An application that is busy most of the time, and one that never returns.
BUSY = """
import time
from sensors import Sensor
def sensors(board):
    def read():
        time.sleep_ms(200)
        print("read")
        return 1
    return [Sensor("x", "", 0.3, read)]
"""
STUCK = """
from sensors import Sensor
def sensors(board):
    def read():
        print("stuck")
        while True:
            pass
    return [Sensor("x", "", 0.5, read)]
"""


def mpremote(tty, *args):
    run = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", tty, *args],
        capture_output=True, text=True, timeout=40, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def config_of(tty):
    return json.loads(mpremote(tty, "fs", "cat", ":/config.json"))


def test_one_board_from_nothing_to_joined(tmp_path):
    with bed(tmp_path) as b:
        tty = b.board()
        b.until("UNPROVISIONED")
        # What is wrong is said before the board is touched.
        _, err = b.l4("provision", "--port", tty, "--set", "interval=3", code=1)
        assert "interval_s" in err and b.said() < 8
        b.l4("provision", "--port", tty, "--set", 'wifi=[["a",""]]', code=2)
        # A wrong password: the board says so over USB.
        _, err = b.l4(
            "provision", "--port", tty, "--wifi", "bench", "--name", "porch", "--set",
            "interval_s=2", password="wrong-pass", code=1,
        )  # fmt: skip
        assert '"bench": wrong password' in err and "l4 provision --wifi again" in err
        assert "wrong-pass" not in err
        app = tmp_path / "app.py"
        app.write_text("def sensors(board):\n    print('mine')\n    return []\n")
        # Only the password is missing now: settings and keys are there.
        doc = b.json(
            "provision", "--port", tty, "--wifi", "bench", "--app", app, password="bench-pass"
        )
        assert doc["settings"] == ["wifi", "app.py"] and doc["keys"] == "kept"
        assert (doc["name"], doc["wifi"], doc["tier"]) == ("porch", ["bench"], 1)
        assert doc["node"] in b.until("L4 node ")
        b.until("mine")
        config = config_of(tty)
        assert config["interval_s"] == 2 and config["upstream"] == [[1, "10.77.0.1:4104"]]
        # Who it is can be asked for later.
        said = mpremote(tty, "exec", "import provision; provision.show()")
        assert doc["node"] in said and b.network.network_id.hex() in said
        # Again: nothing is written.
        again = b.json("provision", "--port", tty)
        assert again["settings"] == [] and again["keys"] == "kept" and again["tier"] == 1
        # Another network does not get it by accident.
        other = Network.create("other")
        other.save(b.home / "other.l4net", PHRASE, new=True)
        _, err = b.l4("--network", "other", "provision", "--port", tty, code=5)
        assert "belongs to the network" in err and "--new-keys" in err
        doc = b.json("--network", "other", "provision", "--port", tty, "--new-keys", "--no-wait")
        assert doc["keys"] == "given" and doc["network"] == "other"


def test_improv_beside_a_running_node(tmp_path):
    with bed(tmp_path, tier=False) as b:
        config = {"name": "porch", "interval_s": 7, "wifi": [["bench", "bench-pass"]]}
        tty = b.board(config=config, files={**files(), "app.py": BUSY})
        b.until("UNPROVISIONED")
        b.l4("provision", "--port", tty)
        b.until("L4 node ")
        b.rack.board("n1").world.set(networks={"bench": "bench-pass", "attic": "attic-pass"})
        with ImprovClient(tty) as client:
            assert client.probe() == 4
            firmware, version, chip, name = client.info()
            assert firmware == "l4mesh" and name == "porch"
            assert [n for n, _, _ in client.scan()] == ["bench", "attic"]
            with pytest.raises(ImprovError) as e:
                client.join("attic", "wrong-pass")
            assert e.value.code == 3
            assert any("attic: wrong password" in line for line in client.lines)
            wait(lambda: client.probe() == 4)  # the former network is back
            assert client.join("attic", "attic-pass") == "" and client.state == 4
            # Requests in the middle of the application's work are no Ctrl-C.
            for _ in range(5):
                assert client.probe(10) == 4
        assert not [t for t in b.lines["n1"] if "the REPL is yours" in t][1:]
        seen = b.said()
        b.until("read", after=seen)  # the node and its application go on
        got = config_of(tty)
        assert got["wifi"] == [["attic", "attic-pass"], ["bench", "bench-pass"]]
        assert (got["name"], got["interval_s"]) == ("porch", 7)
        assert mpremote(tty, "eval", "6*7") == "42\n"


def files():
    from l4tools.image import project_files

    return project_files()


def test_ctrl_c_reaches_an_application_that_never_returns(tmp_path):
    with bed(tmp_path, tier=False) as b:
        tty = b.board(config={"name": "x"}, files={**files(), "app.py": STUCK})
        b.until("UNPROVISIONED")
        b.l4("provision", "--port", tty)
        b.until("stuck")
        assert mpremote(tty, "eval", "1+1") == "2\n"


def test_an_unprovisioned_board_answers_everybody(tmp_path):
    with bed(tmp_path, tier=False) as b:
        tty = b.board()
        first = b.until("UNPROVISIONED")
        # Noise and half a packet do not take the console away from a person.
        b.rack.write("n1", b"\xff\x00noise" + HEAD + b"\x03\xff")
        time.sleep(0.7)
        seen = b.said()
        b.rack.write("n1", b"\r")
        assert b.until("UNPROVISIONED", after=seen) == first
        doc = b.json(
            "provision", "--port", tty, "--improv", "--wifi", "bench", "--name", "attic",
            password="bench-pass",
        )  # fmt: skip
        assert doc["state"] == "provisioned" and doc["name"] == "attic"
        assert doc["firmware"] == "l4mesh"
        _, err = b.l4(
            "provision",
            "--port",
            tty,
            "--improv",
            "--wifi",
            "bench",
            password="wrong-pass",
            code=1,
        )
        assert 'cannot join "bench": wrong password' in err
        assert config_of(tty)["wifi"] == [["bench", "bench-pass"]]  # the good one stays
        said = mpremote(tty, "exec", "import provision; provision.show()")
        assert said.strip() == first
        # In the REPL nobody speaks Improv: that is told, and the board is not harmed.
        b.rack.write("n1", b"\r\x02")
        with ImprovClient(tty) as client:
            with pytest.raises(Exception, match="speaks Improv"):
                client.probe(1.2)
        b.rack.reset("n1")
        b.until("UNPROVISIONED", after=b.said())
        b.rack.write("n1", encode(3, bytes([ASK_STATE, 0])) + b"\x03")
        b.until("the REPL is yours", after=b.said() - 2)


def test_a_fleet_file_provisions_boards_and_goes_on_after_a_stop(tmp_path):
    with bed(tmp_path) as b:
        ttys = {n: b.board(n, "10.77.1.%d" % ip) for n, ip in (("n1", 11), ("n2", 12))}
        for n in ttys:
            b.until("UNPROVISIONED", n)
        plan = tmp_path / "fleet.csv"
        plan.write_text(
            "board,name,wifi1,password1,wifi2,password2,mode,set\n"
            ",first,bench,bench-pass,,,passive,\n"
            "02:4c:34:4d:01:0c,second,bench,bench-pass,Attic,attic-pass,,interval_s=3\n"
        )
        args = ["provision", "--fleet", plan]
        ports = [w for tty in ttys.values() for w in ("--port", tty)]
        _, err = b.l4(*args, *ports, code=5)
        assert "is not signed" in err and "l4 provision sign" in err
        _, err = b.l4("provision", "sign", plan)
        assert "0600" in err
        text = plan.read_text()
        plan.write_text(text.replace("passive", "auto"))
        _, err = b.l4(*args, *ports, code=5)
        assert "changed after it was signed" in err
        assert not any("PROVISIONED" in t for t in b.lines["n1"] if "UN" not in t)
        plan.write_text(text)
        # One board, then a second run takes the other: the journal knows.
        (one,) = [r for r in b.json(*args, *ports, "--once") if r["state"] == "done"]
        assert one["name"] == "first" and one["board"] == "024c344d010b"
        rows = b.json(*args, *ports)
        assert [r["state"] for r in rows] == ["done", "done"]
        assert rows[1]["board"] == "024c344d010c" and len({r["node"] for r in rows}) == 2
        config = config_of(ttys["n2"])
        assert config["name"] == "second" and config["interval_s"] == 3
        assert config["wifi"] == [["bench", "bench-pass"], ["Attic", "attic-pass"]]
        # All rows are done: boards are left in peace.
        seen = b.said("n1")
        assert b.json(*args, *ports) == rows
        assert not [t for t in b.lines["n1"][seen:] if "stopped" in t]
