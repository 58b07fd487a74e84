"""A small Internet with NATs on a virtual clock, for tests of what finds out about them.

    net = Net(rtt_ms=60, loss=0.0)
    a = net.node(1, nat=Nat("198.18.0.7", "eim", "apdf"))    a Node behind it, with sockets
    s = net.node(2, ip="198.18.0.2")                         one with an address of its own
    net.run(3000)

Written apart from tests/sim/nats.py on purpose: what one of the two models gets wrong, the other
may not.
"""

import heapq

from kit import Person
from l4mesh.config import Config
from l4mesh.endpoint import parse_endpoint
from l4mesh.identity import Identity
from l4mesh.node import Node
from l4mesh.peers import P_REMOTE
from l4mesh.prng import XorShift
from world import GROUP_KEY, NETWORK, SIGNALS, Entropy, QuickCrypto


def ip4(text):
    return parse_endpoint(text + ":1")[:4]


def b2(port):
    return bytes((port >> 8, port & 255))


class Nat:
    """`mapping` eim, adm, apdm, none; `filter` eif, adf, apdf; `ports` keep, shift, seq, block,
    range, low (all but own low ones); `early`: unasked packets take the place of mappings."""

    def __init__(self, ip, mapping="eim", filter="apdf", ports="keep", early=False, blocked=False):
        self.ip = ip4(ip)
        self.mapping, self.filter, self.ports = mapping, filter, ports
        self.early, self.blocked = early, blocked
        self.life_ms = 1 << 30
        self.step = 1
        self.next = 30000
        self.fixed = {}  # outside port: inside endpoint (asked for by PCP)
        self.chance = XorShift(ip4(ip)[3] + 5)
        self.out = {}  # key: outside port
        self.back = {}  # outside port: (inside, {destination: when last sent})
        self.taken = set()

    def _choose(self, src):
        port = src[4] << 8 | src[5]
        if self.ports == "keep" and port not in self.back:
            return port
        if self.ports == "shift" and port ^ 0x1234 not in self.back:
            return port ^ 0x1234
        if self.ports == "seq":
            self.next += self.step
            return self.next
        low, width = 1024, 64512
        if self.ports == "block":
            low, width = 20000, 512
        if self.ports == "low" and port < 1024:
            low, width = 600, 424
        while True:
            p = low + self.chance.getrandbits(28) % width
            if p not in self.back:
                return p

    def outward(self, src, dst, now):
        """The source that the world sees."""
        if self.blocked:
            return None
        if self.mapping == "none":
            port = src[4] << 8 | src[5]
            src_ip = src[:4]
        else:
            src_ip = self.ip
            key = src + {"eim": b"", "adm": dst[:4], "apdm": dst}[self.mapping]
            port = self.out.get(key)
            if port is not None and now - max(self.back[port][1].values()) > self.life_ms:
                del self.back[port]
                port = None
            if port is not None and (port, dst) in self.taken:
                self.taken.discard((port, dst))
                port = None
                while port is None or port in self.back:
                    port = 1024 + self.chance.getrandbits(28) % 64512
            elif port is None:
                port = self._choose(src)
            self.out[key] = port
        self.back.setdefault(port, (src, {}))[1][dst] = now
        return src_ip + b2(port)

    def inward(self, src, dst, now):
        """The inside endpoint, or None."""
        port = dst[4] << 8 | dst[5]
        if port in self.fixed:
            return self.fixed[port]
        entry = self.back.get(port)
        if entry is not None and not self.blocked:
            sent = {d: t for d, t in entry[1].items() if now - t <= self.life_ms}
            open_ = {
                "eif": bool(sent),
                "adf": src[:4] in [d[:4] for d in sent],
                "apdf": src in sent,
            }[self.filter]
            if open_:
                return entry[0]
        if self.early:
            self.taken.add((port, src))
        return None


class Sock:
    def __init__(self, host, port, take):
        self.host, self.port, self.take = host, port, take

    def send(self, buf, n, addr):
        if not self.host.ends.get(self.port) == self.take_:
            return False
        return self.host.send_from(self.host.ip + b2(self.port), bytes(buf[:n]), addr)

    def take_(self, data, addr, now):
        self.take(data, len(data), addr, now, self)

    def close(self):
        self.host.ends.pop(self.port, None)


class Host:
    """A machine with one address; link and sockets of its node."""

    mtu = 1200
    group = broadcast = bytes(6)

    def __init__(self, net, ip, port, nat, sockets, low):
        self.net, self.ip, self.nat = net, ip, nat
        self.local = ip + b2(port)
        self.ends = {}
        self.low = low
        self.ephemeral = 40000
        self.sockets = self if sockets else None
        self.most = 0

    def send_from(self, src, data, dst):
        return self.net.send(self, src, data, dst)

    def send(self, buf, n, addr):
        return self.send_from(self.local, bytes(buf[:n]), addr)

    def open(self, port, take):
        if port and port < 1024 and not self.low or port in self.ends or len(self.ends) > 6:
            return None
        while not port or port in self.ends:
            self.ephemeral += 7
            port = self.ephemeral
        s = Sock(self, port, take)
        self.ends[port] = s.take_
        self.most = max(self.most, len(self.ends) - 1)
        return s


class Net:
    def __init__(self, rtt_ms=60, loss=0.0, start=2**30 - 2000, seed=1):
        self.now, self.start, self.loss = 0, start, loss
        self.half = rtt_ms // 2
        self.chance = XorShift(seed)
        self.hosts = {}  # public IP: Host or Nat
        self.inside = {}  # (nat, inside IP): Host
        self.nodes = []
        self.log = []  # (ms, source as seen, destination, data)
        self._queue = []
        self._seq = 0
        self._wake = []

    def tick(self):
        return (self.start + self.now) & (2**30 - 1)

    def node(self, n, nat=None, ip="192.168.1.10", port=4104, sockets=True, low=True, **config):
        host = Host(self, ip4(ip), port, nat, sockets, low)
        if nat is None or nat.mapping == "none":
            self.hosts[host.ip] = host
        else:
            self.hosts[nat.ip] = nat
            self.inside[(nat, host.ip)] = host
        p = Person(n)
        ident = Identity(p.seed, p.public, NETWORK, None, GROUP_KEY, 1)
        node = Node(
            Config(config), ident, host, XorShift(n), Entropy(n), self.tick(),
            lambda name, data: True, QuickCrypto(),
        )  # fmt: skip
        node.sockets = host.sockets
        host.ends[port] = lambda data, addr, now: node.receive(data, len(data), addr, now)
        node.start(self.tick())
        node.sample(self.tick(), dict(SIGNALS))
        self.nodes.append(node)
        self._wake.append(0)
        return node

    def knows(self, node, others):
        """`others` are peers beyond the LAN, as remote.py would find them."""
        for o in others:
            i = node.peers.add(o.id[:8], o.link.local, 1, 1, self.tick())
            node.peers.set_flag(i, P_REMOTE)

    def send(self, host, src, data, dst):
        if host.nat is not None:
            src = host.nat.outward(src, dst, self.now)
        if src is None or not dst[0]:
            return True
        self.log.append((self.now, src, dst, data))
        if self.loss and self.chance.getrandbits(10) < 1024 * self.loss:
            return True
        self._seq += 1
        heapq.heappush(self._queue, (self.now + self.half, self._seq, src, dst, data))
        return True

    def _deliver(self, src, dst, data):
        at = self.hosts.get(dst[:4])
        if isinstance(at, Nat):
            dst = at.inward(src, dst, self.now)
            at = None if dst is None else self.inside.get((at, dst[:4]))
        elif at is not None and at.nat is not None:
            if at.nat.inward(src, dst, self.now) is None:
                at = None
        end = None if at is None else at.ends.get(dst[4] << 8 | dst[5])
        if end is not None:
            end(bytearray(data), src, self.tick())
            self._wake = [self.now for _ in self._wake]

    def run(self, ms, until=None):
        """`ms` virtual milliseconds, or until until() is true."""
        end = self.now + ms
        while self.now < end and not (until is not None and until()):
            for i, node in enumerate(self.nodes):
                if self._wake[i] <= self.now:
                    self._wake[i] = self.now + max(1, node.poll(self.tick()))
            nxt = min(self._wake)
            if self._queue:
                nxt = min(nxt, self._queue[0][0])
            self.now = max(self.now, min(nxt, end))
            while self._queue and self._queue[0][0] <= self.now:
                _, _, src, dst, data = heapq.heappop(self._queue)
                self._deliver(src, dst, data)
