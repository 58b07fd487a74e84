from kit import Person, answer, b4, bare_node, count, gaps, give, settle
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.peers import P_FETCHED, P_SIGNED
from l4mesh.routes import VERIFIED


def ask(n, now, ms=1500):
    """Poll until a QUERY leaves: (frame, address, tick)."""
    for t in range(now, now + ms):
        n.poll(t)
        q = n.link.take(wire.T_QUERY)
        if q:
            return q[0][0], q[0][1], t
    return None, None, now + ms


def meet(n, p, now):
    give(n, p, p.hello(), now)
    return n.peers.find(p.id[:8])


def reply(n, p, q, now, record=None, remaining=30, **more):
    body = answer(0, wire.FOUND, remaining, record if record is not None else p.record())
    give(n, p, p.frame(wire.T_ANSWER, n.id, q[28:32] + body[4:], **more), now)


def test_a_neighbour_is_asked_for_its_record():
    n = bare_node(1)
    p = Person(2)
    i = meet(n, p, 10)
    q, to, now = ask(n, 10)
    assert to == p.addr and q[16:20] == p.id[:4]
    assert q[28:-16] == q[28:32] + p.id[:8] + bytes(10)
    reply(n, p, q, now + 2)
    assert n.peers.flags(i) & P_FETCHED and not n.peers.flags(i) & P_SIGNED
    settle(n, now)
    assert n.peers.flags(i) & P_SIGNED
    r = n.routes
    assert r.flags[r.peek(p.id)] & VERIFIED
    assert ask(n, 5000)[0] is None


def test_with_a_cookie_the_second_time():
    n = bare_node(1)
    p = Person(2)
    meet(n, p, 10)
    q, to, now = ask(n, 10)
    give(n, p, p.frame(wire.T_COOKIE, n.id, q[24:28] + b"cookie88"), now + 1)
    again = n.link.take(wire.T_QUERY)
    assert len(again) == 1
    assert again[0][0][28:36] == b"cookie88" and again[0][0][36:40] == q[28:32]


def test_three_tries_then_a_pause_then_again():
    n = bare_node(1)
    p = Person(2)
    times = []
    for now in range(0, 10000, 5):
        if now % 1000 == 0:
            meet(n, p, now)
        n.poll(now)
        times += [now for _ in n.link.take(wire.T_QUERY)]
    waits = gaps(times)
    assert len(times) >= 9
    for i in range(len(waits)):
        low, high = (1000, 1500) if i % 3 == 2 else (250, 400)
        assert low <= waits[i] <= high, waits


def test_one_at_a_time():
    n = bare_node(1)
    people = [Person(k, "10.77.1.%d:4104" % (100 + k)) for k in range(2, 6)]
    for p in people:
        meet(n, p, 10)
    asked = []
    now = 10
    for _ in people:
        q, to, now = ask(n, now)
        p = [p for p in people if p.addr == to][0]
        asked.append(p)
        assert ask(n, now + 1, 200)[0] is None
        reply(n, p, q, now + 201)
        now += 202
    assert len(set(p.addr for p in asked)) == 4


def test_a_record_of_somebody_else_is_refused():
    n = bare_node(1)
    p, other = Person(2), Person(3)
    i = meet(n, p, 10)
    q, _, now = ask(n, 10)
    reply(n, p, q, now, other.record())
    assert count(n, C.C_BAD_RECORD) == 1
    assert n.routes.peek(other.id) < 0 and not n.peers.flags(i) & P_FETCHED


def test_a_damaged_record_is_refused():
    n = bare_node(1)
    p = Person(2)
    i = meet(n, p, 10)
    now = 10
    for at in (0, 1, 2, 46, 71):
        q, _, now = ask(n, now)
        r = bytearray(p.record())
        r[at] ^= 0xFF
        reply(n, p, q, now, bytes(r))
        assert not n.peers.flags(i) & P_FETCHED
    assert count(n, C.C_BAD_RECORD) == 5 and len(n.routes) == 0


def test_a_forged_signature_is_found_out():
    n = bare_node(1)
    p = Person(2)
    bad = p.record(good=False)
    give(n, p, p.hello(bad), 10)
    q, _, now = ask(n, 10)
    reply(n, p, q, now, bad)
    assert n.routes.peek(p.id) >= 0
    settle(n, now)
    assert n.routes.peek(p.id) < 0 and count(n, C.C_BAD_SIG) == 1
    assert not n.peers.flags(n.peers.find(p.id[:8])) & P_SIGNED


def test_answers_that_were_not_asked_for():
    n = bare_node(1)
    p, liar = Person(2), Person(3, "10.77.1.201:4104")
    meet(n, p, 10)
    meet(n, liar, 10)
    q, to, now = ask(n, 10)
    if to == liar.addr:
        p, liar = liar, p
    reply(n, liar, q, now)  # the right token, not the one who was asked
    reply(n, p, b"x" * 28 + b4(12345) + q[32:], now)  # the wrong token
    assert len(n.routes) == 0
    reply(n, p, q, now)
    reply(n, p, q, now)  # the second time nobody waits for it
    assert n.routes.peek(p.id) >= 0 and len(n.routes) == 1


def test_a_neighbour_that_left_is_asked_no_more():
    n = bare_node(1)
    p = Person(2)
    meet(n, p, 10)
    _, _, now = ask(n, 10)
    give(n, p, p.frame(wire.T_BYE, wire.ALL, b"\0"), now)
    assert ask(n, now, 3000)[0] is None
