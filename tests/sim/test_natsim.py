"""Meeting behind every kind of NAT, on the virtual clock, with real Nodes: matrix and specials.

All of it is seeded and no wall time comes in, so times are asserted as they are. RTT 60 ms, jitter
4 ms, 1 % loss unless said otherwise; three assistants. What is possible at all was worked out
beforehand: for ports that are guessed it is 1 - e^-hits, with hits = packets of both sides over
the ports they are spread on, within 1,024 packets.
"""

from l4mesh import wire
from l4mesh.nat_pair import HARD as PLAN_HARD
from l4mesh.nat_pair import NEED_RELAY, plan, strategy
from natsim import EASY, HARD, KINDS, Net, end, ip4, matrix_net

CONES = ("pr", "eim", "clash", "cgpr", "pubfw")


def cell(a, b, n, loss=0.01, rtt=60, first=0, **more):
    """`n` meetings of such pairs -> (how many have one, times of who asked, of both, why not)."""
    ms, both, whys = [], [], []
    for i in range(first, first + n):
        pair = (a, b) if i % 2 else (b, a)
        net, x, y = matrix_net(i * 77 + sum(map(ord, a + b)), pair, loss, rtt, **more)
        r = net.meeting(x, y)
        if r.ok:
            ms.append(r.ms)
            both.append(r.both)
        else:
            whys.append(r.why)
        left = [h.extra - bool(h.told and h.told[-1][3]) for h in (x, y)]
        net.run(8000)
        assert x.most <= 6 and y.most <= 6
        owned = [len({id(t[3]) for t in h.told if t[3] is not None}) for h in (x, y)]
        assert x.extra <= owned[0] and y.extra <= owned[1], ("sockets left", pair, left)
        assert not x.meet.all and not y.meet.all
    return len(ms), sorted(ms), sorted(both), whys


def at(ms, part):
    return ms[min(len(ms) - 1, int(len(ms) * part))]


def test_easy_pairs_always_meet_within_two_round_trips():
    asked, both = [], []
    for i, a in enumerate(EASY):
        for b in EASY[i:]:
            ok, ms, bo, whys = cell(a, b, 8)
            assert ok == 8, (a, b, whys)
            asked += ms
            both += bo
    asked.sort()
    both.sort()
    assert at(asked, 0.5) <= 135 and at(asked, 0.95) <= 180, (at(asked, 0.5), at(asked, 0.95))
    assert at(both, 0.5) <= 150 and at(both, 0.95) <= 200


def test_easy_times_are_a_matter_of_the_round_trip():
    for rtt in (20, 140, 240):
        ok, ms, both, whys = cell("pr", "pr", 10, rtt=rtt)
        assert ok == 10, whys
        assert at(both, 0.5) <= 2.5 * rtt + 30, (rtt, both)


def test_who_needs_no_guess_meets_all_hard_ones():
    """The other side answers to where the packets come from, whatever port that is."""
    every = []
    for a in ("pub", "fc", "rc"):
        for b in ("adm", "symseq", "symblk", "sym", "symhi", "cgsym"):
            ok, ms, both, whys = cell(a, b, 4)
            assert ok == 4, (a, b, whys)
            every += both
    every.sort()
    assert at(every, 0.5) <= 2.5 * 60 + 30 and at(every, 0.95) <= 260, every[-5:]


def test_one_fixed_port_and_one_that_can_be_foreseen():
    every = []
    for a in CONES:
        for b in HARD:
            ok, ms, both, whys = cell(a, b, 8)
            assert ok == 8, (a, b, whys)
            if a != "clash":
                every += both
    every.sort()
    assert at(every, 0.5) <= 350 and at(every, 0.95) <= 750, (at(every, 0.5), at(every, 0.95))


def test_two_that_can_be_foreseen():
    """5 s is the goal. A sequence against a block stops at 86 %: 1,024 packets over 512 ports."""
    least = {
        ("symseq", "symseq"): 1.0, ("symseq", "symblk"): 0.7, ("symseq", "sym"): 0.7,
        ("symblk", "symblk"): 0.9, ("symblk", "sym"): 0.9, ("sym", "sym"): 0.9,
    }  # fmt: skip
    for (a, b), part in least.items():
        ok, ms, both, whys = cell(a, b, 20)
        assert ok >= 20 * part, (a, b, ok, whys)
        assert both[-1] <= 5000, (a, b, both[-1])
    assert at(cell("symseq", "symseq", 10)[2], 0.5) <= 300


def test_birthday_over_all_ports():
    ok, ms, both, whys = cell("pr", "symhi", 24)
    assert ok >= 17, whys  # 90 % expected
    assert both[-1] <= 5500


def test_kinds_that_nothing_was_tuned_on():
    for a, b, part in (
        ("symseq2", "pr", 1.0), ("symseq2", "symseq2", 1.0), ("symseq2", "symseq", 1.0),
        ("symblk2k", "pr", 0.8), ("symblk2k", "fc", 1.0),
    ):  # fmt: skip
        ok, ms, both, whys = cell(a, b, 10)
        assert ok >= 10 * part, (a, b, whys)


def test_what_only_a_relay_carries_is_said_at_once():
    for a, b in (("symhi", "sym"), ("symhi", "symhi"), ("adm", "symhi"), ("symhi", "symblk")):
        net, x, y = matrix_net(5, (a, b))
        r = net.meeting(x, y)
        assert strategy(x.meet.nat, y.meet.nat) == NEED_RELAY
        assert not r.ok and r.ms < 80 and "guessed" in r.why, (a, b, r.why, r.ms)
        assert r.packets < 20
    net, x, y = matrix_net(5, ("udpblk", "pr"))
    r = net.meeting(x, y)
    assert not r.ok and r.ms < 3000 and r.why == "no assistant is known"


def test_both_begin_together_though_one_is_far():
    """Routers that give a mapping away to an early packet: whoever is nearer has to wait."""
    for near, far in ((5, 60), (60, 5), (2, 120)):
        for seed in range(8):
            net = Net(seed + 40)
            for _ in range(3):
                net.helper(net.public(meet=False))
            a, b = net.home("clash", far=near), net.home("clash", far=far)
            net.ready((a, b))
            r = net.meeting(a, b)
            assert r.ok, (near, far, seed, r.why)


def test_heavy_loss():
    for loss, least in ((0.05, 20), (0.2, 19)):
        for pair in (("pr", "pr"), ("fc", "symhi"), ("pr", "symseq")):
            ok, ms, both, whys = cell(*pair, 20, loss=loss)
            assert ok >= least, (pair, loss, whys)


def test_a_long_way_round():
    for pair in (("pr", "symblk"), ("sym", "pr"), ("symseq", "symseq")):
        ok, ms, both, whys = cell(*pair, 6, rtt=240)
        assert ok == 6, (pair, whys)


# -- special places ----------------------------------------------------------------------------


def net_with(helpers=3, seed=7, **more):
    net = Net(seed, **more)
    for _ in range(helpers):
        net.helper(net.public(meet=False))
    return net


def test_the_same_home_without_hairpin():
    net = net_with()
    r = net.router("pr")
    a = net.home("pr", router=r, host=10)
    b = net.home("pr", router=r, host=11)
    net.ready((a, b))
    m = net.meeting(a, b)
    assert m.ok and m.way[0][2] == b.local and m.why == "on this network"
    assert b.told[0][2] == a.local


def test_behind_one_carrier_with_hairpin_and_without():
    for hairpin in (True, False):
        net = net_with()
        cgn = net.cgn("fc", hairpin)
        a, b = (net.home("pr", inner=cgn) for _ in range(2))
        net.ready((a, b))
        m = net.meeting(a, b)
        assert m.ok == hairpin, m.why
        if not hairpin:
            assert m.why == "no packet of it came through"


def test_an_assistant_within_the_carriers_net_knows_the_way():
    for seed in range(5):
        net = net_with(2, seed)
        cgn = net.cgn("eim")
        net.helper(net.inside(cgn, meet=False))
        a, b = (net.home("pr", inner=cgn) for _ in range(2))
        net.ready((a, b))
        m = net.meeting(a, b)
        assert m.ok and m.way[0][2][:1] == b"\x64", m.why
        assert m.ms < 90


def test_the_same_private_address_is_somebody_else():
    """Both homes have 192.168.1.0/24 behind one carrier: the peer's address there is my own, or a
    stranger's, who is an L4 node, too."""
    net = net_with()
    cgn = net.cgn("pr")
    home = net.router("pr", cgn)
    a = net.home("pr", router=home, host=10)
    stranger = net.home("pr", router=home, host=11, meet=False)
    for host in (10, 11):
        b = net.home("pr", inner=cgn, host=host)
        net.ready((a, b))
        net.log = []
        m = net.meeting(a, b)
        assert not m.ok and m.why == "no packet of it came through"
        to = [x[3] for x in net.log if x[1] is a and x[4][1] == wire.T_PROBE]
        assert to.count(stranger.local) == (20 if host == 11 else 0) and a.local not in to
        assert not any(x[1] is stranger and x[4][1] == wire.T_PROBE for x in net.log)
        b.meet.close(net.tick())
        net.run(61000)  # two of an address at a time


def test_registrations_outlive_short_time_outs():
    for timeout in (30000, 120000):
        net = net_with()
        a, b = (net.home("pr", timeout=timeout) for _ in range(2))
        net.ready((a, b))
        net.run(300000)
        assert all(p.ok for h in (a, b) for p in h.meet.standing.list)
        m = net.meeting(a, b)
        assert m.ok and m.ms < 200, m.why


def test_the_address_changes_in_between():
    net = net_with()
    a, b = (net.home("pr") for _ in range(2))
    net.ready((a, b))
    assert net.meeting(a, b).ok
    r = b.realm.router
    old = r.ip
    del net.root.members[r.ip]  # the provider gives another one in the night
    r.ip = ip4(198, 19, 200, 9)
    net.root.members[r.ip] = r
    r.flows.clear(), r.back.clear(), r.open.clear()
    net.run(8000)
    m = net.meeting(a, b, nats=False)
    assert not m.ok and m.why == "it says nothing to the assistants", m.why
    net.run(30000)  # the next keepalive tells them
    m = net.meeting(a, b, nats=False)
    assert m.ok and m.way[0][2][:4] == r.ip != old
    b.meet.moved(net.tick())
    b.poll()
    net.run(500)
    assert all(p.ok and p.seen[:4] == r.ip for p in b.meet.standing.list)


def test_the_address_changes_in_the_midst_of_it():
    for step in range(0, 240, 12):
        net, a, b = matrix_net(13, ("pr", "symblk"))
        r = (a, b)[step // 12 % 2].realm.router

        def moves(r=r, net=net):
            del net.root.members[r.ip]
            r.ip = ip4(198, 19, 200, 9)
            net.root.members[r.ip] = r
            r.flows.clear(), r.back.clear(), r.open.clear()

        net.at(net.now + 400 + step, moves)
        m = net.meeting(a, b, limit=12000)
        assert a.told and (m.ok or m.why), step
        net.run(15000)
        owned = [{id(t[3]) for t in h.told if t[3] is not None} for h in (a, b)]
        assert not a.meet.all and not b.meet.all
        assert a.extra <= len(owned[0]) and b.extra <= len(owned[1])


def test_packets_that_come_twice_and_out_of_order():
    for pair in (("pr", "pr"), ("pr", "symblk"), ("symseq", "symseq")):
        for seed in range(4):
            net, a, b = matrix_net(seed + 3, pair, twice=0.3, jitter=30)
            m = net.meeting(a, b)
            assert m.ok, (pair, seed, m.why)
            assert len({t[2] for t in a.told}) == 1


def test_met_again_while_the_router_remembers_the_last_time():
    """Old flows of own socket have old ports: what counts needs sockets that are new."""
    for pair in (("pr", "symseq"), ("symseq", "pr"), ("symseq", "symseq"), ("symblk", "pr")):
        net, a, b = matrix_net(9, pair)
        for wait in (0, 80000):
            net.run(wait)
            for h in (a, b):
                h.meet.sprays = []
            m = net.meeting(a, b)
            assert m.ok, (pair, wait, m.why)
            for h in (a, b):
                h.told[-1][3] and h.told[-1][3].close()


def test_a_node_that_restarts_is_met_again():
    net = net_with()
    a, b = (net.home("pr") for _ in range(2))
    net.ready((a, b))
    assert net.meeting(a, b).ok
    b.meet.close(net.tick())
    b.restart_meet()
    b.poll()
    net.run(2000)
    assert net.meeting(b, a).ok


def test_an_assistant_dies_at_every_step():
    """One of two: the other does. The only one: there is an end, and a reason."""
    for helpers in (2, 1):
        for step in range(0, 200, 10):
            net = net_with(helpers, 11)
            a, b = (net.home("pr") for _ in range(2))
            net.ready((a, b))
            first = net.helpers[0]
            net.at(net.now + 400 + step, lambda h=first: setattr(h, "dead", True))
            m = net.meeting(a, b, limit=12000)
            assert a.told, step
            assert m.ok or helpers == 1, (step, m.why)
            if not m.ok:
                assert m.why in ("no assistant answers", "no packet of it came through"), m.why
            net.run(15000)
            assert not a.meet.all and not b.meet.all


def test_both_ask_at_once():
    for seed in range(10):
        net, a, b = matrix_net(seed + 1, ("pr", "symseq"), 0.02)
        for h in (a, b):
            h.meet.set_nat(net.summary(h), net.tick())
            h.poll()
        net.run(300)
        both_ask(net, a, b)


def both_ask(net, a, b):
    told = []
    for x, y in ((a, b), (b, a)):
        assert x.meet.connect(y.node.id, net.tick(), lambda *w: told.append(w))
        x.poll()
    net.run(9000, lambda: len(told) > 1)
    assert len(told) == 2 and all(w[1] for w in told), told


def test_no_more_than_may_be_said():
    """Packets for a meeting, whoever asks: the bounds of docs/protocol.md 9."""
    net, a, b = matrix_net(3, ("pr", "pr"))
    b.dead = True  # its router lets nothing through, for all that a can see
    net.log = []
    m = net.meeting(a, b, limit=12000)
    assert not m.ok
    sent = [x for x in net.log if x[1] is a]
    probes = [x for x in sent if x[4][1] == wire.T_PROBE]
    assert len(probes) <= 20 and len([x for x in sent if x[4][1] == wire.T_CONNECT]) <= 21
    helpers = [x for x in net.log if x[1] in net.helpers and x[3][:4] == b.realm.router.ip]
    punches = [x for x in helpers if x[4][1] == wire.T_PUNCH]
    assert len(punches) <= 6 * len(net.helpers)


def test_ports_are_guessed_once_in_ten_minutes_and_at_the_rate():
    net, a, b = matrix_net(3, ("pr", "symhi"))
    b.meet.set_nat(net.summary(b), net.tick())
    b.meet.nat = b.meet.nat[:2] + b"\x00\x00" + b.meet.nat[4:]
    b.node.sockets = None  # it opens none: nothing will be hit
    counts = []
    for wait in (0, 1000, 620000):
        net.run(wait)
        net.log = []
        m = net.meeting(a, b, limit=15000, nats=wait == 0)
        to = b.realm.router.ip
        probes = [x for x in net.log if x[1] is a and x[4][1] == wire.T_PROBE and x[3][:4] == to]
        counts.append(len(probes))
        for i in range(len(probes) - 600):  # 500 a second, and what goes to the known endpoint
            assert probes[i + 600][0] - probes[i][0] > 1000
        assert not m.ok
    assert 1000 < counts[0] <= 1024 + 20 and counts[1] <= 20 and 1000 < counts[2] <= 1044, counts


def test_one_assistants_word_is_not_enough_to_guess_ports():
    net = net_with(1)
    a, b = net.home("pr"), net.home("symblk")
    net.ready((a, b))
    net.log = []
    assert plan(net.summary(a), net.summary(b)).how == PLAN_HARD
    m = net.meeting(a, b, limit=12000)
    assert not m.ok
    assert sum(x[4][1] == wire.T_PROBE for x in net.log) <= 44


def test_the_model_is_what_it_says():
    """Each kind shows its own type by what assistants see; filters and time-outs hold."""
    want = {
        "fc": 2, "rc": 3, "pr": 4, "eim": 4, "clash": 4, "adm": 5, "symseq": 5, "symseq2": 5,
        "symblk": 5, "symblk2k": 5, "sym": 5, "symhi": 5, "pubfw": 4, "udpblk": 6,
    }  # fmt: skip
    sub = {"symseq": 1, "symseq2": 1, "symblk": 2, "symblk2k": 2, "sym": 3, "symhi": 4, "pubfw": 5}
    for kind in KINDS:
        net = Net(2)
        h = net.home(kind, meet=False)
        s = net.summary(h)
        assert s[0] == want[kind], (kind, s)
        assert kind not in sub or s[1] == sub[kind], (kind, s)
        assert bool(s[3] & 16) == (kind == "clash")
    net = Net(3)
    assert net.summary(net.public(meet=False))[0] == 1
    r = net.router("pr", timeout=5000)
    there = end(ip4(203, 0, 113, 9), 5000)
    out = r.out(end(ip4(192, 168, 1, 10), 4104), there)
    assert out == end(r.ip, 4104) and r.into(4104, there) is not None
    assert r.into(4104, there[:5] + b"\x07") is None
    net.now += 5001
    assert r.into(4104, there) is None
