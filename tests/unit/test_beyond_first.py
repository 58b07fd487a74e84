"""What settings load at the start, and what a sign of a NAT loads later (beyond_start.py)."""

import beyond_start
import console
from kit import bare_node
from l4mesh.ways import Ways

SEEN = b"\xcb\x00\x71\x07\x9c\x40"
UP = [[3, "10.77.0.13:4113"], [1, "10.77.0.11:4111"]]


class Part:
    def __init__(self, **more):
        for k in more:
            setattr(self, k, more[k])


class S:
    def __init__(self, **config):
        self.node = bare_node(1, linked=True, upstream=UP, **config)
        self.jobs = []
        self.runner = Part(add=self.jobs.append)
        self.wlan = Part(ifconfig=lambda: ("10.77.1.2", "255.255.255.0", "10.77.1.1", "0.0.0.0"))
        self.wifi = Part(up=True)
        self.board = Part(signals=lambda: {"mains": True})
        self.node.sockets = Part()
        self.said = []
        say = console.say
        console.say = self.said.append
        try:
            beyond_start.first(self)
        finally:
            console.say = say

    def look(self, now):
        say = console.say
        console.say = self.said.append
        try:
            return [f(now) for f in self.jobs]
        finally:
            console.say = say


def test_always():
    s = S(nat="always")
    assert s.look(1000) == [2000] and s.node.ways is None
    s.node.member.joined = True
    s.look(3000)
    assert isinstance(s.node.ways, Ways) and s.node.ways.asks.keep and s.node.nat is not None
    assert s.said == ["behind a NAT: reachable by assistants and relays"]
    s.look(5000)
    assert len(s.said) == 1


def test_a_nat_that_is_seen():
    s = S()
    s.node.own.set_endpoints(s.node.own.lan, SEEN)
    s.look(1000)
    assert s.node.ways.asks.keep


def test_a_relay_for_others():
    s = S(udp_relay=True, nat="never")
    assert s.node.ways.relay.places == 0 and not s.jobs and s.node.own.caps & 4


def test_the_router():
    s = S()
    assert beyond_start.gateway(s) == b"\x0a\x4d\x01\x01"
    s.wifi.up = False
    assert beyond_start.gateway(s) is None


def test_no_room():
    s = S(nat="always")
    s.node.member.joined = True
    had = beyond_start._sockets

    def none(s):
        raise MemoryError

    beyond_start._sockets = none
    try:
        s.look(1000)
        s.look(3000)
    finally:
        beyond_start._sockets = had
    assert (
        len(s.said) == 1 and s.said[0][:24] == "behind a NAT, and no roo" and s.node.ways is None
    )
