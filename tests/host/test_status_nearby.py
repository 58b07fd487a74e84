"""`l4 status NODE --nearby`: rows and counts as people see them."""

from l4tools.commands.status import nearby_rows, tidy


def test_rows():
    said = {
        "nearby": [
            ["a1b2c3d4e5f60718", "lan", 3, -61, "standard", "10.0.0.7:4104", 1, 1],
            ["", "ble", 12, -80, "passive", "0.0.0.0:0", 0, 0],
        ],
        "counts": {"taken": 9},
    }
    rows = nearby_rows(said, {"a1b2c3d4e5f60718": "porch"})
    assert rows[0] == {
        "name": "porch", "node": "a1b2c3d4e5f60718", "path": "lan", "heard_s": 3, "dbm": -61,
        "mode": "standard", "address": "10.0.0.7:4104", "uplink": True, "met": True,
    }  # fmt: skip
    assert rows[1]["node"] is None and rows[1]["name"] is None and rows[1]["address"] is None
    assert rows[1]["met"] is False and rows[1]["path"] == "ble"
    assert nearby_rows({}, {}) == []  # it has no Bluetooth


def test_counts_that_are_not_zero():
    doc = tidy({"id": "x", "nearby_list": [1], "nearby_counts": {"taken": 4, "forged": 0}})
    assert doc == {"id": "x", "nearby_counts": {"taken": 4}}
