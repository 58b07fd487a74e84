"""Names and announcements for Home Assistant; test_ha.py holds these against the rules."""

import json

from l4mesh.ha_text import config, slug


def test_slugs():
    assert slug("temperature", []) == "temperature"
    assert slug("a.b", []) == "a_b" and slug("a_b", ["a_b"]) == "a_b_2"
    assert slug("ü", []) == "_" and slug("ö", ["_", "__2"]) == "__3"
    long = slug("x" * 60, [])
    assert len(long) == 40 and len(slug("x" * 60, [long])) <= 40


class Source:
    name = 'a "b"'
    unit = "\u00b0C"
    kind = "temperature"
    total = False


def doc(*more):
    return json.loads(config("ff", ("porch", "ESP32", "1"), "a__b_", Source, *more).decode())


def test_announcements():
    d = doc(True, False, 0)
    assert d["name"] == 'a "b"' and d["unit_of_meas"] == "\u00b0C" and d["avty_t"] == "~/status"
    assert d["stat_cla"] == "measurement" and "ent_cat" not in d and d["exp_aft"] == 180
    d = doc(False, True, 60)
    assert "stat_cla" not in d and d["ent_cat"] == "diagnostic"
    assert d["exp_aft"] == 180 and "avty_t" not in d
