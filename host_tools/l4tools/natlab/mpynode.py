"""MicroPython nodes as processes of the lab's hosts: commands in, what they say out.

node = MpyNode(lab, "a", world.settings("a", seed=1))
node.until("ready")                      the first line that has this key
node.tell(do="stun", at="198.18.1.1:3478")
node.until("stun", wait_s=5)["mapped"]
"""

import asyncio
import fcntl
import json
import os
import select
import subprocess
import time
from pathlib import Path

from ..errors import ToolError
from ..image import compile_mpy, project_files
from ..paths import build_dir, micropython_argv

SCRIPTS = Path(__file__).with_name("device")


def compiled_lib() -> Path:
    """build/natlab/lib: the library as .mpy, as a board runs it."""
    out = build_dir("natlab/lib")
    with (out.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        wanted = set()
        for name, source in project_files().items():
            if name.startswith("lib/") and isinstance(source, Path):
                path = out / (name[4:-3] + ".mpy")
                path.parent.mkdir(parents=True, exist_ok=True)
                code = compile_mpy(source, source.name)
                if not path.exists() or path.read_bytes() != code:
                    made = path.with_suffix(".new")
                    made.write_bytes(code)
                    made.replace(path)
                wanted.add(path)
        for path in out.rglob("*.mpy"):
            if path not in wanted:
                path.unlink()
    return out


class MpyNode:
    def __init__(self, lab, host: str, settings: dict, heap: str = "8m"):
        self.host, self.id = host, bytes.fromhex(settings["id"])
        env = {**os.environ, "MICROPYPATH": "%s:%s" % (SCRIPTS, compiled_lib())}
        self.process = lab.popen(
            host, micropython_argv("-X", "heapsize=" + heap, str(SCRIPTS / "node.py")),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        )  # fmt: skip
        self._rest = b""
        self._loop = None
        self.said = []  # all of it, in order
        self._write(settings)

    def _write(self, doc) -> None:
        try:
            self.process.stdin.write(json.dumps(doc).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # until() says what its last words were

    def tell(self, **command) -> None:
        self._write(command)

    def read(self, wait_s: float) -> dict | None:
        """The next line it says; None when it is silent for so long. ToolError: it ended."""
        end = time.monotonic() + wait_s
        out = self.process.stdout
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if not select.select([out], [], [], max(0, left))[0]:
                return None
            more = os.read(out.fileno(), 65536)
            if not more:
                raise ToolError("The node on %s ended: %s" % (self.host, self._words()))
            self._rest += more
        return self._line()

    def _line(self):
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            doc = json.loads(line)
        except ValueError:
            doc = {"text": line.decode(errors="replace")}
        self.said.append(doc)
        return doc

    def listen(self, say) -> None:
        """From now on what it says goes to say(node, doc) of the running asyncio loop."""
        self._loop = asyncio.get_running_loop()
        out = self.process.stdout.fileno()

        def readable():
            more = os.read(out, 65536)
            if not more:
                self._loop.remove_reader(out)
                say(self, {"ended": True, "said": self.said[-5:]})
            self._rest += more
            while b"\n" in self._rest:
                say(self, self._line())

        self._loop.add_reader(out, readable)

    def until(self, key: str, wait_s: float = 30, **match) -> dict:
        """The first line, from now on, with `key` and with the values of `match`."""
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            doc = self.read(left)
            if doc and key in doc and all(doc.get(k) == v for k, v in match.items()):
                return doc
        raise ToolError(
            "The node on %s did not say %r within %g s: %s"
            % (self.host, key, wait_s, self._words())
        )

    def _words(self):
        return json.dumps(self.said[-12:])

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self.process.stdout.fileno())
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
