from hashlib import sha256

import kit
from kit import Person, bare_node, count, events, gaps, give
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.events import EV_GONE, EV_NEIGHBOUR
from l4mesh.peers import (
    O_BATTERY,
    O_HELLO,
    O_INTERVAL,
    O_LOAD,
    O_LOSS,
    O_MODE,
    P_FETCHED,
    P_LAN,
    P_PROVEN,
    P_SIGNED,
)
from world import BROADCAST, GROUP


def hellos(n, ms, start=0, step=10):
    """(ms, to, payload) of each HELLO within `ms`."""
    out = []
    for now in range(start, start + ms, step):
        n.poll(now)
        out += [(now, to, f[28:-16]) for f, to in n.link.take(wire.T_HELLO)]
    return out


def kinds(n, kind):
    return [e for e in events(n) if e[0] == kind]


def test_the_bytes_of_a_hello():
    n = bare_node(1)
    h = hellos(n, 200)[0][2]
    assert h == (b"\x11\x02\xff\x00" + h[4:6] + sha256(bytes(n.own.record)).digest()[:8] + b"\0")
    assert len(h) == 15


def pairs(out):
    """Each HELLO to the group has a copy to the broadcast, that says so?"""
    assert out and not len(out) % 2
    for i in range(0, len(out), 2):
        assert out[i][1] == GROUP and out[i + 1][1] == BROADCAST
        a, b = out[i][2], out[i + 1][2]
        assert b[0] == a[0] | 8 and not a[0] & 8 and a[1:] == b[1:]
    return True


def test_loud_three_times_then_by_group_only():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.hello(interval=100), 0)
    out = hellos(n, 60000)
    assert pairs(out[:6])
    assert all(p[0] & 1 for _, _, p in out[:6])
    assert [to for _, to, _ in out[6:]] == [GROUP] * (len(out) - 6)
    assert not [p for _, _, p in out[6:] if p[0] & 1]


def test_by_broadcast_as_well_while_nobody_is_heard_by_the_group():
    n = bare_node(1)
    p = Person(2)
    assert pairs(hellos(n, 100000, step=50))
    give(n, p, p.hello(flags=0x18, interval=200), 100000)  # a copy: the group's was kept back
    assert pairs(hellos(n, 100000, 100000, 50))
    give(n, p, p.hello(flags=0x20, interval=200), 200000)
    assert set(to for _, to, _ in hellos(n, 200000, 201000, 50)) == set([GROUP])
    # It is gone, and the broadcast back.
    hellos(n, 700000, 401000, 500)
    assert pairs(hellos(n, 100000, 1101000, 50))


def test_the_copy_that_comes_second_is_a_replay():
    n = bare_node(1)
    p = Person(2)
    body = p.hello()[29:-16]
    for flags in (0x10, 0x18):
        p.counter = 7
        give(n, p, p.frame(wire.T_HELLO, wire.ALL, bytes((flags,)) + body), 5)
    assert count(n, C.C_REPLAY) == 1 and not n.peers.get(n.peers.find(p.id[:8]), O_HELLO) & 32


def test_pauses_double_up_to_the_longest():
    out = [t for t, to, _ in hellos(bare_node(1, hello_max_s=20), 300000, step=50) if to == GROUP]
    waits = gaps(out)
    assert out[0] <= 150
    assert max(waits) <= 30000 and waits[0] <= 3000
    late = waits[6:]
    assert sum(late) // len(late) > 14000
    assert all(10000 <= g <= 30000 for g in late)


def test_a_hello_says_how_long_the_next_may_take():
    for mode in ("standard", "passive"):
        n = bare_node(1, hello_max_s=20, mode=mode)
        out = [h for h in hellos(n, 500000, step=50) if h[1] == GROUP]
        waits = gaps([t for t, _, _ in out])
        for i in range(len(waits)):
            assert waits[i] <= wire.u16(out[i][2], 4) * 1000
        assert (wire.u16(out[-1][2], 4) > 100) == (mode == "passive")


def test_not_before_the_record_is_signed():
    n = bare_node(1)
    n.own.ready = False
    assert hellos(n, 500) == []
    n.own.ready = True
    assert hellos(n, 100, 500) != []


def test_what_a_hello_tells_is_kept():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.hello(mode=2, interval=77), 5000)
    i = n.peers.find(p.id[:8])
    assert n.peers.flags(i) & P_LAN and n.peers.addr(i) == p.addr
    assert n.peers.get(i, O_MODE) == 2 and n.peers.get(i, O_BATTERY) == 255
    assert n.peers.get(i, O_LOAD) == 0 and n.peers.get16(i, O_INTERVAL) == 77
    assert kinds(n, EV_NEIGHBOUR) == [(EV_NEIGHBOUR, p.id[:8], p.addr)]
    give(n, p, p.hello(), 5001)
    assert kinds(n, EV_NEIGHBOUR) == [] and count(n, C.C_NEIGHBOUR_NEW) == 1
    assert count(n, C.C_HELLO_RX) == 2


def test_a_newcomer_is_greeted_soon():
    n = bare_node(1)
    hellos(n, 200000, step=100)
    p = Person(2)
    give(n, p, p.hello(), 200000)
    assert len(hellos(n, 1100, 200000)) >= 1


def test_the_first_copy_counts_and_the_second_is_a_replay():
    n = bare_node(1)
    p = Person(2)
    f = p.hello()
    give(n, p, f, 10)
    give(n, p, f, 11)
    assert count(n, C.C_HELLO_RX) == 1 and count(n, C.C_REPLAY) == 1


def test_gone_after_three_announced_intervals():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.hello(interval=5), 1000)
    hellos(n, 15000, 1000)
    assert kinds(n, EV_GONE) == []
    hellos(n, 1100, 16000)
    assert kinds(n, EV_GONE) == [(EV_GONE, p.id[:8])]
    assert n.peers.find(p.id[:8]) == -1 and count(n, C.C_NEIGHBOUR_GONE) == 1


def test_goodbye():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.hello(), 1000)
    give(n, p, p.frame(wire.T_BYE, wire.ALL, b"\0"), 2000)
    assert kinds(n, EV_GONE) == [(EV_GONE, p.id[:8])]
    assert n.peers.find(p.id[:8]) == -1
    n.link.take()
    n.stop(3000, 2)
    assert [(f[28:-16], to) for f, to in n.link.take(wire.T_BYE)] == [(b"\x02", GROUP)]


def test_another_record_is_to_be_fetched_again():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.hello(), 10)
    i = n.peers.find(p.id[:8])
    n.peers.set_flag(i, P_SIGNED)
    give(n, p, p.hello(), 20)
    assert n.peers.flags(i) & P_SIGNED
    n.peers.set_flag(i, P_FETCHED)
    give(n, p, p.hello(p.record(counter=2)), 30)
    assert not n.peers.flags(i) & (P_SIGNED | P_FETCHED)


def test_a_hello_from_elsewhere_takes_the_proof_along():
    """Else a member could prove one address and have another one flooded."""
    n = bare_node(1)
    p = Person(2)
    kit.prove(n, p, 10)
    i = n.peers.find(p.id[:8])
    give(n, p, p.hello(), 20)
    assert n.peers.flags(i) & P_PROVEN
    victim = Person(3, "10.77.1.77:4104")
    give(n, victim, p.hello(), 30)
    assert not n.peers.flags(i) & P_PROVEN
    n.link.take()
    give(n, victim, p.query(n.id, n.id), 40)
    assert [f[1] for f, _ in n.link.take()] == [wire.T_COOKIE]


def test_digests_of_a_later_version_are_skipped_and_short_ones_dropped():
    n = bare_node(1)
    p = Person(2)
    body = p.hello()[28:-17]
    give(n, p, p.frame(wire.T_HELLO, wire.ALL, body + b"\x08" + bytes(7)), 10)
    assert count(n, C.C_HELLO_RX) == 0
    give(n, p, p.frame(wire.T_HELLO, wire.ALL, body + b"\x08" + bytes(8)), 20)
    assert count(n, C.C_HELLO_RX) == 1


def test_a_peer_not_heard_for_an_hour_is_forgotten():
    n = bare_node(1)
    p = Person(2)
    kit.prove(n, p, 10)
    hellos(n, 3600000, 10, 5000)
    assert n.peers.find(p.id[:8]) >= 0
    hellos(n, 10000, 3600010, 1000)
    assert n.peers.find(p.id[:8]) == -1


def test_an_interval_of_nothing_is_taken_as_one_second():
    n = bare_node(1)
    p = Person(2)
    give(n, p, p.hello(interval=0), 1000)
    assert n.peers.get16(n.peers.find(p.id[:8]), O_INTERVAL) == 1


def loss_after(numbers, record=None):
    n = bare_node(1)
    p = Person(2)
    for k in numbers:
        give(n, p, p.hello(record, flags=k << 4, interval=100), 1000)
    return n.peers.get(n.peers.find(p.id[:8]), O_LOSS)


def test_hellos_to_the_group_are_numbered():
    out = [p[0] >> 4 for _, to, p in hellos(bare_node(1, hello_max_s=2), 60000) if to == GROUP]
    assert out[:20] == [i % 15 + 1 for i in range(20)]


def test_the_loss_of_hellos_is_measured():
    assert loss_after([1]) == 0 and loss_after(list(range(1, 16)) * 4) == 0
    assert 25 <= loss_after([1, 3]) <= 32
    # Every second one is lost.
    assert 100 <= loss_after([1, 3, 5, 7, 9, 11, 13, 15, 2, 4, 6, 8, 10, 12, 14] * 4) <= 160
    lost = [1] + [2, 7] * 20
    assert loss_after(lost) > 160 and loss_after(lost + list(range(8, 16)) * 6) < 110
    assert loss_after([3, 3, 3]) == 0  # not known whether 15 were lost or none
    assert loss_after([0, 0, 0]) == 0 and loss_after([5, 0, 6]) == 0  # of an older version


def test_a_node_that_began_anew_has_lost_nothing():
    n = bare_node(1)
    p = Person(2)
    for k in range(1, 12):
        give(n, p, p.hello(flags=k << 4), 1000 + k)
    give(n, p, p.hello(p.record(counter=9), flags=1 << 4), 1020)
    assert n.peers.get(n.peers.find(p.id[:8]), O_LOSS) == 0


def test_a_node_that_sleeps_says_for_how_long_and_is_not_missed_before():
    n = bare_node(1)
    n.hello.gap_s, n.hello.window, n.hello.quiet = 40000, 5, True
    n.start(0)
    _, to, p = hellos(n, 200)[0]
    assert to == GROUP and p[0] & 5 == 4 and wire.u16(p, 4) == 40000 and p[3] == 5
    told = []
    m = bare_node(3)
    m.hello.awake = lambda slot, addr, now: told.append((slot, addr, now))
    q = Person(2)
    give(m, q, q.hello(flags=4, interval=40000), 1000)
    assert told == [(m.peers.find(q.id[:8]), q.addr, 1000)]
    hellos(m, 119_990_000, 1000, 500000)
    assert kinds(m, EV_GONE) == []
    hellos(m, 20000, 120_990_000, 1000)
    assert kinds(m, EV_GONE) == [(EV_GONE, q.id[:8])]


def test_a_new_record_is_told_soon():
    n = bare_node(1)
    hellos(n, 200000, step=100)
    n.own.set_endpoints(n.own.lan, bytes((203, 0, 113, 9, 16, 8)))
    out = hellos(n, 1100, 200000)
    assert out and out[-1][2][6:14] == n.own.hash
