"""`make demo SCENE=ble`: six boards at home with WiFi, six in the field with Bluetooth alone.

The field has no network at all, and two boards there have no clock. They find each other, and each
meets each: signed records cross over GATT. Then one of them is carried home, and the home, which
never heard of the others, knows all of them. Every statement is checked; report in
build/demo/ble.json. The radio is simulated (host_tools/l4tools/radio): 80 of 100 packets pass.
"""

import contextlib
import json
import re
import shutil
import sys
import time
from pathlib import Path

from l4tools.demo.show import Show
from l4tools.demo.stage import APP, SHORTENED
from l4tools.demo.watch import Watch
from l4tools.errors import ToolError
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.nearby import MORE_HEAP
from l4tools.mesh.tiers import tier_on_hub
from l4tools.network import Network
from l4tools.paths import build_dir

N = 6
HOME = ["home-%d" % k for k in range(1, N + 1)]
FIELD = ["field-%d" % k for k in range(1, N + 1)]
NO_CLOCK = ("field-2", "field-5")
CARRIED = "field-1"
FIELD_M = 600  # from home: nothing reaches so far
LOSS = 0.2
_SAID = re.compile(r"^L4 (info|year) (.+)$")


def address(name: str) -> str:
    """All would be on the same LAN, were there WiFi in the field."""
    place, _, k = name.partition("-")
    return "10.77.1.%d" % ((10 if place == "home" else 20) + int(k))


class Scene:
    def __init__(self, folder: Path):
        from l4tools.radio.broker import Radio

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.watch = Watch()
        self.said: dict[tuple[str, str], str] = {}
        self.hub = Hub().start()
        self.radio = Radio(seed=4, loss=LOSS).start()
        self.network = Network.create("field")
        self.tiers: list = []
        self.boards = Boards(
            folder / "boards",
            self.hub,
            self.network,
            on_line=self._line,
            app=APP,
            radio=self.radio.address,
        ).start()
        self.show = Show(self.watch, self.boards.rack.taken, lambda: "by the tiers")
        self.figures: dict = {}

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.radio.close)
            stack.callback(self.hub.close)
            for tier in self.tiers:
                stack.callback(tier.stop)
            stack.callback(self.boards.close)

    def _line(self, board, text):
        if m := _SAID.match(text):
            self.said[board, m[1]] = m[2]
        self.watch.line(board, text)

    # verbs

    def prepare(self) -> None:
        for level in (1, 2, 3):
            folder, log = self.folder / ("l%d" % level), self.folder / ("l%d.log" % level)
            tier = tier_on_hub(self.network, level, self.hub.address, folder, log)
            self.tiers.append(tier)
            tier.start()
        for k, name in enumerate(HOME + FIELD):
            heap = self.boards.heap + MORE_HEAP
            self.boards.add(name, address(name), dict(SHORTENED, p2p=0), heap=heap)
            self.radio.place(address(name), 6 * k + (0 if name in HOME else FIELD_M), 0)
            if name in FIELD:
                self.boards.rack.wifi(name, False)
        for name in NO_CLOCK:
            self.boards.rack.board(name).world.clock = "unset"
        self.show.say("L1, L2 and L3 run; 12 boards are ready, 6 of them without WiFi")

    def until(self, what, seconds: float, otherwise: str):
        end = time.monotonic() + seconds
        while not (got := what()):
            if time.monotonic() > end:
                raise ToolError(
                    "%s within %d s. Logs are in %s." % (otherwise, seconds, self.folder)
                )
            self.show.tick()
            time.sleep(0.1)
        return got

    def ask(self, names, words: str) -> dict[str, str]:
        """What each board says to a line typed at its console."""
        kind = words.split()[0]
        for name in names:
            self.said.pop((name, kind), None)
            self.boards.type(name, words)
        self.watch.wait(lambda: all((n, kind) in self.said for n in names), 2)
        return {n: self.said[n, kind] for n in names if (n, kind) in self.said}

    def met(self) -> dict[str, set[str]]:
        """Field board -> short ids of those that have proved to it that they are there."""
        out = {}
        for name, text in self.ask(FIELD, "info 7").items():
            rows = json.loads(text)["nearby"]
            out[name] = {row[0] for row in rows if row[7] and row[0]}
        return out

    def heard_by(self, name: str, topic: int) -> list:
        """Rows of a board's neighbours (3), or of those it hears by Bluetooth (7)."""
        doc = json.loads(self.ask([name], "info %d" % topic).get(name, "[]"))
        return doc["nearby"] if isinstance(doc, dict) else doc

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, seconds + 5, "time did not pass")

    def sid(self, name: str) -> str:
        return self.boards.ids[name].hex()[:16]

    def look(self, name: str, target: str):
        since = len(self.watch.looks)
        self.boards.type(name, "look " + target)
        self.watch.wait(lambda: self.watch.answer(name, target, since), 5)
        return self.watch.answer(name, target, since) or ("silent", "-", 0)


def start(s: Scene) -> None:
    s.show.scene("at home 6 boards join by WiFi; in the field 6 have nobody but each other")
    for name in HOME + FIELD:
        s.boards.power_on(name)
    up = lambda: all(n in s.boards.ids for n in HOME + FIELD)
    s.until(lambda: up() and all(n in s.boards.joined for n in HOME), 40, "not all boards started")
    s.show.say("6 joined by WiFi; 6 run without any network")


def form(s: Scene) -> None:
    s.show.scene("the field forms over Bluetooth alone: found, met, records crossed")
    begun = time.monotonic()
    pairs = N * (N - 1)

    def all_met():
        time.sleep(0.4)
        known = s.met()
        field = {s.sid(n) for n in FIELD}
        count = sum(len(ids & field) for ids in known.values())
        if count != all_met.last:
            s.show.say("%d of %d times one has met another" % (count, pairs))
            all_met.last = count
        return count == pairs

    all_met.last = -1
    s.until(all_met, 40, "the field did not form")
    s.figures["formed_s"] = round(time.monotonic() - begun, 1)
    strangers = {i for ids in s.met().values() for i in ids} & {s.sid(n) for n in HOME}
    if strangers:
        raise ToolError("The field heard the home, 600 m away. Logs are in %s." % s.folder)
    a, b = FIELD[1], FIELD[3]
    got = s.look(a, s.boards.ids[b].hex())
    if got[:2] != ("found", "own"):
        raise ToolError("%s does not hold the record of %s (%s). See %s." % (a, b, got, s.folder))
    s.show.say("%s holds the signed record of %s: found in its own cache" % (a, b))


def clocks(s: Scene) -> None:
    s.show.scene("two boards without a clock recognise each other")
    years = s.ask(NO_CLOCK, "year")
    known = s.met()
    for one, other in (NO_CLOCK, NO_CLOCK[::-1]):
        if int(years[one]) > 2000:
            raise ToolError("%s has a clock. See %s." % (one, s.folder))
        if s.sid(other) not in known[one]:
            raise ToolError("%s does not know %s. See %s." % (one, other, s.folder))
        s.show.say("%s believes it is %s, and knows who %s is" % (one, years[one], other))


def carry(s: Scene) -> None:
    s.show.scene("%s is carried home; the home has never heard of the field" % CARRIED)
    field = {s.sid(n) for n in FIELD}
    if any(row[0] in field for n in HOME for row in s.heard_by(n, 3) + s.heard_by(n, 7)):
        raise ToolError("The home knew the field already. Logs are in %s." % s.folder)
    begun = time.monotonic()
    s.radio.place(address(CARRIED), 0, 6)
    s.boards.rack.wifi(CARRIED, True)
    s.until(lambda: CARRIED in s.boards.joined, 40, "%s did not join at home" % CARRIED)
    s.show.say("%s has WiFi again and joined" % CARRIED)

    def greeted():
        """Its hello came by the LAN; what it holds is in its next one."""
        time.sleep(0.4)
        lan = lambda n: [r for r in s.heard_by(n, 3) if r[0] == s.sid(CARRIED) and r[2] == "lan"]
        return all(lan(n) for n in HOME)

    s.until(greeted, 30, "%s was not greeted at home" % CARRIED)
    s.pause(SHORTENED["hello_max_s"] + 1)
    answers: dict[tuple[str, str], str] = {}

    def all_known():
        for name in HOME:
            for other in FIELD:
                if (name, other) not in answers:
                    status, source, _ = s.look(name, s.boards.ids[other].hex())
                    if status == "found":
                        answers[name, other] = source
                    if source != "own":
                        s.pause(0.3)  # one board answers two a second for others
        return len(answers) == N * N

    s.until(all_known, 40, "the home did not learn of all of the field")
    s.figures["known_at_home_s"] = round(time.monotonic() - begun, 1)
    sources = sorted(set(answers.values()))
    s.show.say("each of 6 at home finds each of 6 of the field, by %s" % ", ".join(sources))


def verdict(s: Scene) -> None:
    bad = [e for e in s.watch.events if e[2].startswith(("Traceback", "MemoryError", "  File"))]
    if bad:
        raise ToolError("Boards had errors, first %s: %s. See %s." % (*bad[0][1:], s.folder))
    energy = s.radio.energy()
    shares = [energy[address(n)]["share"] for n in FIELD if n != CARRIED]
    s.figures["radio_on_percent"] = round(100 * sum(shares) / len(shares), 1)
    s.figures["seconds"] = round(time.monotonic() - s.watch.start, 1)


ALL = (start, form, clocks, carry, verdict)


def main() -> int:
    report = build_dir("demo") / "ble.json"
    report.unlink(missing_ok=True)
    scene = None
    try:
        scene = Scene(build_dir("demo") / "ble")
        with scene.show:
            scene.prepare()
            for part in ALL:
                part(scene)
        f = scene.figures
    except ToolError as e:
        print("\ndemo: %s" % e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if scene is not None:
            scene.close()
    report.write_text(json.dumps({"ok": True, **f}, indent=1) + "\n")
    print(
        "\nfield of 6       formed in %(formed_s)s s over Bluetooth alone, %(loss)d %% loss\n"
        "known at home    %(known_at_home_s)s s after one of them came back\n"
        "radio            on for %(radio_on_percent)s %% of the time in the field\n"
        "took             %(seconds)s s; all checks passed\n"
        "report           build/demo/ble.json" % {**f, "loss": 100 * LOSS}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
