import json

from l4mesh.config import Config
from l4mesh.modes import Modes
from l4mesh.modes_text import why
from l4mesh.prng import XorShift
from l4mesh.ring import Events


def _modes(config=None, host=False):
    given = {"relay": "auto"}
    given.update(config or {})
    return Modes(Config(given), host, XorShift(1), Events(8))


def test_before_the_first_sample():
    assert why(_modes(), 0) == {
        "mode": "passive",
        "relay": "off",
        "up": "No sample was taken yet.",
    }


def test_everything_is_json_of_small_size():
    m = _modes()
    m.sample(0, {"wifi": True, "battery": 30, "heap_free": 1000, "heap_largest": 5})
    text = json.dumps(why(m, 0))
    assert len(text) < 700
    assert json.loads(text)["mode"] == "passive"


def test_all_that_is_in_the_way_is_named():
    m = _modes()
    m.sample(0, {"wifi": False, "battery": 30, "heap_free": 10240, "heap_largest": 2048})
    assert why(m, 0)["up"] == (
        "wifi is 0 and must be 1 or more; battery is 30 and must be 60 or more; "
        "heap_kib is 10 and must be 40 or more; largest_kib is 2 and must be 24 or more, "
        "at 3 judgements in a row."
    )


def test_why_a_host_is_not_active():
    m = _modes(host=True)
    m.sample(0, {"wifi": True, "mains": True, "mem_free_mib": 900, "requests": 10, "hits": 1})
    text = why(m, 0)["active"]
    for part in ("requests is 10 and must be 101", "hits_pct is 10 and must be 51"):
        assert part in text
    assert "free_mib is 900 and must be 1025" in text
    assert "host" not in text and "wifi" not in text


def test_nothing_in_the_way():
    m = _modes({"judge_s": 10})
    m.sample(0, {"wifi": True, "battery": 50})
    m.sample(1000, {"wifi": True, "battery": 60})
    out = why(m, 1000)
    assert out["up"] == "Nothing is in the way of standard, judgement by judgement."
    assert out["wish"] == "standard" and out["confirmed"] == "0 of 3"
    assert "change_ms" not in out
    m.poll(10000)
    assert why(m, 10000)["confirmed"] == "1 of 3"


def test_vetoes_name_the_key():
    for config, host, key, active in (
        ({"mode": "passive"}, True, "mode: passive", "mode: passive"),
        ({"relay": "never"}, True, "relay: never", "relay: never"),
        ({"mode": "standard", "relay": "never"}, True, "relay: never", "mode: standard"),
    ):
        m = _modes(config, host)
        m.sample(0, {"wifi": True, "mains": True})
        assert why(m, 0)["up"] == key + " in the config keeps it here."
        assert why(m, 0)["active"] == active + " in the config keeps it here."
