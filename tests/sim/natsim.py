"""NATs on a virtual clock, with real Nodes behind them: every kind that a router shows itself as.

    net = Net(seed=1, loss=0.01, jitter=4)
    a = net.home("pr")              a Host behind a router of that kind, 30 ms from the others
    b = net.home("sym", inner=net.cgn("symblk"))
    h = net.public()                a Host with an address of its own
    net.run(2000)                   virtual ms
    net.ready((a, b))               they find their assistants (helper()) and register
    net.meeting(a, b)               Result: ok, ms, both (sides), why, packets, way

A kind is mapping (the same for all, by address, by address and port), filter (anybody, by address,
by address and port) and how ports are chosen; see KINDS. Also: routers that accept what nobody
asked for and so lose a mapping to an early packet ("clash"), a firewall without NAT, UDP blocked,
hairpin or none, time-outs, carrier NAT around homes, loss, jitter. Runs on both Pythons.
"""

import heapq
from hashlib import sha256

from l4mesh import ed25519
from l4mesh.config import Config
from l4mesh.identity import Identity
from l4mesh.meet import Meet
from l4mesh.nat_type import Seen, classify
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh.record import CAP_ANSWERS, CAP_NAT, NO_ENDPOINT
from world import GROUP_KEY, NETWORK, SIGNALS, Entropy, QuickCrypto

PORT = 4104
ALL, ADDRESS, BOTH = "all", "address", "both"
# mapping, filter, choice of ports (see Router._choose)
KINDS = {
    "fc": (ALL, ALL, "keep"),
    "rc": (ALL, ADDRESS, "keep"),
    "pr": (ALL, BOTH, "keep"),
    "eim": (ALL, BOTH, "any"),
    "clash": (ALL, BOTH, "keep"),
    "adm": (ADDRESS, BOTH, "8192"),
    "symseq": (BOTH, BOTH, "+1"),
    "symseq2": (BOTH, BOTH, "+2"),
    "symblk": (BOTH, BOTH, "512"),
    "symblk2k": (BOTH, BOTH, "2048"),
    "sym": (BOTH, BOTH, "low"),
    "symhi": (BOTH, BOTH, "any"),
    "pubfw": (None, BOTH, ""),
    "udpblk": (ALL, BOTH, "keep"),
}
EASY = ("pub", "pubfw", "fc", "rc", "pr", "eim", "clash", "cgpr")
HARD = ("symseq", "symblk", "sym")


def ip4(a, b, c, d):
    return bytes((a, b, c, d))


def end(ip, port):
    return ip + bytes((port >> 8, port & 255))


class Realm:
    """A network whose members see each other: the Internet, a carrier's inside, a home's LAN."""

    def __init__(self, router=None):
        self.router = router  # the way out
        self.members = {}  # ip: Host or Router


class Router:
    """One NAT: `inside` is a Realm of its own, `ip` its address in the Realm `outside`."""

    def __init__(self, net, outside, ip, kind, hairpin=False, timeout=120000, far=None):
        self.net, self.outside, self.ip, self.kind = net, outside, ip, kind
        self.far = net.rtt / 4 if far is None else far  # ms to the middle of the Internet
        self.inner = 1  # of a carrier: addresses given
        self.mapping, self.filter, self.how = KINDS[kind]
        self.hairpin, self.timeout = hairpin, timeout
        self.inside = Realm(self)
        outside.members[ip] = self
        self.flows = {}  # key of a mapping -> port
        self.back = {}  # (port, remote or None) -> inner endpoint
        self.open = {}  # (port, what the filter looks at) -> until
        self.taken = {}  # (port, remote) -> until: an early packet's
        self.owner = {}  # port -> (inner endpoint, until)
        self.moved = {}  # inner endpoint -> port, after such a clash
        self.next = 20000 + net.bits(12)
        self.base = 20000 + 512 * net.bits(5)

    def _choose(self, inner, remote):
        how = self.how
        if how == "keep":
            port = self.moved.get(inner, inner[4] << 8 | inner[5])
            lost = self.taken.get((port, remote), 0) > self.net.now  # conntrack has such a flow
            if lost or self._used(port, inner):
                port = self.moved[inner] = 1024 + self.net.bits(16) % 64512
            return port
        if how[0] == "+":
            self.next += int(how[1:])
            return 20000 + (self.next - 20000) % 16384
        if how in ("512", "2048"):
            return self.base + self.net.bits(16) % int(how)
        if how == "8192":
            return 20000 + self.net.bits(13)
        low = how == "low" and (inner[4] << 8 | inner[5]) < 1024
        return 600 + self.net.bits(16) % 424 if low else 1024 + self.net.bits(16) % 64512

    def _used(self, port, inner):
        """Has somebody else inside this port?"""
        other = self.owner.get(port)
        if other is None or other[0] == inner or other[1] <= self.net.now:
            self.owner[port] = (inner, self.net.now + self.timeout)
            return False
        return True

    def _look(self, remote):
        return {ALL: b"", ADDRESS: remote[:4], BOTH: remote}[self.filter]

    def out(self, inner, remote):
        """The outer endpoint that `inner` gets towards `remote`; None: dropped."""
        if self.kind == "udpblk":
            return None
        scope = {ALL: b"", ADDRESS: remote[:4], BOTH: remote}[self.mapping]
        # Linux keeps a flow for each remote, also where all of them get the same port.
        key = (inner, remote if self.kind == "clash" else scope)
        port, until = self.flows.get(key, (0, 0))
        if until <= self.net.now:
            port = self._choose(inner, remote)
        self.flows[key] = (port, self.net.now + self.timeout)
        self.back[(port, remote if self.mapping == BOTH or self.kind == "clash" else scope)] = (
            inner
        )
        self.open[(port, self._look(remote))] = self.net.now + self.timeout
        return end(self.ip, port)

    def into(self, port, remote):
        """The inner endpoint for a packet from outside; None: dropped."""
        if self.kind == "udpblk":
            return None
        if self.open.get((port, self._look(remote)), 0) <= self.net.now:
            if self.kind == "clash":
                self.taken[(port, remote)] = self.net.now + 30000
            return None
        for scope in (remote, remote[:4], b""):
            inner = self.back.get((port, scope))
            if inner is not None:
                return inner
        return None


class Wall(Router):
    """A stateful firewall without NAT, around one host with a public address."""

    def out(self, inner, remote):
        self.open[remote] = self.net.now + self.timeout
        return inner

    def into(self, port, remote):
        return end(self.ip, port) if self.open.get(remote, 0) > self.net.now else None


class Sock:
    def __init__(self, host, port, take):
        self.host, self.port, self.take = host, port, take

    def send(self, buf, n, addr):
        if self.host.ports.get(self.port) is not self:
            return False
        self.host.net.send(self.host, self.port, bytes(buf[:n]), bytes(addr))
        return True

    def close(self):
        if self.host.ports.get(self.port) is self:
            del self.host.ports[self.port]
            self.host.extra -= 1


class Host:
    """A machine with a node; it is its own link (ports.py) and its own `sockets`."""

    mtu = 1200
    group = broadcast = bytes(6)

    def __init__(self, net, realm, ip, far):
        self.net, self.realm, self.ip, self.far = net, realm, ip, far
        realm.members[ip] = self
        self.wall = None
        self.ports = {}
        self.extra = 0
        self.most = 0  # sockets at a time
        self.local = end(ip, PORT)
        self.node = self.meet = None
        self.wake = None
        self.sent = 0
        self.told = []  # what connect() and on_incoming said
        self.dead = False

    def send(self, buf, n, addr):
        self.net.send(self, PORT, bytes(buf[:n]), bytes(addr))
        return True

    def open(self, port, take):
        if self.extra >= 6 or port in self.ports:
            return None
        while not port or port in self.ports:
            port = 32768 + self.net.bits(15)
        self.extra += 1
        self.most = max(self.most, self.extra)
        self.ports[port] = s = Sock(self, port, take)
        return s

    def receive(self, port, data, addr):
        if self.dead:
            return
        if port == PORT:
            self.node.receive(data, len(data), addr, self.net.tick())
        elif port in self.ports:
            s = self.ports[port]
            s.take(data, len(data), addr, self.net.tick(), s)
        else:
            return
        self.poll()

    def poll(self):
        if self.dead:
            return
        wait = self.node.poll(self.net.tick())
        while self.node.next_event() is not None:
            pass
        at = self.net.now + max(1, wait)
        if self.wake is None or at < self.wake or self.wake <= self.net.now:
            self.wake = at
            self.net.at(at, self._wake_up, at)

    def _wake_up(self, at):
        if at == self.wake:
            self.poll()

    def restart_meet(self):
        self.meet = Meet(self.node)
        self.meet.on_incoming = lambda *a: self.told.append(("in",) + a)


class Result:
    def __init__(self, ok, ms, both, why, packets, way):
        self.ok, self.ms, self.both = ok, ms, both
        self.why, self.packets, self.way = why, packets, way


class Net:
    def __init__(self, seed=1, loss=0.0, jitter=4, rtt=60, start=5000, twice=0.0):
        self.now = 0.0
        self.seed, self.loss, self.jitter, self.rtt, self.start = seed, loss, jitter, rtt, start
        self.twice = twice  # share of packets that come once more, up to 50 ms later
        self._rng = XorShift(seed * 9973 + 5)
        self._queue = []
        self._seq = 0
        self._hosts = 0
        self.root = Realm()
        self.helpers = []
        self.log = None  # a list: (ms, from host, port, to, data)

    def bits(self, k):
        return self._rng.getrandbits(k)

    def tick(self):
        return (self.start + int(self.now)) & 0x3FFFFFFF

    def at(self, t, f, *args):
        self._seq += 1
        heapq.heappush(self._queue, (t, self._seq, f, args))

    def run(self, ms, until=None):
        stop = self.now + ms
        while self._queue and self._queue[0][0] <= stop:
            t, _, f, args = heapq.heappop(self._queue)
            self.now = t
            f(*args)
            if until is not None and until():
                return True
        self.now = stop
        return False

    # -- places ------------------------------------------------------------------------------

    def _address(self):
        self._hosts += 1
        return ip4(198, 18, self._hosts & 255, 7 + (self._hosts >> 8))

    def public(self, far=None, **more):
        far = self.rtt / 4 if far is None else far
        return self._boot(Host(self, self.root, self._address(), far), **more)

    def cgn(self, kind, hairpin=False):
        return Router(self, self.root, self._address(), kind, hairpin)

    def router(self, kind, inner=None, **more):
        if inner is None:
            outside, ip = self.root, self._address()
        else:
            inner.inner += 1
            outside, ip = inner.inside, ip4(100, 64, 0, inner.inner)
        return Router(self, outside, ip, kind, **more)

    def home(
        self,
        kind,
        inner=None,
        hairpin=False,
        timeout=120000,
        router=None,
        host=10,
        far=None,
        **more,
    ):
        """A host behind a router of this kind (its name, or "pub", "pubfw", "cgpr", "cgsym")."""
        far = self.rtt / 4 if far is None else far
        if kind == "pub":
            return self.public(far, **more)
        if kind in ("cgpr", "cgsym"):
            inner = self.cgn("eim" if kind == "cgpr" else "symblk")
            kind = "pr"
        if kind == "pubfw":
            h = Host(self, self.root, self._address(), far)
            h.wall = Wall(self, Realm(), h.ip, kind)
            return self._boot(h, **more)
        r = router or self.router(kind, inner, hairpin=hairpin, timeout=timeout, far=far)
        return self._boot(Host(self, r.inside, ip4(192, 168, 1, host), far), **more)

    def inside(self, cgn, **more):
        """A host within the carrier's network: it sees the homes' inner addresses."""
        cgn.inner += 1
        return self._boot(Host(self, cgn.inside, ip4(100, 64, 0, cgn.inner), self.rtt / 4), **more)

    def _boot(self, h, epoch=1, meet=True, limits=None):
        i = self._hosts = self._hosts + 1
        seed = sha256(b"nat node %d of %d" % (i, self.seed)).digest()
        public = ed25519.public_key(seed) if QuickCrypto is None else sha256(seed).digest()
        ident = Identity(seed, public, NETWORK, None, GROUP_KEY, epoch)
        h.node = Node(
            Config({"p2p": 4}), ident, h, XorShift(i + self.seed * 1000),
            Entropy(i + self.seed * 999), self.tick(), lambda name, data: True, QuickCrypto(),
            False, limits,
        )  # fmt: skip
        h.node.sockets = h
        h.node.start(self.tick())
        h.node.sample(self.tick(), dict(SIGNALS))
        if meet:
            h.restart_meet()
        h.poll()
        return h

    def helper(self, h):
        """All nodes of this net know this one from a look-up, as an L4 node that helps."""
        h.node.own.set_endpoints(h.local, h.local)
        h.node.own.set_caps(CAP_ANSWERS | CAP_NAT)
        for _ in range(8):
            h.node.own.poll(self.tick())
        assert bytes(h.node.own.record[55:61]) == h.local
        self.helpers.append(h)

    def knows(self, h):
        for s in self.helpers:
            if s is not h:
                h.node.own.public = NO_ENDPOINT
                h.node.remote.consider(bytes(s.node.own.record), s.node.id, self.tick())
        h.poll()

    # -- packets -----------------------------------------------------------------------------

    def send(self, h, port, data, dst):
        h.sent += 1
        if self.log is not None:
            self.log.append((self.now, h, port, dst, data))
        if h.dead or dst[0] == 0 or dst[0] >= 224:
            return
        if h.wall is not None:
            h.wall.out(end(h.ip, port), dst)
        src, to = self._out(h, end(h.ip, port), dst)
        if to is None or self.loss and self.bits(20) < self.loss * 1048576:
            return
        ms = self._far(h, to)
        if ms > 2:
            ms += self.bits(10) * self.jitter / 1024
        self.at(self.now + ms, self._arrive, to, src, dst, data)
        if self.twice and self.bits(20) < self.twice * 1048576:
            self.at(self.now + ms + self.bits(10) / 20, self._arrive, to, src, dst, data)

    def _out(self, h, src, dst):
        """By all routers up to where `dst` is: (source as seen there, who has that address)"""
        realm = h.realm
        while True:
            to = realm.members.get(dst[:4])
            gate = realm.router
            if to is not None:
                return src, to
            if gate is None or dst[:4] == gate.ip and not gate.hairpin:
                return src, None
            src = gate.out(src, dst)
            if src is None:
                return src, None
            if dst[:4] == gate.ip:  # hairpin: in again, from the outer address
                return src, gate
            realm = gate.outside

    def _far(self, h, to):
        """One way: on one LAN 0.3 ms, within a carrier's net a third, else both sides' part."""
        realm = to.realm if isinstance(to, Host) else to.outside
        if realm.router is None:
            return h.far + to.far
        return 0.3 if realm is h.realm and h.ip[0] == 192 else (h.far + to.far) / 3

    def _arrive(self, to, src, dst, data):
        while isinstance(to, Router):
            inner = to.into(dst[4] << 8 | dst[5], src)
            if inner is None:
                return
            dst = inner
            to = to.inside.members.get(dst[:4])
        if to is None:
            return
        if to.wall is not None and to.wall.into(dst[4] << 8 | dst[5], src) is None:
            return
        to.receive(dst[4] << 8 | dst[5], data, src)

    # -- what natcheck.py would find -----------------------------------------------------------

    def summary(self, h):
        """nat_type.py's word on what two assistants and filter tests see; moves counters along."""
        seen = Seen(h.local)
        seen.asked = 3
        routers = []
        realm = h.realm
        while realm.router is not None:
            routers.append(realm.router)
            realm = realm.router.outside
        strict = [r for r in routers if r.kind == "udpblk"]
        if strict:
            return classify(seen)
        helpers = [end(ip4(203, 0, 113, i), p) for i, p in ((1, 3478), (1, 3479), (2, 3478))]

        def seen_from(port, remote):
            src = end(h.ip, port)
            for r in routers:
                src = r.out(src, remote)
            return src

        seen.main = seen_from(PORT, helpers[0])
        for i in range(4):
            port = 40000 + self.bits(13)
            for s in helpers:
                seen.mapped.append((i, port, s, seen_from(port, s)))
        low = 600 + self.bits(8)
        seen.low = (low, seen_from(low, helpers[0])[4] << 8 | seen_from(low, helpers[0])[5])
        filters = [r.filter for r in routers] + [BOTH] * (h.wall is not None)
        seen.stranger = all(f == ALL for f in filters)
        seen.other_port = BOTH not in filters
        seen.early = any(r.kind == "clash" for r in routers)
        return classify(seen)

    # -- a meeting ---------------------------------------------------------------------------

    def ready(self, hosts, ms=3000):
        """Let them find their assistants and register."""
        for h in hosts:
            self.knows(h)
        self.run(ms)

    def meeting(self, a, b, limit=9000, nats=True):
        """`a` asks for `b`; runs until both sides have a way, or one says that there is none."""
        if nats:
            for h in (a, b):
                h.meet.set_nat(self.summary(h), self.tick())
                h.poll()
            self.run(400)
        a.told.clear()
        b.told.clear()
        sent = a.sent + b.sent
        t0 = self.now
        at = {}

        def told(*what):
            a.told.append(("out",) + what)
            at.setdefault("a", self.now - t0)

        def incoming(*what):
            b.told.append(("in",) + what)
            at.setdefault("b", self.now - t0)

        b.meet.on_incoming = incoming
        assert a.meet.connect(b.node.id, self.tick(), told)
        a.poll()

        def over():
            return a.told and (a.told[0][2] is None or b.told)

        self.run(limit, over)
        ok = bool(a.told and a.told[0][2] is not None and b.told)
        why = a.told[0][5] if a.told else "nothing was told"
        both = max(at.values()) if ok else None
        return Result(ok, at.get("a"), both, why, a.sent + b.sent - sent, a.told)


def matrix_net(seed, kinds, loss=0.0, rtt=60, helpers=3, ready=3000, **more):
    """A net with that many helpers and a pair of homes, ready to meet. More loss begins then."""
    net = Net(seed, loss=min(loss, 0.01), rtt=rtt, **more)
    for _ in range(helpers):
        net.helper(net.public(meet=False))
    a, b = (net.home(k) for k in kinds)
    net.ready((a, b), ready)
    net.loss = loss
    return net, a, b
