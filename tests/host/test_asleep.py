"""Silence explained: who sleeps is told from who is gone; whom a tier tells about whom."""

import asyncio
from types import SimpleNamespace

from l4mesh.endpoint import parse_endpoint
from l4mesh.record import CAP_SLEEPS, O_CAPS, SIZE
from l4tools.errors import Unavailable
from l4tools.mesh.asleep import asleep
from l4tools.mesh.way import Target
from l4tools.upstream.near import Near

NAP = Target(bytes(range(16)), "nap", parse_endpoint("10.77.1.12:4104"))
UP = Target(bytes(range(16, 32)), "up", parse_endpoint("10.77.1.11:4104"))
FAR = Target(bytes(range(32, 48)), "far", parse_endpoint("10.77.1.13:4104"))
L1 = Target(bytes(range(48, 64)), "l1", parse_endpoint("10.77.0.1:4104"), 1)
ELSEWHERE = Target(bytes(range(64, 80)), "flashed", None)


class Asked:
    """A host node: what its neighbours say, and what the authority has."""

    def __init__(self, rows, record=None):
        self.rows, self.record, self.asked = rows, record, []

    async def info(self, node_id, topic, timeout_s, addr):
        assert topic == "neighbours"
        self.asked.append(node_id)
        if node_id not in self.rows:
            raise Unavailable("It is silent. Try again.")
        return self.rows[node_id]

    async def lookup(self, node_id, timeout_s):
        return SimpleNamespace(record=self.record)


def row(target, heard_s, every_s, sleeps=1, path="lan"):
    short = target.id.hex()[:16]
    return [short, "10.77.1.12:4104", path, "passive", 80, heard_s, 0, 1, 0, every_s, sleeps]


def ask(rows, record=None, target=NAP):
    way = SimpleNamespace(known=lambda: [L1, NAP, UP, FAR, ELSEWHERE])
    n = Asked(rows, record)
    return asyncio.run(asleep(way, n, target)), n


def test_who_heard_it_last_says_when_it_is_back():
    said, n = ask({UP.id: [row(NAP, 400, 652)], FAR.id: [row(NAP, 30, 652), row(UP, 1, 60, 0)]})
    assert said.doc == {"asleep": True, "back_s": 622, "heard_s": 30, "by": "far"}
    assert str(said) == "nap sleeps, back in 622 s (far heard it 30 s ago). Ask again then."
    assert n.asked == [UP.id, FAR.id]  # no tier, not itself, nobody without an address


def test_one_that_is_late_is_back_at_once_and_not_in_the_past():
    said, _ = ask({UP.id: [row(NAP, 700, 652)]})
    assert said.doc["back_s"] == 0


def test_one_that_is_only_silent_is_no_sleeper():
    for rows in ({}, {UP.id: [row(NAP, 5, 60, 0)]}, {UP.id: [row(NAP, 5, 30, 1, "ble")]},
                 {UP.id: [[NAP.id.hex()[:16], "x", "lan", "passive", 1, 1, 1, 1]]},
                 {UP.id: []}):  # fmt: skip
        assert ask(rows)[0] is None
        assert ask(rows, bytes(SIZE))[0] is None


def test_the_record_says_so_when_nobody_near_does():
    record = bytearray(SIZE)
    record[O_CAPS + 1] = CAP_SLEEPS
    said, _ = ask({}, bytes(record))
    assert said.doc["asleep"] and said.doc["back_s"] is None and "not known here" in str(said)


def at(text):
    return parse_endpoint(text)


def test_a_tier_tells_of_those_behind_the_same_address_only():
    near = Near()
    here, there = at("203.0.113.7:40000"), at("203.0.113.8:40000")
    near.joined(b"a", at("192.168.1.2:4104"), here)
    near.joined(b"b", at("192.168.1.3:4104"), at("203.0.113.7:40001"))
    near.joined(b"c", at("192.168.1.4:4104"), there)  # another home
    near.joined(b"d", at("192.168.2.5:4104"), here)  # another network of this home
    near.joined(b"e", bytes(6), here)
    near.joined(b"f", at("192.168.1.9:4104"), bytes(6))  # by MQTT: its address is not known
    assert near.others(b"a") == ["192.168.1.3:4104"] and near.others(b"c") == []
    assert near.others(b"f") == near.others(b"nobody") == []


def test_without_a_nat_the_network_itself_is_the_place():
    near = Near()
    for k in range(1, 40):
        addr = at("10.77.1.%d:4104" % k)
        near.joined(bytes((k,)), addr, addr)
    near.joined(b"spoof", at("10.77.1.99:4104"), at("198.51.100.1:5000"))
    told = near.others(b"\x05")
    assert told[0] == "10.77.1.39:4104" and len(told) == 16 and "10.77.1.99:4104" not in told
    assert near.others(b"spoof") == []


def test_it_remembers_so_many_and_no_more():
    near = Near()
    for k in range(5000):
        near.joined(k.to_bytes(8, "big"), at("10.77.1.7:4104"), at("10.77.1.7:4104"))
    assert len(near._all) == 4096 and near.others((3).to_bytes(8, "big")) == []
