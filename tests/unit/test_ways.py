"""Ways between nodes that only relays join; the direct paths of a punch are put in by hand."""

from l4mesh import wire
from l4mesh.events import EV_WAY
from relaytier import L1, L3, node, tiers
from world import World

NONE, OPENING, RELAYED, DIRECT = 0, 1, 2, 3


class FakeMeet:
    """As much of meet.py as ways need; what it was asked is kept."""

    def __init__(self):
        self.asked = []
        self.dropped = []
        self.on_incoming = None
        self.full = False
        self.all = []  # attempts
        self.nat = bytes(8)

    def connect(self, node_id, now, told):
        if not self.full:
            self.asked.append((node_id, now, told))
        return not self.full

    def drop(self, sid, now):
        self.dropped.append(sid)

    def moved(self, now):
        pass


class Bed:
    """Nodes a and b on LANs of their own, cut off from each other but for L3 and L1."""

    def __init__(self, meet=False, settle=3000, stand=(False, True), **figures):
        self.w = w = World(seed=7, far_ms=30, jitter_ms=2)
        self.l3, self.l1 = tiers(w, **figures)
        self.meet = FakeMeet() if meet else None
        self.a = node(w, 1, self.meet, stand[0])
        self.b = node(w, 2, None, stand[1])
        self.events = []
        self.walls = True
        self.lost = lambda data, dst: False
        self._send = w.send
        w.send = self._wall
        self.run(settle)
        assert self.a.member.joined and self.b.member.joined

    def _wall(self, src, data, dst):
        ends = (self.a.link.local, self.b.link.local)
        if self.walls and src in ends and dst in ends or self.lost(data, dst):
            return
        self._send(src, data, dst)

    def run(self, ms, until=None):
        end = self.w.now + ms
        while self.w.now < end:
            self.w.run(1 if until else end - self.w.now, self._event)
            if until is not None and until():
                return True
        return False

    def _event(self, n, e):
        if e[0] == EV_WAY:
            self.events.append((self.w.now, "ab"[n is self.b], e[2], e[3]))

    @property
    def now(self):
        return self.w.tick()

    def open(self, until=True):
        """ms until a can use its way."""
        at = self.w.now
        self.addr = self.a.ways.open(self.b.id, self.now)
        assert self.addr[:2] == b"\0\x01"
        self.w.touch(self.a)
        assert self.run(20000, lambda: self.way().use is not None) == until
        return self.w.now - at

    def way(self, n=None):
        n = n or self.a
        return n.ways.of((self.b if n is self.a else self.a).short_id)

    def data(self, n=None, addr=None):
        """Something that is no ping goes from a to b (or b to a): an INFO_REQ is answered."""
        n = n or self.a
        peer = self.b if n is self.a else self.a
        o = n.tx.begin(wire.T_INFO_REQ, peer.short_id)
        n.tx.buf[o : o + 400] = b"tokn\x04" + bytes(395)
        sent = n.tx.send(o + 400, addr or self.way(n).addr)
        self.w.touch(n)
        return sent

    def answers(self, n=None, count=1, ms=400):
        """How many INFOs came back for that many requests, a hundredth of a second apart."""
        n = n or self.a
        got = []
        n.inbox.handle(wire.T_INFO, lambda slot, buf, addr, now: got.append(addr))
        for _ in range(count):
            self.data(n)
            self.run(100)
        self.run(ms)
        return len(got)


def test_first_frame_after_two_flights_answered_after_three_round_trips():
    b = Bed()
    ms = b.open()
    assert 110 <= ms <= 140, ms  # a flight is 30 to 32 ms
    assert [e[1:] for e in b.events] == [("a", RELAYED, "")] or len(b.events) == 2
    assert b.answers() == 1
    assert [e[1:3] for e in b.events] == [("a", RELAYED), ("b", RELAYED)] or [
        e[1:3] for e in b.events
    ] == [("b", RELAYED), ("a", RELAYED)]
    assert len(b.l3.relay) == 1 and len(b.l1.relay) == 0
    assert b.way().ms == b.way(b.b).ms + 0 or b.way().ms <= 140


def test_both_ways_and_a_second_open_is_the_same():
    b = Bed()
    b.open()
    assert b.answers(b.a, 3) == 3 and b.answers(b.b, 3) == 3
    assert b.a.ways.open(b.b.id, b.now) == b.addr
    assert b.b.ways.open(b.a.id, b.now) == b.way(b.b).addr
    assert len(b.l3.relay) == 1 and b.a.ways.of(b"nobody00") is None


def test_both_open_at_once_and_share_one_channel():
    b = Bed(stand=(True, True))
    b.a.ways.open(b.b.id, b.now)
    b.b.ways.open(b.a.id, b.now)
    b.w.touch(b.a)
    b.w.touch(b.b)
    b.run(400)
    assert len(b.l3.relay) == 1
    assert b.answers(b.a, 2) == 2 and b.answers(b.b, 2) == 2


def test_l3_dead_then_l1():
    b = Bed()
    b.l3.dead = True
    ms = b.open()
    assert ms <= 260 and len(b.l1.relay) == 1, ms
    assert b.answers() == 1
    assert b.way().use.relay.level == 1


def test_nobody_has_a_place():
    b = Bed(stand=(False, False))
    b.open(False)
    assert b.way().state == NONE
    assert [e[1:] for e in b.events] == [
        ("a", NONE, "no relay carries: the peer has no place there")
    ]
    assert {(what, code) for what, code, _ in b.way().tried} == {("l3", 2), ("l1", 2)}
    assert not b.data()


def test_no_relay_answers():
    b = Bed()
    b.l3.dead = b.l1.dead = True
    silent = []
    b.a.ways.on_silence = silent.append
    at = b.now
    b.open(False)
    assert b.events[-1][1:] == ("a", NONE, "no relay answers")
    assert len(silent) == 1 and 200 <= silent[0] - at <= 230


def test_a_relay_killed_while_it_carries():
    b = Bed()
    b.open()
    assert b.answers() == 1
    b.l3.dead = True
    at = b.w.now
    b.data()
    assert b.run(5000, lambda: b.way().use is not None and b.way().use.relay.level == 1)
    assert b.w.now - at <= 3000
    b.run(1000)
    assert b.answers(b.a, 3) == 3 and b.answers(b.b, 3) == 3
    states = [e[2] for e in b.events if e[1] == "a"]
    # Who noticed first climbs; the other one is taken along, without a gap if it did not notice.
    assert states in ([RELAYED, OPENING, RELAYED], [RELAYED])
    assert ("l3", -1) in [t[:2] for t in b.way().tried + b.way(b.b).tried]


def test_a_ping_of_an_application_is_data():
    b = Bed()
    b.open()
    b.l3.dead = True
    o = b.a.tx.begin(wire.T_PING, b.b.short_id)
    b.a.tx.buf[o : o + 17] = bytes(17)
    assert b.a.tx.send(o + 17, b.addr)
    b.w.touch(b.a)
    assert b.run(4000, lambda: b.way().use is not None and b.way().use.relay.level == 1)


def test_a_relay_killed_at_every_step():
    for at in range(0, 200, 12):
        b = Bed()
        b.a.ways.open(b.b.id, b.now)
        b.w.touch(b.a)
        b.run(at)
        b.l3.dead = True
        b.data()  # where all was done before, only that can show it
        b.run(6000)
        assert b.answers(b.a, 2) == 2, at
        assert b.way().use.relay.level == 1


def test_a_relay_that_was_restarted_has_forgotten_all():
    b = Bed()
    b.open()
    b.l3.start()
    b.data()
    b.run(6000)
    assert b.answers(b.a, 2) == 2


def test_both_relays_die_and_one_comes_back():
    b = Bed()
    b.open()
    b.l3.dead = b.l1.dead = True
    b.data()
    b.run(30000)
    assert b.way().state == NONE
    b.l1.start()
    b.run(60000)
    b.open()
    assert b.answers() == 1


def test_an_unused_way_is_kept_alive_and_then_closed():
    b = Bed()
    b.open()
    b.run(250000)
    assert b.way().state == RELAYED and len(b.l3.relay) == 1
    pings = b.l3.relay.carried
    assert 20 <= pings <= 120, pings
    b.run(60000)
    assert b.way().state == NONE and b.way(b.b).state == NONE and len(b.l3.relay) == 0
    assert ("a", NONE, "not used") in [e[1:] for e in b.events]
    b.run(60000)
    assert len(b.l3.relay) == 0
    b.open()
    assert b.answers() == 1


def test_a_used_way_lives_on_and_its_channel_is_renewed():
    b = Bed(life_s=120)
    b.open()
    for _ in range(60):
        assert b.answers(ms=14900) == 1
    assert b.way().state == RELAYED
    assert [e[2] for e in b.events if e[1] == "a"] == [RELAYED]


def test_a_quota_used_up_is_a_new_channel():
    b = Bed(kib=8, packets_s=1000, kbit_s=8000)
    b.open()
    b.run(3000)
    for _ in range(60):
        b.data()
        b.run(50)
    b.run(2000)
    assert b.answers(b.a, 2) == 2
    assert ("l3", 6) in [t[:2] for t in b.way().tried]


def test_an_address_that_changes_in_the_middle():
    for who in (0, 1):
        b = Bed()
        b.open()
        n = (b.a, b.b)[who]
        new = bytes((10, 77, 1 + who, 199, 16, 8))
        i = b.w.nodes.index(n)
        del b.w.ends[n.link.local]
        n.link.local = new
        b.w.ends[new] = i
        n.moved(b.now)
        n.ways.moved(b.now)
        b.w.touch(n)
        b.run(4000)
        assert b.answers(b.a, 2) == 2 and b.answers(b.b, 2) == 2, who


def test_an_address_that_changes_and_nobody_says_so():
    b = Bed()
    b.open()
    new = bytes((10, 77, 1, 199, 16, 8))  # a NAT with another mapping, all of a sudden
    i = b.w.nodes.index(b.a)
    del b.w.ends[b.a.link.local]
    b.a.link.local = new
    b.w.ends[new] = i
    b.data()
    b.run(8000)
    assert b.answers(b.a, 2) == 2 and b.answers(b.b, 2) == 2


def direct(b):
    """A punch ends well on both sides: real addresses, the walls are down between them."""
    b.walls = False
    _, now, told = b.meet.asked[-1]
    for n, peer in ((b.a, b.b), (b.b, b.a)):  # the probes: each was heard by the other
        o = n.tx.begin(wire.T_PROBE, peer.short_id)
        n.tx.buf[o : o + 24] = bytes(24)
        n.tx.send(o + 24, peer.link.local)
    b.run(36)
    told(b.b.short_id, b.b.link.local, None, 150, "direct")
    b.b.ways.paths.met(b.a.short_id, b.a.link.local, None, 150, "direct")


def test_a_punch_begins_with_the_relay_and_takes_over():
    b = Bed(meet=True)
    ms = b.open()
    assert ms <= 140 and len(b.meet.asked) == 1 and b.meet.asked[0][0] == b.b.id
    direct(b)
    b.run(10)
    carried = b.l3.relay.carried
    assert b.way().state == DIRECT and b.way(b.b).state == DIRECT
    assert b.answers(b.a, 5) == 5 and b.answers(b.b, 5) == 5
    assert b.l3.relay.carried == carried
    b.run(40000)
    assert len(b.l3.relay) == 0 and b.way().state == DIRECT
    assert b.answers() == 1
    assert b.answers(b.b) == 1


def heard(n):
    """A list of what comes to `n` as SAY."""
    got = []
    n.inbox.handle(wire.T_SAY, lambda slot, buf, addr, now: got.append(bytes(buf[60:64])))
    return got


def test_nothing_is_lost_or_doubled_while_it_becomes_direct():
    for when in range(0, 300, 23):
        b = Bed(meet=True)
        b.open()
        got = heard(b.b)
        sent = []
        for k in range(40):
            if k * 10 == when // 10 * 10:
                direct(b)
            o = b.a.tx.begin(wire.T_SAY, b.b.short_id)
            b.a.tx.buf[o : o + 120] = bytes(120)
            b.a.tx.buf[o + 32 : o + 36] = b"%04d" % k
            assert b.a.tx.send(o + 120, b.addr)
            sent.append(b"%04d" % k)
            b.w.touch(b.a)
            b.run(10)
        b.run(300)
        assert sorted(got) == sent, (when, len(got))


def test_a_direct_path_dies_and_the_relay_carries_again():
    b = Bed(meet=True)
    b.open()
    direct(b)
    b.run(60000)
    assert len(b.l3.relay) == 0
    b.walls = True
    b.data()
    at = b.w.now
    assert b.run(6000, lambda: b.way().state == RELAYED)
    assert b.w.now - at <= 3000
    b.run(4000)
    assert b.answers(b.a, 2) == 2 and b.answers(b.b, 2) == 2
    assert len(b.meet.asked) == 2


def test_a_relayed_pair_tries_again_with_growing_pauses():
    b = Bed(meet=True)
    b.open()
    times = []
    for _ in range(6):
        _, now, told = b.meet.asked[-1]
        times.append(b.w.now)
        told(b.b.short_id, None, None, 9000, "both ports are chosen at random")
        n = len(b.meet.asked)
        for _ in range(700):
            b.run(1000)
            b.data()
            if len(b.meet.asked) > n:
                break
        assert len(b.meet.asked) == n + 1
    pauses = [times[k + 1] - times[k] for k in range(5)]
    assert 3000 <= pauses[0] <= 8000 and pauses[-1] > 3 * pauses[0], pauses
    assert b.way().why == "both ports are chosen at random" and b.way().state == RELAYED


def test_a_punch_without_any_relay():
    b = Bed(meet=True)
    b.l3.dead = b.l1.dead = True
    b.a.ways.open(b.b.id, b.now)
    b.w.touch(b.a)
    b.run(150)
    direct(b)
    b.run(10)
    assert b.way().state == DIRECT and b.way().ms <= 190
    assert b.answers(b.a, 2) == 2


def test_a_socket_of_the_punch_is_used_and_closed():
    class Sock:
        def __init__(self):
            self.sent = []
            self.closed = False
            self.take = None

        def send(self, buf, n, addr):
            self.sent.append((bytes(buf[:n]), addr))
            return True

        def close(self):
            self.closed = True

    b = Bed(meet=True)
    b.open()
    s = Sock()
    far = b"\xc6\x33\x64\x07\x27\x10"
    b.meet.asked[0][2](b.b.short_id, far, s, 200, "direct")
    carried = b.l3.relay.carried
    b.data()
    assert s.sent[0][0][1] == wire.T_PING and len(s.sent) == 1
    b.run(50)
    assert b.way().state == RELAYED and b.l3.relay.carried > carried  # not proven yet
    o = b.b.tx.begin(wire.T_PING, b.a.short_id)
    b.b.tx.buf[o : o + 17] = bytes(17)
    n = b.b.tx.close(o + 17)
    f = bytes(b.b.tx.buf[:n])
    s.take(f, n, far, b.now, s)
    assert b.way().state == DIRECT
    b.data()
    assert s.sent[-1][0][1] == wire.T_INFO_REQ and s.sent[-1][1] == far
    b.a.ways.close(b.b.short_id, b.now)
    assert s.closed and b.meet.dropped == [b.b.short_id]


def test_a_guessed_path_that_shows_nothing_is_left():
    class Sock:
        take = None
        sent = 0
        closed = False

        def send(self, buf, n, addr):
            self.sent += 1
            return True

        def close(self):
            self.closed = True

    b = Bed(meet=True)
    b.open()
    s = Sock()
    b.meet.asked[0][2](b.b.short_id, b"\xc6\x33\x64\x07\x27\x10", s, 200, "direct")
    assert b.answers(b.a, 12) == 12  # all the time by the relay
    b.run(400)
    assert s.closed and s.sent == 10 and b.way().state == RELAYED
    assert b.way().upgrade is not None and ("direct", -1) in [t[:2] for t in b.way().tried]


def test_places_are_bounded_and_history_makes_room():
    b = Bed()
    b.open()
    for k in range(30):
        b.a.ways.open(bytes((k + 1,)) * 16, b.now)
    assert len(b.a.ways.all) == 8 and b.a.ways.open(bytes(15) + b"x", b.now) is None
    b.run(15000)
    assert b.way().state == RELAYED
    assert b.a.ways.open(bytes(15) + b"x", b.now) is not None
    assert len(b.a.ways.all) == 8 and b.answers() == 1
    for bad in (b.a.id, b"short"):
        try:
            b.a.ways.open(bad, b.now)
            raise AssertionError(bad)
        except ValueError:
            pass


def test_forged_words_open_and_end_nothing():
    b = Bed()
    b.open()
    w = b.way()
    # A member with the group key only, in the relay's name.
    for addr in (L3, L1, b.b.link.local):
        o = b.b.tx.begin(wire.T_CALLED, b.a.short_id)
        b.b.tx.buf[o : o + 26] = bytes(4) + b"\x01\x09" + b.b.short_id + w.use.channel + bytes(4)
        n = b.b.tx.close(o + 26)
        b.a.receive(bytes(b.b.tx.buf[:n]), n, addr, b.now)
    assert w.state == RELAYED and w.use is not None
    # Somebody who learnt the channel, from elsewhere; and junk by the relay.
    o = b.b.tx.begin(wire.T_PING, b.a.short_id)
    b.b.tx.buf[o : o + 17] = bytes(17)
    n = b.b.tx.close(o + 17)
    inner = bytes(b.b.tx.buf[:n])
    head = b"\xc5\0\0\0" + w.use.channel
    last = w.use.last
    b.run(50)
    assert not b.a.ways.take(head + inner, n + 12, b.b.link.local, b.now)
    assert b.a.ways.take(head + b"\xc4" + bytes(n - 1), n + 12, L3, b.now)
    assert b.a.ways.take(head + b"\xc5" + bytes(n - 1), n + 12, L3, b.now)
    assert w.use.last == last and not b.a.ways.take(head, 12, L3, b.now)


def test_what_l4_path_shows():
    b = Bed(meet=True)
    b.open()
    b.meet.asked[0][2](b.b.short_id, None, None, 3000, "no assistant answers")
    b.run(5000)
    (row,) = b.a.ways.document(b.now)
    assert row["peer"] == "".join("%02x" % c for c in b.b.id) and row["state"] == "relayed"
    assert row["by"] == "l3" and row["why"] == "no assistant answers" and row["since_s"] == 5
    assert row["tried"][0][:2] == ["l3", "works"]
    direct(b)
    b.run(100)
    (row,) = b.a.ways.document(b.now)
    assert row["state"] == "direct" and "by" not in row and row["endpoint"][:6] == "10.77."
    (row,) = b.b.ways.document(b.now)
    assert row["state"] == "direct"
