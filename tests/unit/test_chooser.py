from l4mesh.chooser import choose, note
from l4mesh.peers import O_ASKED, O_HITS, O_INTERVAL, O_MODE, O_RTT, P_LAN, P_REMOTE, Peers
from l4mesh.wire import ACTIVE, PASSIVE, STANDARD


def sid(n):
    return b"peer" + bytes((0, 0, 0, n))


def make(*modes):
    """Peers 0..n-1 with these modes on the LAN; returns the table and their slots."""
    p = Peers(10, 10)
    slots = []
    for n in range(len(modes)):
        i = p.add(sid(n), bytes((10, 77, 1, n + 1, 16, 8)), 1, 1, 0)
        p.set(i, O_MODE, modes[n])
        p.set_flag(i, P_LAN)
        p.set16(i, O_INTERVAL, 60)
        slots.append(i)
    return p, slots


def pick(p, target=bytes(16), flag=P_LAN, n=3, now=0):
    out = [-1] * 3
    k = choose(p, target, flag, n, now, out)
    assert len(set(out[:k])) == k
    return out[:k]


def test_nobody():
    assert pick(Peers(10)) == []


def test_the_target_itself_comes_first_in_any_mode():
    p, slots = make(STANDARD, PASSIVE, STANDARD)
    assert pick(p, sid(1) + bytes(8))[0] == slots[1]
    assert len(pick(p, sid(1) + bytes(8))) == 3


def test_passive_ones_are_not_asked():
    p, slots = make(PASSIVE, STANDARD, 0, ACTIVE)
    assert sorted(pick(p)) == sorted((slots[1], slots[3]))


def test_the_gone_are_not_asked():
    p, slots = make(STANDARD, STANDARD)
    p.heard(slots[1], 200000)
    assert pick(p, sid(0) + bytes(8), now=200000) == [slots[1]]


def test_at_most_n():
    p, slots = make(*[STANDARD] * 6)
    for n in (1, 2, 3):
        assert len(pick(p, n=n)) == n


def test_flags_keep_lan_and_far_apart():
    p, slots = make(STANDARD, STANDARD)
    p.set_flag(slots[1], P_LAN, False)
    p.set_flag(slots[1], P_REMOTE)
    assert pick(p) == [slots[0]] and pick(p, flag=P_REMOTE) == [slots[1]]


def test_who_had_answers_is_asked_first():
    p, slots = make(STANDARD, STANDARD, STANDARD)
    for _ in range(10):
        note(p, slots[0], False)
        note(p, slots[1], True)
    assert pick(p) == [slots[1], slots[2], slots[0]]


def test_experience_fades():
    p, slots = make(STANDARD)
    for _ in range(1000):
        note(p, slots[0], True)
    a, h = p.get(slots[0], O_ASKED), p.get(slots[0], O_HITS)
    assert h == a and 90 <= a <= 200
    for _ in range(1000):
        note(p, slots[0], False)
    assert p.get(slots[0], O_HITS) < 5


def test_round_trips_are_averaged():
    p, slots = make(STANDARD)
    i = slots[0]
    p.timed(i, 0)
    assert p.get16(i, O_RTT) == 1
    p.set16(i, O_RTT, 0)
    p.timed(i, 8)
    assert p.get16(i, O_RTT) == 80
    p.timed(i, 16)
    assert p.get16(i, O_RTT) == 90
    p.timed(i, 1000000)
    assert p.get16(i, O_RTT) == (90 * 7 + 60000) // 8
