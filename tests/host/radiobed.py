"""MicroPython programs with a simulated radio: each a process of its own, its lines collected.

with bed(seed=1) as air:
    a = air.run("a", "print('hello')")          # name, program; its address is made of the name
    a.until("hello")                            # or fails with all that was said
    air.radio.place("a", 0, 0)
"""

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

from l4tools.paths import BOARDS, tool
from l4tools.radio.broker import Radio

AIOBLE = Path(__file__).resolve().parent.parent / "standin"


class Program:
    def __init__(self, name, args, env):
        self.name, self.lines = name, []
        self._said = threading.Condition()
        self._process = subprocess.Popen(
            args,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def until(self, text, seconds=20, n=1):
        """The n-th line that begins with `text`; what follows in it."""
        end = time.monotonic() + seconds
        with self._said:
            while True:
                found = [x for x in self.lines if x.startswith(text)]
                if len(found) >= n:
                    return found[n - 1][len(text) :].strip()
                left = end - time.monotonic()
                assert left > 0, "%s never said %r, but: %s" % (self.name, text, self.lines)
                self._said.wait(left)

    def ended(self, seconds=30):
        """Its exit code."""
        return self._process.wait(seconds)

    def kill(self):
        """The power goes."""
        self._process.kill()
        self._process.wait()


class Bed:
    def __init__(self, radio, paths):
        self.radio = radio
        self._paths, self._programs = paths, []

    def run(self, name, source, heap=400000, **env):
        """`name` is also its place on the air: an address in LAN 1 by default."""
        ip = name if name.count(".") == 3 else "10.77.1.%d" % (10 + len(self._programs))
        full = {
            **os.environ,
            "L4_RADIO": "%s:%d" % self.radio.address,
            "L4_IP": ip,
            "MICROPYPATH": ":".join([str(BOARDS / "UNIX"), *map(str, self._paths), ".frozen"]),
            **env,
        }
        args = [tool("micropython"), "-X", "heapsize=%d" % heap, "-c", source]
        program = Program(name, args, full)
        program.ip = ip
        self._programs.append(program)
        return program

    def close(self):
        for program in self._programs:
            program.kill()


def wait_for(what, name, seconds=20):
    """Until what() is true; `name` says what never came."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, name + " never came"
        time.sleep(0.01)


@contextlib.contextmanager
def bed(paths=(), **radio):
    with Radio(**radio) as made:
        air = Bed(made, paths)
        try:
            yield air
        finally:
            air.close()
