"""The load generator in C, built here: the raw ping-pong and the client of the measured node."""

import json
import os
import socket
import statistics
import subprocess
from pathlib import Path

from l4tools.bench.rows import Skip, need
from l4tools.bench.world import ANSWER_SIZE, ASK_LEN
from l4tools.errors import ToolError
from l4tools.paths import build_dir

SOURCE = Path(__file__).with_name("pingpong.c")


def build() -> Path:
    """build/bench/pingpong, compiled when the source is newer."""
    out = build_dir("bench") / "pingpong"
    if not out.exists() or out.stat().st_mtime < SOURCE.stat().st_mtime:
        gcc = need("gcc")
        tmp = out.with_suffix(".%d" % os.getpid())
        run = subprocess.run([gcc, "-O2", "-Wall", "-o", str(tmp), str(SOURCE)],
                             capture_output=True, text=True)  # fmt: skip
        if run.returncode:
            raise Skip("pingpong.c was not compiled (%s). Run `make bench-deps` as root."
                       % run.stderr.strip().split("\n")[-1])  # fmt: skip
        os.replace(tmp, out)
    return out


def cpu_ns(pid: int) -> int:
    """CPU time of a process; schedstat counts nanoseconds, /proc/PID/stat only ticks of 10 ms."""
    total = 0
    for path in Path("/proc/%d/task" % pid).glob("*/schedstat"):
        total += int(path.read_text().split()[0])
    return total


class Client:
    """Sends the frames of a file to a connected socket, each frame once."""

    def __init__(self, sock: socket.socket, frames: Path, reuse: bool = False):
        self._sock = sock
        self._sock.setblocking(True)
        self._frames = frames
        self._total = frames.stat().st_size // ASK_LEN
        self._used = 0
        self._reuse = reuse
        self._program = str(build())

    def _run(self, how: str, cpu: int, n: int, *more: object) -> dict:
        first = 0 if self._reuse else self._used
        n = min(n, self._total - first)
        fd = self._sock.fileno()
        args = [self._program, how, str(cpu), str(fd), str(self._frames), str(first), str(n),
                str(ASK_LEN), *map(str, more)]  # fmt: skip
        run = subprocess.run(args, stdout=subprocess.PIPE, pass_fds=[fd], timeout=60)
        if run.returncode:
            raise ToolError("The load client gave up (%d); %d of %d frames were left."
                            % (run.returncode, self._total - first, self._total))  # fmt: skip
        got = json.loads(run.stdout)
        self._used += got["used"]
        if got["bad"] or got["lost"] > 2 or not got["got"]:
            raise ToolError("Of %(used)d look-ups %(bad)d were refused and %(lost)d lost: a limit "
                            "or the window was hit. The figures mean nothing." % got)  # fmt: skip
        return got

    def latency(self, n: int, cpu: int) -> dict:
        return self._run("lat", cpu, n)

    def capacity(self, seconds: float, cpu: int) -> dict:
        return self._run("pipe", cpu, 60000 if not self._reuse else self._total, seconds, 16)


class RawServer:
    """The C server that does nothing, pinned on `cpu`."""

    def __init__(self, cpu: int):
        program = str(build())
        self.process = subprocess.Popen([program, "serve", str(cpu), str(ANSWER_SIZE)],
                                        stdout=subprocess.PIPE)  # fmt: skip
        port = int(self.process.stdout.readline())
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def median(samples: list[float]) -> float:
    return statistics.median(samples)


def two_cpus() -> tuple[int, int]:
    """The CPU of the server, and another one; Skip when there is no other."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise Skip("capacity needs two CPUs, one for a busy client; run on a bigger machine")
    return cpus[0], cpus[1]


def one_cpu() -> int:
    return min(os.sched_getaffinity(0))
