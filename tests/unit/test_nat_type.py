"""From what assistants saw to the kind of NAT: a table, and the faults of the old rules."""

from l4mesh import nat_type
from l4mesh.nat_type import NOTHING, Seen, classify
from l4mesh.prng import XorShift

HOME = bytes((192, 168, 1, 10, 16, 8))
WAN = bytes((198, 18, 0, 7))
A1 = bytes((198, 18, 0, 2, 13, 150))
A2 = bytes((198, 18, 0, 2, 13, 151))  # another port of the same address
B = bytes((198, 18, 0, 3, 13, 150))
C = bytes((198, 18, 0, 4, 13, 150))
INSIDE = bytes((100, 64, 0, 9, 13, 150))  # on our side of a carrier's NAT
UNKNOWN, PUBLIC, FULL, RESTRICTED, PORT, SYMMETRIC, BLOCKED = range(7)


def at(port, ip=WAN):
    return ip + bytes((port >> 8, port & 255))


def number(s, o):
    return s[o] << 8 | s[o + 1]


def seen(mapped, local=HOME, asked=3, main=40000, **more):
    """`mapped`: [(socket, own port, assistant, mapped port or endpoint)]"""
    s = Seen(local)
    s.asked = asked
    s.main = None if main is None else at(main)
    s.mapped = [(k, p, a, m if isinstance(m, bytes) else at(m)) for k, p, a, m in mapped]
    for k, v in more.items():
        assert hasattr(s, k)
        setattr(s, k, v)
    return s


def cone(own=50000, mapped=50000, ip=WAN):
    return [(0, own, a, at(mapped, ip)) for a in (A1, A2, B)]


def drawn(ports, helpers=(A1, B)):
    """Fresh sockets, two assistants each, in the order of `ports`."""
    return [(i // 2, 50000 + i // 2, helpers[i % 2], p) for i, p in enumerate(ports)]


def chance(low, width, n, seed=1):
    r = XorShift(seed)
    return [low + r.getrandbits(28) % width for _ in range(n)]


def check(s, kind, sub=0, step=0, flags=0, port=40000, width=0):
    b = classify(s)
    assert len(b) == 8 == len(NOTHING)
    got = (b[0], b[1], b[2], b[3], number(b, 4), number(b, 6))
    assert got == (kind, sub, step & 255, flags, port, width), got


def test_cones_by_their_filter():
    no = {"stranger": False}
    check(seen(cone(), stranger=True), FULL, sub=6)
    check(seen(cone(), other_port=True, **no), RESTRICTED, sub=6)
    check(seen(cone(), other_port=False, **no), PORT, sub=6)
    check(seen(cone(mapped=21234), other_port=False, **no), PORT, sub=0)
    # No second port to test with: the stricter of the two.
    check(seen(cone(), **no), PORT, sub=6)


def test_no_nat_is_public_only_if_strangers_get_in():
    here = WAN + HOME[4:]
    check(seen(cone(), local=here, stranger=True), PUBLIC)
    check(seen(cone(), local=here, stranger=False, other_port=False), PORT, sub=5)
    check(seen(cone(), local=here, stranger=False, other_port=True), RESTRICTED, sub=5)
    # An equal address says nothing as long as nobody has tried to get in.
    check(seen(cone(), local=here), UNKNOWN, flags=4, sub=5)


def test_too_few_assistants_are_not_enough():
    check(seen([], main=None, asked=1), UNKNOWN, port=0)
    check(seen([], main=40000, asked=1), UNKNOWN)
    one = [(0, 50000, A1, 50000)]
    check(seen(one, asked=1, stranger=True), UNKNOWN)
    check(seen(one + [(0, 50000, A2, 50000)], asked=1, stranger=True), UNKNOWN)
    # Two tell what the mapping is like, not the filter.
    check(seen(one + [(0, 50000, B, 50000)], asked=2), UNKNOWN, sub=6, flags=4)
    # But two ports of one address are enough to show a symmetric one.
    check(seen(one + [(0, 50000, A2, 50031)], asked=1), SYMMETRIC)


def test_nothing_answers():
    check(seen([], main=None, asked=3), BLOCKED, port=0)
    check(seen([], main=None, asked=3, online=True), BLOCKED, port=0)
    check(seen([], main=None, asked=3, online=False), UNKNOWN, port=0)
    check(seen([], main=None, asked=0), UNKNOWN, port=0)


def test_symmetric_port_after_port():
    for step in (1, 2, 5, -1, -3):
        ports = [30000 + i * step for i in range(8)]
        check(seen(drawn(ports)), SYMMETRIC, sub=1, step=step, port=ports[-1])
    # Others' flows take some of them; the step is what all have in common.
    check(seen(drawn([30000, 30001, 30004, 30005, 30009, 30010])), SYMMETRIC, 1, 1, port=30010)
    check(seen(drawn([30000, 30002, 30004, 30008, 30014])), SYMMETRIC, 1, 2, port=30014)
    # The allocator comes to the end of its range and begins anew.
    check(seen(drawn([36381, 36382, 36383, 20000, 20001, 20002])), SYMMETRIC, 1, 1, port=20002)
    # Up and down is no sequence.
    b = classify(seen(drawn([30000, 30003, 30001, 30004, 30002])))
    assert b[1] == 2


def test_symmetric_within_a_block():
    missed = 0  # ports of the block outside of what is swept (nat_pair.py)
    for seed in range(1, 41):
        b = classify(seen(drawn(chance(20000, 512, 8, seed))))
        assert b[:2] == bytes((SYMMETRIC, 2)), (seed, b)
        width = number(b, 6)
        assert width in (256, 512, 1024)
        half = (width + width // 8 + 32) // 2
        missed += max(0, number(b, 4) - half - 20000) + max(0, 20511 - number(b, 4) - half)
    assert missed < 40 * 512 * 4 // 100
    for seed in range(1, 21):
        assert classify(seen(drawn(chance(20000, 2048, 8, seed))))[1] == 2


def test_symmetric_over_a_range_and_over_all_ports():
    all_ = 0
    for seed in range(1, 41):
        b = classify(seen(drawn(chance(20000, 8192, 8, seed))))
        assert b[0] == SYMMETRIC and b[1] in (2, 4) and number(b, 6)
        b = classify(seen(drawn(chance(1024, 64512, 8, seed))))
        assert b[:2] == bytes((SYMMETRIC, 4))
        all_ += number(b, 6) == 0
    assert all_ >= 39
    # Three samples could be anything.
    check(seen(drawn([30000, 61000, 1500])), SYMMETRIC, 0)


def test_low_ports_stay_low():
    ports = chance(1024, 64512, 8)
    check(seen(drawn(ports), low=(700, 811)), SYMMETRIC, 3, width=424)
    assert classify(seen(drawn(ports), low=(700, 33000)))[1] == 4
    # A sequence is the better news.
    check(seen(drawn([30000, 30001, 30002]), low=(700, 811)), SYMMETRIC, 1, 1, port=30002)


def test_by_address_only():
    got = [(0, 50000, A1, 25000), (0, 50000, A2, 25000), (0, 50000, B, 21000),
           (1, 50001, A1, 27777), (1, 50001, A2, 27777), (1, 50001, B, 20111)]  # fmt: skip
    b = classify(seen(got))
    assert b[0] == SYMMETRIC and b[3] == 8
    got[1] = (0, 50000, A2, 25001)
    assert classify(seen(got))[3] == 0


def test_one_address_of_many_for_each_flow_is_no_cone():
    other = bytes((198, 18, 0, 8))
    got = [(0, 50000, A1, at(50000)), (0, 50000, B, at(50000, other))]
    assert classify(seen(got, stranger=False))[0] == SYMMETRIC


def test_a_helper_on_our_side_of_the_carriers_nat_is_left_out():
    near = (0, 50000, INSIDE, at(50000, bytes((100, 64, 0, 3))))
    check(seen([near] + cone(mapped=21234), stranger=False), PORT)
    # All of them on our side: then that is the world to be reached from.
    check(seen([near, (0, 50000, C, near[3])], stranger=False), PORT, sub=6)


def test_a_router_that_lets_early_packets_take_the_place():
    check(seen(cone(), stranger=False, early=True), PORT, 6, flags=16)
    # What came through by that is no filter that lets in.
    check(seen(cone(), stranger=True, other_port=True, early=True), PORT, 6, flags=16)


def test_what_the_router_promised_and_what_costs():
    fixed = at(4104)
    check(seen(cone(), stranger=False, fixed=fixed), PORT, 6, flags=1, port=4104)
    b = classify(seen(drawn(chance(1024, 64512, 8)), fixed=fixed, metered=True))
    assert b[0] == SYMMETRIC and b[3] == 3 and number(b, 4) == 4104
    check(seen(drawn([30000, 30001, 30002]), fixed=fixed), SYMMETRIC, 1, 1, 1, port=4104)


def test_the_old_rules_faults_stay_gone():
    # "Own address equals mapped address: public".
    assert classify(seen(cone(), local=WAN + HOME[4:], stranger=False))[0] != PUBLIC
    # "Full cone, whatever cone it is".
    kinds = [classify(seen(cone(), stranger=s, other_port=o))[0]
             for s, o in ((True, True), (False, True), (False, False))]  # fmt: skip
    assert kinds == [FULL, RESTRICTED, PORT]


def test_names():
    assert len(nat_type.TYPES) == 7 and nat_type.TYPES[SYMMETRIC] == "symmetric"
    assert len(nat_type.SUBS) == 7 and nat_type.SUBS[6] == "port preserving"
