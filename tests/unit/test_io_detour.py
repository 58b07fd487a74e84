"""UDP blocked: tiers by TCP. The connections are stand-ins on World's clock."""

from l4mesh.ways import Ways
from l4mesh_io import detour
from relaytier import L1, L3, UPSTREAM, tiers
from tier import with_key
from world import QuickCrypto, World


class FakeTcp:
    """As TcpLink: takes a round trip to connect, then carries."""

    bed = None

    def __init__(self, node, level, where):
        self.addr = bytes((0, 3, 0, level, 0, 1))
        self.level, self.where = level, where
        self.node = node
        self.up = False
        self.real = None
        self.last = 0
        self.why = ""
        self._at = None
        self.opened = 0
        k = FakeTcp.bed.w.nodes.index(node)
        self.there = bytes((0, 3, 9, k, 0, level))  # what the tier calls us
        FakeTcp.bed.w.attach(self.there, self._in)

    def _in(self, data, addr, tick):
        if self.up:
            self.node.receive(data, len(data), self.addr, tick)
            FakeTcp.bed.w.touch(self.node)

    def open(self, now):
        self.opened += 1
        self.real = self
        self._at = FakeTcp.bed.w.now + 60

    def close(self):
        self.up = False
        self.real = None

    def poll(self, now):
        bed = FakeTcp.bed
        if self.real is not None and not self.up and bed.w.now >= self._at:
            if self.where in bed.no_tcp:
                self.why = "refused"
                self.close()
            else:
                self.up = True
                self.last = now
        elif self.up and self.where in bed.no_tcp:
            self.close()
        return 10 if self.real is not None and not self.up else 1000

    def send(self, buf, n):
        if not self.up:
            return False
        self.last = FakeTcp.bed.w.tick()
        FakeTcp.bed._send(self.there, bytes(buf[:n]), self.where)
        return True


class Bed:
    def __init__(self, blocked=(0, 1), where=((3, L3), (1, L1))):
        FakeTcp.bed = self
        self.w = w = World(seed=11, far_ms=30, jitter_ms=2)
        self.l3, self.l1 = tiers(w)
        self.no_tcp = []
        self.said = []
        self._send = w.send
        self.nodes = []
        self.blocked = []
        w.send = self._wall
        for k in range(2):
            n = w.add(k + 1, {"upstream": UPSTREAM}, with_key, QuickCrypto())
            self.nodes.append(n)
            if k in blocked:
                self.blocked.append(n.link.local)
        self.detours = []
        for n in self.nodes:
            make = lambda level, where, n=n: FakeTcp(n, level, where)
            d = detour.Detour(n, where, make, self.said.append)
            n.late.append(d)
            self.detours.append(d)
            Ways(n, None)
            n.ways.on_silence = d.silence
            d.on_change = n.ways.rerouted
            n.ways.stand(True, w.tick())
        self.a, self.b = self.nodes

    def _wall(self, src, data, dst):
        if src in self.blocked or dst in self.blocked:
            return
        if src[:2] == b"\x0a\x4d" and dst[:2] == b"\x0a\x4d" and src[2] < 10 and dst[2] < 10:
            return  # the two homes
        self._send(src, data, dst)

    def open(self):
        at = self.w.now
        self.a.ways.open(self.b.id, self.w.tick())
        self.w.touch(self.a)
        way = self.a.ways.of(self.b.short_id)
        for _ in range(5000):
            self.w.run(1)
            if way.use is not None:
                return self.w.now - at
        raise AssertionError(way.tried)


def test_joins_by_tcp_when_udp_is_silent():
    b = Bed()
    b.w.run(2900)
    assert not b.a.member.joined and not any(s.link.opened for s in b.detours[0].sides)
    b.w.run(4000)
    assert b.a.member.joined and b.b.member.joined and b.a.reach.up
    assert [t.addr[:2] for t in b.a.tiers.list] == [b"\0\x03", b"\0\x03"]
    assert b.said == [True, True]
    assert b.detours[0].note() == "UDP does not pass; TCP to L3, L1"


def test_both_blocked_meet_by_a_relay():
    b = Bed()
    b.w.run(8000)
    assert b.l3.relay.places == 2
    ms = b.open()
    assert ms <= 200, ms  # the connections stand: the next time is as fast as by UDP
    assert b.a.ways.of(b.b.short_id).use.addr[:2] == b"\0\x03"


def test_one_blocked_and_one_not():
    b = Bed(blocked=(0,))
    b.w.run(8000)
    assert b.a.tiers.list[0].addr[:2] == b"\0\x03" and b.b.tiers.list[0].addr == L3
    assert b.open() <= 200 and b.said == [True]


def test_udp_that_is_blocked_later_is_noticed_when_a_way_is_wanted():
    b = Bed(blocked=())
    b.w.run(8000)
    assert b.said == [] and b.a.tiers.list[0].addr == L3
    b.blocked.append(b.a.link.local)
    ms = b.open()
    assert ms <= 500, ms
    assert b.said == [True]


def test_back_to_udp():
    b = Bed(blocked=(0,))
    b.w.run(8000)
    b.blocked.clear()
    b.w.run(450000)
    assert [t.addr for t in b.a.tiers.list] == [L3, L1] and b.a.reach.up
    assert b.said == [True, False] and not any(s.link.up for s in b.detours[0].sides)
    assert b.detours[0].note() == "UDP"


def test_a_connection_that_breaks_is_made_again():
    b = Bed(blocked=(0,))
    b.w.run(8000)
    b.no_tcp.append(L3)
    b.w.run(30000)
    assert b.a.reach.up and b.a.tiers.list[1].addr[:2] == b"\0\x03"
    b.no_tcp.clear()
    b.w.run(130000)
    assert b.a.tiers.list[0].addr[:2] == b"\0\x03" and b.a.tiers.list[0].up


def test_no_tcp_either():
    b = Bed(blocked=(0,))
    b.no_tcp += [L3, L1]
    b.w.run(60000)
    assert not b.a.reach.up and not b.a.member.joined
    opened = [s.link.opened for s in b.detours[0].sides]
    assert all(2 <= k <= 8 for k in opened), opened
    assert b.detours[0].note()[:20] == "no answer by UDP; re"


def test_only_tiers_that_are_named():
    b = Bed(where=((1, L1),))
    b.w.run(8000)
    assert [s.tier.level for s in b.detours[0].sides] == [1]
    assert b.a.member.joined and b.a.tiers.list[1].addr[:2] == b"\0\x03"
    assert b.open() <= 300


def test_what_has_no_connection_is_not_sent():
    b = Bed()
    d = b.detours[0]
    assert not d.send(bytes(60), 60, b"\0\x03\0\x03\0\x01")
    assert not d.send(bytes(60), 60, b"\0\x03\0\x02\0\x01")
