"""`make demo SCENE=nat`: nodes behind routers of seven kinds find each other.

Real MicroPython nodes in a NAT lab (docs/nat.md) with a round trip of 60 ms: each says what it is
behind, pairs open ways, data goes over them, then L3 is killed. Every statement is checked; report
in build/demo/nat.json. It needs namespaces: root, or unprivileged user namespaces.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from l4tools.errors import ToolError
from l4tools.natlab import needs
from l4tools.natlab.kinds import KINDS
from l4tools.natlab.lab import Lab
from l4tools.natlab.matrix import Matrix
from l4tools.natlab.parts import LEVELS
from l4tools.natlab.world import World
from l4tools.paths import build_dir

HOMES = {"cafe": "fc", "home": "pr", "office": "rc", "farm": "symseq", "train": "cgsym",
         "hotel": "sym", "ship": "symhi", "bank": "udpblk"}  # fmt: skip
# Who wants whom, and what that comes to; "": direct nearly always, by guessed ports on both sides.
PAIRS = (
    ("cafe", "home", "direct"), ("office", "train", "direct"), ("farm", "home", "direct"),
    ("home", "train", "direct"), ("farm", "cafe", "direct"), ("hotel", "train", ""),
    ("ship", "hotel", "udp"), ("bank", "home", "tcp"),
)  # fmt: skip
RTT_MS = 60
WORDS = {"direct": "direct", "udp": "relayed by L3", "tcp": "relayed, by TCP"}
_LIMITS = {"id_s": 100, "id_burst": 200, "addr_s": 100, "addr_burst": 200}


class Scene:
    def __init__(self):
        self.console = Console()
        self._begun = time.monotonic()
        self.report: dict = {"rtt_ms": RTT_MS, "pairs": []}

    def scene(self, text: str) -> None:
        self.say("== " + text)

    def say(self, text: str) -> None:
        self.console.print("%5.1f s  %s" % (time.monotonic() - self._begun, text), highlight=False)

    async def play(self, folder: Path) -> None:
        lab = Lab(rtt_ms=RTT_MS, jitter_ms=4, loss=0)
        for host, kind in HOMES.items():
            lab.home(host, kind)
        world = World(lab, folder, levels=LEVELS)
        with lab, world:
            self.say("%d routers, %d namespaces and three tiers are up" % (
                len(HOMES), len(lab.spaces)))  # fmt: skip
            run = Matrix(lab, world, HOMES, micropython=True, limits=_LIMITS)
            self.scene("%d MicroPython nodes start, join, and find out what they are behind"
                       % len(HOMES))  # fmt: skip
            async with run:
                self._found(lab, run)
                await self._ways(run)
                await self._killed(world, run)

    def _found(self, lab, run):
        table = Table(title="what each says of its router", title_justify="left")
        for name in ("node", "address", "router", "it says"):
            table.add_column(name)
        for host, kind in HOMES.items():
            if host not in run.why:
                raise ToolError("%s did not find out what it is behind: %s" % (host, run.log))
            table.add_row(host, lab.address[host], KINDS[kind].what, run.why[host])
        self.console.print(table)
        self.report["nodes"] = run.why

    async def _ways(self, run):
        self.scene("%d pairs want each other; relay and punch begin together" % len(PAIRS))
        trials = []
        for some in (PAIRS[:3], PAIRS[3:6], PAIRS[6:]):  # a node is in one at a time
            trials += await run.round([(a, b) for a, b, _ in some], shut=False, apart_s=0.05)
        table = Table(title="who reaches whom, ms after it was wanted", title_justify="left")
        for name, justify in (("pair", "left"), ("first path", "right"), ("by", "left"),
                              ("direct", "right"), ("why not", "left")):  # fmt: skip
            table.add_column(name, justify=justify)
        for (a, b, wanted), t in zip(PAIRS, trials, strict=True):
            got = "direct" if t.direct_ms is not None else t.by
            direct = "" if t.direct_ms is None else "%d" % t.direct_ms
            why = "" if t.direct_ms is not None else t.why
            if not t.usable:
                raise ToolError("%s and %s found no way: %s." % (a, b, t.why or "no reason said"))
            table.add_row("%s - %s" % (a, b), "%d" % t.first_ms, WORDS[t.by], direct, why)
            self.report["pairs"].append(
                {"a": a, "b": b, "first_ms": t.first_ms, "by": t.by, "direct_ms": t.direct_ms,
                 "wanted": wanted, "became": got, "why": why}
            )  # fmt: skip
        self.console.print(table)
        direct = sum(p["became"] == "direct" for p in self.report["pairs"])
        self.say("%d of %d are direct; the others are relayed, and say why" % (
            direct, len(PAIRS)))  # fmt: skip

    async def _killed(self, world, run):
        a, b, _ = next(p for p in PAIRS if p[2] == "udp")
        self.scene("L3 is killed while %s and %s talk" % (a, b))
        node = run.nodes[b].id.hex()
        talk = asyncio.create_task(
            run.ask(a, 60, do="ping", id=node, way=True, count=60, every=100)
        )
        await asyncio.sleep(1)
        await asyncio.to_thread(world.kill, 3)
        got = await talk
        ways = (await run.ask(a, do="path"))["path"]
        by = next((w.get("by", "") for w in ways if w["peer"] == node), "")
        self.say("%d of %d questions, ten a second, were answered; %s relays now" % (
            got["pings"] - got["lost"], got["pings"], by.upper() or "nobody"))  # fmt: skip
        self.report["killed"] = {"asked": got["pings"], "lost": got["lost"], "by": by}

    def missing(self) -> list[str]:
        """What was to be seen and was not."""
        out = [
            "%s - %s became %s, not %s" % (p["a"], p["b"], p["became"], p["wanted"])
            for p in self.report["pairs"] if p["wanted"] not in ("", p["became"])
        ]  # fmt: skip
        killed = self.report["killed"]
        if killed["by"] != "l1" or killed["lost"] > killed["asked"] * 3 // 4:
            out.append("no other relay took over")
        return out


def main() -> int:
    why = needs.cannot()
    if why is not None:
        print("demo: %s" % why, file=sys.stderr)
        return 1
    if os.geteuid() != 0 and not os.environ.get(needs.SMALL):
        argv = needs.entered([sys.executable, "-m", "l4tools.demo.nat"])
        os.execvpe(argv[0], argv, needs.environment())
    scene = Scene()
    path = build_dir() / "demo" / "nat.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="natlab-") as folder:
            asyncio.run(scene.play(Path(folder)))
    except ToolError as e:
        print("\ndemo: %s" % e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    path.write_text(json.dumps(scene.report, indent=1) + "\n")
    print("report         %s" % path)
    missing = scene.missing()
    for text in missing:
        print("NOT SHOWN: " + text, file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
