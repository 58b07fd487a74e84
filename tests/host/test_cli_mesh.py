"""`l4 mesh` and the verbs that ask nodes: one mesh, two boards on LAN 1 and one on LAN 2."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from l4tools import cli
from l4tools.mesh import client, place
from l4tools.mesh.tiers import PORT
from l4tools.network import Network
from l4tools.upstream.config import tier_config
from l4tools.upstream.process import TierProcess

HEAP = "409600"
PHRASE = "four quite common words"
NOBODY = "00112233445566778899aabbccddeeff"
BOARDS = ["lan1-1", "lan1-2", "lan2-1"]
ENDED_S = 20


def l4(*args):
    """(exit code, stdout, stderr) of `l4 ARGS`, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(a) for a in args])
    return code, out.getvalue(), err.getvalue()


def doc(*args):
    """The one JSON document of a command that works."""
    code, out, err = l4(*args, "--json")
    assert code == 0, err
    assert err == ""
    return json.loads(out)


def refusal(*args):
    """(exit code, sentence, next step) of a command that does not, the same with --json."""
    code, out, err = l4(*args, "--json")
    assert out == ""
    said = json.loads(err)
    assert set(said) == {"error", "next"}
    assert re.match(r"[^.].*[.)]$", said["error"]), said
    assert said["next"] and "Traceback" not in err
    return code, said["error"], said["next"]


@contextlib.contextmanager
def environment(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("L4_HOME", str(home))
        patch.setenv("L4_PASSPHRASE", PHRASE)
        yield


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """A running mesh; what `l4 mesh up --json` printed. Nothing of it is left afterwards."""
    with environment(tmp_path_factory.mktemp("l4")):
        try:
            rows = doc("mesh", "up", "test", "--boards", 3, "--lans", 2, "--heap", HEAP)
            pids = client.pids_of(client.state(place.Place("test")))
            yield {r["name"]: r for r in rows}
        finally:
            code, out, err = l4("mesh", "down", "--json")
        assert code == 0, err
        stopped = json.loads(out)
        assert stopped["boards"] == BOARDS and stopped["tiers"] == ["l1", "l2", "l3"]
        assert len(pids) == 10 and not any(client.alive(pid) for pid in pids)
        assert l4("mesh", "down")[0] == 3


@pytest.fixture
def whole(mesh):
    """The mesh, healed and powered again after the test."""
    yield mesh
    assert l4("mesh", "heal")[0] == 0
    for name in BOARDS:
        assert l4("mesh", "power", name, "on")[0] == 0
    client.wait_joined(place.Place("test"), ENDED_S, lambda text: None)


# what runs


def test_up_prints_a_row_for_each_tier_and_board(mesh):
    assert list(mesh) == ["l1", "l2", "l3", *BOARDS]
    for name in BOARDS:
        row = mesh[name]
        assert re.fullmatch(r"[0-9a-f]{32}", row["node"])
        assert row["address"] == "10.77.%s.1%s:%d" % (name[3], name[5], PORT)
        assert row["tty"].startswith("/dev/") and row["mode"] == "standard"
        assert row["tier"] == 3 and row["joined_ms"] > 0


def test_up_made_the_network_with_the_owners_passphrase(mesh):
    home = Path(os.environ["L4_HOME"])
    made = Network.load(home / "test.l4net", PHRASE)
    assert [mesh["l%d" % n]["node"] for n in (1, 2, 3)] == [
        made.tier_id(n).hex() for n in (1, 2, 3)
    ]
    assert (home / "mesh" / "test").stat().st_mode & 0o777 == 0o700
    assert (home / "mesh" / "test" / "state.json").stat().st_mode & 0o777 == 0o600
    assert PHRASE not in (home / "mesh" / "test" / "state.json").read_text()


def test_a_second_up_says_that_it_runs(mesh):
    code, error, step = refusal("mesh", "up", "test")
    assert code == 1 and "running already" in error and "l4 mesh down" in step


def test_ps_knows_the_processes_and_the_nodes_own_word(mesh):
    state = doc("mesh", "ps")
    assert state["phase"] == "up" and state["cuts"] == []
    assert [t["state"] for t in state["tiers"]] == ["running"] * 3
    for b in state["boards"]:
        assert client.alive(b["pid"]) and b["state"] == "running"
        assert b["node"] == mesh[b["name"]]["node"] and b["tier"] == 3 and b["upstream"]
    code, out, err = l4("mesh", "ps")
    head, *rows, last = out.splitlines()
    assert code == 0 and err == "" and head.split()[:4] == ["NAME", "NODE", "ADDRESS", "STATE"]
    assert [r.split()[0] for r in rows] == ["l1", "l2", "l3", *BOARDS]
    assert "delivered" in last and last.endswith("cut: nothing")


def test_the_daemon_and_its_children_do_not_carry_the_passphrase(mesh):
    for pid in client.pids_of(client.state(place.Place("test"))):
        with open("/proc/%d/environ" % pid, "rb") as f:
            assert PHRASE.encode() not in f.read()
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            assert PHRASE.encode() not in f.read()


def test_console_shows_what_a_board_said_but_not_its_keys(mesh):
    talk = place.Place("test").client()
    talk.console(name="lan1-1")
    lines = []
    while not (lines and lines[-1].startswith("L4 joined")):
        lines.append(talk.next(ENDED_S)["line"])
    talk.close()
    text = "\n".join(lines)
    assert "L4 PROVISIONED" in text and "L4 node " + mesh["lan1-1"]["node"] in text
    assert "nodekey" not in text
    said = doc("mesh", "console", "lan1-1", "--lines", 2)
    assert said["board"] == "lan1-1" and len(said["lines"]) == 2
    assert lines[0] not in said["lines"]  # the newest, not the first that are kept
    code, out, err = l4("mesh", "console", "lan1-1", "--lines", 1)
    assert code == 0 and len(out.splitlines()) == 1


ROOT = Path(__file__).resolve().parents[2]
L4 = [
    sys.executable, "-c",
    "import sys; sys.path[:0] = %r; from l4tools.cli import main; sys.exit(main())"
    % [str(ROOT / "host_tools"), str(ROOT / "lib")],
]  # fmt: skip


def test_console_ends_with_ctrl_c(mesh):
    with subprocess.Popen(
        [*L4, "mesh", "console", "lan1-1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        try:
            assert child.stdout.readline()
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=ENDED_S)
        finally:
            child.kill()
    assert (child.returncode, err) == (0, b"")


# who is meant


def test_a_board_by_name_id_and_prefix_is_the_same(mesh):
    node = mesh["lan2-1"]["node"]
    for text in ("lan2-1", "LAN2-1", node, node.upper(), node[:8]):
        assert doc("lookup", text)["node"] == node


def test_tiers_have_names_and_records(mesh):
    assert doc("lookup", "l3")["tier"] == 3
    assert doc("ping", "l1", "--count", 1)["node"] == mesh["l1"]["node"]


def test_unknown_names_say_what_there_is(mesh):
    for verb in ("lookup", "ping", "trace", "why", "status"):
        for text in ("lan9-9", "zz", "abc"):
            code, error, step = refusal(verb, text)
            assert code == 3 and text in error
            assert all(name in step for name in ("l1", *BOARDS))


# lookup and trace


def test_lookup_says_where_and_who_knew(mesh):
    found = doc("lookup", "lan1-2")
    assert found["status"] == "found" and found["source"] in ("l1", "l2", "l3")
    assert found["endpoints"]["lan"] == mesh["lan1-2"]["address"]
    code, out, err = l4("lookup", "lan1-2")
    assert code == 0 and err == "" and "10.77.1.12:4104" in out


def test_lookup_of_nobody_is_unknown(mesh):
    code, error, step = refusal("lookup", NOBODY)
    assert code == 3 and "authority knows no node" in error and step
    assert refusal("trace", NOBODY)[0] == 3


def test_the_authority_can_be_asked_past_the_caches(mesh):
    doc("lookup", "lan1-1")
    assert doc("lookup", "lan1-1")["source"] == "l3"
    assert doc("lookup", "lan1-1", "--authority")["source"] == "l1"


def test_trace_shows_each_tier_and_times_that_add_up(mesh):
    traced = doc("trace", "lan2-1", "--authority")
    hops = traced["hops"]
    assert [h["tier"] for h in hops] == ["l3", "l2", "l1"]
    assert [h["node"] for h in hops] == [mesh[h["tier"]]["node"][:8] for h in hops]
    assert [h["answered"] for h in hops] == [False, False, True]
    assert hops[0]["own_ms"] is not None and hops[1]["own_ms"] is None
    assert hops[2]["own_ms"] == hops[2]["total_ms"]
    # Delays of the virtual network, there and back; never less.
    for hop, least in zip(hops, (8, 32, 40), strict=True):
        assert hop["wire_ms"] >= least - 1
    assert hops[0]["total_ms"] > hops[1]["total_ms"] > hops[2]["total_ms"]
    whole = sum(h["wire_ms"] + (h["own_ms"] or 0) for h in hops)
    assert abs(whole - traced["ms"]) <= 2
    code, out, err = l4("trace", "lan2-1")
    assert code == 0 and err == "" and "answered by l3 in" in out.splitlines()[-1]


# ping, status, why


def test_ping_says_how_far_and_how(mesh):
    said = doc("ping", "lan1-1", "--count", 2)
    assert said["sent"] == said["received"] == 2
    assert 6 <= said["ms"]["min"] <= said["ms"]["median"] <= said["ms"]["max"]
    assert said["mode"] == "standard" and said["battery"] is None
    assert said["seen_as"].startswith("10.77.0.")


def test_many_questions_one_after_the_other_all_get_an_answer(mesh):
    """Each run is a new process for the board: it has to pass its replay window every time."""
    for _ in range(4):
        assert doc("ping", "lan1-2", "--count", 1)["received"] == 1


def test_status_is_the_nodes_own_word(mesh):
    said = doc("status", "lan1-1", "--neighbours", "--counters")
    assert (said["id"], said["name"]) == (mesh["lan1-1"]["node"], "lan1-1")
    assert said["joined"] is True and said["mode"] == "standard" and said["tier"] == 3
    names = {n["name"] for n in said["neighbour_list"]}
    assert {"l1", "l2", "l3", "lan1-2"} <= names and "lan2-1" not in names
    assert said["counters"]["rx"] > 0
    code, out, err = l4("status", "lan1-1", "--neighbours")
    assert code == 0 and err == "" and "lan1-2" in out and "L3 " in out
    assert doc("status", "l1")["registered"] >= 3


def test_status_alone_is_the_whole_mesh(mesh):
    said = doc("status")
    assert (said["network"], said["mesh"], said["upstream"]) == ("test", "test", True)
    assert [t["name"] for t in said["tiers"]] == ["l1", "l2", "l3"]
    assert all(x["up"] for x in said["tiers"] + said["boards"])
    assert [b["name"] for b in said["boards"]] == BOARDS
    assert said["members"] >= 3 and said["members"] == said["tiers"][0]["registered"]
    code, out, err = l4("status")
    assert code == 0 and err == "" and "members registered" in out
    assert refusal("status", "--counters")[0] == 2


def test_why_is_a_sentence_for_people_and_figures_for_programs(mesh):
    said = doc("why", "lan1-1")
    assert (said["mode"], said["signal"], said["value"], said["threshold"]) == (
        "standard", "wifi", 1, 1,
    )  # fmt: skip
    assert said["next_ms"] > 0 and said["up"] and "Active is for Linux" in said["active"]
    assert said["sensors"] == "All sensors work."
    code, out, err = l4("why", "lan1-1")
    assert code == 0 and err == ""
    for words in ("lan1-1 is standard", "wifi is 1", "Judged again", "One step up", "Sensors: "):
        assert words in out
    assert doc("why", "l3")["mode"] == "active"


# what goes wrong


def test_cut_upstream_lookups_are_unavailable_and_neighbours_answer(whole):
    assert doc("mesh", "cut", "upstream") == {"cut": ["upstream"]}
    code, error, step = refusal("lookup", "lan1-1")
    assert code == 4 and "cut are: upstream" in error and "l4 mesh heal" in step
    assert doc("ping", "lan1-1", "--count", 1)["received"] == 1
    code, error, step = refusal("ping", "l1", "--count", 1)
    assert code == 4 and "l1 does not answer" in error and "l4 mesh heal" in step
    said = doc("status")
    assert said["cuts"] == ["upstream"] and not said["upstream"]
    assert [t["up"] for t in said["tiers"]] == [False] * 3
    assert [b["up"] for b in said["boards"]] == [True] * 3
    assert doc("mesh", "heal", "upstream") == {"cut": []}
    assert doc("lookup", "lan1-1")["status"] == "found"


def test_a_board_is_cut_by_name(whole):
    assert doc("mesh", "cut", "lan1-2") == {"cut": ["lan1-2"]}
    code, error, step = refusal("why", "lan1-2")
    assert code == 4 and "cut are: lan1-2" in error and "l4 mesh heal" in step
    assert refusal("mesh", "heal", "lan1-1")[0] == 3
    code, error, step = refusal("mesh", "cut", "lan:7")
    assert code == 3 and "no lan:7" in error and "lan:2" in step
    code, error, step = refusal("mesh", "cut", "mars")
    assert code == 3 and "cannot be cut" in error


def test_a_board_without_power(whole):
    off = doc("mesh", "power", "lan2-1", "off")
    assert off["state"] == "off" and off["pid"] is None
    code, error, step = refusal("status", "lan2-1")
    assert code == 4 and error == "lan2-1 is off." and "l4 mesh power lan2-1 on" in step
    on = doc("mesh", "power", "lan2-1", "on")
    assert on["state"] == "running" and client.alive(on["pid"])
    code, error, step = refusal("mesh", "power", "lan7-7", "on")
    assert code == 3 and "no board lan7-7" in error and "lan2-1" in step
    assert refusal("mesh", "power", "lan1-1", "dim")[0] == 2
    assert refusal("mesh", "console", "lan7-7")[0] == 3


def test_a_wrong_passphrase_is_refused(mesh, monkeypatch):
    monkeypatch.setenv("L4_PASSPHRASE", "something else")
    for args in (("lookup", "lan1-1"), ("status",)):
        assert refusal(*args)[0] == 5


def test_bad_addresses_are_usage_errors(mesh):
    assert refusal("lookup", "lan1-1", "--upstream", "L9=1.2.3.4:5000")[0] == 2
    assert refusal("ping", "lan1-1", "--via", "here")[0] == 2
    assert refusal("ping", "lan1-1", "--count", "0")[0] == 2
    assert refusal("mesh", "ps", "--watch")[0] == 2


# without a mesh: real UDP, on loopback


@pytest.fixture
def alone(tmp_path):
    """A home with a network and no mesh."""
    with environment(tmp_path):
        assert l4("network", "new", "solo")[0] == 0
        yield Network.load(tmp_path / "solo.l4net", PHRASE)


def test_without_a_mesh_or_upstream_it_says_how_to_begin(alone):
    for args in (("lookup", NOBODY), ("ping", NOBODY), ("status",), ("why", "l1")):
        code, error, step = refusal(*args)
        assert code == 4 and "does not run" in error and "l4 mesh up solo" in step
    for args in (("down",), ("cut", "l1"), ("heal",), ("power", "x", "on"), ("console", "x")):
        code, error, step = refusal("mesh", *args)
        assert code == 3 and "No mesh runs." == error and "l4 mesh up" in step
    assert doc("mesh", "ps") == []
    assert refusal("mesh", "ps", "other")[0] == 3


def test_ctrl_c_while_a_mesh_starts_leaves_nothing_running(alone):
    here = place.Place("solo")
    with subprocess.Popen([*L4, "mesh", "up"], stderr=subprocess.PIPE) as child:
        try:
            for _ in range(ENDED_S * 100):
                if here.read("state.json").get("control"):
                    break
                time.sleep(0.01)
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=4 * ENDED_S)
            assert child.returncode == 130
            assert not here.runs() and not (here.folder / "state.json").exists()
        finally:
            child.kill()
            if here.runs():
                client.stop(here)


def test_a_node_with_a_bad_address_is_told_how_to_write_one(alone):
    for args in (("--listen", "x"), ("--hub", "x", "--vaddr", "10.77.1.9:4104")):
        code, error, _ = refusal("node", *args)
        assert code == 2 and "is no endpoint" in error


def test_an_upstream_over_real_udp(alone, tmp_path):
    with TierProcess(tier_config(alone, 1, tmp_path / "l1")) as tier:
        at = "L1=" + tier.ready["udp"]
        assert doc("lookup", "l1", "--upstream", at)["source"] == "l1"
        assert doc("ping", "l1", "--count", 1, "--upstream", at)["received"] == 1
        assert doc("ping", "l1", "--count", 1, "--via", tier.ready["udp"])["received"] == 1
        assert doc("status", "--upstream", at)["tiers"][0]["up"] is True
        assert refusal("lookup", NOBODY, "--upstream", at)[0] == 3
        assert refusal("lookup", "abcd", "--upstream", at)[0] == 3
    code, error, step = refusal("lookup", NOBODY, "--upstream", at)
    assert code == 4 and at[3:] in error and "l4 upstream" in step
    assert refusal("status", "--upstream", at)[0] == 4
    code, error, step = refusal("ping", NOBODY, "--via", at[3:], "--count", 1)
    assert code == 4 and "does not answer" in error and "--via" in step


def test_ambiguous_prefixes_list_the_nodes(alone):
    from l4tools.errors import NotFound
    from l4tools.mesh.way import Way

    ids = ["aabbccdd" + "%024x" % k for k in range(2)]
    boards = [
        {"name": "b%d" % k, "node": i, "address": "10.77.1.1%d:4104" % k, "state": "running"}
        for k, i in enumerate(ids)
    ]
    boards.append({"name": "new", "node": None, "address": "10.77.1.19:4104", "state": "off"})
    way = Way(alone, {"boards": boards, "cuts": [], "tiers": []}, {})
    with pytest.raises(
        NotFound, match=r"Several nodes begin with aabbccdd: b0 \(.*Give more digits"
    ):
        way.find("aabbccdd")
    assert way.find(ids[1][:32]).name == "b1"
    assert way.find("l2").id == alone.tier_id(2)
    from l4tools.errors import Unavailable

    with pytest.raises(Unavailable, match="has not said its id yet"):
        way.find("new")
