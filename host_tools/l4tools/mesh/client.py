"""Starting and stopping the daemon of a mesh, for `l4 mesh up` and `down`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from l4tools.errors import ToolError, Unavailable
from l4tools.mesh.place import Place
from l4tools.upstream.process import environment

_START_S = 90
_STOP_S = 40
_STUCK_S = 3


def start(place: Place, order: dict) -> None:
    """Start the daemon with its order; returns when hub, tiers and boards are switched on."""
    place.make()
    (place.folder / "state.json").unlink(missing_ok=True)
    with open(place.log, "wb") as log:
        os.fchmod(log.fileno(), 0o600)
        child = subprocess.Popen(
            [sys.executable, "-m", "l4tools.mesh.daemon"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment(),
            start_new_session=True,
        )
    try:
        with child.stdin as stdin:
            stdin.write(json.dumps(order).encode() + b"\n")
    except BrokenPipeError:
        pass  # it has ended already; its last words are in the log
    try:
        _wait_up(place, child)
    except KeyboardInterrupt:
        child.terminate()  # it stops in order what it has started
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_S)
        raise


def _wait_up(place, child):
    end = time.monotonic() + _START_S
    while True:
        ended = child.poll() is not None
        state = place.read("state.json")
        if ended:
            raise ToolError(
                state.get("failed")
                or "The mesh did not start: %s. See %s." % (place.last_words(), place.log)
            )
        if state.get("control") and _phase(place) == "up":
            return
        if time.monotonic() > end:
            child.terminate()
            raise Unavailable(
                "The mesh did not start within %d s. See %s." % (_START_S, place.log)
            )
        time.sleep(0.05)


def _phase(place):
    try:
        client = place.client()
    except ToolError:  # between the file and the socket, or just ending
        return ""
    try:
        return client.state()["phase"]
    except Unavailable:
        return ""
    finally:
        client.close()


def state(place: Place) -> dict:
    client = place.client()
    try:
        return client.state()
    finally:
        client.close()


def wait_joined(place: Place, seconds: float, tell: Callable[[str], None]) -> dict:
    """The state once all boards that WiFi reaches are registered; Unavailable names the others."""
    end = time.monotonic() + seconds
    told = -1
    stuck_s = None  # since when nobody who is missing can still come
    while True:
        now = state(place)
        there = [b for b in now["boards"] if b["wifi"]]
        missing = [b for b in there if b["joined_ms"] is None]
        joined = len(there) - len(missing)
        if joined != told:
            tell("%d of %d boards have joined" % (joined, len(there)))
            told = joined
        if not missing:
            return now
        out_of_memory = all(b["last"].startswith("MemoryError") for b in missing)
        stuck_s = (stuck_s or time.monotonic()) if out_of_memory else None
        if stuck_s is not None and time.monotonic() - stuck_s > _STUCK_S:
            raise Unavailable(
                "%d boards have too little memory (%s: %s). Stop the mesh with `l4 mesh down` and "
                "give them more with --heap."
                % (len(missing), missing[0]["name"], missing[0]["last"])
            )
        if time.monotonic() > end:
            said = "; ".join("%s said: %s" % (b["name"], b["last"] or "-") for b in missing[:3])
            raise Unavailable(
                "%d of %d boards did not join in %d s (%s). The mesh runs on: look with "
                "`l4 mesh console %s`, or stop it with `l4 mesh down`."
                % (len(missing), len(there), seconds, said, missing[0]["name"])
            )
        time.sleep(0.1)


def stop(place: Place) -> dict:
    """Stop the daemon and wait until all of its processes are gone; what they were."""
    was = {"tiers": [], "boards": []}
    client = place.client()
    try:
        was = client.stop()
    finally:
        client.close()
    pids = pids_of(was)
    end = time.monotonic() + _STOP_S
    while place.runs() or any(alive(pid) for pid in pids):
        if time.monotonic() > end:
            if place.runs():  # the lock proves that the pid is still the daemon's
                os.kill(was["pid"], signal.SIGKILL)
                end += 10
                continue
            left = ", ".join(str(p) for p in pids if alive(p))
            raise Unavailable("Processes %s did not end. See %s." % (left, place.log))
        time.sleep(0.05)
    return was


def pids_of(was: dict) -> list[int]:
    pids = [was["pid"]] + [b["pid"] for b in was["boards"]]
    pids += [t[k] for t in was["tiers"] for k in ("pid", "nats_pid")]
    return [p for p in pids if p]


def alive(pid: int) -> bool:
    """Does a process with this id still do anything (a zombie does not)?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
