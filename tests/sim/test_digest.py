"""The same seed gives the same bytes on CPython and on the unix port: one hour of 40 nodes.

digest_run.py says what runs. Every sent byte, its time and its addresses are in the digest, so one
difference in chance, order, arithmetic or deadlines changes it. 25 s on two idle cores.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
MINUTES = 60
INTERPRETERS = {"cpython": [sys.executable], "unix": [str(MICROPYTHON), "-X", "heapsize=4m"]}


def start(name, seed, minutes, *more):
    command = [*INTERPRETERS[name], str(HERE / "digest_run.py"), str(seed), str(minutes), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_all(jobs):
    """Run (interpreter, seed, minutes) side by side -> the facts of each, as dicts."""
    running = []
    try:
        for job in jobs:
            running.append(start(*job))
        out = []
        for p in running:
            text, errors = p.communicate(timeout=300)
            assert p.returncode == 0, errors
            out.append(dict(line.split(" ") for line in text.splitlines()))
        return out
    finally:
        for p in running:
            if p.poll() is None:
                p.kill()
                p.wait()


@pytest.fixture(scope="module")
def hour():
    return run_all([("unix", 1, MINUTES), ("cpython", 1, MINUTES)])


def test_an_hour_is_the_same_on_both(hour):
    unix, cpython = hour
    assert unix == cpython
    assert len(unix["digest"]) == 64


def test_it_was_no_idle_hour(hour):
    facts = {name: int(value) for name, value in hour[0].items() if name != "digest"}
    assert facts["sent"] > 100_000
    for name in ("own", "lan", "p2p", "l3"):
        assert facts[name] > 200, name
    ends = sum(v for k, v in facts.items() if k not in ("sent", "bytes"))
    found = sum(facts[name] for name in ("own", "lan", "p2p", "l3"))
    assert ends > 14_000 and found > 0.95 * ends


def test_with_real_signatures_too():
    """The hour has stand-ins for signatures; here every record is signed and checked."""
    unix, cpython = run_all([("unix", 3, 1, "ed25519"), ("cpython", 3, 1, "ed25519")])
    assert unix == cpython
    (quick,) = run_all([("cpython", 3, 1)])
    assert quick["digest"] != unix["digest"]
    assert int(unix["lan"]) > 0


def test_another_seed_is_another_run():
    one, two, again = run_all([("cpython", 1, 2), ("cpython", 2, 2), ("cpython", 1, 2)])
    assert one == again
    assert one["digest"] != two["digest"] and one["bytes"] != two["bytes"]
