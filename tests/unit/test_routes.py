import kit
from l4mesh.prng import XorShift
from l4mesh.record import SIZE, id_of
from l4mesh.routes import PINNED, VERIFIED, Routes

ADDR = bytes((10, 77, 1, 9, 16, 8))


def rec(n, epoch=1, counter=1, life=30, fill=0):
    key = bytes((n & 255, n >> 8)) + bytes(30)
    return kit.record_body(key, epoch, counter, life, ADDR) + bytes([fill]) * 64


def nid(n):
    return id_of(rec(n), 0)


def put(r, n, remaining=30, verified=True, now=0, **more):
    return r.put(rec(n, **more), 0, remaining, verified, now)


def test_what_was_put_is_found():
    r = Routes(4)
    buf = bytearray(5) + rec(1)
    i = r.put(buf, 5, 30, True, 0)
    assert i >= 0 and len(r) == 1
    assert r.find(nid(1), 0) == i == r.peek(nid(1))
    assert bytes(r.view[i * SIZE : (i + 1) * SIZE]) == rec(1)
    assert r.node_id(i) == nid(1)
    assert r.flags[i] & VERIFIED
    assert r.find(nid(2), 0) == -1 == r.peek(nid(2))


def test_it_ends_to_the_minute():
    r = Routes(4)
    put(r, 1, 10, now=100)
    assert r.find(nid(1), 109) >= 0
    assert r.find(nid(1), 110) == -1
    assert len(r) == 0 and r.peek(nid(1)) == -1


def test_remaining_rounds_down_and_never_below_nothing():
    r = Routes(4)
    i = put(r, 1, 10, now=100)
    # A minute may be all but over: what is passed on leaves it out.
    assert [r.remaining(i, 100 + k) for k in (0, 1, 8, 9, 10, 50)] == [9, 8, 1, 0, 0, 0]


def test_never_kept_longer_than_told_or_signed():
    r = Routes(4)
    put(r, 1, 500, life=20)
    assert r.find(nid(1), 19) >= 0 and r.find(nid(1), 20) < 0
    put(r, 2, 5, life=20)
    assert r.find(nid(2), 4) >= 0 and r.find(nid(2), 5) < 0
    assert put(r, 3, 0) == -1 and put(r, 3, -1) == -1


def test_the_same_record_again_never_lives_longer():
    r = Routes(4)
    put(r, 1, 10)
    put(r, 1, 30, now=5)
    assert r.find(nid(1), 9) >= 0 and r.find(nid(1), 10) < 0
    put(r, 2, 30)
    put(r, 2, 3, now=5)
    assert r.find(nid(2), 7) >= 0 and r.find(nid(2), 8) < 0


def test_round_and_round_a_record_dies():
    a, b = Routes(2), Routes(2)
    put(a, 1, 30)
    left = 30
    for minute in range(60):
        for one, two in ((a, b), (b, a)):
            i = one.find(nid(1), minute)
            if i >= 0:
                left = one.remaining(i, minute)
                two.put(rec(1), 0, left, True, minute)
    assert minute > 30 and a.find(nid(1), 30) < 0 and b.find(nid(1), 30) < 0


def test_newer_replaces_older_is_refused():
    r = Routes(4)
    i = put(r, 1, epoch=2, counter=5)
    assert put(r, 1, epoch=2, counter=4) == -1
    assert put(r, 1, epoch=1, counter=900) == -1
    assert bytes(r.view[i * SIZE : (i + 1) * SIZE]) == rec(1, 2, 5)
    assert put(r, 1, epoch=2, counter=6, now=10) == i
    assert r.find(nid(1), 39) == i
    assert bytes(r.view[i * SIZE : (i + 1) * SIZE]) == rec(1, 2, 6)
    assert len(r) == 1


def test_equal_age_keeps_the_first_body():
    r = Routes(4)
    i = put(r, 1, fill=1)
    assert put(r, 1, fill=2) == -1
    assert r.slab[i * SIZE + 100] == 1
    i = put(r, 2, verified=False, fill=1)
    assert put(r, 2, verified=False, fill=2) == -1
    assert put(r, 2, fill=3) == i  # the checked one is the true one
    assert r.slab[i * SIZE + 100] == 3 and r.flags[i] & VERIFIED


def test_unverified_never_replaces_verified():
    r = Routes(4)
    i = put(r, 1, counter=1)
    assert put(r, 1, counter=2, verified=False) == -1
    assert bytes(r.view[i * SIZE : (i + 1) * SIZE]) == rec(1)
    assert put(r, 1, counter=2, verified=False, now=30) >= 0  # the verified one has ended


def test_unverified_share_a_few_slots():
    r = Routes(10, 3)
    for n in range(6):
        assert put(r, n, verified=False) >= 0
        assert r.unverified == min(n + 1, 3)
    assert len(r) == 3
    assert [r.peek(nid(n)) >= 0 for n in range(6)] == [False] * 3 + [True] * 3


def test_ended_ones_make_no_room_for_more_unverified():
    r = Routes(4, 2)
    put(r, 0, 1)
    for n in (1, 2, 3):
        assert put(r, n, verified=False, now=5) >= 0
        assert r.unverified <= 2
    assert len(r) == 3


def test_a_flood_of_unverified_displaces_none_that_is_verified():
    r = Routes(10, 3)
    for n in range(10):
        put(r, n)
    for n in range(100, 300):
        assert put(r, n, verified=False) == -1
    assert [r.peek(nid(n)) >= 0 for n in range(10)] == [True] * 10
    assert r.unverified == 0


def test_verifying_moves_it_out_of_the_few():
    r = Routes(10, 3)
    i = put(r, 1, verified=False)
    assert not r.flags[i] & VERIFIED
    assert put(r, 1) == i
    assert r.flags[i] & VERIFIED and r.unverified == 0


def test_two_hundred_nodes_through_fifty_slots():
    r = Routes(50)
    r.pin(put(r, 0))
    size = len(r.slab)
    for n in range(1, 50):
        put(r, n)
    assert r.find(nid(1), 0) >= 0  # used again: the last to go
    for n in range(50, 200):
        assert put(r, n) >= 0
        assert len(r) == 50
    assert r.flags[r.peek(nid(0))] & PINNED
    assert sorted(n for n in range(200) if r.peek(nid(n)) >= 0) == [0] + list(range(151, 200))
    assert len(r.slab) == size


def test_least_recently_used_goes_first():
    r = Routes(3)
    for n in (1, 2, 3):
        put(r, n)
    r.find(nid(1), 0)
    put(r, 4)
    assert r.peek(nid(2)) < 0 and r.peek(nid(1)) >= 0
    r.peek(nid(3))  # a peek is no use of it
    put(r, 5)
    assert r.peek(nid(3)) < 0


def test_the_ended_go_before_the_living():
    r = Routes(3)
    put(r, 1, 30)
    put(r, 2, 3)
    put(r, 3, 30)
    put(r, 4, 30, now=5)
    assert [r.peek(nid(n)) >= 0 for n in (1, 2, 3, 4)] == [True, False, True, True]


def test_all_pinned_means_no_room():
    r = Routes(2)
    for n in (1, 2):
        r.pin(put(r, n))
    assert put(r, 3) == -1
    r.pin(r.peek(nid(1)), False)
    assert put(r, 3) >= 0 and r.peek(nid(1)) < 0


def test_drop():
    r = Routes(2)
    put(r, 1, verified=False)
    assert r.drop(nid(1)) and not r.drop(nid(1))
    assert len(r) == 0 and r.unverified == 0
    assert put(r, 2) >= 0 and put(r, 3) >= 0


def test_against_a_plain_model():
    """2,000 random steps beside a dict and a list in order of use; all records verified."""
    rng = XorShift(5)
    r = Routes(12)
    model = {}
    order = []
    now = 0
    for _ in range(2000):
        n = rng.getrandbits(5)
        what = rng.getrandbits(2)
        now += rng.getrandbits(4) == 0
        if what < 2:
            i = r.find(nid(n), now)
            assert (i >= 0) == (model.get(n, 0) > now)
            if i >= 0:
                order.remove(n)
                order.append(n)
            elif n in model:
                del model[n]
                order.remove(n)
        elif what == 2 and n in model:
            assert r.drop(nid(n))
            del model[n]
            order.remove(n)
        elif model.get(n, 0) <= now:
            life = 1 + rng.getrandbits(4)
            if n in model:
                del model[n]
                order.remove(n)
            if len(order) == 12:
                old = [k for k in order if model[k] <= now] or order
                del model[old[0]]
                order.remove(old[0])
            assert put(r, n, life, now=now) >= 0
            model[n] = now + life
            order.append(n)
        assert len(r) == len(model)
        assert sorted(model) == sorted(k for k in range(32) if r.peek(nid(k)) >= 0)
