"""The NAT lab itself: each router shows its own kind; nothing of it is left when it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from l4tools.natlab import HELD_OUT, KINDS, TUNED, needs
from natbed import argv, need_lab, once


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What raw STUN shows of every kind, and other people's clients where they are installed."""
    return once(tmp_path_factory, "selfcheck", "--third-party")["hosts"]


def test_every_kind_shows_its_class(seen):
    assert set(seen) == set(KINDS) == set(TUNED) | set(HELD_OUT) and len(HELD_OUT) == 3
    for name, kind in KINDS.items():
        found = seen[name]
        assert (found["mapping"], found["filtering"]) == (kind.mapping, kind.filtering), name
        if found["mapped"] and kind.mapping != "none":
            assert found["mapped"][0].startswith("198.18."), name
        if kind.port_keeping:
            assert found["mapped"][0].split(":")[1] == found["local"].split(":")[1], name


def test_ports_of_the_symmetric_kinds(seen):
    def ports(name):
        return [int(m.split(":")[1]) for m in seen[name]["mapped"]] + seen[name]["more"]

    def steps(name):
        several = ports(name)
        return {b - a for a, b in zip(several[3:], several[4:], strict=False)}

    assert steps("symseq") == {1} and steps("symseq2") == {2}
    for name, size in (("symblk", 512), ("symblk2k", 2048), ("cgsym", 512)):
        assert all(20000 <= p < 20000 + size for p in ports(name)), name
        assert len(set(ports(name))) > 5
    assert max(ports("symblk2k")) - min(ports("symblk2k")) >= 512
    for name in ("sym", "symhi"):
        assert max(ports(name)) - min(ports(name)) > 2048, name
    assert 600 <= seen["sym"]["low"] < 1024 and seen["sym"]["low"] != 600
    assert seen["symhi"]["low"] >= 1024
    assert len({m.split(":")[0] for m in seen["sympool"]["mapped"]}) == 2


STUN = {
    "none": ("Open", "Firewall"), "EIM": ("Independent Mapping",), "ADM": ("Dependent Mapping",),
    "APDM": ("Dependent Mapping",), "blocked": ("Blocked",),
}  # fmt: skip
FILTER = {"EIF": "Independent Filter", "ADF": "Address Dependent", "APDF": "Port Dependent"}
COTURN = {
    "none": "Endpoint Independent Mapping", "EIM": "Endpoint Independent Mapping",
    "ADM": "Address Dependent Mapping", "APDM": "Port Dependent Mapping",
}  # fmt: skip


def test_other_peoples_clients_agree(seen):
    if not any(seen[name]["others"] for name in KINDS):
        pytest.skip("coturn and Debian's stun are not installed. Run `make stun-deps` as root.")
    for name, kind in KINDS.items():
        if kind.filtering == "blocked":
            assert "timeout" in seen[name]["others"].get("coturn", "timeout")
            continue
        if name == "sympool":
            continue  # their few questions may all leave by the same address
        said = seen[name]["others"]
        if "stun" in said:
            assert any(word in said["stun"] for word in STUN[kind.mapping]), (name, said)
            if kind.mapping == "EIM":
                assert FILTER[kind.filtering] in said["stun"], (name, said)
        if "coturn" in said:
            assert COTURN[kind.mapping] in said["coturn"], (name, said)
            wanted = FILTER.get(kind.filtering, "Independent Filter")
            assert wanted in said["coturn"], (name, said)


def test_an_end_by_sigkill_leaves_nothing():
    """No named namespace, no interface and no process is there that was not there before."""
    need_lab()

    def interfaces():
        return sorted(os.listdir("/sys/class/net"))

    def named():
        return sorted(os.listdir("/run/netns")) if Path("/run/netns").is_dir() else []

    before = interfaces(), named()
    child = subprocess.Popen(
        argv("selfcheck", "--rtt", "3000"), env=needs.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        switch = _wait(lambda: _switches(child.pid))
        os.kill(child.pid, signal.SIGKILL)
        child.wait(20)
        _wait(lambda: not any(_alive(p) for p in switch))
    finally:
        child.kill()
        child.wait()
    assert (interfaces(), named()) == before


def test_without_the_tools_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(needs, "tool", lambda name: None if name == "nft" else "/bin/" + name)
    needs.cannot.cache_clear()
    try:
        assert "make nat-deps" in needs.cannot()
        with pytest.raises(pytest.skip.Exception, match="nat-deps"):
            monkeypatch.setenv(needs.REQUIRED, "")
            need_lab()
        with pytest.raises(pytest.fail.Exception, match="NATLAB_REQUIRED"):
            monkeypatch.setenv(needs.REQUIRED, "1")
            need_lab()
    finally:
        needs.cannot.cache_clear()


def test_without_rights_it_says_what_to_do(tmp_path, monkeypatch):
    for name in ("ip", "nft", "unshare"):
        made = tmp_path / name
        made.write_text("#!/bin/sh\necho unshare: Operation not permitted >&2; exit 1\n")
        made.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))
    needs.cannot.cache_clear()
    try:
        assert "Operation not permitted" in needs.cannot() and "root" in needs.cannot()
    finally:
        needs.cannot.cache_clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="it is so already")
def test_in_a_user_namespace():
    """Where we are not root: the same kinds, with smaller tables of ports."""
    need_lab()
    may = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, text=True)
    if may.returncode:
        pytest.skip("No user namespaces here (%s). Allow them." % may.stderr.strip())
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-m", "l4tools.natlab.selfcheck"],
        env={**os.environ, needs.SMALL: "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"mapping": "APDM"' in done.stdout


def _switches(parent):
    """Processes of the switch whose parent is, or is below, that process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid = int(stat.parent.name)
            line = (stat.parent / "cmdline").read_bytes()
            above = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if b"l4tools.natlab.switch" in line and above == parent:
            found.append(pid)
    return found


def _alive(pid):
    try:
        return Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(condition):
    end = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return value
