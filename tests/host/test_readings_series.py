"""Readings as people get them, from a real JetStream: order, dates, predicted values, formats."""

import asyncio
import csv
import io
import json
import re
import subprocess

import pytest
from l4mesh.predict import Predictor
from l4tools.paths import tool
from l4tools.readings import formats
from l4tools.readings.clocks import CONTROL, KNOWN
from l4tools.readings.series import Live, Reading, parse, series
from l4tools.upstream.readings import Readings
from natsbed import node, run, server

T = 1_800_000_000_000
QUEUE, OTHER = b"queue--1", b"queue--2"


def encoded(text, time=T, flags=KNOWN, error_s=1):
    return bytes([flags]) + time.to_bytes(6, "big") + error_s.to_bytes(2, "big") + text.encode()


def predicted(values, every=10, band=0.5, name="t"):
    """What a board sends of these values."""
    p, out = Predictor(band, every), []
    for i, v in enumerate(values):
        if p.due(v):
            text = "%s=%.6g °C%s" % (name, v, p.suffix(v))
            out.append(encoded(text, T + i * every * 1000))
            p.sent()
    return out


@pytest.fixture(scope="module")
def nats(tmp_path_factory):
    with server(tmp_path_factory.mktemp("series")) as nats:

        async def fill(js):
            store = Readings(js)
            await store.start()
            # An outage: what came after it (sequence 2..3) was sent first.
            await store.add(node(1), QUEUE, 2, [encoded("t=23 °C", T + 30000)])
            await store.add(
                node(1), QUEUE, 0, [encoded("t=21 °C", T), encoded("h=50 %", T + 9000)]
            )
            mark = encoded("#clock 0007 %d 500" % (T + 100000), T + 200000, KNOWN | CONTROL)
            early = [encoded("t=1 °C", 7 << 32 | 5000, 0), encoded("door=open", 8 << 32 | 9, 0)]
            await store.add(node(1), OTHER, 0, [*early, mark])
            await store.add(node(2), QUEUE, 0, predicted([20.0] * 9 + [22.0]))

        run(nats, fill)
        yield nats


def get(nats, **query):
    async def test(js):
        return await series(Readings(js), **query)

    return run(nats, test)


def test_by_time_whatever_the_order_of_arrival(nats):
    got = get(nats, node=node(1))
    assert [(r.sensor, r.value) for r in got if r.queue == QUEUE] == [
        ("t", 21.0), ("h", 50.0), ("t", 23.0),
    ]  # fmt: skip
    dated = [r for r in got if r.queue == OTHER]
    by_name = {r.sensor: r for r in dated}
    assert by_name["t"].time_ms == T + 105000 and by_name["t"].error_ms == 500
    assert by_name["door"].time_ms is None and by_name["door"].value == "open"
    assert by_name["door"].latest_ms == T + 201000
    assert not any(r.sensor.startswith("#") for r in got)
    assert [r.order for r in got] == sorted(r.order for r in got)


def test_values_that_a_line_told_are_there_and_marked(nats):
    got = get(nats, node=node(2))
    assert [round((r.time_ms - T) / 10000) for r in got] == list(range(10))
    assert [r.predicted for r in got] == [False] + [True] * 8 + [False]
    assert all(abs(r.value - 20) <= 0.5 for r in got[:9]) and got[9].value == 22
    assert len(get(nats, node=node(2), predicted=False)) == 2


def test_queries(nats):
    assert {r.sensor for r in get(nats, sensor="h")} == {"h"}
    got = get(nats, node=node(1), since_ms=T + 1, until_ms=T + 20000)
    assert [r.sensor for r in got if r.time_ms] == ["h"]
    # One whose time is not known may lie in any window that its span reaches.
    assert [r.sensor for r in got if not r.time_ms] == ["door"]
    assert get(nats, node=node(9)) == []


def test_live_ones_come_as_they_are_stored(nats):
    async def test(js):
        store = Readings(js)
        await store.start()
        async with Live(store, node(3)) as live:
            await store.add(node(4), QUEUE, 0, [encoded("x=1")])
            await store.add(node(3), QUEUE, 0, predicted([1.0] * 3 + [9.0]))
            return [await asyncio.wait_for(live.next(), 20) for _ in range(4)]

    got = run(nats, test)
    assert [(r.value, r.predicted) for r in got] == [
        (1.0, False), (1.0, True), (1.0, True), (9.0, False),
    ]  # fmt: skip


def test_parse():
    assert parse("t=21.5 °C") == ("t", 21.5, "°C")
    assert parse("t=-1e-3") == ("t", -0.001, "")
    assert parse("door=half open") == ("door", "half open", "")
    assert parse("n=1_0") == ("n", "1_0", "") and parse("n=nan") == ("n", "nan", "")
    assert parse("just text") == ("", "just text", "")
    # Beyond a float: as a number it would be Infinity, which is no JSON and no line protocol.
    assert parse("n=1e999 V") == ("n", "1e999 V", "") and parse("n=-1e999") == ("n", "-1e999", "")


def one(**change):
    r = Reading(node(1), QUEUE, 5, "t", 21.5, "°C", T, 1000, T - 1000, T + 1000, False, False)
    return r._replace(**change)


def test_csv_is_read_back_by_a_library():
    rows = [one(), one(value='say "x", y', unit="", time_ms=None), one(sensor="=1+1", value="@x")]
    lines = list(formats.to_csv(rows))
    assert len(lines) == 4 and lines[0].startswith("time,node,")  # printed one by one
    text = "\n".join(lines)
    back = list(csv.DictReader(io.StringIO(text)))
    assert back[0]["time"] == "2027-01-15T08:00:00.000Z" and float(back[0]["value"]) == 21.5
    assert back[1]["value"] == 'say "x", y' and back[1]["time"] == ""
    assert back[1]["earliest"] and back[2]["sensor"] == "'=1+1" and back[2]["value"] == "'@x"


def test_line_protocol():
    lines = list(formats.to_line([
        one(), one(time_ms=None), one(sensor="a b,c", value='x "y"', unit=""), one(predicted=True),
    ]))  # fmt: skip
    assert len(lines) == 3  # what has no time would become one of now
    assert re.fullmatch(
        r"l4,node=[0-9a-f]{32},sensor=t,unit=°C value=21.5,predicted=false \d{19}", lines[0]
    )
    assert r"sensor=a\ b\,c" in lines[1] and r'text="x \"y\""' in lines[1]
    assert "predicted=true" in lines[2]


def test_times_beyond_any_calendar_are_shown_as_they_are():
    assert formats.when((1 << 48) - 1).endswith("ms")
    assert formats.when(0) == "1970-01-01T00:00:00.000Z" and formats.when(None) is None


def l4(nats, *args):
    url = nats.url.replace("nats://", "nats://%s:%s@" % (nats.user, nats.password))
    argv = [tool("l4"), "readings", "--nats", url, *args]
    made = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    return made.returncode, made.stdout, made.stderr


def test_the_verb(nats, tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    short = node(2).hex()[:16]
    code, out, err = l4(nats, short, "--all")
    assert code == 0, err
    assert out.count("predicted") == 8 and "20" in out and "°C" in out
    code, out, _ = l4(nats, short, "--tail", "3", "--json")
    rows = json.loads(out)
    assert code == 0 and len(rows) == 3 and rows[-1]["value"] == 22.0
    code, out, _ = l4(nats, "--csv")
    assert code == 0 and len(list(csv.DictReader(io.StringIO(out)))) >= 15
    code, out, _ = l4(nats, "--line-protocol", "--sensor", "h")
    assert code == 0 and out.startswith("l4,node=")
    code, out, _ = l4(nats, short, "--plot")
    assert code == 0 and "t in °C" in out and "┤" in out
    assert l4(nats, "ffff")[0] == 3
    assert l4(nats, "--since", "yesterday")[0] == 2
    assert l4(nats, "--csv", "--plot")[0] == 2
    code, out, _ = l4(nats, "--since", "2100-01-01")
    assert code == 0 and "door" in out or "No readings" in out


def test_without_an_upstream_it_says_where_to_look(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    argv = [tool("l4"), "readings"]
    made = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert made.returncode == 4 and "--nats" in made.stderr
