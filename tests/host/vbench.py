"""A hub and a rack for tests: boards that run a piece of code, and their console lines."""

import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from l4tools.image import build_image
from l4tools.lan.cable import BlockingCable
from l4tools.lan.hub import Hub
from l4tools.vboard.rack import Rack

WAIT = 20  # s before a test gives up; nothing here takes longer than one


class Bench:
    def __init__(self, **hub):
        self.folder = Path(tempfile.mkdtemp(prefix="vb"))
        self.hub = Hub(**hub).start()
        self.lines: dict[str, list[str]] = {}
        self.events: list[tuple[str, str]] = []
        self._news = threading.Condition()
        self._cables = []
        self.rack = Rack(self.folder, self.hub, on_line=self._line, on_event=self._event)
        self.rack.run_in_thread()

    def _line(self, board, text):
        with self._news:
            self.lines.setdefault(board, []).append(text)
            self._news.notify_all()

    def _event(self, board, what):
        with self._news:
            self.events.append((board, what))
            self._news.notify_all()

    def board(self, main="", boot="", name="n1", ip="10.77.1.11", on=True, **kw):
        """A board with these boot files."""
        files = {"main.py": main}
        if boot:
            files["boot.py"] = boot
        files.update(kw.pop("files", {}))
        image = build_image(None, kw.pop("config", None), files, umqtt=kw.pop("umqtt", False))
        return self.rack.add(name, ip, image=image, on=on, **kw)

    def until(self, text, name="n1", count=1):
        """The first `count`-th line that starts with `text`; the lines so far when none comes."""
        with self._news:
            ok = self._news.wait_for(lambda: len(self._found(text, name)) >= count, WAIT)
            assert ok, "no %r in %r" % (text, self.lines.get(name))
            return self._found(text, name)[count - 1]

    def _found(self, text, name):
        return [line for line in self.lines.get(name, []) if line.startswith(text)]

    def wait(self, test):
        """Wait for a condition that console lines do not tell."""
        end = time.monotonic() + WAIT
        while not test():
            assert time.monotonic() < end
            time.sleep(0.005)

    def run(self, code, name="n1", ip="10.77.1.11", **kw):
        """Run code on a new board to its end; the values it gave to `say`."""
        head = "import sys, time, json, os\ndef say(x):\n    print('SAY', repr(x))\n"
        self.board(head + code + "\nprint('DONE')\n", name=name, ip=ip, **kw)
        self.until("DONE", name)
        return [eval(line[4:]) for line in self.lines[name] if line.startswith("SAY ")]

    def cable(self, vaddr):
        cable = BlockingCable(self.hub.address, vaddr)
        self._cables.append(cable)
        return cable

    def close(self):
        for cable in self._cables:
            cable.close()
        self.rack.close()
        self.hub.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# Connects to the bench's access point.
WIFI = (
    "import network, time\nw = network.WLAN(network.STA_IF)\nw.active(True)\n"
    "w.connect('bench', 'bench-pass')\n"
    "while not w.isconnected():\n    time.sleep_ms(20)\n"
)

# Sends every datagram back.
UDP_ECHO = (
    WIFI + "import socket, select\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "s.bind(('', 5000))\np = select.poll()\np.register(s, select.POLLIN)\nprint('READY')\n"
    "while True:\n    if p.poll(1000):\n        d, a = s.recvfrom(1200)\n        s.sendto(d, a)\n"
)


@contextmanager
def bench(**hub):
    made = Bench(**hub)
    try:
        yield made
    finally:
        made.close()
