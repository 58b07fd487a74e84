"""The host's half of updates: bundles, the counter, the roll-out's judgement, and the command."""

import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from l4mesh import ota_manifest as m
from l4tools import cli
from l4tools.errors import Refused, ToolError, Unavailable
from l4tools.mesh.way import Target
from l4tools.network import Network, path_of
from l4tools.ota import counter, offer, rollout
from l4tools.ota.bundle import Bundle, project_bundle

SEED = bytes(range(32))
FILES = {"app.mpy": b"M\x06\x00\x1f app", "lib/l4mesh/core.mpy": b"M\x06\x00\x1f" * 3000}
PHRASE = "four quite common words"


@pytest.fixture
def owner(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    monkeypatch.setenv("L4_PASSPHRASE", PHRASE)
    network = Network.create("home", {3: ["127.0.0.1:4113"]})
    network.save(path_of("home"), PHRASE)
    return network


def bundle(**more):
    return Bundle.build(FILES, SEED, **{"counter": 7, "name": "seven", **more})


# bundles


def test_what_is_built_can_be_read(tmp_path):
    made = bundle()
    made.write(tmp_path / "x.l4b")
    again = Bundle.read(tmp_path / "x.l4b")
    assert again == made and again.id == made.id and len(again.id) == 16
    assert m.well_formed(made.manifest) and (made.counter, made.name) == (7, "seven")
    assert {p: d for p, d, _ in again.pieces()} == FILES
    assert made.public()["bytes"] == sum(map(len, FILES.values())) and made.public()["files"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["x.l4b"]


def test_who_signed_it():
    from l4tools.network import public_key

    assert bundle().signed_by(public_key(SEED))
    assert not bundle().signed_by(public_key(bytes(32)))


@pytest.mark.parametrize(
    "path",
    ["../x.mpy", "/x.mpy", "a/../b.mpy", "X.mpy", "boot.mpy", "main.mpy", "ota_boot.mpy",
     "safe_mode.mpy", "x.py", "a/b/c/d.mpy", "", "a b.mpy", "é.mpy", "x" * 60 + ".mpy"],
)  # fmt: skip
def test_odd_names_are_not_built(path):
    with pytest.raises(ToolError, match="cannot be in an update"):
        Bundle.build({path: b"x"}, SEED, counter=1)


@pytest.mark.parametrize(
    "more, said",
    [
        ({"counter": 0}, "version counter is from 1"),
        ({"counter": 1 << 30}, "version counter is from 1"),
        ({"name": "x" * 33}, "at most 32 plain characters"),
        ({"name": "a\x1b[2J"}, "at most 32 plain characters"),
        ({"target": ""}, "at most 32 plain characters"),
        ({"target": "é" * 200}, "at most 32 plain characters"),
    ],
)
def test_what_no_node_would_take_is_not_built(more, said):
    with pytest.raises(ToolError, match=said):
        bundle(**more)


def test_too_many_and_too_large():
    with pytest.raises(ToolError, match="1 to 255 files"):
        Bundle.build({"m%03d.mpy" % i: b"x" for i in range(256)}, SEED, counter=1)
    with pytest.raises(ToolError, match="768 KiB"):
        Bundle.build({"m%d.mpy" % i: bytes(400000) for i in range(2)}, SEED, counter=1)
    with pytest.raises(ToolError, match="1 to 255 files"):
        Bundle.build({}, SEED, counter=1)
    with pytest.raises(ToolError, match="cannot be in an update"):
        Bundle.build({"a.mpy": b""}, SEED, counter=1)


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.l4b"
    bundle().write(path)
    good = path.read_bytes()
    for n in (0, 3, 8, 50, len(good) - 1):
        path.write_bytes(good[:n])
        with pytest.raises(ToolError):
            Bundle.read(path)
    for extra in (good + b"x", b"x" + good, good[:4] + b"\xff\xff\xff\xff" + good[8:]):
        path.write_bytes(extra)
        with pytest.raises(ToolError, match="no bundle|has .* bytes of files"):
            Bundle.read(path)
    path.write_bytes(good[:-1] + bytes((good[-1] ^ 1,)))
    with pytest.raises(ToolError, match="damaged at lib/l4mesh/core.mpy"):
        Bundle.read(path)
    with pytest.raises(ToolError, match="can't be read"):
        Bundle.read(tmp_path / "nothing")
    with pytest.raises(ToolError, match="can't be written"):
        bundle().write(tmp_path / "no" / "x.l4b")


def test_what_an_update_of_the_project_holds(tmp_path):
    files = project_bundle()
    assert "supervisor.mpy" in files and "lib/l4mesh/core.mpy" in files
    assert "app.mpy" not in files and not set(m.FACTORY) & set(files)
    assert all(d[:1] == b"M" and d[1] == 6 for d in files.values())
    made = Bundle.build(files, SEED, counter=1, name="x")
    assert len(made.manifest) <= m.MAX and len(made.data) < m.MAX_TOTAL
    app = tmp_path / "app.py"
    app.write_text("from driver import x\n\n\ndef sensors(board):\n    return [x]\n")
    (tmp_path / "driver.py").write_text("x = 1\n")
    both = project_bundle(tmp_path)
    assert {"app.mpy", "driver.mpy"} <= set(both)
    assert set(project_bundle(app)) - set(files) == {"app.mpy"}
    for wrong in (tmp_path / "none.py", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ToolError, match="There is no file|has no Python files"):
            project_bundle(wrong)


# the counter


def test_the_counter_only_grows(tmp_path):
    net = tmp_path / "home.l4net"
    assert counter.last(net) == 0
    assert [counter.take(net) for _ in range(3)] == [1, 2, 3]
    assert counter.take(net, 10) == 10 and counter.take(net) == 11
    for n in (11, 3, 0):
        with pytest.raises(ToolError, match="the next is 12"):
            counter.take(net, n)
    with pytest.raises(ToolError, match="ends at"):
        counter.take(net, 1 << 30)
    assert counter.last(net) == 11


def test_a_damaged_counter_is_not_guessed(tmp_path):
    net = tmp_path / "home.l4net"
    for text in ("", "{}", '{"counter": "x"}', '{"counter": -1}', "[]", '{"counter": 1e99}'):
        counter.path_of(net).write_text(text)
        with pytest.raises(ToolError, match="is damaged"):
            counter.take(net)


def test_two_that_build_at_once_get_different_numbers(tmp_path):
    code = (
        "import sys; from pathlib import Path; from l4tools.ota.counter import take\n"
        "print(*[take(Path(sys.argv[1])) for _ in range(25)])"
    )
    args = [sys.executable, "-c", code, str(tmp_path / "home.l4net")]
    procs = [subprocess.Popen(args, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    numbers = [int(x) for p in procs for x in p.communicate(timeout=60)[0].split()]
    assert sorted(numbers) == list(range(1, 76))


# what nodes say


def test_every_reason_is_a_sentence_and_a_step():
    codes = [v for k, v in vars(m).items() if k.startswith("N_") and k != "N_WORK"]
    assert sorted(codes) == sorted(offer.REASONS)
    for code in codes:
        assert offer.reason(code, 9).endswith(".") or "l4 " in offer.reason(code, 9)
    assert "counter 9" in offer.reason(m.N_OLD, 9) and "--counter 10" in offer.reason(m.N_OLD, 9)
    assert "(200)" in offer.reason(200)


# the roll-out


class Mesh:
    """Nodes by their own word, as a HostNode would tell it."""

    def __init__(self, **nodes):
        self.nodes = nodes  # name: documents by topic
        self.node = SimpleNamespace(peers=SimpleNamespace(find=lambda sid: -1))
        self.upstream = {}
        self.given = []

    def id(self, name):
        return name.encode().ljust(16, b".")

    def target(self, name):
        return Target(self.id(name), name, bytes((10, 77, 1, ord(name), 16, 8)))

    async def info(self, node_id, topic, timeout_s=5.0, addr=None):
        for name, said in self.nodes.items():
            if self.id(name)[:8] == node_id[:8] and topic in said:
                return said[topic]
        raise Unavailable("silent")

    async def join(self, host):
        return 3

    async def lookup(self, node_id, authority=False):
        return SimpleNamespace(status=self.nodes["l1"])


def near(mesh, *names):
    return [
        [mesh.id(n)[:8].hex(), "10.77.1.9:4104", "lan", "standard", 255, 0, 0, 1] for n in names
    ]


GOOD = {"ota": {"counter": 7, "state": "good"}}


def roll(mesh, names, canary, codes, monkeypatch, wait_s=0.3):
    class Offers:
        def __init__(self, host, bundle):
            pass

        async def __aenter__(self):
            return self

        async def __aexit__(self, *exc):
            pass

        async def give(self, node_id, addr, progress, source):
            name = node_id.rstrip(b".").decode()
            mesh.given.append((name, source))
            return codes.get(name, m.N_SOON), 12

    monkeypatch.setattr(rollout, "Offers", Offers)
    monkeypatch.setattr(rollout, "_POLL_S", 0.01)
    monkeypatch.setattr(rollout, "_CONFIRM_S", 0.05)
    work = rollout.Rollout(mesh, mesh, bundle(), wait_s=wait_s, peers=True)
    rows = asyncio.run(work.push([mesh.target(n) for n in names], canary))
    return {r.name: r for r in rows}, work.stopped


def sane(mesh, *names):
    return {"status": GOOD, "counters": {"rx": 5}, "neighbours": near(mesh, *names)}


def test_a_canary_that_its_neighbours_hear(monkeypatch):
    mesh = Mesh()
    mesh.nodes = {"a": sane(mesh, "b"), "b": sane(mesh, "a")}
    rows, stopped = roll(mesh, ["a", "b"], 1, {}, monkeypatch)
    assert [r.state for r in rows.values()] == ["good", "good"] and stopped is None
    assert rows["a"].confirmed == mesh.id("b")[:8].hex() and rows["b"].confirmed is None
    assert mesh.given == [("a", bytes(8)), ("b", mesh.id("a")[:8])]  # b may ask a for it


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda x: x["b"].update(neighbours=[]), "None of 1 neighbours hears it"),
        (lambda x: x.pop("b"), "None of 1 neighbours hears it"),
        (lambda x: x["a"]["counters"].update(mem_error=9), "not sane: mem_error 9"),
        (lambda x: x["a"]["counters"].update(flash_fail=1), "flash_fail 1"),
        (lambda x: x["a"].pop("counters"), "does not answer any more"),
        (lambda x: x["a"].update(status={}), "not judged the version"),
        (lambda x: x["a"].pop("status"), "silent for"),
        (
            lambda x: x["a"].update(status={"ota": {"failed": 7, "why": "it fell over"}}),
            "went back by itself: it fell over",
        ),
    ],
)
def test_a_canary_that_is_not_well_stops_it(monkeypatch, change, why):
    mesh = Mesh()
    mesh.nodes = {"a": sane(mesh, "b"), "b": sane(mesh, "a")}
    change(mesh.nodes)
    rows, stopped = roll(mesh, ["a", "b"], 1, {}, monkeypatch)
    assert rows["a"].state == "failed" and why in rows["a"].why and why in stopped
    assert rows["b"].state == "waits" and [n for n, _ in mesh.given] == ["a"]


@pytest.mark.parametrize("word, state", [("found", "good"), ("unknown", "failed")])
def test_a_canary_without_neighbours_is_asked_for_upstream(monkeypatch, word, state):
    mesh = Mesh()
    mesh.nodes = {"a": sane(mesh), "l1": word}
    mesh.upstream = {3: "10.77.0.3:4104"}
    rows, _ = roll(mesh, ["a"], 1, {}, monkeypatch)
    assert rows["a"].state == state


def test_what_a_node_refuses_is_its_why(monkeypatch):
    mesh = Mesh()
    mesh.nodes = {n: sane(mesh) for n in "abc"}
    rows, stopped = roll(mesh, list("abc"), 0, {"a": m.N_ROOM, "b": m.N_OLD}, monkeypatch)
    assert "too full" in rows["a"].why and "--counter 13" in rows["b"].why
    assert rows["c"].state == "good" and stopped is None


def test_a_version_that_failed_before_is_told_so(monkeypatch):
    mesh = Mesh()
    mesh.nodes = {"a": {"status": {"ota": {"failed": 7, "why": "it fell over"}}}}
    rows, _ = roll(mesh, ["a"], 0, {"a": m.N_OLD}, monkeypatch)
    assert rows["a"].why == "It was taken back before: it fell over."


# the command


def l4(*args):
    return cli.main([str(a) for a in args])


def test_build(owner, tmp_path, capsys):
    out = tmp_path / "v.l4b"
    assert l4("ota", "build", "--out", out, "--version", "first", "--json") == 0
    doc = json.loads(capsys.readouterr().out)
    made = Bundle.read(out)
    assert doc["counter"] == made.counter == 1 and doc["version"] == "first"
    assert made.signed_by(owner.owner_public) and made.target == "any"
    assert l4("ota", "build", "--out", out, "--counter", 1) == 1
    assert "the next is 2" in capsys.readouterr().err
    assert l4("ota", "build", "--out", out, "--target", "esp32c3") == 0
    assert Bundle.read(out).counter == 2 and Bundle.read(out).target == "esp32c3"
    assert owner.owner_seed not in out.read_bytes()


def test_wrong_usage(owner, tmp_path, capsys):
    for args in (
        ["push"],
        ["push", "a", "--all"],
        ["push", "a", "b", "--via", "10.0.0.1:4104"],
        ["push", "a", "--bundle", "x", "--counter", "3"],
        ["push", "a", "--canary", "-1"],
        ["push", "a", "--via", "nonsense"],
        ["build"],
        ["status"],
    ):
        assert l4("ota", *args) == 2, args
        assert "l4 ota" in capsys.readouterr().err


def test_a_bundle_of_another_owner_is_not_pushed(owner, tmp_path, capsys):
    bundle().write(tmp_path / "x.l4b")
    code = l4("ota", "push", "00" * 16, "--via", "127.0.0.1:9", "--bundle", tmp_path / "x.l4b")
    said = capsys.readouterr().err
    assert code == Refused.exit_code and "not signed by the owner" in said


def test_tiers_and_all_without_a_mesh(owner, capsys):
    assert l4("ota", "push", "l3") == 1
    assert "l3 is a tier" in capsys.readouterr().err
    assert l4("ota", "push", "--all") == 1
    assert "Name the nodes" in capsys.readouterr().err
    assert counter.last(path_of("home")) == 0  # no number was used up for it


def test_help_has_examples(capsys):
    for verb in ("build", "push", "status"):
        assert l4("ota", verb, "--help") == 0
        assert "Example: l4 ota " + verb in " ".join(capsys.readouterr().out.split())
