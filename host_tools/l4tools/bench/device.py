"""MicroPython processes under measurement: compiled modules, pinning, their CPU time."""

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from l4tools.errors import ToolError
from l4tools.image import compile_mpy, project_files
from l4tools.paths import build_dir, micropython_argv

SCRIPTS = Path(__file__).with_name("device")


def compiled_lib() -> Path:
    """build/bench/lib with the .mpy files a board would run."""
    out = build_dir("bench/lib")
    wanted = set()
    for name, source in project_files().items():
        if name.startswith("lib/") and isinstance(source, Path):
            path = out / (name[4:-3] + ".mpy")
            path.parent.mkdir(parents=True, exist_ok=True)
            code = compile_mpy(source, source.name)
            if not path.exists() or path.read_bytes() != code:
                path.write_bytes(code)
            wanted.add(path)
    for path in out.rglob("*.mpy"):
        if path not in wanted:
            path.unlink()
    return out


def argv(script: str, *args: str, heap: str = "") -> list[str]:
    options = ["-X", "heapsize=" + heap] if heap else []
    return micropython_argv(*options, str(SCRIPTS / script), *args)


class Device:
    """A device script as a process: `ask` sends nothing, it reads lines of JSON it prints."""

    def __init__(self, script: str, *args: object, heap: str = "", before: tuple[str, ...] = (),
                 cpu: int | None = None, extra_path: str = ""):  # fmt: skip
        lib = compiled_lib()
        paths = [str(SCRIPTS), str(lib)] + ([extra_path] if extra_path else [])
        env = {
            **os.environ,
            "MICROPYPATH": ":".join(paths),
            "PYTHONHASHSEED": "0",
        }
        self._log = (build_dir("bench") / (Path(script).stem + ".log")).open("ab")
        self.process = subprocess.Popen(
            [*before, *argv(script, *map(str, args), heap=heap)],
            stdout=subprocess.PIPE, stderr=self._log, env=env,
        )  # fmt: skip
        self._rest = b""
        if cpu is not None:
            self.pin(cpu)

    def pin(self, cpu: int) -> None:
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            os.sched_setaffinity(int(task), {cpu})

    def cpu_ns(self) -> int:
        """CPU time so far; schedstat counts nanoseconds, /proc/PID/stat only ticks of 10 ms."""
        total = 0
        for path in Path("/proc/%d/task" % self.process.pid).glob("*/schedstat"):
            total += int(path.read_text().split()[0])
        return total

    def read(self, seconds: float = 30.0) -> dict:
        """The next line of JSON."""
        end = time.monotonic() + seconds
        out = self.process.stdout
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise ToolError(self._trouble("said nothing for %d s" % seconds))
            more = os.read(out.fileno(), 65536)
            if not more:
                raise ToolError(self._trouble("ended early"))
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            return json.loads(line)
        except ValueError:
            raise ToolError(self._trouble("said %r" % line[:200]))

    def _trouble(self, what: str) -> str:
        return "A measured process %s. Read %s." % (what, self._log.name)

    def finish(self, seconds: float = 30.0) -> dict:
        """Stop it by SIGINT; its last line, once it has ended."""
        self.process.send_signal(signal.SIGINT)
        last = self.read(seconds)
        self.process.wait(seconds)
        return last

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
