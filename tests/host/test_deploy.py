"""`l4 deploy`: what is sent and removed, on virtual boards; power cuts at every step of it."""

import hashlib
import json
import threading
import time
import zlib
from pathlib import Path

import pytest
from l4tools.cli import main
from l4tools.errors import ToolError
from l4tools.usb import deploy, payload, watching
from l4tools.usb.payload import Payload
from l4tools.usb.repl import Repl
from vbench import bench

MAIN = "print('main')\nimport time\nwhile True:\n    time.sleep_ms(20)\n"
SET_MAIN = "import sys\nimport a, b\nprint('SET', a.V, b.V, sys.path)\n"


@pytest.fixture(scope="module")
def b():
    with bench() as made:
        yield made


@pytest.fixture
def board(b, request):
    """A board of its own with a main.py that never ends."""
    name = request.node.name[:40]
    n = 20 + len(b.rack.boards)
    made = b.board(MAIN, name=name, ip="10.77.1.%d" % n)
    b.until("main", name)
    return made


def push(board, what):
    with Repl(board.tty) as repl:
        return deploy.push(repl, what)


def tree(board):
    with Repl(board.tty) as repl:
        return {path: size for path, (size, _) in repl.enter().tree().items()}


def version(v, **more):
    """A tiny firmware whose files have to fit together."""
    files = {
        "/boot.py": b"print('boot', %d)\n" % v,
        "/main.py": SET_MAIN.encode(),
        "/lib/a.py": b"V = %d\n" % v,
        "/b.py": b"V = %d\n" % v,
    }
    return Payload("firmware", {**files, **more})


# -- what a payload is ------------------------------------------------------------------------
def test_a_mistake_in_a_source_names_file_and_line(tmp_path):
    (tmp_path / "app.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(ToolError, match=r"app\.py, line 2: SyntaxError.*nothing was sent"):
        payload.user(tmp_path / "app.py")


def test_files_and_folders_of_the_user(tmp_path):
    my = tmp_path / "my"
    (my / "__pycache__").mkdir(parents=True)
    (my / "__pycache__" / "x.pyc").write_bytes(b"no")
    (my / ".hidden").write_bytes(b"no")
    (my / "driver.py").write_text("X = 1\n")
    (my / "table.bin").write_bytes(b"\1\2")
    assert sorted(payload.user(my).files) == ["/my/driver.mpy", "/my/table.bin"]
    assert sorted(payload.user(my, "/lib").files) == ["/lib/my/driver.mpy", "/lib/my/table.bin"]
    app = tmp_path / "app.py"
    app.write_text("X = 2\n")
    assert payload.user(app).files == {"/app.py": b"X = 2\n"}


@pytest.mark.parametrize("name", ["config.json", "main.py", "boot.py", "supervisor.py"])
def test_what_the_node_needs_is_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(ToolError, match="would replace /%s" % name.partition(".")[0]):
        payload.user(tmp_path / name)


def test_a_part_of_the_firmware_is_not_sent_alone():
    with pytest.raises(ToolError, match="Run l4 deploy without a path"):
        payload.user(payload.FIRMWARE / "supervisor.py")
    with pytest.raises(ToolError, match="There is no nothing.py"):
        payload.user(Path("nothing.py"))


# -- plans -----------------------------------------------------------------------------------
def hashes(**files):
    return {
        "/" + name.replace("__", "/"): (len(d), hashlib.sha256(d).hexdigest())
        for name, d in files.items()
    }


def test_only_what_was_ours_is_removed():
    there = hashes(
        app=b"user", config=b"{}", lib__l4mesh__old=b"1", lib__mine=b"2", gone=b"3", shared=b"4",
        supervisor=b"5",
    )  # fmt: skip
    there["/supervisor.py"] = there.pop("/supervisor")
    there["/keys/seed"] = (1, "x")
    former = {
        "firmware": ["/gone", "/app.py", "/keys/seed", "/shared", "/not-there"],
        "/my": ["/shared"],
    }
    plan = deploy.make_plan(Payload("firmware", {"/supervisor.mpy": b"M\x06"}), there, former)
    assert plan.remove == ["/gone", "/lib/l4mesh/old", "/supervisor.py"]
    assert deploy.make_plan(Payload("/my", {}), there, {"/my": ["/shared"]}).remove == ["/shared"]
    assert deploy.make_plan(Payload("/my", {}), there, former).remove == []  # of the firmware, too


def test_manifests_that_are_none_are_ignored():
    assert payload.manifest(b"{") == {} and payload.manifest(b"[1]") == {}
    assert payload.manifest(b'{"a": ["/x", 3, "y"], "b": 4}') == {"a": ["/x"]}


# -- on a board ------------------------------------------------------------------------------
def test_the_firmware_on_a_board_with_an_older_one(b):
    """The real one: everything of it, nothing of the user's; a second time nothing is sent."""
    older = {
        "main.py": MAIN,
        "app.py": "# mine\n",
        "lib/l4mesh/removed_since.py": "X = 1\n",
        "supervisor.py": "old = 1\n",
        "my/driver.py": "Y = 2\n",
        "queue/0": b"readings",
    }
    board = b.board(older.pop("main.py"), name="fw", ip="10.77.1.12", files=older, config={"a": 1})
    b.until("main", "fw")
    new = payload.firmware()
    done = push(board, new)
    assert set(done.written) == set(new.files) and done.size == sum(map(len, new.files.values()))
    assert done.removed == ["/lib/l4mesh/removed_since.mpy"]
    have = tree(board)
    assert have["/app.py"] == len("# mine\n") and have["/queue/0"] == 8
    assert "/my/driver.mpy" in have and "/config.json" in have and "/l4app.mpy" in have
    assert not [p for p in have if ".l4new" in p or p.endswith(".tmp")]
    again = push(board, new)
    assert (again.written, again.removed, again.size) == ([], [], 0)
    with Repl(board.tty) as repl:
        repl.enter().hard_reset()
    b.until("L4 ", "fw")


def test_the_user_s_files_and_those_that_are_gone(board, tmp_path):
    my = tmp_path / "my"
    my.mkdir()
    (my / "one.py").write_text("V = 1\n")
    (my / "two.py").write_text("V = 2\n")
    assert push(board, payload.user(my)).written == ["/my/one.mpy", "/my/two.mpy"]
    (my / "two.py").unlink()
    (my / "one.py").write_text("V = 11\n")
    done = push(board, payload.user(my))
    assert (done.written, done.removed) == (["/my/one.mpy"], ["/my/two.mpy"])
    with Repl(board.tty) as repl:
        assert repl.enter().exec("import my.one\nprint(my.one.V)") == "11\n"
        assert repl.eval("__import__('json').load(open('/deployed.json'))") == {
            "/my": ["/my/one.mpy"]
        }


def test_a_changed_hash_on_the_board_is_noticed(board):
    """The manifest says what was sent, not what is there."""
    files = Payload("/x", {"/x": b"one", "/y": b"two"})
    push(board, files)
    with Repl(board.tty) as repl:
        repl.enter().write("/y", b"TWO")
    done = push(board, files)
    assert done.written == ["/y"] and done.same == 1


def test_full_flash_changes_nothing(board):
    with Repl(board.tty) as repl:
        repl.enter()
        before = repl.tree()
        with pytest.raises(ToolError, match="flash is full: .* nothing was changed"):
            deploy.push(repl, Payload("/big", {"/big": bytes(3_000_000)}))
        assert repl.tree() == before


def test_an_update_over_the_mesh_is_put_aside(board):
    state = bytearray(21)
    state[:4] = b"L4O\x01"
    state[4], state[5], state[8:12] = 1, 2, b"\0\0\0\7"
    state[17:] = zlib.crc32(state[:17]).to_bytes(4, "big")
    with Repl(board.tty) as repl:
        repl.enter().mkdirs("/ota/a")
        repl.write("/ota/state", bytes(state))
    done = push(board, version(1))
    assert "over the mesh is off" in done.notes[0]
    with Repl(board.tty) as repl:
        now = repl.enter().read("/ota/state")
    assert now[4:6] == b"\0\0" and now[8:12] == b"\0\0\0\7"  # its highest counter stays known
    assert zlib.crc32(now[:17]).to_bytes(4, "big") == now[17:]
    assert push(board, version(1)).notes == []


def test_a_board_with_the_code_in_its_firmware_is_left_alone(board):
    with Repl(board.tty) as repl:
        repl.enter().write("/l4mesh.py", b"")  # found before /lib, as frozen code is
    with pytest.raises(ToolError, match="holds the node's code itself"):
        push(board, version(1))


# -- interruptions ---------------------------------------------------------------------------
class Cut(Exception):
    """The cable, or the power, of the test goes."""


class Cutting(Repl):
    """Counts what it runs on the board; before the n-th the power goes."""

    left = 10**9
    ran = 0

    def exec(self, code, timeout=30, stream=None):
        if self.ran == self.left:
            raise Cut
        self.ran += 1
        return super().exec(code, timeout, stream)


def power_cycle(b, board):
    b.rack.power_cut(board.name)
    lines = len(b.lines[board.name])
    b.rack.power_on(board.name)
    b.wait(lambda: any(x.startswith("Type") for x in b.lines[board.name][lines:]))
    time.sleep(0.16)  # a virtual board that restarts again and again at once is slowed down
    return [x for x in b.lines[board.name][lines:] if x.startswith(("SET", "boot"))]


def test_power_cuts_between_any_two_steps(b, board):
    push(board, version(1))
    with Cutting(board.tty) as repl:
        deploy.push(repl, version(2, **{"/big.bin": bytes(1000)}))
        steps = repl.ran
    assert steps > 10
    old, new = 2, 3
    for n in range(0, steps):
        now = version(new, **{"/big.bin": bytes([new]) * 1000})
        with Cutting(board.tty) as repl:
            repl.left = n
            try:
                deploy.push(repl, now)
                assert n >= steps - 2  # some steps are only for the first time
            except Cut:
                pass
        said = power_cycle(b, board)
        # Whichever set it is, it is whole, and the true boot.py runs.
        assert said[0].split()[1] in (str(old), str(new)), (n, said)
        both = said[0].split()[1]
        assert said[1].startswith("SET %s %s " % (both, both)), (n, said)
        done = push(board, now)
        if n > 6 and both == str(old):
            assert done.size < sum(map(len, now.files.values())), n  # what had come is not resent
        with Repl(board.tty) as repl:
            have = repl.enter().tree()
        assert not [p for p in have if ".l4new" in p]
        assert all(have[p][1] == hashlib.sha256(d).hexdigest() for p, d in now.files.items())
        old, new = new, new + 1


def test_power_cuts_between_the_renames(b, board):
    push(board, version(1))
    files = version(2).files
    paths = [p for p in files if p != "/boot.py"]
    for k in range(len(paths) + 1):
        now = version(10 + k).files
        script = deploy.finish_script(list(now), ["/b.mpy"], False)
        with Repl(board.tty) as repl:
            repl.enter()
            for path, data in now.items():
                repl.write(path + deploy.NEW, data)
            repl.write("/boot.py", (script + deploy._GO_ON).encode())
            for path in paths[:k]:  # the power goes after this many
                repl.exec("import os\nos.rename(%r, %r)" % (path + deploy.NEW, path))
        said = power_cycle(b, board)
        assert said[0] == "boot %d" % (10 + k)
        assert said[1].startswith("SET %d %d " % (10 + k, 10 + k))
        assert push(board, version(10 + k)).written == []


# -- the command -----------------------------------------------------------------------------
def test_the_command_pushes_restarts_and_follows(b, board, tmp_path, capsys):
    app = tmp_path / "app.py"
    app.write_text("V = 'deployed'\n")
    code = main(["deploy", str(app), "--port", board.tty, "--seconds", "0.5", "--json"])
    doc = json.loads(capsys.readouterr().out)
    assert code == 0 and doc["written"] == ["/app.py"] and doc["restarted"]
    assert "main" in [line["text"] for line in doc["log"]]
    b.wait(lambda: board.starts[2] == 1)
    code = main(["deploy", str(app), "--port", board.tty, "--no-restart"])
    assert code == 0 and capsys.readouterr().out.startswith("Nothing has changed: ")
    b.wait(lambda: board.starts[2] == 1)


def test_the_command_says_what_is_wrong(board, tmp_path, capsys):
    app = tmp_path / "app.py"
    app.write_text("def f(:\n")
    assert main(["deploy", str(app), "--port", board.tty]) == 1
    assert "app.py, line 1: SyntaxError" in capsys.readouterr().err
    assert main(["deploy", str(app), "--app", str(app)]) == 2
    assert main(["deploy", "--watch", "--json"]) == 2


def test_watch_deploys_again(b, board, tmp_path, capsys):
    app = tmp_path / "app.py"
    app.write_text("V = 1\n")

    def edit():
        b.wait(lambda: board.starts[2] >= 1)
        app.write_text("def mistake(:\n")
        time.sleep(0.6)
        app.write_text("V = 2222\n")
        b.wait(lambda: board.starts[2] >= 2)

    editor = threading.Thread(target=edit)
    editor.start()
    code = main(["deploy", str(app), "--port", board.tty, "--watch", "--seconds", "4", "--json"])
    editor.join()
    doc = json.loads(capsys.readouterr().out)
    assert code == 0 and doc["written"] == ["/app.py"] and doc["again"] == [["/app.py"]]
    assert [x["text"] for x in doc["log"]].count("main") == 2
    assert tree(board)["/app.py"] == len("V = 2222\n")


def test_a_change_counts_when_it_is_over(tmp_path):
    (tmp_path / "a.py").write_text("1")
    before = watching.stamps([tmp_path])
    assert not watching.changed([tmp_path], before, 0.01)
    (tmp_path / "b.py").write_text("2")
    assert watching.changed([tmp_path], before, 0.01)
    (tmp_path / "b.py").unlink()
    assert not watching.changed([tmp_path], before, 0.01)
