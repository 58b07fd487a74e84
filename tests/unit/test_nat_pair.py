"""What a pair can do: all 36 pairs of the six types, sub-classes, and both sides' plans fit."""

from l4mesh.nat_pair import STRATEGIES, plan, strategy

UNKNOWN, PUBLIC, FULL, RESTRICTED, PORT, SYMMETRIC, BLOCKED = range(7)
D, P, R, T = range(4)  # direct, punch, relay, try all
RELAY, OPEN, WAIT, PUNCH, HARD = range(5)


def s(kind, sub=0, step=0, flags=0, port=40000, width=0):
    return bytes((kind, sub, step & 255, flags, port >> 8, port & 255, width >> 8, width & 255))


SEQ = s(SYMMETRIC, 1, 1, port=30000)
DOWN = s(SYMMETRIC, 1, -2, port=30000)
BLK = s(SYMMETRIC, 2, port=20256, width=512)
LOW = s(SYMMETRIC, 3, width=424)
ALL = s(SYMMETRIC, 4)
RANGE = s(SYMMETRIC, 4, port=24000, width=8192)
STEADY = s(UNKNOWN, flags=4)
METERED_PORT = s(PORT, flags=2)

# Rows mine, columns theirs: unknown, public, full, restricted, port restricted, symmetric (of
# which nothing more is known).
TABLE = (
    (T, D, D, T, T, T),
    (D, D, D, D, D, D),
    (D, D, D, D, D, D),
    (T, D, D, P, P, P),
    (T, D, D, P, P, T),
    (T, D, D, P, T, R),
)


def test_all_36_pairs():
    for mine in range(6):
        for theirs in range(6):
            got = strategy(s(mine), s(theirs))
            assert got == TABLE[mine][theirs], (mine, theirs, STRATEGIES[got])
            assert got == strategy(s(theirs), s(mine))


def test_udp_blocked_is_for_a_relay_always():
    for kind in range(7):
        assert strategy(s(BLOCKED), s(kind)) == R == strategy(s(kind), s(BLOCKED))
        assert plan(s(kind), s(BLOCKED)).how == RELAY
    assert strategy(s(PUBLIC, flags=1), s(BLOCKED)) == R


def test_faults_of_the_old_table_stay_gone():
    # Port restricted had no row; restricted cones went to a relay without need.
    assert strategy(s(PORT), s(PORT)) == P
    assert strategy(s(RESTRICTED), s(PORT)) == P
    assert strategy(s(RESTRICTED), s(SYMMETRIC)) == P
    # It looked at the target alone: a symmetric one is no obstacle for who is open.
    assert strategy(s(FULL), s(SYMMETRIC)) == D
    assert strategy(s(PORT), SEQ) == P and strategy(SEQ, SEQ) == P and strategy(ALL, ALL) == R


def test_symmetric_pairs_by_sub_class():
    guess = (SEQ, DOWN, BLK, LOW)
    for a in guess:
        for b in guess:
            assert strategy(a, b) == P
        for b in (ALL, RANGE, s(SYMMETRIC)):
            assert strategy(a, b) == R == strategy(b, a)
        assert strategy(a, s(PORT)) == P and strategy(a, STEADY) == T
    for a in (ALL, RANGE):
        assert strategy(a, s(PORT)) == T and strategy(a, s(RESTRICTED)) == P
        assert strategy(a, ALL) == R


def test_a_mapping_by_the_router_opens():
    fixed = s(SYMMETRIC, 4, flags=1, port=4104)
    for other in (s(UNKNOWN), s(PORT), s(SYMMETRIC), ALL, SEQ):
        assert strategy(fixed, other) == D == strategy(other, fixed)
        assert plan(other, fixed).how == OPEN and plan(fixed, other).how == WAIT


def test_metered_guesses_no_ports():
    assert strategy(METERED_PORT, ALL) == R == strategy(METERED_PORT, SEQ)
    metered = s(SYMMETRIC, 2, flags=2, port=20256, width=512)
    assert strategy(metered, BLK) == R and strategy(s(PORT), metered) == P
    assert strategy(METERED_PORT, s(PORT)) == P == strategy(METERED_PORT, s(RESTRICTED))
    kinds = [s(k, flags=2) for k in range(7)] + [metered]
    for mine in kinds:
        for theirs in kinds + [SEQ, BLK, LOW, ALL]:
            assert plan(mine, theirs).count == 0


def test_plans_without_guessing():
    assert plan(s(PORT), s(PORT)).how == PUNCH == plan(s(RESTRICTED), ALL).how
    p = plan(ALL, s(RESTRICTED))
    assert (p.how, p.count, p.fresh) == (PUNCH, 0, 0)
    assert plan(s(PORT), s(PUBLIC)).how == OPEN and plan(s(FULL), s(PORT)).how == WAIT
    assert plan(s(UNKNOWN), s(UNKNOWN)).how == PUNCH
    assert plan(ALL, ALL).how == RELAY == plan(SEQ, ALL).how


def ports(p):
    return [p.port(i) for i in range(p.span)]


def test_port_restricted_and_a_sequence():
    p = plan(s(PORT), SEQ)
    assert (p.how, p.count, p.fresh, p.shuffle, p.rounds) == (HARD, 16, 0, False, 4)
    assert ports(p) == list(range(30001, 30017))
    assert ports(plan(s(PORT), DOWN)) == list(range(29998, 29966, -2))
    p = plan(SEQ, s(PORT))  # whose own next mapping is what the other one aims at
    assert (p.how, p.count, p.fresh) == (HARD, 0, 0)


def test_port_restricted_and_a_block():
    p = plan(s(PORT), BLK)
    assert p.shuffle and p.fresh == 0 and p.count == p.span <= 1024
    assert p.first <= 20000 and p.port(p.span - 1) >= 20511
    p = plan(BLK, s(PORT))
    assert (p.how, p.count, p.fresh, p.low, p.each, p.wait_ms) == (HARD, 0, 24, False, False, 0)


def test_port_restricted_and_low_ports():
    p = plan(s(PORT), LOW)
    assert ports(p) == list(range(600, 1024)) and p.count == 424 and p.rounds == 2
    p = plan(LOW, s(PORT))
    assert p.low and p.fresh == 24 and p.count == 0


def test_port_restricted_and_any_port_is_a_birthday():
    p = plan(s(PORT), ALL)
    assert (p.count, p.first, p.span) == (1024, 1024, 64512) and p.shuffle and p.rounds == 1
    assert p.port(p.span - 1) == 65535
    p = plan(ALL, s(PORT))
    assert p.fresh == 160 and p.count == 0
    p = plan(s(PORT), RANGE)
    assert p.count == 1024 and p.first < 24000 - 4096 and p.port(p.span - 1) > 24000 + 4096


def test_the_easy_side_goes_first_at_a_router_that_takes_early_packets():
    """With all of its packets, 500 a second; towards a sequence only when it knows the port."""
    easy = s(PORT, flags=16)
    for hard in (ALL, BLK, RANGE):
        assert plan(hard, easy).wait_ms == 150 + 2 * plan(easy, hard).count
        assert plan(hard, s(PORT)).wait_ms == 0 == plan(easy, hard).wait_ms
    assert plan(SEQ, easy).wait_ms == 150


def test_two_sequences_meet_at_one_port():
    p = plan(SEQ, DOWN)
    assert (p.count, p.fresh, p.each, p.shuffle) == (1, 6, True, False)
    assert p.port(0) == 30000 - 12  # the last of their six, if nobody else sent: five to spare
    assert plan(DOWN, SEQ).port(0) == 30006


def test_a_sequence_and_a_block():
    p = plan(SEQ, BLK)
    # Each packet is a lot of its own: none beside the block.
    assert p.fresh == 0 and not p.each and p.count == p.span == 512
    p = plan(BLK, SEQ)
    assert p.fresh == 6 and p.each and ports(p) == list(range(30001, 30513))
    p = plan(LOW, BLK)
    assert p.low and p.fresh == 6 and p.each and p.rounds == 2 and p.shuffle


def test_ports_stay_ports():
    near_end = s(SYMMETRIC, 1, 1, port=65530)
    got = ports(plan(s(PORT), near_end))
    assert got[:5] == [65531, 65532, 65533, 65534, 65535] and got[5] == 1024 and len(got) == 16
    near_begin = s(SYMMETRIC, 1, -3, port=5)
    assert all(1 <= p <= 65535 for p in ports(plan(s(PORT), near_begin)))
    edge = s(SYMMETRIC, 2, port=65500, width=512)
    assert all(1 <= p <= 65535 for p in ports(plan(s(PORT), edge)))


def test_whatever_peers_write_gives_a_plan():
    for kind in range(0, 256, 5):
        for sub in range(0, 256, 17):
            for step in (0, 1, 128, 255):
                odd = s(kind, sub, step, 0, 65535, 65535)
                for mine in (s(PORT), SEQ, BLK, odd):
                    for p in (plan(mine, odd), plan(odd, mine)):
                        assert 0 <= p.count <= 1024 and p.count <= p.span and p.fresh <= 160
                        for i in range(0, p.span, 97):
                            assert 1 <= p.port(i) <= 65535
