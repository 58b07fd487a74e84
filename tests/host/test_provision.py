"""What boards are to have: settings, fleet files, their signature and journal; Improv's client."""

import json
import os
import random
import stat

import pytest
from l4mesh import improv_codec as codec
from l4tools import cli
from l4tools.errors import NotFound, Refused, ToolError
from l4tools.network import Network
from l4tools.provision import fleet
from l4tools.provision.board import Start
from l4tools.provision.improv_client import ERROR, RESULT, STATE, Decoder, encode, strings
from l4tools.provision.journal import Journal
from l4tools.provision.want import Want, changes, parse_set, with_passwords

HEAD = "board,name,wifi1,password1,wifi2,password2,mode,set\n"
GOOD = HEAD + (
    "24:6F:28:aa:bb:cc,porch,House,a password,Barn,another one,,led_pin=2; interval_s=30\n"
    ",barn-1,Barn,another one,,,passive,\n"
    "\n"
    ",barn-2,Open,,,,,\n"
)


@pytest.fixture
def net():
    return Network.create("home", {3: ["192.0.2.7:4104"]})


@pytest.fixture
def path(tmp_path):
    p = tmp_path / "fleet.csv"
    p.write_text(GOOD)
    p.chmod(0o600)
    return p


# -- settings


def test_set_takes_json_or_text():
    given = parse_set(["led_pin=2", "mode=passive", "battery_pin=null", 'name="7"', "mqtt=a=b"])
    assert given == {
        "led_pin": 2, "mode": "passive", "battery_pin": None, "name": "7", "mqtt": "a=b",
    }  # fmt: skip
    for bad in ("led_pin", "=2"):
        with pytest.raises(ValueError, match="KEY=VALUE"):
            parse_set([bad])


def test_a_password_is_never_an_argument(capsys):
    for secret in ("mqtt_password=geheim", 'wifi=[["House", "geheimes"]]'):
        assert cli.main(["provision", "--set", secret]) == 2
        said = capsys.readouterr().err
        assert "never an argument" in " ".join(said.split()) and "geheim" not in said


def test_networks_go_in_front_and_the_rest_stays(net):
    old = {"name": "x", "interval_s": 5, "wifi": [["a", "aaaaaaaa"], ["b", ""]]}
    new = Want({"name": "y"}, [["b", "bbbbbbbb"]]).over(old, net)
    assert new["wifi"] == [["b", "bbbbbbbb"], ["a", "aaaaaaaa"]]
    assert (new["name"], new["interval_s"]) == ("y", 5)
    assert new["upstream"] == [[3, "192.0.2.7:4104"]]
    assert changes(old, new) == ["name", "network", "upstream", "wifi"]
    assert Want({}, [["c", ""]], only_wifi=True).over(old, net)["wifi"] == [["c", ""]]
    assert Want().over(new, net) == new


def test_what_a_board_would_refuse_is_refused_here(net):
    with pytest.raises(ToolError, match="interval_s must be"):
        Want({"interval_s": 0}).check(net)
    with pytest.raises(ToolError, match="nearest is interval_s"):
        Want({"interval": 3}).check(net)
    with pytest.raises(ToolError, match="wifi must be") as e:
        Want({}, [["House", "short"]]).check(net)
    assert "short" not in str(e.value)


class Session:
    out = None


def test_passwords_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("L4_WIFI_PASSWORD", raising=False)
    lines = tmp_path / "words"
    lines.write_text("password a\n\n")
    assert with_passwords(Session(), ["a", "b"], lines) == [["a", "password a"], ["b", ""]]
    with pytest.raises(ToolError, match="2 lines for 3"):
        with_passwords(Session(), ["a", "b", "c"], lines)
    with pytest.raises(ToolError, match="--wifi-password-file"):
        with_passwords(Session(), ["a"], None)
    monkeypatch.setenv("L4_WIFI_PASSWORD", "from here")
    assert with_passwords(Session(), ["a"], None) == [["a", "from here"]]
    with pytest.raises(ToolError, match="for one --wifi"):
        with_passwords(Session(), ["a", "b"], None)


def test_a_board_fails_when_none_of_its_networks_works(net):
    told = []
    start = Start(None, net, told.append, [["a", ""], ["b", ""]])
    start._hear("L4 WiFi a: no such network")
    start._hear("L4 WiFi a: no such network")
    assert told == ["WiFi a: no such network"]
    with pytest.raises(ToolError, match='"a": no such network, "b": wrong password'):
        start._hear("L4 WiFi b: wrong password")


# -- fleet files


def test_rows_are_read(path, net):
    rows = fleet.parse(GOOD.encode(), path, net)
    assert [(r.board, r.name) for r in rows] == [
        ("246f28aabbcc", "porch"), ("", "barn-1"), ("", "barn-2"),
    ]  # fmt: skip
    assert rows[0].want.wifi == [["House", "a password"], ["Barn", "another one"]]
    assert rows[0].want.settings == {"name": "porch", "led_pin": 2, "interval_s": 30}
    assert rows[1].want.settings == {"name": "barn-1", "mode": "passive"}
    assert rows[2].want.wifi == [["Open", ""]]
    # as a spreadsheet writes it, with a setting as a column
    odd = "\ufeffName,Interval_s\r\nporch,5\r\n".encode()
    assert fleet.parse(odd, path, net)[0].want.settings == {"name": "porch", "interval_s": 5}


BAD = {
    "no column `name`": "board\nx\n",
    "no column 'nam'": "name,nam\na,b\n",
    "column name is there twice": "name,name\na,b\n",
    "has no rows": HEAD,
    "line 2: the name is missing": HEAD + ",,House,a password,,,,\n",
    "line 3: name a is in line 2": HEAD + ",a,,,,,,\n,a,,,,,,\n",
    "line 3: board aabbccddeeff is in line 2": HEAD
    + "aa:bb:cc:dd:ee:ff,a,,,,,,\nAABBCCDDEEFF,b,,,,,,\n",
    "line 2: 'porch' is no board id": HEAD + "porch,a,,,,,,\n",
    "line 2: wifi must be": HEAD + ",a,House,short,,,,\n",
    "line 2: password2 has no wifi2": HEAD + ",a,,,,a password,,\n",
    "line 2: mode must be one of": HEAD + ",a,,,,,lazy,\n",
    "line 2: leds is no setting": HEAD + ",a,,,,,,leds=2\n",
    "line 2: 'x' is not KEY=VALUE": HEAD + ",a,,,,,,x\n",
    "9 values, but only 8 columns": HEAD + ",a,,,,,,,z\n",
    "export it again": HEAD + ',"a,,,,,,\n',
}


@pytest.mark.parametrize("says", sorted(BAD))
def test_a_bad_file_is_told_by_line(says, path, net):
    with pytest.raises(ToolError) as e:
        fleet.parse(BAD[says].encode(), path, net)
    assert says.lower() in str(e.value).lower()
    assert "short" not in str(e.value)


def test_not_text_and_too_large(path, net):
    with pytest.raises(ToolError, match="not UTF-8"):
        fleet.parse(b"name\n\xff\xfe\n", path, net)
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(ToolError, match="1 MiB"):
        fleet.read(path)
    with pytest.raises(NotFound):
        fleet.read(path.with_name("none.csv"))


def test_sign_and_load(path, net):
    path.chmod(0o644)
    sig, rows, others = fleet.sign(path, net)
    assert others and len(rows) == 3 and sig.name == "fleet.csv.sig"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [r.name for r in fleet.load(path, net).rows] == ["porch", "barn-1", "barn-2"]
    assert not fleet.sign(path, net)[2]


def test_what_the_owner_did_not_sign_is_refused(path, net):
    with pytest.raises(Refused, match="not signed"):
        fleet.load(path, net)
    sig, _, _ = fleet.sign(path, net)
    good = sig.read_text()
    data = path.read_bytes()
    for at in range(0, len(data), 7):  # any byte of it
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(Refused, match="changed after"):
            fleet.load(path, net)
    path.write_bytes(data + b"\n")
    with pytest.raises(Refused):
        fleet.load(path, net)
    path.write_bytes(data)
    for bad in ("", "x", good.replace("v1", "v2"), good[:-5], good.replace(" ", "  x ")):
        sig.write_text(bad)
        with pytest.raises(Refused):
            fleet.load(path, net)
    other = Network.create("other")
    fleet.sign(path, other)
    with pytest.raises(Refused, match="another network"):
        fleet.load(path, net)
    # the right name over another's signature does not help
    words = sig.read_text().split()
    sig.write_text(" ".join([words[0], net.owner_public.hex(), words[2]]))
    with pytest.raises(Refused, match="changed after"):
        fleet.load(path, net)


@pytest.fixture
def journal(path, net):
    fleet.sign(path, net)
    return lambda: Journal(fleet.load(path, net))


def test_rows_go_to_their_board_or_the_next_one(journal):
    j = journal()
    assert j.row_for("246f28aabbcc").name == "porch"
    row = j.row_for("aa0000000001")
    assert row.name == "barn-1"
    j.add(row, "aa0000000001", "begun")
    assert j.row_for("aa0000000001").name == "barn-1"  # the same board goes on
    assert j.row_for("aa0000000002").name == "barn-2"
    j.add(row, "aa0000000001", "done", node="ab")
    again = journal()  # a later run
    assert again.row_for("aa0000000001") is None
    assert [r.name for r in again.left] == ["porch", "barn-2"]
    again.add(again.row_for("aa0000000002"), "aa0000000002", "begun")
    with pytest.raises(ToolError, match=r"barn-2 \(aa0000000002\) began"):
        again.row_for("aa0000000003")
    again.add(again.left[1], "aa0000000002", "done")
    with pytest.raises(ToolError, match="no row for the board"):
        again.row_for("aa0000000003")
    assert stat.S_IMODE(again.path.stat().st_mode) == 0o600
    assert "password" not in again.path.read_text()


def test_half_a_line_of_a_journal_is_ignored(journal):
    j = journal()
    j.add(j.row_for("aa0000000001"), "aa0000000001", "done")
    with j.path.open("a") as f:
        f.write('{"row": "barn-2", "boa')
    j = journal()
    assert [r.name for r in j.left] == ["porch", "barn-2"]
    j.add(j.row_for("aa0000000002"), "aa0000000002", "done")
    assert [r.name for r in journal().left] == ["porch"]


# -- Improv's client


def test_the_client_and_the_device_write_the_same_bytes():
    assert encode(3, b"\x02\x00") == bytes.fromhex("494d50524f5601030202" + "00e5") + b"\n"
    assert encode(STATE, b"\x02")[:-1] == codec.packet(codec.T_STATE, b"\x02")
    result = codec.result(codec.W_SCAN, [b"home", b"-50", b"YES"])
    assert strings(result) == ["home", "-50", "YES"]


def test_the_decoder_tells_packets_from_lines():
    d = Decoder()
    ok = encode(ERROR, b"\x00")
    stream = b"boot\r\nL4 IMPROV is text\n" + ok + b">>> " + ok + b"tail\n"
    got = []
    for k in range(len(stream)):
        got += d.feed(stream[k : k + 1])
    assert got == [(ERROR, b"\x00")] * 2
    assert list(d.lines) == ["boot", "L4 IMPROV is text", "tail"]
    damaged = ok[:-2] + bytes([ok[-2] ^ 1]) + b"\n"
    assert Decoder().feed(damaged + ok) == [(ERROR, b"\x00")]
    whole = encode(RESULT, b"\x01\xfd" + os.urandom(253))
    assert Decoder().feed(whole)[0][0] == RESULT


def test_the_decoder_takes_anything():
    rng = random.Random(5)
    d = Decoder()
    ok = encode(STATE, b"\x04")
    for _ in range(2000):
        d.feed(rng.randbytes(rng.randrange(40)))
    found = d.feed(b"\n" * 300 + ok)
    assert found[-1] == (STATE, b"\x04")


def test_journal_lines_are_json(journal):
    j = journal()
    j.add(j.row_for("aa0000000001"), "aa0000000001", "done", node="ab", tier=None)
    entry = json.loads(j.path.read_text())
    assert entry["row"] == "barn-1" and entry["tier"] is None
