"""Measure a board: its scripts are run one by one; a part that fails is said, not the end of all.

The node is stopped (a soft reset, main.py not run) and started again at the end, by a restart.
"""

import ast
import contextlib
import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from l4mesh.wire import HEAD, T_ANSWER, T_COOKIE

from ..errors import ToolError
from ..usb.repl import BoardError, Repl
from .echo import Way
from .figures import REGION, Figures

SCRIPTS = Path(__file__).with_name("board")
_RFC2202 = b"what do ya want for nothing?"
Say = Callable[[str], None]


class Run:
    """`n`: repetitions; `way`: how the host reaches the board by UDP, or a reason why not."""

    def __init__(self, repl: Repl, n: int, way: Callable[[str], Way], say: Say):
        self.repl, self.n, self._way, self._say = repl, n, way, say
        self.figures = Figures()

    def all(self) -> Figures:
        self.repl.enter(soft_reset=True)
        try:
            self.about()
            for name, part in (
                ("hashes and tags", self.hashes),
                ("signatures", self.signatures),
                ("clock", self.clock),
                ("flash", self.flash),
                ("look-up", self.lookup),
                ("network", self.network),
            ):
                self._say(name)
                try:
                    part()
                except BoardError as e:
                    self.figures.skipped[name] = "the board answered " + e.last
                except Skipped as e:
                    self.figures.skipped[name] = str(e)
        finally:
            with contextlib.suppress(ToolError):
                self.repl.hard_reset()
        return self.figures

    def script(self, name: str, head: str = "", timeout: float = 60, stream=None):
        """The literal that a script of board/ prints last."""
        common = (SCRIPTS / "_common.py").read_text().replace("N = 20", "N = %d" % self.n)
        code = common + head + (SCRIPTS / (name + ".py")).read_text()
        text = self.repl.exec(code, timeout, stream)
        return ast.literal_eval(text.strip().rpartition("\n")[2])

    def _take(self, got: dict) -> None:
        for unit in ("us", "ms"):
            for name, value in got.get(unit, {}).items():
                self.figures.put(name, value)
        self.figures.verdicts.update(got.get("ok", {}))
        for key in ("no tag", "no aes", "no nvs", "why"):
            if key in got:
                self.figures.skipped[key.removeprefix("no ")] = got[key]

    # -- parts ----------------------------------------------------------------------------------
    def about(self) -> None:
        got = self.script("about")
        f = self.figures
        f.virtual = got["platform"] != "esp32"
        f.about = {k: got[k] for k in ("id", "machine", "micropython", "mhz")}
        f.put("Python heap free", got["heap_free"])
        f.put("Python heap used", got["heap_used"])
        f.put("flash free", got["fs_free"])
        f.about["regions"] = got["regions"]
        for i, region in enumerate(got["regions"]):
            f.put(REGION % i, region[1])
        if "chip_c" in got:
            f.about["chip_c"] = got["chip_c"]

    def hashes(self) -> None:
        got = self.script("hashes")
        if "tag" in got:
            want = hmac.new(bytes(range(32)), _RFC2202, hashlib.sha256).hexdigest()
            got["ok"]["HMAC is right"] = got["tag"] == want
        self._take(got)

    def signatures(self) -> None:
        self._take(self.script("signatures", timeout=120))

    def clock(self) -> None:
        start = time.monotonic()
        got = self.script("clock")
        passed_ms = (time.monotonic() - start) * 1000
        agree = abs(got["us"] / 1000 - got["ms"]) < 20
        self.figures.verdicts["clock ticks"] = agree and 195 <= got["ms"] <= passed_ms + 5
        self.figures.verdicts["chance differs"] = got["random"]

    def flash(self) -> None:
        self._take(self.script("flash", timeout=120))

    def lookup(self) -> None:
        """The board's node answers signed questions of an asker made here."""
        from ..bench.world import GROUP, NETWORK, RAISED, Asker, Identity

        me = Identity("board under test")
        who = [x.hex() for x in (me.seed, me.public, me.id, NETWORK, GROUP)]
        config = {"limits": RAISED["limits"], "cache": 50}
        used = self.script("node_make", "WHO = %r\nCONFIG = %r\n" % (who, config))
        self.figures.put("node without a network, heap", used)
        self.script("node_ready", timeout=120)
        asker = Asker(SimpleNamespace(targets=[me]), me, 9)  # frames only; its socket is not used
        asker.close()
        cookie = None
        for _ in range(4):
            reply = bytes.fromhex(self._give(asker.frame(cookie)))
            if reply[1:2] == bytes([T_COOKIE]):
                cookie = reply[HEAD + 4 : HEAD + 12]
            elif reply[1:2] == bytes([T_ANSWER]) and reply[HEAD + 4] == 0:
                break
        else:
            raise Skipped("the board's node did not answer a question about itself")
        took: list[int] = []
        for _ in range(max(1, self.n // 5)):
            frames = [asker.frame().hex() for _ in range(5)]
            took += self.repl.eval_script("gc.collect()\nanswer(%r)" % frames)
        if len(took) < self.n // 2:
            raise Skipped("the board's node answered %d of %d questions" % (len(took), self.n))
        self.figures.verdicts["node answers a look-up"] = True
        took.sort()
        self.figures.put("look-up answered, own time p50", took[len(took) // 2])
        self.figures.put("look-up answered, own time p95", took[len(took) * 95 // 100])
        self.repl.exec("del node, link\ngc.collect()")

    def _give(self, frame: bytes) -> str:
        return self.repl.eval_script("give(%r)" % frame.hex())

    def network(self) -> None:
        got = self.script("wifi", timeout=90)
        if not got["ip"]:
            why = "no WiFi of its settings can be joined" if got["nets"] else "it knows no WiFi"
            raise Skipped(why)
        if got["rssi"] is not None:
            self.figures.put("WiFi signal", got["rssi"])
        way = self._way(got["ip"])
        rtts: list[float] = []
        asked = self.n * 5
        said: list[str] = []

        def stream(text: str) -> None:
            before = "READY\n" in "".join(said).replace("\r", "")
            said.append(text)
            if not before and "READY\n" in "".join(said).replace("\r", ""):
                rtts.extend(way.ping(asked))

        with way:
            self.script("echo", "PORT = %d\n" % way.port, timeout=60, stream=stream)
        if not rtts:
            raise Skipped("no datagram came back: a firewall, or another network than the board's")
        rtts.sort()
        self.figures.put("UDP echo, p50", rtts[len(rtts) // 2])
        self.figures.put("UDP echo, p95", rtts[len(rtts) * 95 // 100])
        self.figures.put("UDP echo, lost", 100 * (asked - len(rtts)) / asked)


class Skipped(Exception):
    """A part that cannot be measured here, and why."""
