"""The real mpremote drives a virtual board over its pseudo-terminal."""

import subprocess
import sys

import pytest
from vbench import bench

MAIN = "print('main')\nimport machine\nprint('CAUSE', machine.reset_cause())\n"
LOOP = MAIN + "import time\nwhile True:\n    print('tick')\n    time.sleep_ms(50)\n"


@pytest.fixture
def b():
    with bench() as made:
        yield made


def mpremote(board, *args, code=0):
    """Run mpremote; on a terminal it waits for ever, so the outer time-out is what ends it."""
    run = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", board.tty, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout


def test_exec_and_eval_with_and_without_reset(b):
    board = b.board(MAIN)
    b.until("Type")
    assert mpremote(board, "exec", "print(6 * 7)") == "42\n"
    assert mpremote(board, "eval", "[1, 2] + [3]") == "[1, 2, 3]\n"
    mpremote(board, "resume", "exec", "y = 5")
    assert mpremote(board, "resume", "eval", "y") == "5\n"
    assert "ZeroDivisionError" in mpremote_error(board, "exec", "1/0")


def mpremote_error(board, *args):
    run = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", board.tty, *args],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert run.returncode == 1
    return run.stderr + run.stdout


def test_takes_over_a_running_main(b):
    board = b.board(LOOP)
    b.until("tick")
    assert mpremote(board, "exec", "print('mine')") == "mine\n"
    # Raw mode: boot.py only, so main.py did not start again.
    assert b.lines["n1"].count("main") == 1
    mpremote(board, "soft-reset")
    mpremote(board, "exec", "--no-follow", "import machine; machine.soft_reset()")


def test_copy_both_ways_and_list(b, tmp_path):
    board = b.board(MAIN)
    b.until("Type")
    blob = bytes(range(256)) * 40  # with Ctrl-C, Ctrl-D and the like in it
    (tmp_path / "blob.bin").write_bytes(blob)
    mpremote(board, "fs", "cp", tmp_path / "blob.bin", ":blob.bin")
    listing = mpremote(board, "fs", "ls")
    assert "10240 blob.bin" in listing and "main.py" in listing
    mpremote(board, "fs", "mkdir", ":d", "+", "fs", "cp", ":blob.bin", ":d/copy.bin")
    mpremote(board, "fs", "cp", ":d/copy.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == blob
    assert mpremote(board, "fs", "cat", ":main.py") == MAIN
    tree = tmp_path / "tree" / "deep"
    tree.mkdir(parents=True)
    (tree / "m.py").write_text("X = 9\n")
    mpremote(board, "fs", "cp", "-r", tmp_path / "tree", ":")
    assert mpremote(board, "exec", "import tree.deep.m as m; print(m.X)") == "9\n"
    mpremote(board, "fs", "rm", ":blob.bin")
    assert "blob.bin" not in mpremote(board, "fs", "ls")


def test_files_survive_a_power_cut(b, tmp_path):
    board = b.board(MAIN)
    b.until("Type")
    (tmp_path / "app.py").write_text("print('new app')\n")
    mpremote(board, "fs", "cp", tmp_path / "app.py", ":app.py")
    b.rack.power_cut("n1")
    b.rack.power_on("n1")
    b.until("CAUSE 1", count=2)
    assert mpremote(board, "exec", "import app") == "new app\n"


def test_run_a_script(b, tmp_path):
    board = b.board(MAIN)
    b.until("Type")
    script = "import network, machine\nprint('ran', machine.reset_cause())\n" + "# pad\n" * 500
    (tmp_path / "s.py").write_text(script)
    assert mpremote(board, "run", tmp_path / "s.py") == "ran 5\n"


def test_mount_a_host_folder(b, tmp_path):
    board = b.board(MAIN)
    b.until("Type")
    (tmp_path / "remote_mod.py").write_text("VALUE = 'from the host'\n")
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    out = mpremote(
        board,
        "mount",
        tmp_path,
        "exec",
        "import remote_mod, os; print(remote_mod.VALUE, sorted(os.listdir('/remote')));"
        "print(open('/remote/data.bin', 'rb').read() == bytes(range(256)));"
        "f = open('/remote/made.txt', 'w'); f.write('by the board'); f.close()",
    )
    assert "from the host ['data.bin', 'remote_mod.py']" in out
    assert "True" in out
    assert (tmp_path / "made.txt").read_text() == "by the board"


def test_soft_reset_and_reset(b):
    board = b.board(MAIN)
    b.until("Type")
    mpremote(board, "soft-reset")
    assert board.starts[5] == 1 and board.starts[2] == 0
    mpremote(board, "reset")
    b.until("CAUSE 2")
    assert b.lines["n1"].count("main") == 2  # power on and hard reset; raw mode skips it
    assert mpremote(board, "exec", "print(1)") == "1\n"


def test_nobody_listening_does_not_block_the_board(b):
    board = b.board("for i in range(20000):\n    print('line', i)\nprint('END')\n")
    b.until("END")
    b.until("Type")
    assert mpremote(board, "exec", "print('still fine')") == "still fine\n"
    big = mpremote(board, "exec", "for i in range(20000): print(i)")
    assert big.split() == [str(i) for i in range(20000)]
