"""Properties of the core that must hold for any bytes: hypothesis looks for the exception."""

import kit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit import Person, answer, b4, bare_node, give, settle
from l4mesh import wire
from l4mesh.peers import P_EPOCH, SLOT
from l4mesh.record import SIZE, check_form, id_of, newer
from l4mesh.routes import VERIFIED, Routes
from world import NETWORK

settings.register_profile(
    "l4mesh", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("l4mesh")
P = Person(2)
TARGET = Person(5)
ENDPOINT = st.binary(min_size=6, max_size=6)


def fresh():
    """A node that met P (proven), holds a record and asks for another one."""
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]], quota_per_s=1000)
    P.counter = 0
    give(n, P, P.hello(), 0)
    kit.prove(n, P, 5)
    n.routes.put(TARGET.record(), 0, 20, True, 0)
    n.resolve(b"q" * 16, 10)
    n.poll(20)
    while n.next_event() is not None:
        pass
    n.link.take()
    return n


def state(n):
    return (bytes(n.peers.buf), bytes(n.routes.slab), bytes(n.routes.flags), len(n.routes),
            len(n.checker), n.tx.epoch, n.member.joined, n.keys.number)  # fmt: skip


def untouched(n, before):
    return state(n) == before and n.link.take() == [] and n.next_event() is None


def frames():
    """A valid frame of each kind that a node takes, made for `fresh()`."""
    q = {"hello": lambda n: P.hello(), "bye": lambda n: P.frame(wire.T_BYE, wire.ALL, b"\0"),
         "cookie": lambda n: P.frame(wire.T_COOKIE, n.id, bytes(12)),
         "query": lambda n: P.query(n.id, TARGET.id), "ping": lambda n: P.ping(n.id),
         "answer": lambda n: P.frame(wire.T_ANSWER, n.id, answer(1, 0, 9, TARGET.record())),
         "pong": lambda n: P.frame(wire.T_PONG, n.id, bytes(13)),
         "nack": lambda n: P.frame(wire.T_NACK, n.id, bytes(6)),
         "info": lambda n: P.frame(wire.T_INFO_REQ, n.id, b4(5) + b"\1\0" + bytes(50)),
         "joined": lambda n: P.frame(wire.T_JOINED, n.id, bytes(23), link=True, sealed=True,
                                     key=Person(1).key)}  # fmt: skip
    return q


KINDS = st.sampled_from(sorted(frames()))


@pytest.fixture(scope="module")
def shared():
    """One node for all the examples that must leave no trace."""
    return fresh()


@given(data=st.binary(max_size=1400), addr=ENDPOINT, now=st.integers(0, 2**30 - 1))
@settings(max_examples=300)
def test_any_bytes(shared, data, addr, now):
    before = state(shared)
    shared.receive(data, len(data), addr, now)
    assert untouched(shared, before)


@given(
    kind=st.integers(0, 255), flags=st.integers(0, 7), rest=st.binary(max_size=300),
    known=st.booleans(), dst=st.sampled_from((0, 1, 2)), epoch=st.integers(0, 3),
    counter=st.integers(0, 2**30 - 1),
)  # fmt: skip
@settings(max_examples=300)
def test_any_frame_without_the_key(shared, kind, flags, rest, known, dst, epoch, counter):
    n = shared
    to = (n.id[:4], wire.ALL, wire.ANYONE)[dst]
    src = P.id[:8] if known else b"stranger"
    data = bytes((0xC4, kind, flags, 0)) + NETWORK + src + to + b4(epoch) + b4(counter) + rest
    before = state(n)
    n.receive(data, len(data), P.addr, 1000)
    assert untouched(n, before)


@given(kind=KINDS, data=st.data())
@settings(max_examples=300)
def test_flipped_bits(shared, kind, data):
    f = bytearray(frames()[kind](shared))
    bits = data.draw(st.lists(st.integers(0, 8 * len(f) - 1), min_size=1, max_size=4, unique=True))
    for bit in bits:
        f[bit >> 3] ^= 1 << (bit & 7)
    before = state(shared)
    shared.receive(f, len(f), P.addr, 1000)
    assert untouched(shared, before)


@pytest.mark.parametrize("kind", sorted(frames()))
def test_every_single_bit(shared, kind):
    f = frames()[kind](shared)
    before = state(shared)
    for bit in range(8 * len(f)):
        bad = bytearray(f)
        bad[bit >> 3] ^= 1 << (bit & 7)
        shared.receive(bad, len(bad), P.addr, 1000)
    assert untouched(shared, before)


@pytest.mark.parametrize("kind", sorted(frames()))
def test_every_truncation(shared, kind):
    f = frames()[kind](shared)
    before = state(shared)
    for size in range(len(f)):
        shared.receive(f[:size], size, P.addr, 1000)
        shared.receive(f, size, P.addr, 1000)
    assert untouched(shared, before)


@given(kind=KINDS, key=st.binary(min_size=32, max_size=32))
def test_other_keys(shared, kind, key):
    f = frames()[kind](shared)
    f = f[:-16] + kit.hmac(kit.tag_key(key), f[:-16])[:16]
    before = state(shared)
    shared.receive(f, len(f), P.addr, 1000)
    assert untouched(shared, before)


@given(distance=st.integers(0, 200), kind=st.sampled_from(["query", "ping", "info"]))
@settings(max_examples=60)
def test_replays_at_every_distance(distance, kind):
    n = fresh()
    f = frames()[kind](n)
    give(n, P, f, 100)
    assert len(n.link.take()) == 1
    for k in range(distance):
        give(n, P, P.ping(n.id), 101 + k)
    n.link.take()
    before = state(n)
    give(n, P, f, 500)
    assert untouched(n, before)


@given(order=st.lists(st.integers(1, 150), min_size=1, max_size=120))
def test_each_counter_is_taken_once_in_any_order(order):
    n = fresh()
    P.counter = 10
    made = {c: kit.frame(wire.T_PING, P.id, n.id, c + 10, b4(c) + bytes(13)) for c in set(order)}
    got = []
    for i, c in enumerate(order):
        give(n, P, made[c], 100 + i)
        got += [c] * len(n.link.take(wire.T_PONG))
    assert len(got) == len(set(got))
    top = 0
    for c in order:  # what came in order, or less than 64 late, was answered
        if c > top - 64:
            assert c in got
        top = max(top, c)


@given(rec=st.binary(max_size=220), remaining=st.integers(0, 65535))
@settings(max_examples=200)
def test_any_bytes_as_a_record(rec, remaining):
    assert check_form(rec + bytes(200), 0, len(rec), NETWORK) in (True, False)
    n = fresh()
    n.resolve(TARGET.id[:8] + b"12345678", 30)
    q = [f for f, _ in n.link.take(wire.T_QUERY)][-1]
    body = q[28:32] + answer(0, 0, remaining, rec)[4:]
    give(n, P, P.frame(wire.T_ANSWER, n.id, body), 40)
    assert len(n.routes) == 1  # what was there; a record needs the id that was asked for


@given(
    at=st.integers(0, SIZE - 1), value=st.integers(1, 255), remaining=st.integers(1, 65535),
)  # fmt: skip
@settings(max_examples=150)
def test_a_changed_record_is_never_verified(at, value, remaining):
    n = fresh()
    rec = bytearray(TARGET.record(counter=5))
    rec[at] ^= value
    n.routes.drop(TARGET.id)
    n.learner.learn(bytes(rec), 0, remaining, 0)
    settle(n, 100)
    i = n.routes.peek(id_of(rec, 0))
    assert i < 0 or not n.routes.flags[i] & VERIFIED
    assert n.counters.get(14) == 1


@given(
    puts=st.lists(
        st.tuples(st.integers(0, 6), st.integers(1, 3), st.integers(0, 40), st.booleans(),
                  st.integers(0, 9)),
        max_size=60,
    )
)  # fmt: skip
def test_the_cache_never_prolongs_a_life(puts):
    """Whatever comes in whatever order: nothing outlives what it was told, or the signed 30."""
    r = Routes(4, 2)
    now = 0
    told = {}
    for n, counter, remaining, verified, later in puts:
        now += later
        rec = kit.record_body(bytes((n,)) * 32, 1, counter, 30, P.addr) + bytes(64)
        i = r.put(rec, 0, remaining, verified, now)
        key = (id_of(rec, 0), counter)
        if i >= 0:
            told[key] = max(told.get(key, 0), now + min(remaining, 30))
        assert r.unverified <= 2 and len(r) <= 4
        for i in range(4):
            if r.flags[i]:
                held = bytes(r.view[i * SIZE : (i + 1) * SIZE])
                limit = told[(id_of(held, 0), held[13])]
                assert now + r.remaining(i, now) < max(limit, now + 1)


@given(a=st.tuples(st.integers(0, 2**30 - 1), st.integers(0, 2**30 - 1)),
       b=st.tuples(st.integers(0, 2**30 - 1), st.integers(0, 2**30 - 1)))  # fmt: skip
def test_newer_is_an_order(a, b):
    x, y = [kit.record_body(bytes(32), e, c, 30, P.addr) for e, c in (a, b)]
    assert newer(x, 0, y, 0) == (a > b) - (a < b) == -newer(y, 0, x, 0)


@given(epoch=st.integers(0, 2**30 - 1), kind=KINDS, counter=st.integers(1, 2**30 - 1))
@settings(max_examples=150)
def test_no_group_frame_moves_a_confirmed_epoch(epoch, kind, counter):
    n = fresh()
    i = n.peers.find(P.id[:8])
    n.peers.set_flag(i, P_EPOCH)
    f = bytearray(frames()[kind](n))
    if f[2] & 1:
        return
    f[20:28] = b4(epoch) + b4(counter)
    f[-16:] = kit.hmac(kit.tag_key(kit.GROUP_BYTES), f[:-16])[:16]
    give(n, P, bytes(f), 100)
    i = n.peers.find(P.id[:8])
    assert i < 0 or n.peers.get30(i, 18) == 1
    assert n.peers.buf[i * SLOT : i * SLOT + 8] == P.id[:8] or i < 0
