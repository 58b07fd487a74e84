"""docs/quickstart.md, command by command: what can run does, on a virtual chip and loopback."""

import contextlib
import importlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from chipbench import QUICK
from l4tools.cli import VERBS
from l4tools.lan.hub import Hub
from l4tools.vchip import VChip, firmware_bin

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "quickstart.md").read_text()
L4 = [sys.executable, "-c", "import sys; from l4tools.cli import main; sys.exit(main())"]
WAIT_S = 90
# command of the page: words of its output, on the page and on the screen
SAYS = {
    "network new home": ("name           home", "network        "),
    "flash --wifi": (
        "The board has made its identity and has its keys.",
        "; files at 0x200000, 512 blocks",
        " bytes, 0 are right already",
        "standard mode, 0 neighbours",
    ),
    "status porch": ("name        porch", "joined      yes", "tier        3"),
    "why porch": ("porch is standard, relay quota.",),
    "readings porch": ("SENSOR", "humidity"),
    "deploy app.py": ("1 file written (", "0 as they were, in", "L4 first reading: light="),
    "doctor porch": (),
    "doctor": (
        "ok      board: MicroPython ",
        "are those of this installation.",
        "upstream L3: L3",
    ),
    "log porch": (),
    "monitor": (),
    "backup porch.backup": (),
}
# A minute and more, or figures nobody reads here; test_updates.py and test_bench_device.py do.
NOT_RUN = ("ota push porch", "bench", "upstream")


def commands():
    """The `l4` lines of the page's shell blocks, without `l4`."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    return [line[3:] for b in blocks for line in b.splitlines() if line.startswith("l4 ")]


class Desk:
    """A home, an upstream on loopback, and a virtual chip that reaches it."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("L4_")},
            "HOME": str(folder),
            "L4_PASSPHRASE": "four quite common words",
            "L4_WIFI_PASSWORD": "bench-pass",
            "PYTHONPATH": os.pathsep.join([QUICK, os.environ.get("PYTHONPATH", "")]),
        }
        hub = stack.enter_context(contextlib.closing(Hub(outside=True).start()))
        self.chip = stack.enter_context(VChip("esp32c3", folder=folder / "chip", hub=hub))
        self.via = hub.way_in("10.77.1.11:4104")
        self.chip.power_on()
        (folder / "fw.bin").write_bytes(firmware_bin("esp32c3"))
        (folder / "app.py").write_text(re.search(r"```python\n(.*?)```", PAGE, re.S)[1])

    def run(self, *args):
        done = subprocess.run(
            [*L4, *args],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=WAIT_S,
        )
        return done.returncode, done.stdout + done.stderr

    @contextlib.contextmanager
    def upstream(self):
        child = subprocess.Popen(
            [*L4, "upstream", "--json"],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            text = ""
            while not text.endswith("]\n"):
                line = child.stdout.readline()
                assert line, text
                text += line
            yield json.loads(text)
        finally:
            child.terminate()
            child.wait(30)
            child.stdout.close()


def as_here(words, desk):
    """A command of the page with what differs on this machine."""
    port = ["--port", desk.chip.url("rfc2217")]
    verb = words[0]
    if words[:2] == ["network", "new"]:
        # Ports of its own: tests run side by side.
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for s in socks:
            s.bind(("127.0.0.1", 0))
        at = ["L%d=127.0.0.1:%d" % (t, s.getsockname()[1]) for t, s in enumerate(socks, 1)]
        for s in socks:
            s.close()
        return words + [w for text in at for w in ("--upstream", text)]
    if verb == "flash":
        return ["flash", "--wifi", "bench", "--name", "porch", "--firmware", "fw.bin", *port]
    if verb == "deploy":
        return [*words, *port, "--seconds", "5"]
    if verb == "monitor":
        return ["monitor", "--seconds", "1", *port]
    if verb == "backup" or words == ["doctor"]:
        return [*words, *port]
    if verb in ("status", "why", "log", "doctor"):
        return [*words, "--via", desk.via]
    return words


def test_the_page_as_a_new_user_follows_it(tmp_path):
    ran = set()
    with contextlib.ExitStack() as stack:
        desk = Desk(tmp_path, stack)
        for line in commands():
            if line.startswith("upstream"):
                rows = stack.enter_context(desk.upstream())
                assert [row["tier"] for row in rows] == ["L3", "L2", "L1"]
            if line.startswith(NOT_RUN):
                continue
            key = next(k for k in SAYS if line.startswith(k))
            ran.add(key)
            words = as_here(shlex.split(line), desk)
            code, out = desk.run(*words)
            # A board alone hears no multicast: doctor says so with a warning.
            fine = (0, 1) if key == "doctor porch" else (0,)
            assert code in fine, "%s\n%s\n%s" % (words, out, "\n".join(desk.chip.console[-20:]))
            for text in SAYS[key]:
                assert text in PAGE and text in out, (text, out)
    assert ran == set(SAYS)
    assert (tmp_path / "porch.backup").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", commands())
def test_verbs_and_options_of_the_page_exist(line):
    words = shlex.split(line)
    assert words[0] in VERBS
    module = importlib.import_module("l4tools.commands." + words[0].replace("-", "_"))
    command = typer.main.get_command(module.app)
    ctx = command.make_context("l4", words[1:], resilient_parsing=True)
    sub = words[1:]
    while hasattr(command, "commands") and sub and sub[0] in command.commands:
        command, sub = command.commands[sub[0]], sub[1:]
    known = {opt for p in command.get_params(ctx) for opt in p.opts}
    assert {w for w in sub if w.startswith("--")} <= known


def test_every_verb_that_the_page_names_exists():
    for verb in re.findall(r"`l4 ([a-z-]+)", PAGE):
        assert verb in VERBS
