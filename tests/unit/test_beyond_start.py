"""What a board has once it saw that it is behind a NAT."""

import beyond_start
from kit import bare_node
from l4mesh.nat_life import NatLife
from l4mesh.natcheck import NatCheck
from l4mesh.portmap import PortMap
from test_portmap import AT, Router

UP = [[3, "10.77.0.13:4113"]]


class Runner:
    poller = None


class Wlan:
    up = True
    router = "192.168.1.1"

    def ifconfig(self):
        return ("192.168.1.23", "255.255.255.0", self.router, "8.8.8.8")


class Board:
    def __init__(self, mains):
        self.mains = mains

    def signals(self):
        return {"mains": self.mains}


class S:
    def __init__(self, mains=True):
        self.node = bare_node(1, linked=True, upstream=UP)
        self.runner = Runner()
        self.wlan = self.wifi = Wlan()
        self.board = Board(mains)


def of(node, kind):
    return [m for m in node.late if isinstance(m, kind)]


def test_on_mains():
    s = S()
    beyond_start.stand(s, 0)
    assert isinstance(s.node.nat, NatCheck) and s.node.sockets is not None
    assert len(of(s.node, PortMap)) == 1 and not of(s.node, NatLife)
    assert s.node.notes["router"]() == "the router was not asked yet"
    assert s.node.notes["nat"]() == "not known yet"
    assert s.node.reach.every_ms == 20000


def test_on_battery_it_learns_how_seldom_it_may_ping():
    s = S(False)
    beyond_start.stand(s, 0)
    (life,) = of(s.node, NatLife)
    life.on_change(44000, 0)
    assert s.node.reach.every_ms == 44000


def test_the_router_is_that_of_the_wifi():
    s = S()
    s.wifi.up = True
    assert beyond_start.gateway(s) == b"\xc0\xa8\x01\x01"
    s.wlan.router = "0.0.0.0"
    assert beyond_start.gateway(s) is None
    s.wlan.router = "192.168.1.1"
    s.wifi.up = False
    assert beyond_start.gateway(s) is None


class Socks:
    """In place of node.sockets: a home router answers."""

    def __init__(self):
        self.router = Router()
        self.said = None

    def open(self, port, take):
        self.take = take
        return self

    def send(self, buf, n, addr):
        assert addr == AT
        self.said = self.router.answer(bytes(buf[:n]))
        return True

    def close(self):
        pass


def test_what_the_router_maps_counts_as_fixed():
    s = S()
    s.node.link.local = b"\xc0\xa8\x01\x17\x10\x08"
    s.node.sockets = socks = Socks()
    beyond_start.stand(s, 0)
    told = []
    s.node.nat.fixed = told.append
    (pm,) = of(s.node, PortMap)
    pm.poll(0)
    socks.take(socks.said, len(socks.said), AT, 10, socks)
    assert told == [b"\xc6\x12\x00\x07\x10\x08"] and "maps 198.18.0.7" in pm.why()
