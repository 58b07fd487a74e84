"""`l4 doctor`, `log`, `identify`, `monitor` on USB: real firmware on virtual boards, and what ails
them, provoked one by one."""

import contextlib
import io
import json
import os
import threading
import time

import flashbed
import pytest
from l4mesh.counters import Counters
from l4mesh.keys import node_id
from l4mesh.queue import Queue, encode_reading
from l4tools import cli
from l4tools.care import backup, checks, facts
from l4tools.care import follow as care_follow
from l4tools.commands import restore
from l4tools.flash import keep
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network
from l4tools.usb.repl import Repl
from usbbed import line

PATIENCE_S = 30
PHRASE = "four quite common words"


def l4(*args):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(a) for a in args])
    return code, out.getvalue(), err.getvalue()


class Desk:
    """A board with keys on a virtual LAN without upstream; `lines` is what it says."""

    def __init__(self, folder, network):
        self.lines = []
        self.network = network
        self.hub = Hub().start()
        self.boards = Boards(folder / "rack", self.hub, network, on_line=self._line).start()
        app = folder / "app.py"
        app.write_text("def sensors(board):\n    return []\n")
        self.boards._app = app

    def _line(self, name, text):
        self.lines.append(text)

    def add(self, **config):
        self.boards.add("a", "10.77.1.11", {"upstream": [], **config})
        self.boards.power_on("a")
        self.until("L4 node ")
        return self.boards.rack.board("a")

    def until(self, part, after=0):
        end = time.monotonic() + PATIENCE_S
        while not any(part in t for t in self.lines[after:]):
            assert time.monotonic() < end, (part, self.lines[after:])
            time.sleep(0.02)

    def close(self):
        self.boards.close()
        self.hub.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("l4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("L4_HOME", str(folder))
        patch.setenv("L4_PASSPHRASE", PHRASE)
        yield folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory, home):
    network = Network.create("bench")
    network.save(home / "bench.l4net", PHRASE)
    made = Desk(tmp_path_factory.mktemp("desk"), network)
    try:
        made.board = made.add()
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def session(desk):
    """Its raw REPL; files that the test wrote are as they were afterwards, and it runs again."""
    with Repl(desk.board.tty) as repl:
        repl.enter(soft_reset=True)
        kept = {p: repl.read(p) for p in ("/config.json", "/app.py", "/lib/l4mesh/info.mpy")}
        yield repl
        repl.enter()
        for path, data in kept.items():
            repl.write(path, data)
        repl.soft_reset()


def edited(repl, **values):
    return json.dumps({**json.loads(repl.read("/config.json")), **values}).encode()


def bad(finding, cause, fix, verdict=checks.BAD):
    assert finding.verdict == verdict, finding
    assert cause in finding.cause, finding
    assert fix in finding.fix, finding


# a board that is well


def test_all_is_well(desk):
    at = len(desk.lines)
    code, out, err = l4("doctor", "--port", desk.board.tty, "--json")
    said = json.loads(out)
    by = {f["check"]: f for f in said["findings"]}
    assert "keys" in by, said
    assert set(by) >= {"port", "board", "firmware", "config", "keys", "wifi", "clock", "start"}
    wrong = [f for f in said["findings"] if f["verdict"] not in ("ok", "skipped")]
    assert wrong == [] and code == 0 and said["well"], said
    assert desk.network.network_id.hex() not in by["keys"]["cause"]
    assert "channel 6" in by["wifi"]["cause"]
    desk.until("L4 node ", at)  # it runs again


def test_log_identify_and_monitor_on_usb(desk):
    at = len(desk.lines)
    code, out, _ = l4("log", "--port", desk.board.tty)
    assert code == 0 and "node " in out and "stopped by Ctrl-C" in out
    desk.until("L4 node ", at)
    pulses = desk.board.world.taken
    code, out, _ = l4("identify", "--port", desk.board.tty, "--seconds", 1, "--json")
    assert code == 0 and json.loads(out)["seconds"] == 1
    assert desk.board.world.taken - pulses >= 4
    said = []
    seen = threading.Thread(
        target=lambda: said.append(
            l4("monitor", "--port", desk.board.tty, "--seconds", 2.5, "--json")
        )
    )
    seen.start()
    time.sleep(0.5)
    desk.boards.rack.reset("a")  # it goes on over a restart
    seen.join()
    texts = [s["text"] for s in json.loads(said[0][1])]
    assert any(t.startswith("L4 node ") for t in texts), texts


def test_monitor_waits_for_a_board_that_was_unplugged(tmp_path):
    name = tmp_path / "board"
    said = []
    come = threading.Event()

    def follow():
        for _, text in care_follow.over_usb(str(name), 20):
            said.append(text)
            if text == "two":
                come.set()
                return

    with line(every=lambda: b"one\r\n", tick=0.05) as tty:
        name.symlink_to(tty)
        seen = threading.Thread(target=follow)
        seen.start()
        end = time.monotonic() + PATIENCE_S
        while "one" not in said:
            assert time.monotonic() < end
            time.sleep(0.02)
    name.unlink()
    while not any("Waiting for it" in t for t in said):
        assert time.monotonic() < end, said
        time.sleep(0.02)
    with line(every=lambda: b"two\r\n", tick=0.05) as tty:
        name.symlink_to(tty)
        assert come.wait(PATIENCE_S), said
        seen.join()
    at = said.index("(the board is back)")
    assert said.count("(the board is back)") == 1 and "two" in said[at:]


def test_tracebacks_are_whole_and_explained():
    trace = care_follow.Tracebacks()
    assert trace.take("L4 x") == ["L4 x"]
    assert trace.take("Traceback (most recent call last):") == []
    assert trace.take('  File "app.py", line 3, in loop') == []
    assert trace.take("ValueError: no") == [
        "Traceback (most recent call last):", '  File "app.py", line 3, in loop', "ValueError: no",
    ]  # fmt: skip
    assert trace.take("after") == ["after"] and trace.late() == []


# what ails it


def test_no_port_and_no_board():
    found = checks.on_usb("/dev/ttyNONE9")
    assert [f.check for f in found] == ["port"]
    bad(found[0], "ttyNONE9", "")
    assert found[0].fix


@pytest.mark.parametrize(
    "text, cause, fix",
    [
        (b"", "does not answer", "power"),
        (b"rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT)\r\nwaiting for download\r\n",
         "download mode", "BOOT"),
        (b"invalid header: 0xffffffff\r\n" * 3, "no firmware", "l4 flash"),
        (b"The filesystem appears to be corrupted.\r\n", "file system is damaged", "l4 flash"),
    ],
)  # fmt: skip
def test_a_board_that_gives_no_prompt(text, cause, fix, monkeypatch):
    from l4tools.usb import repl

    monkeypatch.setattr(repl, "_TRY_S", 0.3)
    real = repl.Repl.__init__
    monkeypatch.setattr(repl.Repl, "__init__", lambda s, p, timeout=1: real(s, p, 1))
    with line(every=lambda: text, tick=0.05) as tty:
        found = checks.on_usb(tty)
    assert [f.check for f in found] == ["port", "board"]
    bad(found[1], cause, fix)


def test_files_of_another_version(desk):
    with session(desk) as repl:
        repl.write("/lib/l4mesh/info.mpy", b"old")
        tree = repl.tree()
        bad(checks.firmware(tree), "1 files differ", "l4 deploy", checks.WARN)
        assert "/lib/l4mesh/info.mpy" in checks.firmware(tree).cause
        bad(checks.firmware({"/boot.py": (1, "")}), "not on the board", "l4 deploy")


def test_settings(desk):
    with session(desk) as repl:
        for data, cause in (
            (edited(repl, interval_s="often"), "interval_s"),
            (b"{", "no JSON"),
            (None, "no config.json"),
        ):
            if data is None:
                repl.remove("/config.json")
            else:
                repl.write("/config.json", data)
            cfg, finding = checks.config(repl, repl.tree("/"))
            assert cfg is None
            bad(finding, cause, "l4 provision")


def test_wifi(desk):
    world = desk.board.world
    nets = [["bench", "bench-pass"]]
    ask = facts.WIFI % (5000, nets)
    with session(desk) as repl:
        try:
            world.networks = {"bench": "another password"}
            repl.exec("import network; network.WLAN(0).disconnect()")
            seen = json.loads(repl.exec(ask))
            bad(checks.wifi(nets, seen), "wrong password, heard on channel 6", "l4 provision")
            world.networks = {"elsewhere": "x"}
            seen = json.loads(repl.exec(ask))
            bad(checks.wifi(nets, seen), "bench: no such network", "2.4 GHz")
            world.networks = {"bench": "bench-pass"}
            world.rssi = -88
            seen = json.loads(repl.exec(ask))
            bad(checks.wifi(nets, seen), "-88 dBm", "antenna", checks.WARN)
            bad(checks.wifi([], seen), "names no WiFi", "l4 provision")
        finally:
            world.networks, world.rssi = {"bench": "bench-pass"}, -55


def test_keys_of_another_network(desk):
    with session(desk) as repl:
        text = repl.exec(facts.STATE)
        there = json.loads(text)["keys"]
        secret = repl.exec(
            "from esp32 import NVS\nfrom binascii import hexlify\nb = bytearray(32)\n"
            "NVS('l4mesh').get_blob('nodekey', b)\nprint(hexlify(b).decode())"
        ).strip()
    assert len(secret) == 64 and secret not in text  # no secret leaves the board
    assert checks.keys(there, desk.network).verdict == checks.OK
    bad(checks.keys(there, Network.create("other")), "belongs to network", "--network")
    same = Network.create("copy")
    same.owner_seed, same.groups = desk.network.owner_seed, desk.network.groups
    bad(checks.keys(there, same), "node key", "l4 provision")
    same.master, same.groups = desk.network.master, [(1, bytes(32))]
    bad(checks.keys(there, same), "group key (number 1)", "l4 provision")
    assert checks.keys(there, None).verdict == checks.OK
    nothing = {"public": "00", "number": 1}
    bad(checks.keys(nothing, None), "lacks network, nodekey, owner, group", "l4 provision")


def test_clock():
    assert checks.clock(1800000000, 1800000002).verdict == checks.OK
    bad(checks.clock(1800000000, 1800000100), "-100 s off", "NTP", checks.WARN)
    bad(checks.clock(1000), "no time of day", "joins", checks.WARN)


def test_safe_mode():
    bad(checks.safe("Safe mode after 5 bad boots: .."), "5 bad boots", "l4 log")


def test_a_broker_and_tiers_that_are_not_there(desk):
    bad(checks.broker("127.0.0.1:1", desk.network, "00" * 32), "No broker answers", "l4 upstream")
    assert checks.broker("127.0.0.1:1", None, None).verdict == checks.SKIPPED
    found = checks.upstream({3: "127.0.0.1:1029"}, desk.network)
    bad(found[0], "L3 does not answer at 127.0.0.1:1029", "UDP port")


def test_a_crash_is_a_finding_and_its_traceback_has_names(desk):
    """Last: the board has a crash in its log from here on."""
    at = len(desk.lines)
    bug = b"def sensors(board): return []\ndef loop(n, now):\n    n.poll = None\n    return 9\n"
    with Repl(desk.board.tty) as repl:
        repl.enter()
        repl.write("/app.py", bug)
        repl.soft_reset()
    desk.until("the boot before ended by reset", at)
    code, out, _ = l4("log", "--port", desk.board.tty, "--last-crash")
    assert code == 0 and "Runner._loop" in out and "TypeError" in out
    code, out, _ = l4("doctor", "--port", desk.board.tty)
    assert code == 1 and "ended by reset: TypeError" in out
    assert "-> See what led to it: l4 log --last-crash" in out


def readings(n):
    """Files of a queue with so many readings, as a board makes them."""
    segments = keep.Segments({})
    queue = Queue(segments, os.urandom, Counters(), 64)
    assert queue.open()
    scratch = bytearray(128)
    for k in range(n):
        data = b"t=%d" % k
        end = encode_reading(scratch, 0, data, len(data), bytes(6), 0, 1)
        assert queue.push(scratch, end)
    return {"/queue/%08x.l4q" % no: data for no, data in segments.files.items()}


def epoch(keys):
    return int.from_bytes(keys["epoch"], "big")


def pushed(files, data):
    """(the files of a queue with one reading more, its sequence): what the board does next."""
    segments = keep.Segments({p[1:]: d for p, d in files.items()})
    queue = Queue(segments, os.urandom, Counters(), 64)
    assert queue.open()
    sequence, scratch = queue._s.next, bytearray(128)
    assert queue.push(scratch, encode_reading(scratch, 0, data, len(data), bytes(6), 0, 1))
    assert not queue.dropped
    return {"/queue/%08x.l4q" % no: d for no, d in segments.files.items()}, sequence


def test_backup_erase_and_restore(desk, home):
    """The last but for nothing: the board is bare afterwards."""
    tty, file = desk.board.tty, home / "kitchen.l4board"
    with Repl(tty) as repl:
        repl.enter(soft_reset=True)
        repl.write("/app.py", b"# mine\n")
        repl.remove("/queue")
        repl.mkdirs("/queue")
        queue = readings(7)
        for path, data in queue.items():
            repl.write(path, data)
        config, keys = repl.read("/config.json"), backup.read_keys(repl)
    code, out, err = l4("backup", file, "--port", tty, "--json")
    said = json.loads(out)
    assert code == 0, err
    assert said["readings"] == 7 and said["node"] == node_id(keys["public"]).hex()
    text = file.read_bytes()
    assert keys["seed"].hex().encode() not in text and b"bench-pass" not in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert l4("backup", file, "--port", tty)[0] == 1  # it exists

    at = len(desk.lines)
    code, _, err = l4("erase", "--port", tty)
    assert code == 1 and "7 readings on it are not delivered" in err and "--yes" in err
    desk.until("L4 node ", at)  # nothing was done, so it goes on
    code, out, err = l4("erase", "--port", tty, "--yes", "--json")
    assert code == 0 and json.loads(out)["readings_lost"] == 7, err
    with Repl(tty) as repl:
        repl.enter()
        assert repl.tree() == {} and backup.read_keys(repl) == {}

    # To the tool it is another board now: it gets settings and files, not the identity.
    code, out, err = l4("restore", file, "--port", tty, "--json")
    said = json.loads(out)
    assert code == 0 and not said["same_board"] and not said["identity"], err
    assert {"config.json", "app.py"} <= set(said["files"])
    assert [p for p in said["left_out"] if p.startswith("queue/")]
    with Repl(tty) as repl:
        repl.enter()
        assert backup.read_keys(repl) == {} and repl.tree("/queue") == {}
        assert repl.read("/config.json") == config and repl.read("/app.py") == b"# mine\n"
    code, out, err = l4("restore", file, "--identity", "--port", tty, "--json")
    assert code == 0 and json.loads(out)["left_out"] == [], err
    with Repl(tty) as repl:
        repl.enter()
        has = backup.read_keys(repl)
        # The lost board went on after its backup: no epoch and no sequence is used again.
        assert epoch(has) > epoch(keys) + 1000
        assert {**has, "epoch": b""} == {**keys, "epoch": b""}
        files = {p: repl.read(p) for p in repl.tree("/queue")}
        assert {p: files[p] for p in queue} == queue and pushed(files, b"new")[1] > 7 + 1000
        assert keep.backlog({p[1:]: d for p, d in files.items()}) == 7
        # It goes on from here: a boot, a reading.
        repl.exec(backup._WRITE_KEYS % ("l4mesh", [("epoch", "AAEAZA==")]))
        files, _ = pushed(files, b"new")
        for path, data in files.items():
            repl.write(path, data)
    # The same board again: all of it, without being told, but what it measured since stays.
    code, out, _ = l4("restore", file, "--port", tty, "--json")
    said = json.loads(out)
    assert code == 0 and said["same_board"] and said["identity"]
    assert said["left_out"] == sorted(p[1:] for p in queue)
    with Repl(tty) as repl:
        repl.enter()
        assert epoch(backup.read_keys(repl)) == 0x10064
        assert {p: repl.read(p) for p in repl.tree("/queue")} == files


def test_erase_all_wipes_the_chip_whatever_is_on_it(home, tmp_path):
    """A board in download mode, where no prompt comes; esptool does the work."""
    chip = flashbed.Desk(tmp_path)
    try:
        chip.chip.write(0x9000, b"secret" * 100)
        port = chip.chip.url("socket")
        code, _, err = l4("erase", "--all", "--port", port)
        assert code == 1 and "does not answer" in err and "--yes" in err
        assert b"secret" in chip.chip.read(0x9000, 600)
        code, out, err = l4("erase", "--all", "--yes", "--port", port, "--json")
        assert code == 0, err
        assert json.loads(out)["whole_chip"] is True
        assert chip.chip.read(0, 1 << 22) == b"\xff" * (1 << 22)
    finally:
        chip.close()


def test_restore_refuses_a_node_that_is_alive_and_files_that_are_none(desk, home, monkeypatch):
    file = home / "other.l4board"
    other = backup.Backup("2026-11-23T10:00:00Z", {"app.py": b""}, {"public": os.urandom(32)})
    backup.save(file, other, PHRASE)
    monkeypatch.setattr(restore, "_answers", lambda session, node: True)
    code, _, err = l4("restore", file, "--identity", "--port", desk.board.tty)
    assert code == 5 and "is alive" in err and "l4 erase" in err
    code, _, err = l4("restore", home / "bench.l4net", "--port", desk.board.tty)
    assert code == 1 and "no backup" in err
    monkeypatch.setenv("L4_PASSPHRASE", "another one")
    assert l4("restore", file, "--port", desk.board.tty)[0] == 5
