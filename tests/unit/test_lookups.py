from l4mesh import counters as C
from l4mesh import wire
from l4mesh.counters import Counters
from l4mesh.lookups import FAN, Lookups, tally
from l4mesh.ticks import MASK, add

A, B = b"a" * 16, b"b" * 16


def test_places_are_few():
    u = Lookups(3)
    for n in range(3):
        q = u.begin(bytes((n,)) * 16, 0, n + 1, 10)
        q.stage = 1
    assert u.begin(A, 0, 9, 10) is None
    u.all[1].stage = 0
    assert u.begin(A, 0, 9, 10) is u.all[1]


def test_the_same_question_is_found():
    u = Lookups(3)
    q = u.begin(A, 2, 5, 10)
    assert u.same(A, 2) is None  # not under way yet
    q.stage = 1
    assert u.same(A, 2) is q and u.same(A, 0) is None and u.same(B, 2) is None
    assert u.of_token(5) is q and u.of_token(6) is None


def test_frames_find_their_look_up():
    u = Lookups(3)
    q = u.begin(A, 0, 5, 10)
    q.frames = [7, 0, 9, 0]
    assert u.of_frame(7) == (None, 0)
    q.stage = 1
    assert u.of_frame(7) == (q, 0) and u.of_frame(9) == (q, 2)
    assert u.of_frame(8) == (None, 0)
    # An empty place is no frame 0, and nonsense from the wire (-1) is none either.
    assert u.of_frame(0) == (None, 0) and u.of_frame(-1) == (None, 0)
    assert len(q.frames) == len(q.slots) == FAN


def test_no_such_node_is_remembered_for_a_while():
    for start in (0, MASK - 5000):
        u = Lookups(1)
        u.refuse(A, 30, start)
        assert u.refused(A, add(start, 29999)) and not u.refused(A, add(start, 30000))
        assert not u.refused(B, start)


def test_it_is_not_remembered_again_when_ticks_wrap():
    u = Lookups(1)
    u.refuse(A, 30, 0)
    u.expire(29999)
    assert u.refused(A, 29999)
    u.expire(30000)
    assert not u.refused(A, 0)
    for days in range(13):
        assert not u.refused(A, days * 86400000 & MASK)


def test_eight_are_remembered():
    u = Lookups(1)
    for n in range(9):
        u.refuse(bytes((n,)) * 16, 30, 0)
    assert [u.refused(bytes((n,)) * 16, 1) for n in range(9)] == [False] + [True] * 8


def test_tally():
    for status, source, counter in (
        (wire.FOUND, 1, C.C_LOOKUP_L1), (wire.FOUND, 2, C.C_LOOKUP_L2),
        (wire.FOUND, 3, C.C_LOOKUP_L3), (wire.FOUND, 4, C.C_LOOKUP_P2P),
        (wire.FOUND, 5, C.C_LOOKUP_LAN), (wire.FOUND, 6, C.C_LOOKUP_OWN),
        (wire.UNKNOWN, 1, C.C_LOOKUP_UNKNOWN), (wire.UNAVAILABLE, 0, C.C_LOOKUP_UNAVAILABLE),
        (wire.FAILED, 0, C.C_LOOKUP_FAILED),
    ):  # fmt: skip
        c = Counters()
        tally(c, status, source)
        assert [i for i in range(53) if c.get(i)] == [counter]
