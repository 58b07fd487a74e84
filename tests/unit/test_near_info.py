"""What is told of neighbours by Bluetooth."""

import json

from l4mesh.near_ask import met
from test_nearby import One


def test_topic_7():
    a, b, c = One(1), One(2), One(3)
    a.knows(b)
    b.node.reach.up = True
    c.node.link.local = bytes(6)
    b.to(a, 1000)
    c.to(a, 2000)
    met(a.near, 0, b.node.short_id, bytes(136), 0, 2500)
    doc = json.loads(json.dumps(a.near.document(5000)))
    rows = sorted(doc["nearby"], key=lambda r: r[2])
    assert rows[0] == ["", "ble", 3, -60, "standard", "0.0.0.0:0", 0, 0]
    name = "".join("%02x" % x for x in b.node.short_id)
    assert rows[1] == [name, "ble", 4, -60, "standard", "10.77.1.2:4104", 1, 1]
    assert doc["counts"]["taken"] == 2 and doc["counts"]["replay"] == 0
    assert set(doc) == {"nearby", "counts", "said"}


def test_rows_of_the_neighbours_only_bluetooth_knows():
    a, b, c = One(1), One(2), One(3)
    a.knows(b)
    i = a.node.peers.add(c.node.short_id, bytes(6), 1, 1, 0)
    a.node.peers.set_flag(i, 2)
    b.to(a, 1000)
    c.to(a, 1000)
    One(4).to(a, 1000)  # without a name
    rows = a.near.rows(9000)
    assert [r[1:] for r in rows] == [
        ["10.77.1.2:4104", "ble", "standard", 255, 8, 0, 0, -1, 30, 0]
    ]
