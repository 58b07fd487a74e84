import kit
from kit import Person, bare_node, events, frame, gaps, give
from l4mesh import wire
from l4mesh.events import EV_UPSTREAM
from l4mesh.peers import P_TIER

UP = {"upstream": [[3, "10.77.0.3:4104"], [1, "10.77.0.1:4104"]]}


class Bed:
    def __init__(self, **config):
        config.update(UP)
        self.n = bare_node(1, linked=True, **config)
        self.n.own.ready = False  # nothing to join with: its questions would be heard here too
        self.key = Person(1).key
        self.tier = Person(3, "10.77.0.3:4104")
        self.now = 0
        self.events = []

    def run(self, ms, answer=True, loss=()):
        """Poll when it is due; PONGs come 10 ms later. Returns the pings as (ms, to)."""
        out = []
        queue = []
        end = self.now + ms
        wait = 1
        while self.now < end:
            self.now += min(wait, end - self.now)
            wait = max(1, self.n.poll(self.now))
            self.events += [e for e in events(self.n) if e[0] == EV_UPSTREAM]
            for f, to in self.n.link.take(wire.T_PING):
                out.append((self.now, to[3]))
                queue.append((self.now + 10, to, f[28:32]))
                wait = min(wait, 10)
            while queue and queue[0][0] <= self.now:
                _, to, token = queue.pop(0)
                if answer and to[3] not in loss:
                    self.pong(to, token)
        return out

    def pong(self, to, token, **more):
        self.tier.counter += 1
        more.setdefault("key", self.key)
        who = b"tier%d" % to[3] + bytes(11)
        body = token + bytes((2, 255, 0)) + bytes(self.n.link.local)
        f = frame(wire.T_PONG, who, self.n.id, self.tier.counter, body, link=True, **more)
        self.n.receive(f, len(f), to, self.now)


def test_up_when_a_tier_answers():
    b = Bed()
    pings = b.run(1000)
    assert sorted(pings) == [(1, 1), (1, 3)]
    assert b.n.reach.up and b.events == [(EV_UPSTREAM, True, 3)]
    near = b.n.tiers.list[0]
    assert near.rtt == 10 and near.heard and b.n.peers.flags(near.slot) & P_TIER


def test_the_near_one_every_twenty_seconds_the_far_one_every_five_minutes():
    b = Bed()
    pings = b.run(330000)
    near = [t for t, to in pings if to == 3]
    far = [t for t, to in pings if to == 1]
    waits = gaps(near)
    assert min(waits) >= 20000 and max(waits) <= 25100
    assert len(far) == 2 and 300000 <= far[1] - far[0] <= 300100


def test_silence_is_told_once_and_so_is_the_return():
    b = Bed()
    b.run(1000)
    b.run(60000, loss=(3, 1))
    assert not b.n.tiers.list[0].up
    assert b.n.reach.up  # the far one is not missed before its next ping
    b.run(330000, loss=(3, 1))
    assert not b.n.reach.up
    assert b.events == [(EV_UPSTREAM, True, 3), (EV_UPSTREAM, False, 0)]
    b.run(40000)
    assert b.n.reach.up
    assert len(b.events) == 3 and b.events[2][1]


def test_a_silent_tier_is_not_hammered():
    b = Bed()
    pings = b.run(120000, answer=False)
    for to in (1, 3):
        assert 8 <= len([1 for _, t in pings if t == to]) <= 20
    assert b.events == []


def test_a_forged_pong_is_none():
    b = Bed()
    b.n.poll(1)
    ping = b.n.link.take(wire.T_PING)[0]
    b.now = 5
    b.pong(ping[1], ping[0][28:32], key=kit.GROUP_BYTES)
    b.pong(ping[1], b"\0\0\x09\x09")
    assert b.n.tiers.list[0].pending
    p = Person(5)
    give(b.n, p, p.frame(wire.T_PONG, b.n.id, ping[0][28:32] + bytes(9)), 6)
    assert b.n.tiers.list[0].pending


def test_a_cookie_is_brought_back():
    b = Bed()
    b.n.poll(1)
    pings = b.n.link.take(wire.T_PING)
    first, to = [p for p in pings if p[1][3] == 3][0]
    b.now = 3
    f = frame(wire.T_COOKIE, b"tier3" + bytes(11), b.n.id, 1, first[24:28] + b"cookie88",
              key=b.key, link=True)  # fmt: skip
    b.n.receive(f, len(f), to, 3)
    again = b.n.link.take(wire.T_PING)
    assert len(again) == 1 and again[0][1] == to
    assert again[0][0][28:36] == b"cookie88" and again[0][0][36:40] == first[28:32]


def test_a_member_cannot_give_a_cookie_in_a_tiers_place():
    b = Bed()
    b.n.poll(1)
    first = b.n.link.take(wire.T_PING)[0][0]
    p = Person(5)
    give(b.n, p, p.frame(wire.T_COOKIE, b.n.id, first[24:28] + b"cookie88"), 3)
    assert b.n.link.take(wire.T_PING) == []


def test_without_a_node_key_there_is_no_upstream():
    n = bare_node(2, **UP)
    for now in range(1, 3000, 10):
        n.poll(now)
    assert n.link.take(wire.T_PING) == [] and n.tiers.list == []


def test_a_tier_that_wants_proof_for_something_else_is_pinged_now():
    b = Bed()
    b.run(1000)
    near = b.n.tiers.list[0]
    assert b.run(2000) == []  # the next ping is far off
    b.tier.counter += 1
    body = bytes(4) + b"cookie77"  # not for a frame that anybody waits for: a batch, say
    f = frame(
        wire.T_COOKIE, b"tier3" + bytes(11), b.n.id, b.tier.counter, body, link=True, key=b.key
    )
    b.n.receive(f, len(f), near.addr, b.now)
    assert [to for _, to in b.run(50)] == [3]
