"""What the tests of the NAT lab share: a lab runs in a process of its own, which prints JSON.

Where there can be no lab they skip, with the cure; NATLAB_REQUIRED=1 makes that a failure.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest
from l4tools.natlab import needs
from l4tools.natlab.space import die_with_parent


def need_lab() -> None:
    why = needs.cannot()
    if why is None:
        return
    if needs.required():
        pytest.fail("%s is set, but: %s" % (needs.REQUIRED, why))
    pytest.skip(why)


def argv(module: str, *args: str) -> list[str]:
    return needs.entered([sys.executable, "-m", "l4tools.natlab." + module, *args])


def once(tmp_path_factory, module: str, *args: str, timeout_s: float = 120) -> dict:
    """lab_json(), once for all workers that run tests of it."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    kept = folder / ("natlab-%s.json" % "-".join((module, *args)))
    need_lab()
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            said = lab_json(module, *args, timeout_s=timeout_s)
            kept.write_text(json.dumps(said))
    return json.loads(kept.read_text())


def lab_json(module: str, *args: str, timeout_s: float = 120) -> dict:
    """The last line that the module of natlab prints."""
    need_lab()
    child = subprocess.Popen(
        argv(module, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=needs.environment(), preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        said, log = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        said, log = child.communicate()
        raise AssertionError("%s did not end: %s" % (module, (said + log)[-3000:])) from None
    assert child.returncode == 0, (said[-1000:] + log[-3000:]).strip()
    return json.loads(said.strip().splitlines()[-1])
