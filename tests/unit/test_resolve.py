from kit import Person, answer, b4, bare_node, count, events, frame, give, settle
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.events import EV_ANSWER
from l4mesh.peers import O_RTT
from l4mesh.resolve import Q_AUTHORITY, Q_TRACE, SOURCES
from l4mesh.routes import VERIFIED
from l4mesh.ticks import MASK, add

L3, L2, L1 = [parse_endpoint("10.77.0.%d:4104" % n) for n in (3, 2, 1)]
UP = {"upstream": [[3, "10.77.0.3:4104"], [2, "10.77.0.2:4104"], [1, "10.77.0.1:4104"]]}
T = Person(50)


class Bed:
    """A node on a captured link; neighbours and tiers are played by hand."""

    def __init__(self, lan=0, tiers=False, start=100):
        self.n = bare_node(1, linked=tiers, now=start, **(UP if tiers else {}))
        self.now = start
        self.key = Person(1).key
        self.lan = [Person(2 + k, "10.77.1.%d:4104" % (100 + k)) for k in range(lan)]
        for p in self.lan:
            give(self.n, p, p.hello(interval=600), self.now)
        self.count = {}
        if tiers:
            for to in (L3, L2, L1):
                self.word(to, wire.T_PONG, bytes(13))
        self.out()
        self.events = []

    def out(self):
        """The QUERYs of look-ups (fetch.py asks for short ids, with 8 zero bytes behind)."""
        got = []
        for f, to in self.n.link.take(wire.T_QUERY):
            o = 36 if f[2] & 4 else 28
            if f[o + 12 : o + 20] != bytes(8):
                got.append((f, to))
        return got

    def ask(self, target=T.id, flags=0):
        assert self.n.resolve(target, self.now, flags)
        return self.out()

    def run(self, ms):
        """Poll every ms; what was asked meanwhile as (frame, to, ms from now)."""
        got = []
        for k in range(ms):
            self.now = add(self.now, 1)
            self.n.poll(self.now)
            got += [(f, to, k + 1) for f, to in self.out()]
        return got

    def word(self, to, kind, payload, key=None):
        self.count[to] = self.count.get(to, 0) + 1
        f = frame(kind, b"tier%d" % to[3] + bytes(11), self.n.id, self.count[to], payload,
                  key=key or self.key, link=True)  # fmt: skip
        self.n.receive(f, len(f), to, self.now)

    def tier(self, to, q, status, record=b"", remaining=20, source=None, tail=b""):
        body = answer(0, status, remaining, record + tail, source or to[3])
        self.word(to, wire.T_ANSWER, token(q) + body[4:])

    def peer(self, p, q, status, record=b"", remaining=20, tail=b""):
        body = answer(0, status, remaining, record + tail)
        give(self.n, p, p.frame(wire.T_ANSWER, self.n.id, token(q) + body[4:]), self.now)

    def answers(self):
        return [e for e in events(self.n) if e[0] == EV_ANSWER]


def token(q):
    o = 36 if q[2] & 4 else 28
    return q[o : o + 4]


def result(b):
    """(status, source) of the one look-up that ended."""
    a = b.answers()
    assert len(a) == 1, a
    assert (a[0][5] is not None) == (a[0][2] == wire.FOUND)
    return a[0][2], SOURCES[a[0][3]]


def test_own_cache_first():
    b = Bed(lan=2, tiers=True)
    b.n.routes.put(T.record(), 0, 20, True, 0)
    assert b.ask() == []
    a = b.answers()
    assert a == [(EV_ANSWER, T.id, wire.FOUND, 6, 0, T.record(), None)]
    assert count(b.n, C.C_LOOKUP_OWN) == 1


def test_the_question_on_the_wire():
    b = Bed(lan=1)
    f, to = b.ask()[0]
    assert to == b.lan[0].addr and f[2] == 0 and f[16:20] == b.lan[0].id[:4]
    assert f[28:-16] == token(f) + T.id + b"\0\0"
    b = Bed(tiers=True)
    f, to = b.ask()[0]
    assert to == L3 and f[2] == 1 and f[28:-16] == token(f) + T.id + b"\x01\0"
    f = Bed(tiers=True).ask(flags=Q_TRACE)[0][0]
    assert f[28:-16] == token(f) + T.id + b"\x01\x02" + bytes(32)


def test_a_neighbour_answers():
    b = Bed(lan=3, tiers=True)
    before = count(b.n, C.C_UPSTREAM_TX)
    q = b.ask()
    assert sorted(to for _, to in q) == sorted(p.addr for p in b.lan)
    p = [p for p in b.lan if p.addr == q[0][1]][0]
    b.now += 4
    b.peer(p, q[0][0], wire.FOUND, T.record())
    a = b.answers()
    assert [(e[2], SOURCES[e[3]], e[4], e[5]) for e in a] == [(0, "lan", 4, T.record())]
    assert count(b.n, C.C_LOOKUP_LAN) == 1
    # A hit on the LAN costs the upstream nothing, not even later.
    assert count(b.n, C.C_UPSTREAM_TX) == before
    assert not [to for _, to, _ in b.run(2000) if to in (L3, L2, L1)]
    assert b.ask() == [] and result(b) == (wire.FOUND, "own")


def test_the_target_is_asked_itself():
    b = Bed(lan=3)
    p = b.lan[2]
    q = b.ask(p.id)
    assert q[0][1] == p.addr


def test_all_neighbours_miss_and_the_tier_is_asked_at_once():
    b = Bed(lan=3, tiers=True)
    q = b.ask()
    for p in b.lan:
        assert b.out() == []
        b.peer(p, q[0][0], wire.MISS)
    up = b.out()
    assert [to for _, to in up] == [L3]
    b.tier(L3, up[0][0], wire.FOUND, T.record())
    assert result(b) == (wire.FOUND, "l3")


def test_one_neighbour_missing_twice_is_one():
    b = Bed(lan=3, tiers=True)
    q = b.ask()
    for _ in range(3):
        b.peer(b.lan[0], q[0][0], wire.MISS)
    assert b.out() == []


def test_busy_sends_us_on():
    b = Bed(lan=1, tiers=True)
    q = b.ask()
    b.peer(b.lan[0], q[0][0], wire.BUSY)
    assert [to for _, to in b.out()] == [L3]


def test_silent_neighbours_cost_their_deadline():
    b = Bed(lan=2, tiers=True)
    b.ask()
    got = b.run(200)
    assert [to for _, to, _ in got] == [L3] and got[0][2] == 80


def test_known_round_trips_shorten_and_bound_the_wait():
    for rtt, wait in ((20, 40), (200, 60), (60000, 400)):
        b = Bed(lan=1, tiers=True)
        i = b.n.peers.find(b.lan[0].id[:8])
        b.n.peers.set16(i, O_RTT, rtt)
        b.ask()
        got = b.run(500)
        assert got[0][1] == L3 and got[0][2] == wait


def test_up_the_ladder_when_tiers_are_silent():
    b = Bed(tiers=True)
    for t in b.n.tiers.list:  # no ping is under way that would tell of the silence first
        t.pending = 0
        t.due = add(b.now, 100000)
    q = b.ask()
    got = [(0, q[0][1])] + [(t, to) for _, to, t in b.run(4000)]
    # Once each; then, since a datagram may have been lost, once more whoever is not yet known to
    # be silent: L3 missed its ping meanwhile.
    assert [to for _, to in got] == [L3, L2, L1, L2, L1]
    assert [t for t, _ in got] == [0, 400, 800, 1200, 1600]
    assert result(b) == (wire.UNAVAILABLE, "")
    assert count(b.n, C.C_LOOKUP_UNAVAILABLE) == 1
    assert not b.n.tiers.list[0].up


def test_a_tier_known_to_be_silent_is_not_asked():
    b = Bed(tiers=True)
    b.n.tiers.list[0].up = False
    q = b.ask()
    assert [to for _, to in q] == [L2]
    b.tier(L2, q[0][0], wire.FOUND, T.record())
    assert result(b) == (wire.FOUND, "l2")


def test_the_source_is_where_it_was_found():
    for source, name in ((1, "l1"), (2, "l2"), (3, "l3"), (4, "l3"), (0, "l3"), (77, "l3")):
        b = Bed(tiers=True)
        q = b.ask()
        b.tier(L3, q[0][0], wire.FOUND, T.record(), source=source or 9)
        assert result(b) == (wire.FOUND, name)


def test_a_tier_that_misses_sends_us_on():
    b = Bed(tiers=True)
    q = b.ask()
    for status, here, there in ((wire.MISS, L3, L2), (wire.BUSY, L2, L1)):
        b.tier(here, q[0][0], status)
        q = b.out()
        assert [to for _, to in q] == [there]
    b.tier(L1, q[0][0], wire.UNAVAILABLE)
    assert result(b) == (wire.FAILED, "")  # somebody was there
    assert count(b.n, C.C_LOOKUP_FAILED) == 1


def test_tiers_that_cannot_reach_the_authority_are_nobody():
    b = Bed(tiers=True)
    q = b.ask()
    for here in (L3, L2, L1):
        b.tier(here, q[0][0], wire.UNAVAILABLE)
        q = b.out()
    assert result(b) == (wire.UNAVAILABLE, "")


def test_nobody_at_all_is_unavailable():
    b = Bed()
    assert b.ask() == [] and result(b) == (wire.UNAVAILABLE, "")
    b = Bed(lan=1)
    q = b.ask()
    b.peer(b.lan[0], q[0][0], wire.MISS)
    assert result(b) == (wire.UNAVAILABLE, "")


def test_unknown_by_the_authority_only():
    b = Bed(lan=1, tiers=True)
    q = b.ask()
    b.peer(b.lan[0], q[0][0], wire.UNKNOWN)  # a neighbour cannot know
    q = b.out()
    assert q[0][1] == L3
    b.tier(L3, q[0][0], wire.UNKNOWN, source=3)  # nor can L3 by itself
    q = b.out()
    assert q[0][1] == L2
    b.tier(L2, q[0][0], wire.UNKNOWN, remaining=30, source=1)
    assert result(b) == (wire.UNKNOWN, "l1")
    assert count(b.n, C.C_LOOKUP_UNKNOWN) == 1


def test_unknown_is_remembered_for_the_seconds_it_was_told():
    b = Bed(tiers=True, start=MASK - 10000)
    q = b.ask()
    b.tier(L3, q[0][0], wire.UNKNOWN, remaining=30, source=1)
    b.answers()
    start = b.now
    b.now = add(start, 29999)
    assert b.ask() == [] and result(b) == (wire.UNKNOWN, "own")
    b.now = add(start, 30000)
    assert [to for _, to in b.ask()] == [L3]
    assert len(b.ask(b"other" * 3 + b"x")) == 1


def test_the_authority_is_asked_past_all_caches():
    b = Bed(lan=2, tiers=True)
    b.n.routes.put(T.record(), 0, 20, True, 0)
    q = b.ask(flags=Q_AUTHORITY)
    assert [to for _, to in q] == [L3] and q[0][0][49] == 1
    b.tier(L3, q[0][0], wire.UNKNOWN, remaining=30, source=1)
    b.answers()
    assert [to for _, to in b.ask(flags=Q_AUTHORITY)] == [L3]


def test_the_same_question_is_asked_once():
    b = Bed(lan=1, tiers=True)
    assert len(b.ask()) == 1
    for _ in range(5):
        assert b.ask() == []
    assert count(b.n, C.C_COALESCED) == 5
    assert len(b.ask(b"another target.."[:16])) == 1


def test_all_places_taken():
    b = Bed(lan=1)
    for k in range(8):
        assert b.n.resolve(bytes((k,)) * 16, b.now)
    assert not b.n.resolve(b"x" * 16, b.now)
    b.run(500)
    assert len(b.answers()) == 8
    assert b.n.resolve(b"x" * 16, b.now)


def test_an_id_has_sixteen_bytes():
    for bad in (b"", bytes(8), bytes(17)):
        try:
            bare_node(1).resolve(bad, 0)
        except ValueError as e:
            assert "16 bytes" in str(e)
        else:
            raise AssertionError(bad)


def test_what_was_found_is_learnt_and_checked():
    b = Bed(lan=1)
    q = b.ask()
    b.peer(b.lan[0], q[0][0], wire.FOUND, T.record(), 7)
    r = b.n.routes
    i = r.peek(T.id)
    assert not r.flags[i] & VERIFIED and r.remaining(i, b.n.minutes.minute) == 6
    settle(b.n, b.now)
    assert r.flags[i] & VERIFIED


def test_a_forged_record_is_used_by_nobody_else():
    b = Bed(lan=1)
    q = b.ask()
    bad = T.record(good=False)
    b.peer(b.lan[0], q[0][0], wire.FOUND, bad)
    asker = Person(9)
    from kit import prove

    prove(b.n, asker, b.now)
    give(b.n, asker, asker.query(b.n.id, T.id), b.now)
    assert b.n.link.take(wire.T_ANSWER)[0][0][32] == wire.MISS
    settle(b.n, b.now)
    assert b.n.routes.peek(T.id) < 0


def test_answers_with_other_records_are_refused():
    other = Person(51)
    damaged = bytearray(T.record())
    damaged[71] = 9
    long = T.record() + bytes(65)
    for rec in (other.record(), bytes(damaged), T.record()[:-1], b"", long[1:]):
        b = Bed(lan=1, tiers=True)
        q = b.ask()
        b.peer(b.lan[0], q[0][0], wire.FOUND, rec)
        assert count(b.n, C.C_BAD_RECORD) == 1 and len(b.n.routes) == 0
        q = b.out()
        assert [to for _, to in q] == [L3]  # on to the next
        b.tier(L3, q[0][0], wire.FOUND, rec)
        assert [to for _, to in b.out()] == [L2]


def test_answers_nobody_asked_for():
    b = Bed(lan=2, tiers=True)
    p, other = b.lan
    give(b.n, p, p.frame(wire.T_ANSWER, b.n.id, answer(5, 0, 20, T.record())), b.now)
    q = b.ask()
    stranger = Person(60, "10.77.1.222:4104")
    b.peer(stranger, q[0][0], wire.FOUND, T.record())  # the token, but not asked
    b.tier(L3, q[0][0], wire.FOUND, T.record())  # not its turn
    give(b.n, p, p.frame(wire.T_ANSWER, b.n.id, answer(0x123456, 0, 20, T.record())), b.now)
    assert len(b.n.routes) == 0 and b.answers() == []
    b.peer(p, q[0][0], wire.FOUND, T.record())
    assert result(b) == (wire.FOUND, "lan")


def test_a_place_used_before_lends_nobody_a_voice():
    """One neighbour is asked where three were asked before: the other two are not believed."""
    b = Bed(lan=3)
    q = b.ask()
    for p in b.lan:
        b.peer(p, q[0][0], wire.MISS)
    b.answers()
    for p in b.lan[1:]:
        i = b.n.peers.find(p.id[:8])
        b.n.peers.set(i, 15, wire.PASSIVE)
    q = b.ask()
    assert [to for _, to in q] == [b.lan[0].addr]
    b.peer(b.lan[1], q[0][0], wire.FOUND, T.record())
    assert b.answers() == []
    b.peer(b.lan[0], q[0][0], wire.FOUND, T.record())
    assert result(b) == (wire.FOUND, "lan")


def test_members_do_not_speak_for_tiers():
    b = Bed(lan=1, tiers=True)
    q = b.ask()
    b.peer(b.lan[0], q[0][0], wire.MISS)
    q = b.out()
    b.peer(b.lan[0], q[0][0], wire.FOUND, T.record())
    assert b.answers() == []
    b.tier(L3, q[0][0], wire.FOUND, T.record())
    assert result(b) == (wire.FOUND, "l3")


def test_the_late_word_of_a_tier():
    b = Bed(tiers=True)
    first = b.ask()
    got = b.run(450)
    assert got[-1][1] == L2
    b.tier(L3, first[0][0], wire.MISS)  # L2 is still to answer
    assert b.out() == []
    b.tier(L3, first[0][0], wire.FOUND, T.record())
    assert result(b) == (wire.FOUND, "l3")


def test_cookies_are_brought_back():
    b = Bed(lan=1, tiers=True)
    p = b.lan[0]
    q = b.ask()
    give(b.n, p, p.frame(wire.T_COOKIE, b.n.id, q[0][0][24:28] + b"cookie88"), b.now)
    again = b.out()
    assert len(again) == 1 and again[0][1] == p.addr and again[0][0][28:36] == b"cookie88"
    assert token(again[0][0]) == token(q[0][0])
    b.peer(p, again[0][0], wire.MISS)
    q = b.out()
    b.word(L3, wire.T_COOKIE, q[0][0][24:28] + b"cookie99")
    again = b.out()
    assert len(again) == 1 and again[0][1] == L3 and again[0][0][28:36] == b"cookie99"
    b.tier(L3, again[0][0], wire.FOUND, T.record())
    assert result(b) == (wire.FOUND, "l3")


def test_cookies_nobody_asked_for():
    b = Bed(lan=2, tiers=True)
    p, other = b.lan
    q = b.ask()
    by = dict((to, f) for f, to in q)
    for who, counter in ((other, by[p.addr][24:28]), (p, b4(0)), (p, b4(999)),
                         (p, b"\xff\xff\xff\xff")):  # fmt: skip
        give(b.n, who, who.frame(wire.T_COOKIE, b.n.id, counter + b"cookie88"), b.now)
        assert b.n.link.take(wire.T_QUERY) == []


def test_a_cookie_from_a_tier_is_a_word():
    b = Bed(tiers=True)
    for t in b.n.tiers.list[1:]:
        t.up = False
    q = b.ask()
    b.word(L3, wire.T_COOKIE, q[0][0][24:28] + b"cookie99")
    b.run(1000)
    assert result(b) == (wire.FAILED, "")


def test_hops_are_passed_on():
    b = Bed(tiers=True)
    q = b.ask(flags=Q_TRACE)
    b.tier(L3, q[0][0], wire.FOUND, T.record(), tail=b"\x01\x03tier\0\x05")
    assert b.answers()[0][6] == b"\x01\x03tier\0\x05"


def test_neighbours_that_know_nothing_sink():
    b = Bed(lan=5)
    good = b.lan[3]
    for k in range(12):
        t = bytes((k,)) * 16
        q = b.ask(t)
        for p in b.lan:
            if p.addr in [to for _, to in q]:
                b.peer(p, q[0][0], wire.FOUND if p is good else wire.MISS, Person(70 + k).record())
        b.run(500)
    assert [to for _, to in b.ask()][0] == good.addr
