"""Every file of tests/unit once more, on MicroPython's unix port."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# Beside this interpreter, not beside what its symbolic link points to.
MICROPYTHON = Path(sys.executable).parent / "micropython"
FILES = sorted((ROOT / "tests" / "unit").glob("test_*.py"))


def run(*files):
    command = [str(MICROPYTHON), str(ROOT / "tests" / "mpy_run.py"), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_unit_file(path):
    done = run(path)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.endswith(" passed, 0 failed"), done.stdout


def test_the_runner_reports_failures_and_skips(tmp_path):
    bad = tmp_path / "test_bad.py"
    bad.write_text(
        "from skip import Skip\n"
        "def test_a(): assert 1 == 1\n"
        "def test_b(): assert 1 == 2\n"
        "def test_c(): raise Skip('not here')\n"
    )
    broken = tmp_path / "test_broken.py"
    broken.write_text("import no_such_module\n")
    done = run(bad, broken)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert "ok test_bad.test_a" in lines
    assert "FAIL test_bad.test_b" in lines
    assert "skip test_bad.test_c: not here" in lines
    assert "FAIL test_broken (import)" in lines
    assert lines[-1] == "1 passed, 2 failed"


def test_the_runner_refuses_an_empty_list():
    assert run().returncode == 1
