"""Any bytes at all into a node: nothing is raised, nothing changes, nothing is answered."""

import kit
from kit import Person, answer, b4, bare_node, frame, give
from l4mesh import wire
from l4mesh.counters import C_RX
from l4mesh.prng import XorShift

N = 5000
LATE = 1000


def state(n):
    """All that a frame could change for good. Counters and limits may move."""
    return (bytes(n.peers.buf), bytes(n.routes.slab), bytes(n.routes.flags), len(n.peers),
            len(n.routes), len(n.checker), n.tx.epoch, n.member.joined, n.keys.number,
            n.keys.key)  # fmt: skip


def full_node():
    """A node with an upstream, a neighbour, a cached record and a look-up under way."""
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]], quota_per_s=1000)
    p = Person(2)
    give(n, p, p.hello(), 0)
    kit.prove(n, p, 5)
    n.routes.put(Person(5).record(), 0, 20, True, 0)
    n.resolve(b"q" * 16, 10)
    n.poll(20)
    while n.next_event() is not None:
        pass
    n.link.take()
    return n, p


def test_random_bytes():
    n, p = full_node()
    rng = XorShift(77)
    before = state(n)
    for k in range(N):
        size = rng.getrandbits(11) % 1300 if k % 10 == 0 else rng.getrandbits(8)
        data = bytearray([rng.getrandbits(8) for _ in range(size)])
        if k % 3 and size > 28:  # with a head that looks well, or nothing gets far
            data[0] = wire.VERSION
            data[1] = 1 + rng.getrandbits(4)
            data[2] = rng.getrandbits(3)
            data[3] = 0
            data[4:8] = kit.NETWORK
            data[8:16] = p.id[:8] if k % 2 else b"somebody"
            data[16:20] = (n.id[:4], wire.ALL, wire.ANYONE)[k % 3]
            data[20] = data[24] = 0
        n.receive(data, size, p.addr, LATE + k)
    assert state(n) == before
    assert n.link.take() == [] and n.next_event() is None
    assert n.counters.get(C_RX) > N // 10


def valid(n, p, k):
    """A valid frame of each kind, with fields and lengths by chance."""
    q = Person(5)
    return (
        lambda: p.hello(),
        lambda: p.frame(wire.T_BYE, wire.ALL, b"\0"),
        lambda: p.frame(wire.T_COOKIE, n.id, b4(k) + bytes(8)),
        lambda: p.query(n.id, q.id),
        lambda: p.frame(wire.T_ANSWER, n.id, answer(k, 0, 20, q.record())),
        lambda: p.ping(n.id),
        lambda: p.frame(wire.T_PONG, n.id, b4(k) + bytes(9)),
        lambda: p.frame(wire.T_INFO_REQ, n.id, b4(k) + b"\1\0" + bytes(50)),
        lambda: p.frame(wire.T_JOINED, n.id, bytes(60), link=True, sealed=True, key=n_key),
        lambda: p.frame(wire.T_ACK, n.id, bytes(40), link=True, sealed=True, key=n_key),
        lambda: p.frame(wire.T_NACK, n.id, bytes(6)),
    )[k % 11]()


n_key = Person(1).key


def test_mutated_valid_frames():
    n, p = full_node()
    rng = XorShift(78)
    before = state(n)
    for k in range(N):
        if k % 50 < 11:
            f = valid(n, p, k % 50)
        data = bytearray(f)
        what = rng.getrandbits(2)
        if what == 0:  # bits flipped
            for _ in range(1 + rng.getrandbits(2)):
                i = rng.getrandbits(11) % len(data)
                data[i] ^= 1 + rng.getrandbits(8) % 255
        elif what == 1:  # cut short
            data = data[: rng.getrandbits(11) % len(data)]
        elif what == 2:  # longer
            data += bytes([rng.getrandbits(8) for _ in range(1 + rng.getrandbits(6))])
        else:  # a piece of another place
            i = rng.getrandbits(11) % len(data)
            j = rng.getrandbits(11) % len(data)
            size = 1 + rng.getrandbits(4)
            piece = bytes(data[i : i + size])
            data[j : j + len(piece)] = piece
        if bytes(data) == f:
            continue
        n.receive(data, len(data), p.addr, LATE + k)
    assert state(n) == before
    assert n.link.take() == [] and n.next_event() is None


def test_random_payloads_under_a_good_tag():
    """What a member may send: it is never raised for, and nothing else of the node is touched."""
    n, p = full_node()
    rng = XorShift(79)
    cookie = n._cookies.make(p.addr, p.id[:8])
    for k in range(N // 2):
        kind = 1 + rng.getrandbits(4)
        size = rng.getrandbits(8)
        payload = bytearray([rng.getrandbits(8) for _ in range(size)])
        if size > 4 and k % 2:
            payload[0:2] = b"\0\0"
            payload[2] = payload[3] & 1  # tokens that might be waited for
        dst = wire.ALL if kind < 3 else n.id
        more = {"cookie": cookie} if k % 5 == 0 else {}
        if k % 3 == 0:
            more.update({"link": True, "key": n_key, "sealed": k % 2 == 0})
        give(n, p, p.frame(kind, dst, bytes(payload), **more), LATE + k)
        n.poll(LATE + k)
        n.link.take()
        while n.next_event() is not None:
            pass
    assert n.tx.epoch == 1 and n.keys.number == 0 and not n.member.joined
    assert len(n.routes) <= 9


def test_random_records_in_an_answer_that_is_waited_for():
    n, p = full_node()
    rng = XorShift(80)
    good = Person(6).record()
    for k in range(300):
        target = bytes((k & 255, k >> 8)) * 8
        n.resolve(target, LATE)
        n.poll(LATE + k)
        q = [f for f, _ in n.link.take(wire.T_QUERY) if f[32:48] == target]
        rec = bytearray(good)
        for _ in range(1 + rng.getrandbits(3)):
            rec[rng.getrandbits(8) % 136] = rng.getrandbits(8)
        if q and bytes(rec) != good:
            body = q[0][28:32] + answer(0, 0, rng.getrandbits(16), bytes(rec))[4:]
            f = frame(wire.T_ANSWER, p.id, n.id, 1000 + k, body)
            n.receive(f, len(f), p.addr, LATE + k)
        for t in range(0, 3000, 500):
            n.poll(LATE + k + t)
    assert len(n.routes) == 1
