"""`l4 mesh up --ble --no-wifi`: boards with Bluetooth, some of them without WiFi, which comes."""

import json

from l4tools import cli
from l4tools.mesh import client
from l4tools.mesh.nearby import place_of, radio_word, without_wifi
from l4tools.mesh.place import Place
from test_mesh_daemon import home, order, until  # noqa: F401  (a fixture)


def test_the_part_without_wifi_is_spread_and_never_the_first():
    names = ["b%d" % k for k in range(6)]
    assert without_wifi(names, 0) == []
    assert without_wifi(names, 0.5) == ["b1", "b3", "b5"]
    assert without_wifi(names, 0.9) == ["b1", "b2", "b3", "b4", "b5"]
    assert without_wifi(names[:1], 0.9) == []


def test_places_and_words():
    assert place_of("10.77.1.11") == (0, 0)
    assert place_of("10.77.3.13") == (80, 16)
    assert radio_word(None) is None
    assert radio_word({"share": 0.2512, "adverts": 7}) == {"on_percent": 25.1, "adverts": 7}


def test_a_mesh_with_bluetooth_and_a_board_that_gets_wifi_later(home, capsys):  # noqa: F811
    here = Place("small")
    client.start(here, order(home, boards=2, ble=True, no_wifi=0.5, heap=0))
    try:
        state = client.wait_joined(here, 60, lambda text: None)
        one, two = state["boards"]
        assert one["wifi"] and not two["wifi"] and two["joined_ms"] is None
        talks = lambda: all(b["bluetooth"]["adverts"] > 3 for b in client.state(here)["boards"])
        until(talks)
        assert 0 < client.state(here)["boards"][1]["bluetooth"]["on_percent"] <= 100
        assert cli.main(["mesh", "wifi", "lan1-2", "on", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["wifi"] is True
        until(lambda: client.state(here)["boards"][1]["joined_ms"] is not None)
        assert cli.main(["mesh", "wifi", "lan1-9", "on"]) == 3
        assert "There is no board lan1-9" in capsys.readouterr().err
    finally:
        client.stop(here)
