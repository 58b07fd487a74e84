"""`l4 bench`: the checks and figures of a virtual board, compared with those kept of it."""

import json

import pytest
from l4tools.bench import deployed
from l4tools.bench_device import echo, figures, run
from l4tools.cli import main
from l4tools.image import build_image, project_files
from l4tools.usb import payload
from l4tools.usb.repl import Repl
from vbench import UDP_ECHO, bench

CONFIG = {"wifi": [["bench", "bench-pass"]]}


@pytest.fixture(scope="module")
def b():
    with bench() as made:
        yield made


@pytest.fixture(scope="module")
def board(b):
    """A board with the firmware, waiting for its keys."""
    made = b.rack.add("fw", "10.77.1.11", image=build_image(None, CONFIG), on=True)
    b.until("L4 UNPROVISIONED", "fw")
    return made


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    return tmp_path


def l4(capsys, *args):
    code = main(["bench", *args])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_every_check_and_figure_of_a_board(b, board, home, capsys, monkeypatch):
    monkeypatch.setattr(echo, "hub_of", lambda device: b.hub.address)
    starts = board.starts[2]
    code, out, err = l4(capsys, "--port", board.tty, "--quick", "--save", "--json")
    doc = json.loads(out)
    assert code == 0 and doc["virtual"] and doc["skipped"] == {}
    assert all(doc["verdicts"].values()) and len(doc["verdicts"]) == 10
    assert set(figures.KNOWN) <= set(doc["values"])
    assert doc["values"]["WiFi signal"] == -55 and doc["values"]["UDP echo, lost"] == 0
    timed = [v for name, v in doc["values"].items() if figures.unit_of(name)[0] in ("us", "ms")]
    assert len(timed) == 17 and min(timed) > 0
    # It was restarted, and runs as before.
    b.wait(lambda: board.starts[2] == starts + 1)
    b.until("L4 UNPROVISIONED", "fw", count=2)
    kept = json.loads((home / "bench" / (doc["about"]["id"] + ".json")).read_text())
    assert kept["values"] == doc["values"]


def test_compared_with_what_was_kept(b, board, home, capsys, monkeypatch):
    code, _, err = l4(capsys, "--port", board.tty, "--quick", "--compare")
    assert code == 3 and "l4 bench --save" in err, err
    made = figures.Figures(values={"flash free": 10**9, "WiFi signal": -80})
    figures.save(board_id(board), made)
    code, out, _ = l4(capsys, "--port", board.tty, "--quick", "--compare")
    assert code == 0 and "THIS BOARD IS VIRTUAL" in out
    rows = {line.split("  ")[0]: line for line in out.splitlines()}
    assert rows["flash free"].endswith("%  WORSE")
    assert rows["WiFi signal"].endswith("+31 %")
    # No hub was found for the board: said, and no failure.
    assert "skipped  network: the board is virtual" in out


def board_id(board):
    with Repl(board.tty) as repl:
        return repl.enter().eval("__import__('machine').unique_id()").hex()


def test_a_board_without_our_code_says_what_it_cannot(b, home, capsys):
    bare = b.board("print('main')\n", name="bare", ip="10.77.1.12")
    b.until("main", "bare")
    code, out, _ = l4(capsys, "--port", bare.tty, "--quick", "--json")
    doc = json.loads(out)
    assert code == 0 and doc["verdicts"]["SHA-256 is right"]
    assert "l4mesh" in doc["skipped"]["signatures"] and "l4mesh" in doc["skipped"]["look-up"]
    assert doc["skipped"]["network"] == "it knows no WiFi"


def test_a_check_that_fails_is_exit_code_1(b, home, capsys):
    wrong = {"lib/l4mesh/__init__.py": "", "lib/l4mesh/mac.py": "class Mac:\n"
             "    def __init__(self, key):\n        pass\n"
             "    def tag(self, mv):\n        return b'wrong'\n"}  # fmt: skip
    bad = b.board("print('main')\n", name="bad", ip="10.77.1.13", files=wrong)
    b.until("main", "bad")
    code, out, err = l4(capsys, "--port", bad.tty, "--quick")
    assert code == 1 and "FAILED  HMAC is right" in out and "Failed: HMAC is right." in err


@pytest.mark.parametrize(
    "old, new, better, change, worse",
    [
        (10, 12, figures.LOWER, "+20 %", True),
        (10, 10.9, figures.LOWER, "+9 %", False),
        (10, 8, figures.LOWER, "-20 %", False),
        (10, 8, figures.HIGHER, "-20 %", True),
        (-55, -80, figures.HIGHER, "-45 %", True),
        (0, 3, figures.LOWER, "", True),
        (None, 3, figures.LOWER, "", False),
    ],
)
def test_what_counts_as_worse(old, new, better, change, worse):
    got = figures._change(new, old, better)
    assert (got["change"], got["worse"]) == (change, worse)


def test_echo_over_the_hub_and_when_nobody_answers(b):
    b.board(UDP_ECHO, name="echo", ip="10.77.1.14")
    b.until("READY", "echo")
    with echo.virtual(b.hub.address, "10.77.1.14") as way:
        assert way.ping(2) == []  # it listens at another port
    assert echo.hub_of("/dev/pts/none") is None


def test_a_figure_needs_a_unit():
    with pytest.raises(KeyError):
        figures.Figures().put("no such figure", 1)


def test_scripts_compile_for_a_board():
    for path in run.SCRIPTS.glob("*.py"):
        payload.compile_checked(path.read_bytes(), path.name)
    assert len(list(run.SCRIPTS.glob("*.py"))) == 10


def test_a_deploy_is_measured(b, board):
    seconds, done = deployed.push_once(
        board.tty, lambda: payload.Payload("/x", {"/x": project_files()["app.py"].read_bytes()})
    )
    assert seconds > 0 and done.written == ["/x"]
