"""A network, its L1 and virtual boards that nobody has given keys yet; `l4` as a user runs it."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from l4tools.image import build_image
from l4tools.lan.hub import Hub
from l4tools.mesh.tiers import tier_on_hub
from l4tools.network import Network
from l4tools.vboard.rack import Rack

PHRASE = "four quite common words"
WAIT_S = 45
AT = "10.77.0.1:4104"
_L4 = "import sys; from l4tools.cli import main; sys.exit(main())"


class Bed:
    def __init__(self, folder, tier):
        self.home = folder / "home"
        self.home.mkdir()
        self.folder = folder
        self.network = Network.create("home", {1: [AT]} if tier else {})
        self.network.save(self.home / "home.l4net", PHRASE, new=True)
        self.lines: dict[str, list[str]] = {}
        self._news = threading.Condition()
        self.hub = Hub().start()
        self._closes = [self.hub.close]
        try:
            if tier:
                log = folder / "l1.log"
                l1 = tier_on_hub(self.network, 1, self.hub.address, folder / "l1", log)
                self._closes.insert(0, l1.stop)
                l1.start()
            self.rack = Rack(folder / "rack", self.hub, on_line=self._line).run_in_thread()
            self._closes.insert(0, self.rack.close)
        except BaseException:
            self.close()
            raise
        self._image = build_image(None, None, None, umqtt=False)

    def close(self):
        for close in self._closes:
            close()

    def _line(self, name, text):
        with self._news:
            self.lines.setdefault(name, []).append(text)
            self._news.notify_all()

    def board(self, name="n1", ip="10.77.1.11", config=None, files=None):
        """A board as `l4 flash` leaves it, without settings or with `config`; returns its tty."""
        image = self._image
        if config is not None or files:
            image = build_image(None, config, files, umqtt=False)
        return self.rack.add(name, ip, image=image, on=True).tty

    def until(self, part, name="n1", after=0):
        """The first line with `part` from line `after` on; fails with what was said instead."""
        with self._news:

            def found():
                return [t for t in self.lines.get(name, [])[after:] if part in t]

            assert self._news.wait_for(found, WAIT_S), (part, self.lines.get(name))
            return found()[0]

    def said(self, name="n1"):
        return len(self.lines.get(name, []))

    def l4(self, *args, code=0, password=None, timeout=120):
        """(stdout, stderr) of `l4 ARGS`; the exit code is checked."""
        env = {**os.environ, "L4_HOME": str(self.home), "L4_PASSPHRASE": PHRASE}
        env.pop("L4_WIFI_PASSWORD", None)
        if password is not None:
            env["L4_WIFI_PASSWORD"] = password
        run = subprocess.run(
            [sys.executable, "-c", _L4, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=env,
        )
        assert run.returncode == code, (run.returncode, run.stdout, run.stderr)
        return run.stdout, run.stderr

    def json(self, *args, **kw):
        return json.loads(self.l4("--json", *args, **kw)[0])


def wait(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@contextmanager
def bed(folder, tier=True):
    made = Bed(folder, tier)
    try:
        yield made
    finally:
        made.close()
