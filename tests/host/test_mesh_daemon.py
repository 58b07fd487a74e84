"""The daemon of `l4 mesh`: one at a time, gone without a trace, honest when it fails or dies."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from l4tools.errors import NotFound, ToolError
from l4tools.mesh import client, place
from l4tools.mesh.heard import Heard
from l4tools.mesh.place import Place
from l4tools.network import Network

HEAP = 409600
PHRASE = "four quite common words"
WAIT_S = 30


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for left in place.running():  # a test that failed half-way
        client.stop(left)


def order(home, **changes):
    """What `up` orders for a small mesh; makes its network."""
    path = home / "small.l4net"
    if not path.exists():
        home.mkdir(exist_ok=True)
        Network.create("small").save(path, PHRASE, new=True)
    return {
        "name": "small", "network": str(path), "passphrase": PHRASE, "boards": 1, "lans": 1,
        "heap": HEAP, "loss": 0, "keep": False, **changes,
    }  # fmt: skip


def until(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in %d s" % WAIT_S
        time.sleep(0.05)


def one_node(here):
    return client.wait_joined(here, WAIT_S, lambda text: None)["boards"][0]


def test_killed_it_leaves_nothing_and_kept_boards_are_the_same_again(home):
    here = Place("small")
    client.start(here, order(home))
    before = one_node(here)
    pids = client.pids_of(client.state(here))
    assert len(pids) == 8 and all(client.alive(pid) for pid in pids)
    with pytest.raises(ToolError, match="running already"):
        Place("small").take()
    os.kill(client.state(here)["pid"], signal.SIGKILL)
    until(lambda: not here.runs() and not any(client.alive(pid) for pid in pids))
    with pytest.raises(NotFound, match="does not run"):
        here.client()

    client.start(here, order(home, keep=True, loss=0.02))
    again = one_node(here)
    assert again["node"] == before["node"] and again["epoch"] > before["epoch"]
    pids = client.pids_of(client.state(here))
    os.kill(client.state(here)["pid"], signal.SIGTERM)  # as at the shutdown of the machine
    until(lambda: not here.runs() and not any(client.alive(pid) for pid in pids))
    assert not (here.folder / "state.json").exists()
    assert not place.all_places()


def test_what_another_network_left_is_not_mixed_in(home):
    here = Place("small")
    here.make()
    here.write("kept.json", {"network": "00000000"})
    with pytest.raises(ToolError, match="another network. Start it without --keep"):
        client.start(here, order(home, keep=True))
    assert not here.runs()


def test_a_start_that_fails_says_why(home):
    here = Place("small")
    with pytest.raises(ToolError, match="passphrase"):
        client.start(here, order(home, passphrase="wrong"))
    assert not here.runs()
    deep = order(home, network=str(home / "gone.l4net"))
    with pytest.raises(ToolError, match="gone.l4net"):
        client.start(here, deep)
    assert PHRASE not in here.log.read_text()


def test_a_board_that_cannot_start_is_named_and_down_still_works(home):
    here = Place("small")
    client.start(here, order(home, heap=1000))
    pids = client.pids_of(client.state(here))
    with pytest.raises(ToolError, match=r"1 of 1 boards did not join .*l4 mesh console lan1-1"):
        client.wait_joined(here, 0.3, lambda text: None)
    with pytest.raises(ToolError, match=r"1 boards have too little memory .*with --heap"):
        client.wait_joined(here, WAIT_S, lambda text: None)
    was = client.stop(here)
    assert [t["name"] for t in was["tiers"]] == ["l1", "l2", "l3"]
    assert not here.runs() and not any(client.alive(pid) for pid in pids)


# the folder


def test_the_folder_is_private_and_files_are_whole(home):
    here = Place("small")
    here.make()
    here.write("state.json", {"pid": 1})
    assert stat.S_IMODE(here.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((here.folder / "state.json").stat().st_mode) == 0o600
    assert here.read("state.json") == {"pid": 1}
    (here.folder / "state.json").write_text("{")
    assert here.read("state.json") == {} and here.read("nothing") == {}
    assert here.last_words() == "nothing"


def test_a_deep_home_gets_a_short_socket(home, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(home / ("d" * 90)))
    here = Place("small")
    here.make()
    path = here.socket()
    try:
        assert len(str(path)) < 100
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        path.parent.rmdir()
    assert Place("other").folder.parent == here.folder.parent


def test_looking_does_not_hinder_who_wants_to_start(home):
    here = Place("small")
    here.make()
    assert not here.runs()
    hold = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(here.folder / "lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout.readline() == b"held\n"
        assert here.runs() and here.runs()
        holder.stdin.close()
        holder.wait(WAIT_S)
    assert not here.runs()
    here.take()
    assert here.held and here.runs()


def test_one_of_several_has_to_be_named(home, monkeypatch):
    with pytest.raises(NotFound, match="No mesh runs. Start one"):
        place.the_place(None)
    for name in ("one", "two"):
        here = Place(name)
        here.make()
        here.write("state.json", {"pid": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Place, "runs", lambda self: True)
        with pytest.raises(ToolError, match="one, two. Say which with --network"):
            place.the_place(None)
    assert place.the_place("two").name == "two"
    with pytest.raises(NotFound, match="no such mesh"):
        place.the_place("../x")


# what boards say


def test_heard_follows_a_boards_life():
    b = Heard()
    for text in (
        "L4 node " + "ab" * 16 + " epoch 7",
        "L4 mode passive -> standard: wifi is 1, threshold 1, judged again in 300 s",
        "L4 neighbour 0011aabb at 10.77.1.12:4104",
        "L4 neighbour 2233aabb at 10.77.1.13:4104",
        "L4 upstream is there, nearest tier 3",
        "L4 joined by tier 3 after 231 ms",
        "L4 neighbour 0011aabb is gone",
        "what an application prints",
    ):
        b.line(text)
    assert json.loads(json.dumps(b.word())) == {
        "node": "ab" * 16, "epoch": 7, "mode": "standard", "why": "wifi is 1, threshold 1",
        "joined_ms": 231, "tier": 3, "upstream": True, "neighbours": 1,
        "last": "neighbour 0011aabb is gone",
    }  # fmt: skip
    b.line("L4 upstream is silent; neighbours are still served, readings are kept")
    b.line("L4 registration ran out; trying again")
    assert (b.upstream, b.tier, b.joined_ms) == (False, None, None)
    b.line("MemoryError: memory allocation failed, allocating 944 bytes")
    assert b.word()["last"].startswith("MemoryError")
    b.off()
    assert b.word()["node"] == "ab" * 16 and b.word()["mode"] is None


def test_heard_keeps_few_lines_and_no_keys():
    b = Heard()
    got = []
    b.listeners.append(got.append)
    b.line('>>> import provision; provision.give(\'{"nodekey": "4242"}\')')
    for k in range(500):
        b.line(str(k))
    assert len(b.lines) == 100 and b.lines[-1] == "499"
    assert len(got) == 501 and "4242" not in got[0]


def test_a_board_that_starts_again_is_not_joined_yet():
    b = Heard()
    b.line("L4 node " + "ab" * 16 + " epoch 1")
    b.line("L4 joined by tier 3 after 231 ms")
    b.line("L4 node " + "ab" * 16 + " epoch 2")
    assert (b.word()["epoch"], b.word()["joined_ms"]) == (2, None)
