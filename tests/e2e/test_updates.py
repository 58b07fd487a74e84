"""Updates on virtual boards that run the shipped firmware: roll-out, canary, and going back."""

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from l4mesh.wire import T_CHUNK
from l4tools import cli
from l4tools.commands import ota as command
from l4tools.image import compile_mpy, compiled, project_files, read_image
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.way import Way
from l4tools.network import Network
from l4tools.ota import offer, rollout
from l4tools.ota.bundle import Bundle, project_bundle
from l4tools.paths import FIRMWARE, LIB
from l4tools.shrunk import small

PATIENCE = 60
# Shorter than shipped, so that a test takes seconds; nothing else is different.
QUICK = {
    "interval_s": 1,
    "upstream": [],
    "good_s": 5,
    "hello_max_s": 2,
    "limits": {
        "id_s": 100, "id_burst": 200, "addr_s": 300, "addr_burst": 600,
        "global_s": 900, "global_burst": 900, "checks_s": 20,
    },
}  # fmt: skip
APP = "from sensors import Sensor\n\n\ndef sensors(board):\n    return [%s]\n"


class Bench:
    def __init__(self, folder):
        self.lines = {}
        self.hub = Hub().start()
        self.network = Network.create("bench")
        app = folder / "first.py"
        app.write_text(APP % 'Sensor("first", "", 1, lambda: 1)')
        self.boards = Boards(folder / "rack", self.hub, self.network, on_line=self._line, app=app)
        self.boards.start()
        self.said = []
        self.counter = 0

    def _line(self, name, text):
        self.lines.setdefault(name, []).append(text)

    def add(self, *names, **config):
        """Boards on LAN 1 that know each other."""
        for name in names:
            host = 11 + len(self.boards.rack.boards)
            self.boards.add(name, "10.77.1.%d" % host, {**QUICK, **config})
            self.boards.power_on(name)
        for name in names:
            self.until(lambda name=name: name in self.boards.ids, "%s has no id" % name)
            for _ in range(len(self.boards.rack.boards) - 1):
                self.wait(name, "neighbour")

    def wait(self, name, part, after=0):
        found = []

        def said():
            found[:] = [x for x in self.lines.get(name, [])[after:] if part in x]
            return found

        self.until(said, "%s never said %r but: %s" % (name, part, self.lines.get(name)))
        return found[0]

    def until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                pytest.fail(what)
            time.sleep(0.02)

    def way(self):
        boards = [
            {"name": n, "node": self.boards.ids[n].hex(), "address": b.ip + ":4104",
             "state": b.state}
            for n, b in self.boards.rack.boards.items()
        ]  # fmt: skip
        mesh = {"name": "bench", "hub": "%s:%d" % self.hub.address, "boards": boards}
        return Way(self.network, {**mesh, "cuts": [], "tiers": []}, {})

    def bundle(self, files):
        self.counter += 1  # in the order of the calls
        name = "v%d" % self.counter
        return Bundle.build(files, self.network.owner_seed, counter=self.counter, name=name)

    def app(self, text):
        """A bundle that is nothing but an app.py."""
        return self.bundle({"app.mpy": compile_app(text)})

    def push(self, bundle, names, canary=0, peers=False, wait_s=PATIENCE):
        way = self.way()

        async def go(host):
            work = rollout.Rollout(way, host, bundle, self.said.append, wait_s, peers)
            return await work.push([way.find(n) for n in names], canary), work.stopped

        rows, stopped = way.run(go, {"limits": rollout.LIMITS})
        return {r.name: r for r in rows}, stopped

    def ota(self, name):
        """What a board says of its updates."""
        way = self.way()
        target = way.find(name)

        async def ask(host):
            return await host.info(target.id, "status", addr=target.addr)

        return way.run(ask).get("ota")

    def flash(self, name):
        return read_image(self.boards.rack.boards[name].flash)

    def close(self):
        self.boards.close()
        self.hub.close()


def compile_app(text):
    return compile_mpy(text, "app.py")


def spoiled(path, old, new):
    """{path: .mpy} of the whole firmware with one line changed."""
    text = path.read_text()
    assert text.count(old) == 1
    root, prefix = (LIB, "lib/") if LIB in path.parents else (FIRMWARE, "")
    files = project_files()
    files[prefix + path.relative_to(root).as_posix()] = text.replace(old, new)
    made = compiled(small(files))
    wanted = project_bundle()
    return {p: made[p] for p in wanted}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))
    b = Bench(tmp_path)
    yield b
    b.close()


def at_once(*calls):
    """Run them in threads of their own; their results."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [f.result() for f in [pool.submit(c) for c in calls]]


def test_three_boards_a_canary_first_the_whole_firmware(bench):
    bench.add("a", "b", "c")
    made = bench.bundle(project_bundle())
    rows, stopped = bench.push(made, ["a", "b", "c"], canary=1, peers=True)
    assert stopped is None
    assert [r.state for r in rows.values()] == ["good"] * 3, (rows, bench.said)
    ids = [i.hex()[:16] for name, i in bench.boards.ids.items() if name != "a"]
    assert rows["a"].confirmed in ids and rows["b"].confirmed is None
    # Nobody else was offered anything before the canary was confirmed.
    confirmed = [i for i, x in enumerate(bench.said) if x.startswith("a is confirmed by")]
    assert 0 < confirmed[0] < bench.said.index("b fetching")
    for name in ("a", "b", "c"):
        ota = bench.ota(name)
        assert (ota["slot"], ota["counter"], ota["version"]) == ("a", 1, "v1")
        files = bench.flash(name)
        for path, data, _ in made.pieces():
            assert files["ota/a/" + path] == data
        assert files["boot.py"] and files["supervisor.mpy"]  # the factory's stay
        assert not [x for x in bench.lines[name] if "Traceback" in x]
    # It runs from there: the same again is there already, and survives a power cut.
    rows, _ = bench.push(made, ["c"])
    assert rows["c"].state == "good"
    bench.boards.power_cut("c")
    said = len(bench.lines["c"])
    bench.boards.power_on("c")
    bench.wait("c", "neighbour", said)
    assert bench.ota("c")["counter"] == 1


def test_bad_updates_go_back_by_themselves_and_say_why(bench):
    bench.add("a", "b", "c", "d")
    first = bench.app(APP % 'Sensor("second", "", 1, lambda: 2)')
    rows, _ = bench.push(first, ["a", "c"])
    assert [r.state for r in rows.values()] == ["good"] * 2, (rows, bench.lines)
    broken = spoiled(FIRMWARE / "supervisor.py", "def run():\n", "def run():\n    nothing\n")
    raises = bench.bundle(broken)
    deaf = bench.bundle(spoiled(LIB / "l4mesh" / "wire.py", "const(0xC4)", "const(0xC5)"))
    no_app = bench.app("def sensors(board):\n    raise RuntimeError('no')\n")
    at_start, unheard, app = at_once(
        lambda: bench.push(raises, ["a", "d"], canary=1),
        lambda: bench.push(deaf, ["b"], canary=1),
        lambda: bench.push(no_app, ["c"]),
    )
    # Raises at its start: three boots, then the version before; the others are spared.
    rows, stopped = at_start
    assert rows["a"].state == "failed" and rows["d"].state == "waits", rows
    assert "did not live through its first minute, 3 times" in stopped
    assert "did not live through its first minute" in bench.wait("a", "was taken back")
    assert len([x for x in bench.lines["a"] if "NameError" in x]) == 3
    ota = bench.ota("a")
    assert (ota["slot"], ota["counter"], ota["failed"]) == ("a", 1, 2)
    assert bench.ota("d") is None  # never had one
    # Boots, but nobody hears it.
    rows, stopped = unheard
    assert rows["b"].state == "failed" and "nobody heard it" in stopped, (rows, bench.lines["b"])
    assert bench.wait("b", "is taken back: nobody heard it")
    assert bench.ota("b")["state"] == "factory" and bench.ota("b")["failed"] == 3
    # Its app.py raises, and the one before did not.
    rows, _ = app
    assert rows["c"].state == "failed" and "its app.py failed" in rows["c"].why
    assert bench.ota("c")["counter"] == 1
    # The same again is refused, with the reason of the last time; a new one is taken.
    again, _ = bench.push(raises, ["a"])
    assert again["a"].state == "failed" and "taken back before" in again["a"].why
    good = bench.app(APP % 'Sensor("third", "", 1, lambda: 3)')
    forged = Bundle(good.manifest[:-1] + bytes((good.manifest[-1] ^ 1,)), good.data)
    (rows, _), (refused, _) = at_once(
        lambda: bench.push(good, ["a"]), lambda: bench.push(forged, ["d"])
    )
    assert rows["a"].state == "good" and bench.ota("a")["counter"] == good.counter, rows
    assert "not signed by its owner" in refused["d"].why and bench.ota("d")["refused"] == 6
    assert not [x for x in bench.flash("d") if x.startswith("ota/a")]


def interrupted(bench):
    """The offerer goes away, and the board loses power, in the middle; a second push goes on."""
    made = bench.bundle({"app.mpy": compile_app(APP % ""), "big.mpy": os.urandom(40000)})
    way = bench.way()
    target = way.find("a")

    async def first(host):
        got = []
        async with offer.Offers(host, made) as offers:
            task = asyncio.create_task(offers.give(target.id, target.addr, got.append))
            while not got or got[-1] < 12000:
                await asyncio.sleep(0.02)
                assert not task.done()
            task.cancel()
        return got[-1]

    had = way.run(first, {"limits": rollout.LIMITS})
    bench.boards.power_cut("a")
    assert had >= 12000 and len(bench.flash("a")["ota/a/big.mpy"]) >= had - 8192
    said = len(bench.lines["a"])
    bench.boards.power_on("a")
    bench.wait("a", "node ", said)
    offsets = []

    async def second(host):
        work = rollout.Rollout(way, host, made, bench.said.append, PATIENCE)
        before = host.node.tx.begin

        def begin(kind, *args, **more):
            if kind == T_CHUNK:
                offsets.append(kind)
            return before(kind, *args, **more)

        host.node.tx.begin = begin
        return await work.push([target])

    (row,) = way.run(second, {"limits": rollout.LIMITS})
    assert row.state == "good", (row, bench.lines["a"])
    # Neither the manifest nor what was on flash came again.
    assert 0 < len(offsets) <= (len(made.data) - had + 8192) // 1024 + 3


def takes_none(bench):
    rows, _ = bench.push(bench.app(APP % ""), ["n"])
    assert rows["n"].state == "failed" and "does not take the offer" in rows["n"].why
    assert not any(path.startswith("ota/") for path in bench.flash("n"))


def test_an_interrupted_push_goes_on_and_never_means_never(bench, monkeypatch):
    monkeypatch.setattr(offer, "_SILENT_S", 3.0)
    bench.add("a")
    bench.add("n", ota="never")
    at_once(lambda: interrupted(bench), lambda: takes_none(bench))


def test_the_command(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("L4_PASSPHRASE", "four quite common words")
    home = tmp_path / "home"
    home.mkdir()
    bench.network.save(home / "bench.l4net", "four quite common words")
    bench.add("a")
    app = tmp_path / "app.py"
    app.write_text(APP % 'Sensor("x", "", 1, lambda: 1)')
    monkeypatch.setattr(command, "way_of", lambda session, upstream, via=None: bench.way())
    assert cli.main(["ota", "status", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "factory"
    code = cli.main(["ota", "push", "--all", "--from", str(app), "--wait", "60", "--json"])
    doc = json.loads(capsys.readouterr().out)
    assert code == 0 and doc["stopped"] is None
    assert [n["state"] for n in doc["nodes"]] == ["good"] and doc["bundle"]["counter"] == 1
    assert cli.main(["ota", "status", "a"]) == 0
    assert "good" in capsys.readouterr().out
    files = bench.flash("a")
    assert "ota/a/app.mpy" in files and "ota/a/supervisor.mpy" in files
