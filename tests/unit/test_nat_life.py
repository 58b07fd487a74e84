"""How long a mapping may rest, measured on routers that keep it for different times."""

from l4mesh.nat_life import NatLife
from natkit import Nat
from test_natcheck import WAN, Bed


def bed(life_s, nat=("eim", "apdf"), loss=0.0):
    b = Bed(Nat(WAN, *nat), loss=loss)
    b.node.link.nat.life_ms = life_s * 1000
    b.life = NatLife(b.check)
    b.node.late.append(b.life)
    b.keeps = []
    b.life.on_change = lambda ms, now: b.keeps.append(ms)
    b.go()
    return b


def test_the_longest_rest_that_it_survives():
    for life_s, nat, keep_ms in (
        (30, ("eim", "apdf"), 20000),
        (60, ("eim", "apdf"), 44000),
        (180, ("eim", "apdf"), 88000),
        (60, ("apdm", "apdf", "seq"), 44000),
        (60, ("eim", "adf"), 44000),
    ):
        b = bed(life_s, nat)
        b.net.run(230000)
        assert b.life.keep_ms == keep_ms and b.life.life_s * 800 == keep_ms, (life_s, nat)
        assert list(b.node.link.ends) == [4104] and not b.check.held


def test_a_router_that_forgets_at_once():
    b = bed(20)
    assert b.life.keep_ms == 20000
    b.net.run(60000)
    assert b.life.keep_ms == 15000 and b.keeps == [15000] and b.life.life_s == 0


def test_losses_do_not_shorten_it():
    b = bed(60, loss=0.05)
    b.net.run(300000)
    assert b.life.keep_ms == 44000


def test_own_port_is_left_alone():
    b = bed(60)
    n = len(b.net.log)
    b.net.run(230000)
    own = [d for _, src, _, d in b.net.log[n:] if src == b"\xc6\x12\0\x07\x10\x08"]
    assert len(own) < 16 and all(d[1] in (42, 6) for d in own if d[0] == 0xC4)


def test_without_nat_there_is_nothing_to_measure():
    b = Bed(None, ip="198.18.0.9")
    b.life = NatLife(b.check)
    b.node.late.append(b.life)
    b.go()
    n = len(b.net.log)
    b.net.run(60000)
    assert b.life.keep_ms == 20000 and len(b.net.log) == n


def test_when_the_assistant_is_gone_nothing_is_concluded():
    b = bed(180)
    b.net.run(40000)
    for h in b.helpers:
        del b.net.hosts[h.link.ip]
    b.net.run(100000)
    assert b.life.keep_ms in (20000, 88000) and b.life.life_s in (0, 25)
    assert list(b.node.link.ends) == [4104]


def test_a_check_in_between_is_not_disturbed():
    b = bed(60)
    b.net.run(20000)
    s = b.check.summary
    assert b.go() == s
    b.net.run(230000)
    assert b.life.keep_ms == 44000 and b.check.summary == s


def test_measured_again_when_the_nat_is_another():
    b = bed(60)
    b.net.run(230000)
    b.net.knows(b.node, b.helpers)
    b.node.link.nat.filter = "adf"
    b.node.link.nat.life_ms = 30000
    b.go()
    b.net.run(120000)
    assert b.life.keep_ms == 20000 and b.keeps == [44000, 20000]
