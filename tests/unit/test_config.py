import json

from l4mesh.config import BadConfig, Config
from l4mesh.endpoint import parse_endpoint


def _bad(given):
    """The sentence with which `given` is refused."""
    try:
        Config(given)
    except BadConfig as e:
        text = str(e)
        assert text[-1] == "." and "\n" not in text
        return text
    raise AssertionError("taken: %r" % (given,))


def test_defaults():
    c = Config({})
    assert c.name == "" and c.network == "" and c.mqtt == "" and c.port == 4104
    assert c.group == "239.76.52.1" and c.limits == {}
    assert c.upstream == [] and c.wifi == [] and c.tiers() == []
    assert c.mode == "auto" and c.relay == "auto" and c.cache == 50 and c.p2p == 4
    assert (c.hello_min_s, c.hello_max_s, c.lifetime_min) == (1, 60, 30)
    assert c.metered is False and c.volatile is False
    assert c.battery_pin is None and c.led_pin is None
    assert (c.rise_battery, c.fall_battery, c.critical_battery) == (60, 40, 15)
    assert (c.rise_heap_kib, c.fall_heap_kib, c.critical_heap_kib) == (40, 24, 12)
    assert c.largest_block_kib == 24
    assert (c.judge_s, c.window_s, c.confirm, c.jitter_s) == (300, 300, 3, 120)
    assert (c.demand_requests, c.demand_hits_pct, c.quota_per_s) == (100, 50, 2)
    assert (c.interval_s, c.queue_segments, c.log_level) == (10, 16, 2)
    assert (c.ble, c.ble_company) == ("auto", 65535)
    assert Config().port == 4104


def test_two_configs_share_no_list():
    a, b = Config(), Config()
    a.wifi.append(["x", ""])
    assert b.wifi == [] and Config().wifi == []


def test_a_whole_file():
    text = """{"name": "porch", "network": "00ff12Ab", "port": 5000, "mode": "standard",
    "upstream": [[3, "10.77.0.3:4104"], [1, "10.77.0.1:4104"]], "mqtt": "10.77.0.3:1883",
    "wifi": [["home", "correct horse"], ["open", ""]], "battery_pin": 34, "metered": true}"""
    c = Config(json.loads(text))
    assert c.name == "porch" and c.network == "00ff12Ab" and c.port == 5000
    assert c.tiers() == [
        (3, parse_endpoint("10.77.0.3:4104")),
        (1, parse_endpoint("10.77.0.1:4104")),
    ]
    assert c.wifi == [["home", "correct horse"], ["open", ""]]
    assert c.battery_pin == 34 and c.metered is True and c.mode == "standard"


def test_numbers_have_a_type_and_a_range():
    for bad in (80, 65536, -1, "4104", 4104.0, True, None, [], 1 << 40):
        text = _bad({"port": bad})
        assert text.startswith("port must be a whole number from 1024 to 65535, not ")
    for good in (1024, 65535):
        assert Config({"port": good}).port == good


def test_wifi_is_checked_and_its_passwords_never_shown():
    for bad in (
        [["home", "secret1"]],
        [["", "secret12"]],
        [["x" * 33, "secret12"]],
        [["home", "secret12", 3]],
        ["home", "secret12"],
        [["home", "s" * 64]],
        "secret12",
    ):
        text = _bad({"wifi": bad})
        assert text.startswith("wifi must be a list of [name, password]")
        assert "secret" not in text and "sss" not in text


def test_what_is_no_object_is_refused():
    for bad in ([], "text", 5, True):
        assert "object of keys" in _bad(bad)


def test_a_long_bad_value_does_not_flood_the_log():
    assert len(_bad({"name": "x" * 10000})) < 120
    assert len(_bad({"y" * 10000: 1})) < 120
