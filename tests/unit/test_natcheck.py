"""A node finds out what NAT it is behind, in a simulated Internet with real assistants."""

from kit import count, events
from l4mesh import counters as C
from l4mesh import natcheck
from l4mesh.endpoint import format_endpoint
from l4mesh.events import EV_MAPPED
from l4mesh.peers import P_REMOTE
from l4mesh.tiers import Tier
from natkit import Nat, Net

UNKNOWN, PUBLIC, FULL, RESTRICTED, PORT, SYMMETRIC, BLOCKED = range(7)
WAN = "198.18.0.7"


class Bed:
    def __init__(self, nat=None, helpers=3, ip="192.168.1.10", rtt=60, loss=0.0, seed=1, **more):
        self.net = net = Net(rtt, loss, seed=seed)
        self.node = net.node(1, nat, ip, **more)
        self.helpers = [net.node(10 + k, ip="198.18.0.%d" % (20 + k)) for k in range(helpers)]
        net.knows(self.node, self.helpers)
        self.changes = []
        self.check = natcheck.begin(self.node)
        self.check.on_change = lambda s, now: self.changes.append(s)

    def go(self, ms=20000):
        before = self.check.times
        self.check.check(self.net.tick())
        self.net.run(ms, lambda: self.check.times > before)
        assert self.check.times == before + 1 and not self.check.busy
        return self.check.summary


def kind(*nat, **more):
    s = Bed(Nat(WAN, *nat), **more).go()
    return s[0], s[1]


def test_the_cones():
    assert kind("eim", "eif") == (FULL, 6)
    assert kind("eim", "adf") == (RESTRICTED, 6)
    assert kind("eim", "apdf") == (PORT, 6)
    assert kind("eim", "apdf", "shift") == (PORT, 0)


def test_without_nat():
    b = Bed(None, ip="198.18.0.9")
    assert b.go()[0] == PUBLIC
    fw = Nat("198.18.0.9", "none", "apdf")
    b = Bed(fw, ip="198.18.0.9")
    assert tuple(b.go()[:2]) == (PORT, 5)
    fw = Nat("198.18.0.9", "none", "adf")
    assert tuple(Bed(fw, ip="198.18.0.9").go()[:2]) == (RESTRICTED, 5)


def test_symmetric_and_how_ports_are_chosen():
    b = Bed(Nat(WAN, "apdm", "apdf", "seq"))
    s = b.go()
    assert tuple(s[:3]) == (SYMMETRIC, 1, 1)
    assert s[4] << 8 | s[5] == b.node.link.nat.next  # the newest of them
    assert kind("apdm", "apdf", "block") == (SYMMETRIC, 2)
    assert kind("apdm", "apdf", "range") == (SYMMETRIC, 4)
    assert kind("apdm", "apdf", "low") == (SYMMETRIC, 3)
    # A host may not open low ports: then nothing is known of them.
    assert kind("apdm", "apdf", "low", low=False) == (SYMMETRIC, 4)


def test_the_mapping_depends_on_the_address_only():
    net = Net()
    node = net.node(1, Nat(WAN, "adm", "apdf", "range"))
    one = net.node(10, ip="198.18.0.20")
    net.hosts[one.link.ip].ends[4105] = net.hosts[one.link.ip].ends[4104]  # a second port
    others = [net.node(11, ip="198.18.0.21"), net.node(12, ip="198.18.0.22")]
    net.knows(node, [one] + others)
    check = natcheck.begin(node)
    two = (one.link.local[:4] + b"\x10\x09", one.id[:8])
    check.helpers = lambda: (
        [(one.link.local, one.id[:8]), two] + [(o.link.local, o.id[:8]) for o in others]
    )
    one.link.send = _answering(one.link)
    check.check(net.tick())
    net.run(20000, lambda: check.summary[0])
    assert check.summary[0] == SYMMETRIC and check.summary[3] & 8


def _answering(host):
    """STUN answers from the port that was asked: a stand-in's two ports are one node."""
    asked = []
    inner = host.ends[4105]

    def second(data, addr, now):
        asked.append(addr)
        inner(data, addr, now)

    def send(buf, n, addr):
        port = 4105 if asked and addr == asked[-1] and buf[0] < 4 else 4104
        if port == 4105:
            asked.pop()
        return host.send_from(host.ip + bytes((port >> 8, port & 255)), bytes(buf[:n]), addr)

    host.ends[4105] = second
    return send


def test_a_router_that_early_packets_upset():
    s = Bed(Nat(WAN, "eim", "apdf", early=True)).go()
    assert s[0] == PORT and s[3] & 16
    assert not Bed(Nat(WAN, "eim", "apdf")).go()[3] & 16


def test_blocked_and_nobody_to_ask():
    b = Bed(Nat(WAN, blocked=True))
    assert b.go()[0] == BLOCKED
    assert "udp blocked" in b.check.why()
    assert Bed(Nat(WAN), helpers=0).go()[0] == UNKNOWN
    assert Bed(Nat(WAN), helpers=1).go()[0] == UNKNOWN
    s = Bed(Nat(WAN), helpers=2).go()
    assert s[0] == UNKNOWN and s[3] == 4  # the mapping is known, the filter is not
    assert Bed(Nat(WAN, "apdm", "apdf", "seq"), helpers=2).go()[0] == SYMMETRIC


def test_without_extra_sockets_own_port_tells_the_mapping():
    s = Bed(Nat(WAN, "apdm", "apdf", "range"), sockets=False).go()
    assert s[0] == SYMMETRIC
    s = Bed(Nat(WAN), sockets=False).go()
    assert s[0] == UNKNOWN and s[3] == 4


def test_a_long_way_is_waited_for():
    for rtt in (8, 140, 240, 600):
        assert Bed(Nat(WAN, "eim", "apdf"), rtt=rtt).go()[0] == PORT
        assert Bed(Nat(WAN, "eim", "eif"), rtt=rtt).go()[0] == FULL
        assert Bed(Nat(WAN, "eim", "adf"), rtt=rtt).go()[0] == RESTRICTED


def test_losses_change_nothing():
    for seed in range(1, 13):
        filter = ("eif", "adf", "apdf")[seed % 3]
        s = Bed(Nat(WAN, "eim", filter), loss=0.05, seed=seed).go(60000)
        assert s[0] == (FULL, RESTRICTED, PORT)[seed % 3], seed


def test_own_port_is_not_used_for_tests():
    """What might spoil a mapping is done by throw-away sockets, one at a time."""
    b = Bed(Nat(WAN, "apdm", "apdf", "seq"))
    b.go()
    assert b.node.link.most == 1
    assert list(b.node.link.ends) == [4104]  # closed, all of them
    own = [d for _, src, _, d in b.net.log if src[:4] == b.node.link.nat.ip]
    assert len(own) < 16  # requests in all


def test_within_the_limits_of_assistants():
    for nat in (Nat(WAN, "eim", "apdf"), Nat(WAN, "apdm", "apdf", "range")):
        b = Bed(nat, rtt=240)
        b.go()
        for h in b.helpers:
            assert count(h, C.C_LIMITED) == 0 and count(h, C.C_STUN_LIMITED) == 0


def test_a_silent_assistant_costs_time_only():
    b = Bed(Nat(WAN, "eim", "apdf"), helpers=4)
    del b.net.hosts[b.helpers[0].link.ip]
    assert b.go()[0] == PORT and b.check.took_ms < 8000


def test_a_passive_one_refuses_and_another_is_asked():
    b = Bed(Nat(WAN, "eim", "eif"), helpers=5)
    b.helpers[2].helps = True
    old = b.helpers[2].inbox.handle(42, lambda *a: None)  # an older version, deaf to FILTER
    assert old is None
    assert b.go()[0] == FULL


def test_what_is_told():
    b = Bed(Nat(WAN, "eim", "adf"))
    assert b.check.why() == "not known yet" and b.check.document()["nat"] == [0] * 8
    s = b.go()
    assert b.changes == [s] and b.node.nat is b.check
    assert b.check.why() == "restricted cone, port preserving, seen as 198.18.0.7:4104"
    assert b.node.notes["nat"]() == b.check.why()
    d = b.check.document()
    assert d["nat"] == list(s) and d["seen"] == "198.18.0.7:4104" and d["asked"] == 3
    assert d["local"] == "192.168.1.10:4104" and d["fixed"] is None and not d["busy"]
    assert d["mapped"][0].startswith("198.18.0.7:") and d["took_ms"] < 5000


def test_again_every_hour_and_when_an_address_changes():
    b = Bed(Nat(WAN, "eim", "apdf"))
    b.net.run(10000)
    assert b.check.summary[0] == PORT  # by itself, a few seconds after the start
    b.node.link.nat.filter = "eif"
    b.net.run(3000000)
    assert b.check.summary[0] == PORT
    b.net.knows(b.node, b.helpers)  # nobody pings them here
    b.net.run(2000000)
    assert b.check.summary[0] == FULL
    b.net.knows(b.node, b.helpers)
    b.node.link.nat.filter = "adf"
    b.node.own.public = b"\xc6\x12\x00\x08\x10\x08"  # the upstream sees another address now
    b.net.run(12000)
    assert b.check.summary[0] == RESTRICTED
    assert len(b.changes) == 3


def test_when_assistants_are_gone_what_was_known_stays():
    b = Bed(Nat(WAN, "eim", "apdf"))
    s = b.go()
    for h in b.helpers:
        del b.net.hosts[h.link.ip]
    assert b.go() == s and b.check.why().endswith("seen as 198.18.0.7:4104")
    b.node.own.public = b"\xc6\x12\x00\x08\x10\x08"
    assert b.go()[0] == BLOCKED  # another address: nothing of it holds


def test_tiers_by_tcp_alone_mean_that_udp_is_blocked():
    b = Bed(Nat(WAN, "eim", "apdf"))
    assert b.go()[0] == PORT
    for h in b.helpers:
        b.node.peers.set_flag(b.node.peers.find(h.id[:8]), P_REMOTE, False)
    s = b.go()
    assert s[0] == PORT  # nobody to ask: what was known stays
    b.node.tiers.list.append(Tier(3, b"\x00\x03\x00\x01\x00\x01"))  # by TCP: links.py
    assert b.check.helpers() == []
    assert b.go()[0] == BLOCKED


def test_soon_again_while_nothing_is_known():
    b = Bed(Nat(WAN, blocked=True))
    assert b.go()[0] == BLOCKED
    b.node.link.nat.blocked = False
    b.net.run(400000)
    assert b.check.summary[0] == PORT


def test_a_fixed_mapping_opens():
    b = Bed(Nat(WAN, "apdm", "apdf", "range"))
    at = b"\xc6\x12\x00\x07\x10\x08"
    b.check.fixed(at)
    s = b.go()
    assert s[3] & 1 and s[4:6] == b"\x10\x08"
    assert "the router maps %s" % format_endpoint(at) in b.check.why()
    b.check.fixed(b"\xc6\x12\x00\x08\x10\x08")  # a router behind another one
    assert not b.check.summary[3] & 1 and b.check.document()["fixed"] is None
    b.check.fixed(at)
    assert b.check.document()["fixed"] == format_endpoint(at)
    b.check.fixed(None)
    assert not b.check.summary[3] & 1 and len(b.changes) == 4


def test_metered_is_said():
    assert Bed(Nat(WAN), metered=True).go()[3] & 2


def test_others_may_ask_by_own_port_meanwhile():
    b = Bed(Nat(WAN))
    b.go()
    at = b.helpers[0].link.local
    assert b.node.asking.ask(at, b.net.tick())
    b.net.run(500)
    seen = [e for e in events(b.node) if e[0] == EV_MAPPED]
    assert len(seen) == 1 and seen[0][1] == at


def test_it_ends_and_what_came_between_goes_on():
    b = Bed(Nat(WAN))
    b.go()
    inbox = b.node.inbox
    heard = []
    below = inbox.handle(3, lambda *a: heard.append(a) or below(*a))  # somebody asks after us
    natcheck.end(b.node)
    assert b.node.nat is None and b.node.asking is None and "nat" not in b.node.notes
    assert b.check not in b.node.late
    h = b.helpers[0]
    o = h.tx.begin(3, b.node.id[:8])
    h.tx.buf[o : o + 12] = bytes(12)
    h.tx.send(o + 12, b"\xc6\x12\x00\x07\x10\x08")
    b.net.run(200)
    assert len(heard) == 1
    again = natcheck.begin(b.node)
    again.check(b.net.tick())
    b.net.run(80000, lambda: again.summary[0])
    assert again.summary[0] == PORT and b.node.nat is again
