"""The bench: its schema, and each row's code with tiny counts. Figures are not judged here."""

import json
import os
import shutil
import socket

import pytest
from l4mesh.wire import T_ANSWER, T_COOKIE
from l4tools.bench import __main__ as bench
from l4tools.bench import counts, crypto, flashed, load, peers, rows, served
from l4tools.bench.device import Device
from l4tools.bench.world import ANSWER_SIZE, ASK_LEN, Asker, Identity, World, free_port


def needs(command):
    """Skip, with the reason and the cure, where a Debian package is missing."""
    try:
        return rows.need(command)
    except rows.Skip as e:
        pytest.skip(str(e))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Each test has build/bench to itself: tests run side by side."""

    def build_dir(name=""):
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    from l4tools.bench import device

    for module in (counts, device, load, peers, served):
        monkeypatch.setattr(module, "build_dir", build_dir)
    return tmp_path


@pytest.fixture
def node(folder):
    """(device, asker) of a node that holds 10 records."""
    world = World(10)
    me = Identity("server")
    port = free_port()
    path = world.write(folder / "w.json", me)
    with Device("served.py", path, port, "127.0.0.1:%d" % port) as device:
        assert device.read()["ready"]
        asker = Asker(world, me, port)
        yield device, asker
        asker.close()


def filled():
    r = rows.Report()
    for i, name in enumerate(rows.KNOWN):
        if i % 3:
            r.put(name, i + 0.123456, [i, i + 1])
        else:
            r.skip([name], "valgrind is not installed. Run `make bench-deps` as root.")
    return r


def test_a_report_has_the_agreed_schema(tmp_path):
    doc = rows.write(filled(), tmp_path / "b.json", False)
    assert doc == json.loads((tmp_path / "b.json").read_text())
    assert [r["name"] for r in doc["rows"]] == list(rows.KNOWN)
    for row in doc["rows"]:
        assert set(row) - {"spread", "skipped"} == {
            "name", "value", "unit", "better", "target", "stretch"
        }  # fmt: skip
        assert row["better"] in ("lower", "higher")
        assert (row["value"] is None) == ("skipped" in row)
    assert {"method", "machine", "raised", "quick"} < set(doc)
    assert doc["machine"]["cores"] == os.cpu_count()


def test_targets_and_stretches_go_the_same_way():
    for name, (_, better, target, stretch) in rows.KNOWN.items():
        if stretch is not None:
            assert (stretch < target) == (better == rows.LOWER), name


def test_a_row_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="is no row"):
        rows.Report().put("served look-up, p51", 1)


def test_verdicts_are_plain():
    def row(value, better="lower"):
        return {"value": value, "better": better, "target": 10, "stretch": 20 if
                better == "higher" else 5}  # fmt: skip

    assert [rows.verdict(row(v)) for v in (4, 5, 10, 11, None)] == [
        "stretch", "stretch", "met", "MISSED", "skipped"
    ]  # fmt: skip
    assert [rows.verdict(row(v, "higher")) for v in (9, 10, 20)] == ["MISSED", "met", "stretch"]
    assert rows.verdict({"value": 3, "target": None}) == ""


def test_the_table_names_what_was_missed_and_what_was_skipped(capsys):
    r = rows.Report()
    r.put("served look-up, p50 / raw C", 9.9)
    r.put("garbage a served look-up", 1312)
    r.skip(["instructions a served look-up"], "valgrind is not installed. Install it.")
    rows.show(r.document(False))
    out = " ".join(capsys.readouterr().out.split())
    assert "1 targets met, 1 missed." in out
    assert "missed: served look-up, p50 / raw C is 9.9, target 3.2" in out
    assert "skipped: valgrind is not installed. Install it. (instructions" in out


def test_what_cannot_be_measured_is_skipped_and_the_rest_goes_on(monkeypatch):
    def broken(report, quick):
        raise rows.Skip("gcc is not installed. Run `make bench-deps` as root.")

    def fine(report, quick):
        report.put("Ed25519 sign", 3)

    monkeypatch.setattr(bench, "PARTS", {"a": (["served look-up, p50"], broken),
                                         "b": (["Ed25519 sign"], fine)})  # fmt: skip
    got = {r["name"]: r for r in bench.run(["a", "b"], True, lambda s: None).rows()}
    assert got["Ed25519 sign"]["value"] == 3
    assert got["served look-up, p50"]["value"] is None
    assert "make bench-deps" in got["served look-up, p50"]["skipped"]


def test_a_missing_package_names_its_cure(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *a, **k: None)
    with pytest.raises(rows.Skip, match="make bench-deps"):
        rows.need("valgrind")


def test_the_node_asks_for_proof_and_then_answers(node):
    device, asker = node
    assert asker.ask(5)[1] == T_COOKIE
    asker.prove()
    reply = asker.ask(5)
    assert reply[1] == T_ANSWER and len(reply) == ANSWER_SIZE
    last = device.finish()
    assert last["counters"]["served_hit"] >= 20
    assert "served_miss" not in last["counters"] and "limited" not in last["counters"]
    assert 0 < last["own"]["p50"] <= last["own"]["p99"]


def test_a_frame_is_good_for_one_use(node):
    device, asker = node
    asker.prove()
    frame = asker.frame()
    asker.sock.settimeout(5)
    asker.sock.send(frame)
    assert asker.sock.recv(2048)[1] == T_ANSWER
    asker.sock.send(frame)
    asker.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        asker.sock.recv(2048)
    assert device.finish()["counters"]["replay"] == 1


def test_the_client_in_c_sends_each_frame_once(node, folder):
    needs("gcc")
    device, asker = node
    asker.prove()
    client = load.Client(asker.sock, asker.frames(folder / "f", 400))
    cpu = load.one_cpu()
    first = client.latency(100, cpu)
    assert first["got"] == 100 and first["size"] == ANSWER_SIZE
    assert 0 < first["p50"] <= first["p99"]
    second = client.capacity(0.02, cpu)
    assert second["got"] > 0 and second["rate"] > 0
    assert "replay" not in device.finish()["counters"]


def test_the_raw_server_answers_as_long_as_a_node_does(folder):
    needs("gcc")
    with load.RawServer(load.one_cpu()) as raw:
        raw.sock.settimeout(5)
        raw.sock.send(bytes(ASK_LEN))
        assert len(raw.sock.recv(2048)) == ANSWER_SIZE
        assert load.cpu_ns(raw.process.pid) > 0


def test_garbage_is_counted(folder):
    assert 0 < counts.garbage(20, 60) < 100000


def test_callgrind_files_are_read(tmp_path):
    (tmp_path / "c").write_text(
        "fn=(1) main\n1 10\ncalls=2 5\n1 400\n+1 7\nfn=(2) sha\n4 390\n"
        "fn=(1)\n9 3\ncfn=(2)\ncalls=1 4\n9 10\nsummary: 410\n"
    )
    assert counts.functions(tmp_path / "c") == (410, {"main": 20, "sha": 390})


def test_two_nodes_answer_each_other(folder):
    got = peers.neighbour(20, load.one_cpu())
    assert got["by"]["0/5"] >= 20
    assert 0 < got["p50"] <= got["p99"]


def test_umqtt_through_mosquitto(folder):
    needs("mosquitto")
    got = peers.by_mqtt(20, load.one_cpu())
    assert 0 < got["p50"] <= got["p99"]


def test_signatures_and_tags_are_timed(folder):
    report = rows.Report()
    crypto.measure(report, True)
    assert all(report.values[name] > 0 for name, _, _ in crypto.ROWS)


def test_a_free_port_is_free():
    port = free_port()
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as s:
            s.bind(("127.0.0.1", port))


def test_flashing_is_timed_and_counted():
    report = rows.Report()
    flashed.measure(report, True)
    assert set(report.values) == set(flashed.ROWS)
    assert report.values["bytes a first flash wrote"] > 1 << 20
    assert report.values["bytes a second flash wrote"] < 64 * 1024  # this one is no timing
