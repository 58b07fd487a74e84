from l4mesh import peers as P
from l4mesh.peers import Peers
from l4mesh.prng import XorShift
from l4mesh.ticks import MASK

A = bytes((10, 77, 1, 5, 16, 8))


def sid(n):
    return b"peer" + bytes((n >> 24 & 255, n >> 16 & 255, n >> 8 & 255, n & 255))


def addr(n):
    return bytes((10, 77, n >> 8 & 255, n & 255, 16, 8))


def fresh(p, i, counter):
    return p.judge(i, p.get30(i, P.O_EPOCH), counter) in (1, 2)


def test_a_slot_has_room_for_all_that_is_known():
    p = Peers(4)
    i = p.add(sid(1), A, 7, 100, 5000)
    assert p.find(sid(1)) == i and p.short_id(i) == sid(1) and len(p) == 1
    assert p.addr(i) == A and p.addr_is(i, A) and not p.addr_is(i, addr(9))
    assert p.get30(i, P.O_EPOCH) == 7 and p.get30(i, P.O_TOP) == 100
    assert p.age(i, 5300) == 300 and p.used(i)
    p.set(i, P.O_MODE, 2)
    p.set16(i, P.O_RTT, 70000)
    assert p.get(i, P.O_MODE) == 2 and p.get16(i, P.O_RTT) == 65535
    assert p.find(sid(2)) == -1


def test_fields_do_not_overlap():
    fields = ((8, 6), (P.O_FLAGS, 1), (P.O_MODE, 1), (P.O_BATTERY, 1), (P.O_LOAD, 1),
              (P.O_EPOCH, 4), (P.O_TOP, 4), (P.O_WINDOW, 16), (P.O_HEARD, 4), (P.O_INTERVAL, 2),
              (P.O_RTT, 2), (P.O_ASKED, 1), (P.O_HITS, 1), (P.O_HASH, 8))  # fmt: skip
    end = 8
    for o, n in fields:
        assert o == end
        end = o + n
    assert end <= P.SLOT == 64


def test_flags_are_set_one_by_one():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1, 0)
    p.set_flag(i, P.P_LAN)
    p.set_flag(i, P.P_TIER)
    p.set_flag(i, P.P_LAN, False)
    assert p.flags(i) & P.P_TIER and not p.flags(i) & P.P_LAN and p.used(i)


def test_another_address_is_not_proven():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1, 0)
    p.set_flag(i, P.P_PROVEN)
    p.set_addr(i, A)
    assert p.flags(i) & P.P_PROVEN
    p.set_addr(i, addr(9))
    assert not p.flags(i) & P.P_PROVEN and p.addr(i) == addr(9)


def test_window_takes_each_counter_once():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1000, 0)
    assert not fresh(p, i, 1000) and not fresh(p, i, 999) and not fresh(p, i, 1)
    assert fresh(p, i, 1001)
    p.seen(i, 1001)
    assert not fresh(p, i, 1001)
    p.seen(i, 1064)
    assert fresh(p, i, 1063) and fresh(p, i, 1002)
    assert not fresh(p, i, 1001) and not fresh(p, i, 1000)


def test_window_is_sixty_four_wide():
    p = Peers(4)
    for back, good in ((1, True), (2, True), (62, True), (63, True), (64, False), (65, False)):
        p.restart(p.add(sid(back), addr(back), 1, 1, 0), 1, 1)
        i = p.find(sid(back))
        p.seen(i, 5000)
        assert fresh(p, i, 5000 - back) == good, back
        if good:
            p.seen(i, 5000 - back)
            assert not fresh(p, i, 5000 - back)
            assert not fresh(p, i, 5000)
        p.drop(i)


def test_window_against_a_set():
    rng = XorShift(3)
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1, 0)
    seen = {1}
    top = 1
    for _ in range(4000):
        c = max(1, top - 70 + rng.getrandbits(7))
        if rng.getrandbits(6) == 0:
            c = top + rng.getrandbits(9)
        want = c not in seen and c > top - 64
        assert fresh(p, i, c) == want, (c, top)
        if want:
            p.seen(i, c)
            seen.add(c)
            top = max(top, c)
            assert p.get30(i, P.O_TOP) == top


def test_the_first_counters_of_an_epoch():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1, 0)
    p.restart(i, 2, 0)
    for c in (1, 3, 2):
        assert fresh(p, i, c)
        p.seen(i, c)
        assert not fresh(p, i, c)


def test_a_jump_is_more_than_2_to_the_16():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 10, 0)
    assert p.judge(i, 1, 10 + 65536) == 1 and p.judge(i, 1, 10 + 65537) == 2
    assert p.judge(i, 1, 3) == 0 and p.judge(i, 1, 0x3FFFFFFF) == 2


def test_another_epoch_is_told_apart():
    p = Peers(4)
    i = p.add(sid(1), A, 5, 10, 0)
    assert p.judge(i, 6, 1) == p.judge(i, 0x3FFFFFFF, 10) == 3
    assert p.judge(i, 4, 11) == p.judge(i, 0, 10) == 4


def test_far_ahead_leaves_nothing_of_the_old_window():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 7, 0)
    for c in (8, 15, 16, 143, 144, 272, 1000, 1128, 0x3FFFFFFF):
        top = p.get30(i, P.O_TOP)
        p.seen(i, c)
        for back in range(64):
            was = c - back
            if was > top:
                assert fresh(p, i, was) == (back > 0), (c, back)
            elif was == top or was <= 7:
                assert not fresh(p, i, was), (c, back)


def test_gone_after_three_intervals_and_ten_seconds():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1, MASK - 100)
    p.set16(i, P.O_INTERVAL, 5)
    at = (MASK - 100 + 15000) & MASK
    assert not p.gone(i, at) and p.gone(i, at + 1)
    p.set16(i, P.O_INTERVAL, 1)
    assert not p.gone(i, (MASK - 100 + 10000) & MASK) and p.gone(i, (MASK - 100 + 10001) & MASK)


def test_a_tick_that_wrapped_is_old_not_young():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1, 1000)
    assert p.age(i, 900) == 0  # two callers a little out of order
    assert p.age(i, (1000 + MASK // 2 + 5000) & MASK) > 500000000
    assert p.gone(i, (1000 + MASK // 2 + 5000) & MASK)


def test_unproven_names_displace_only_each_other():
    p = Peers(20, 5)
    good = []
    for n in range(10):
        good.append(p.add(sid(n), addr(n), 1, 1, 0))
        p.set_flag(good[n], P.P_PROVEN)
    for n in range(100, 600):
        assert p.add(sid(n), addr(n), 1, 1, n) >= 0
    assert len(p) == 15
    assert [p.find(sid(n)) for n in range(10)] == good
    assert [p.find(sid(n)) >= 0 for n in range(595, 600)] == [True] * 5


def test_a_full_table_takes_the_place_of_the_gone():
    p = Peers(4, 2)
    for n in range(4):
        p.set_flag(p.add(sid(n), addr(n), 1, 1, n * 1000), P.P_SIGNED)
    assert p.add(sid(9), addr(9), 1, 1, 5000) == -1 and len(p) == 4
    at = [p.find(sid(n)) for n in range(4)]
    p.heard(at[0], 200000)
    p.heard(at[1], 200000)
    p.set_flag(at[2], P.P_TIER)  # as long gone as the other one, but it stays
    assert p.add(sid(9), addr(9), 1, 1, 200000) == at[3]
    assert p.find(sid(2)) == at[2] and p.find(sid(3)) == -1


def test_one_address_has_so_many_slots():
    p = Peers(20, 20, 3)
    tier = p.add(sid(0), A, 1, 1, 0)
    p.set_flag(tier, P.P_TIER)
    for n in range(1, 500):
        i = p.add(sid(n), bytes(A[:4]) + bytes((20, n & 255)), 1, 1, n)
        p.set_flag(i, P.P_PROVEN)
    assert len(p) == 4 and p.find(sid(0)) == tier
    assert [p.find(sid(n)) >= 0 for n in range(497, 500)] == [True] * 3
    p.add(sid(1000), addr(77), 1, 1, 500)
    assert len(p) == 5


def test_drop_leaves_nothing():
    p = Peers(4)
    i = p.add(sid(1), A, 1, 1, 0)
    p.drop(i)
    assert p.find(sid(1)) == -1 and len(p) == 0 and not p.used(i)
    assert bytes(p.buf) == bytes(4 * P.SLOT)
