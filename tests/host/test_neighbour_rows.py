"""`l4 status NODE --neighbours`: rows as people see them; why a board without WiFi is silent."""

from types import SimpleNamespace

from l4tools.commands.status import neighbour_rows
from l4tools.mesh.way import Target, Way


def row(address, path):
    return ["a1b2c3d4e5f60718", address, path, "standard", 255, 3, 78, 1, 0, 40, 0]


def test_columns_begin_with_who_and_where():
    (got,) = neighbour_rows([row("10.0.0.7:4104", "lan")], {"a1b2c3d4e5f60718": "porch"})
    assert list(got)[:4] == ["name", "node", "address", "path"]
    assert got["name"] == "porch" and got["address"] == "10.0.0.7:4104"
    assert got["battery"] is None and got["rtt_ms"] == 7.8 and got["sleeps"] is False


def test_a_link_is_no_address():
    for path, inner in (("ble", "0.2.95.69:50807"), ("way", "0.1.3.4:7")):
        (got,) = neighbour_rows([row(inner, path)], {})
        assert got["address"] is None and got["path"] == path


def test_an_older_node_says_less_and_a_tier_something_else():
    old = row("10.0.0.7:4104", "lan")[:8]
    (got,) = neighbour_rows([old], {})
    assert got["loss_pct"] is None and got["hello_s"] is None and got["signed"] is True
    assert neighbour_rows([[1, True, 40]], {}) == [{"tier": 1, "up": True, "rtt_ms": 40}]


def board(**more):
    return {"name": "lan1-3", "state": "running", "wifi": True, **more}


def test_silence_without_wifi_is_told_apart():
    target = Target(bytes(16), "lan1-3", None)

    def why(b):
        return str(Way.silent(SimpleNamespace(mesh={"boards": [b], "cuts": []}), target))

    assert why(board(wifi=False)).startswith("lan1-3 has no WiFi")
    assert "l4 mesh wifi lan1-3 on" in why(board(wifi=False))
    assert "although it runs" in why(board())
    assert why(board(state="off", wifi=False)).startswith("lan1-3 is off")
