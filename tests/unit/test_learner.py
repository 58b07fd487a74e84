from kit import Person, bare_node, give, settle
from l4mesh.peers import O_EPOCH, O_TOP, P_EPOCH, P_SIGNED
from l4mesh.record import SIZE
from l4mesh.routes import VERIFIED


class Bed:
    def __init__(self):
        self.n = bare_node(1)
        self.r = self.n.routes
        self.now = 10

    def learn(self, rec, remaining=20):
        return self.n.learner.learn(bytes(3) + rec, 3, remaining, self.n.minutes.minute)

    def settle(self):
        self.now = settle(self.n, self.now)

    def state(self, p):
        """-1 absent, 0 unverified, 1 verified; and the record."""
        i = self.r.peek(p.id)
        if i < 0:
            return -1, None
        return self.r.flags[i] & VERIFIED, bytes(self.r.view[i * SIZE : (i + 1) * SIZE])


P = Person(2)


def test_usable_at_once_and_verified_later():
    b = Bed()
    assert b.learn(P.record())
    assert b.state(P) == (0, P.record())
    b.settle()
    assert b.state(P) == (1, P.record())
    assert b.r.remaining(b.r.peek(P.id), 0) == 19


def test_a_forgery_is_dropped():
    b = Bed()
    b.learn(P.record(good=False))
    b.settle()
    assert b.state(P)[0] == -1
    b.learn(P.record(good=False))
    assert b.state(P)[0] == -1  # and known as one


def test_a_forgery_takes_no_true_record_along():
    b = Bed()
    b.learn(P.record())
    b.settle()
    b.learn(P.record(counter=9, good=False))
    assert b.state(P) == (1, P.record())
    b.settle()
    assert b.state(P) == (1, P.record())


def test_nor_one_that_still_waits():
    b = Bed()
    b.learn(P.record(counter=1, good=False))
    b.learn(P.record(counter=2))
    b.n.checker._every = 300
    while not b.n.counters.get(14):  # until the forgery was found
        b.now += 1
        b.n.poll(b.now)
    assert b.state(P) == (0, P.record(counter=2))
    b.settle()
    assert b.state(P) == (1, P.record(counter=2))


def test_a_newer_record_waits_beside_the_verified_one():
    b = Bed()
    b.learn(P.record())
    b.settle()
    b.learn(P.record(counter=2))
    assert b.state(P) == (1, P.record())
    b.settle()
    assert b.state(P) == (1, P.record(counter=2))
    b.learn(P.record())
    b.settle()
    assert b.state(P) == (1, P.record(counter=2))


def test_our_own_and_the_dead_are_not_learnt():
    b = Bed()
    assert not b.learn(bytes(b.n.own.record))
    assert not b.learn(P.record(), 0)
    assert len(b.r) == 0 and len(b.n.checker) == 0


def test_the_same_record_costs_one_check():
    b = Bed()
    for _ in range(5):
        b.learn(P.record())
    b.settle()
    for _ in range(5):
        assert b.learn(P.record())
    assert b.n.counters.get(35) == 1 and len(b.n.checker) == 0


def test_life_spent_waiting_is_gone():
    b = Bed()
    b.learn(P.record(), 3)
    b.n.minutes.minute = 3
    b.settle()
    assert b.r.find(P.id, 3) == -1


def test_a_full_queue_is_told():
    b = Bed()
    for k in range(8):
        assert b.learn(P.record(counter=k + 1, good=False))
    assert not b.learn(P.record(counter=99, good=False))


def test_unverified_ones_are_eight_at_most():
    b = Bed()
    for k in range(20):
        b.learn(Person(10 + k).record(good=False))
    assert b.r.unverified == 8 == len(b.r)


def peer(b, p, **more):
    give(b.n, p, p.hello(**more), b.now)
    return b.n.peers.find(p.id[:8])


def test_a_hello_is_signed_for_by_its_record():
    b = Bed()
    p = Person(2)
    i = peer(b, p)
    b.learn(p.record(counter=2))  # not the one that the hello named
    b.settle()
    assert not b.n.peers.flags(i) & P_SIGNED
    give(b.n, p, p.hello(p.record(counter=2)), b.now)
    b.learn(p.record(counter=2))
    assert b.n.peers.flags(i) & P_SIGNED


def test_a_signed_record_carries_its_epoch():
    b = Bed()
    p = Person(2)
    i = peer(b, p)
    b.learn(p.record(epoch=7))
    assert b.n.peers.get30(i, O_EPOCH) == 1
    b.settle()
    assert b.n.peers.get30(i, O_EPOCH) == 7 and b.n.peers.get30(i, O_TOP) == 0
    assert b.n.peers.flags(i) & P_EPOCH
    b.learn(p.record(epoch=3, counter=900))
    b.settle()
    assert b.n.peers.get30(i, O_EPOCH) == 7


def test_a_forged_record_carries_none():
    b = Bed()
    p = Person(2)
    i = peer(b, p)
    b.learn(p.record(epoch=7, good=False))
    b.settle()
    assert b.n.peers.get30(i, O_EPOCH) == 1 and not b.n.peers.flags(i) & P_EPOCH


def test_the_present_epoch_keeps_its_window():
    b = Bed()
    p = Person(2)
    p.counter = 500
    i = peer(b, p)
    b.learn(p.record())
    b.settle()
    assert b.n.peers.get30(i, O_TOP) == 501 and b.n.peers.flags(i) & P_EPOCH


def test_an_epoch_that_was_only_claimed_gives_way():
    b = Bed()
    p = Person(2)
    i = peer(b, p, epoch=1000)  # by a member in the name of p
    b.learn(p.record(epoch=2))
    b.settle()
    assert b.n.peers.get30(i, O_EPOCH) == 1000  # an old record alone is no reason
    give(b.n, p, p.hello(p.record(epoch=2), epoch=2), b.now)
    b.learn(p.record(epoch=2))
    assert b.n.peers.get30(i, O_EPOCH) == 2 and b.n.peers.flags(i) & P_EPOCH
