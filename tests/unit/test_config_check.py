from l4mesh.config_check import checked


def _checked(given):
    return dict(checked(given))


def _bad(given):
    """The sentence with which `given` is refused."""
    try:
        checked(given)
    except ValueError as e:
        text = str(e)
        assert text[-1] == "." and "\n" not in text
        return text
    raise AssertionError("taken: %r" % (given,))


def test_every_number_is_held_to_its_bounds():
    c = _checked({})
    numbers = [n for n in c if isinstance(c[n], int) and not isinstance(c[n], bool)]
    assert len(numbers) > 20
    for key in numbers:
        for bad in (-1, 1 << 29):
            assert _bad({key: bad}).startswith(key + " must be a whole number from ")


def test_pins_may_be_null():
    assert _checked({"battery_pin": None})["battery_pin"] is None
    assert _checked({"button_pin": 0})["button_pin"] == 0 and _checked({})["button_pin"] is None
    assert _checked({})["ble_name"] is False
    assert _checked({"led_pin": 2})["led_pin"] == 2
    assert "null" in _bad({"battery_pin": "34"})


def test_yes_and_no_are_booleans():
    assert _checked({"volatile": True})["volatile"] is True
    for bad in (1, 0, "true", None):
        assert _bad({"volatile": bad}).startswith("volatile must be true or false, not ")


def test_choices():
    for mode in ("auto", "passive", "standard", "active"):
        assert _checked({"mode": mode})["mode"] == mode
    assert _bad({"mode": "fast"}) == (
        "mode must be one of auto, passive, standard, active, not 'fast'."
    )
    assert _checked({"relay": "auto"})["relay"] == "auto"
    for bad in (True, ["never"], None, "on", {}):
        assert _bad({"relay": bad}).startswith("relay must be one of auto, never")


def test_texts_and_addresses():
    assert _checked({"name": "x" * 32})["name"] == "x" * 32
    assert "32 bytes" in _bad({"name": "x" * 33})
    assert "32 bytes" in _bad({"name": "\u00e9" * 17})
    for bad in ("123", "1234567g", "123456789", 12345678):
        assert "8 hex digits" in _bad({"network": bad})
    for good in ("1.2.3.4:1883", "example.org:1883", "mqtt-1:8883", ""):
        assert _checked({"mqtt": good})["mqtt"] == good
    for bad in ("1.2.3.4", 5, "1.2.3:5", "a..b:1", "-a:1", "a b:1", "a:0", "a:65536", "a:b", ":1"):
        assert "192.168.1.5:1883" in _bad({"mqtt": bad})
    for bad in ("192.168.1.1", "224.0.0.1", "239.1.1", "239.1.1.1:5", ""):
        assert "239.76.52.1" in _bad({"group": bad})


def test_passwords_are_never_shown():
    for key, bad in (("mqtt_password", 5), ("mqtt_password", "geheim" * 30), ("wifi", "geheim")):
        text = _bad({key: bad})
        assert text.startswith(key + " must be ") and "geheim" not in text and "5" not in text


def test_tls_needs_a_ca():
    assert "mqtt_ca" in _bad({"mqtt_tls": True}) and "mqtt_ca" in _bad(
        {"mqtt_tls": True, "mqtt_ca": ""}
    )
    given = {"mqtt": "broker.lan:8883", "mqtt_tls": True, "mqtt_ca": "/ca.pem", "mqtt_user": "u"}
    for key in given:
        assert _checked(given)[key] == given[key]


def test_upstream():
    for bad in (
        "10.0.0.1:4104",
        ["10.0.0.1:4104"],
        [["3", "10.0.0.1:4104"]],
        [[4, "10.0.0.1:4104"]],
        [[0, "10.0.0.1:4104"]],
        [[3, "10.0.0.1"]],
        [[3, "10.0.0.1:4104", 1]],
        [[3, 5]],
        [3],
        {"3": "10.0.0.1:4104"},
    ):
        assert "[tier," in _bad({"upstream": bad})


def test_an_unknown_key_names_the_nearest():
    for key, near in (
        ("upstrem", "upstream"),
        ("hello_max", "hello_max_s"),
        ("rise_batery", "rise_battery"),
        ("prot", "port"),
        ("modes", "mode"),
        ("wfi", "wifi"),
        ("grup", "group"),
        ("sensors_interval_s", "interval_s"),
        ("quota", "quota_per_s"),
        ("limit", "limits"),
    ):
        assert _bad({key: 1}) == "%s is no setting; the nearest is %s." % (key, near)
    assert "is no setting" in _bad({"": 1})
    assert "is no setting" in _bad({"\u00fc": 1})


def test_values_must_not_contradict_each_other():
    text = _bad({"fall_battery": 60})
    assert text == "fall_battery is 60, but must be below rise_battery, which is 60."
    for given, names in (
        ({"critical_battery": 40}, ("critical_battery", "fall_battery")),
        ({"rise_battery": 30}, ("fall_battery", "rise_battery")),
        ({"rise_heap_kib": 20}, ("fall_heap_kib", "rise_heap_kib")),
        ({"critical_heap_kib": 30}, ("critical_heap_kib", "fall_heap_kib")),
        ({"hello_min_s": 10, "hello_max_s": 10}, ("hello_min_s", "hello_max_s")),
    ):
        for name in names:
            assert name in _bad(given)
    assert _checked({"fall_battery": 59})["fall_battery"] == 59


def test_a_node_that_sleeps_is_passive():
    for mode in ("standard", "active"):
        assert "sleep_s" in _bad({"sleep_s": 60, "mode": mode})
    for mode in ("auto", "passive"):
        assert dict(checked({"sleep_s": 60, "mode": mode}))["sleep_s"] == 60
    assert "65000" in _bad({"sleep_s": 65001})
