"""A simulated network on a virtual clock, for both Pythons: events, seeded chance, a digest.

    w = World(seed=1, loss=0.1, start=2**30 - 5000)
    n = w.add(lan=1)            # a Node on LAN 1
    w.run(60_000)               # advance virtual milliseconds
    w.digest()                  # SHA-256 over every datagram sent: time, sender, addresses, bytes

Same seed, same digest, whatever the interpreter. LAN k is 10.77.k.0/24; multicast stays there.
"""

import binascii
import heapq
from hashlib import sha256

from l4mesh import ed25519
from l4mesh.config import Config
from l4mesh.identity import Identity
from l4mesh.keys import network_id
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh.ticks import MASK

GROUP = bytes((239, 76, 52, 1, 16, 9))
OWNER = bytes(range(32))
GROUP_KEY = bytes([0]) + sha256(b"test group key").digest()
NETWORK = network_id(OWNER)
PORT = 4104
SIGNALS = {"mains": True, "battery": None, "heap_free": 90000, "heap_largest": None,
           "wifi": True, "metered": False}  # fmt: skip
BROADCAST = bytes((255, 255, 255, 255, PORT >> 8, PORT & 255))


class Link:
    mtu = 1200

    def __init__(self, world, addr):
        self.local = addr
        self.group = GROUP
        self.broadcast = BROADCAST
        self._world = world

    def send(self, buf, n, addr):
        self._world.send(self.local, bytes(buf[:n]), addr)
        return True


class Entropy:
    """Looks like entropy, is a counter through a hash: only for simulations."""

    def __init__(self, seed):
        self._seed = seed
        self._n = 0

    def __call__(self, n):
        out = b""
        while len(out) < n:
            self._n += 1
            out += sha256(b"%d/%d" % (self._seed, self._n)).digest()
        return out[:n]


class QuickCrypto:
    """Stands in for ed25519 where thousands of signatures would only cost time: one slice each."""

    def __init__(self):
        self._result = None

    def _text(self, public, msg):
        return sha256(public + msg).digest() * 2

    def Sign(self, seed, public, msg):
        job = QuickCrypto()
        job._result = self._text(public, msg)
        return job

    def Verify(self, public, msg, sig):
        job = QuickCrypto()
        job._result = self._text(public, msg) == sig
        return job

    def step(self):
        return self._result


class World:
    def __init__(self, seed=1, loss=0.0, start=0, lan_ms=1, far_ms=3, jitter_ms=2):
        self.now = 0  # virtual ms, never wraps; nodes see (start + now) & MASK
        self.start = start
        self.loss = loss
        self.delays = (lan_ms, far_ms, jitter_ms)
        self.seed = seed
        self.chance = XorShift(seed * 7919 + 1)
        self.nodes = []
        self.ends = {}  # endpoint -> receiver(data, addr, tick)
        self.sent = 0
        self.bytes = 0
        self.log = None  # a list here keeps (ms, from, to, data)
        self._hash = _Digest(bytes(32))
        self._queue = []
        self._seq = 0
        self._wake = []
        self._seeds = []  # of each node, what restart() needs
        self._nodekeys = []
        self._cryptos = []
        self._limits = []

    def tick(self):
        return (self.start + self.now) & MASK

    def add(self, lan=1, config=None, nodekey=None, crypto=None, limits=None, epoch=1):
        """A node on LAN `lan`; it is started at once. Returns the Node."""
        i = len(self.nodes)
        addr = bytes((10, 77, lan, 10 + i % 240, PORT >> 8, PORT & 255))
        seed = sha256(b"node %d of %d" % (i, self.seed)).digest()
        public = ed25519.public_key(seed)
        ident = Identity(
            seed, public, NETWORK, nodekey(public) if nodekey else None, GROUP_KEY, epoch
        )
        node = Node(
            Config(config or {}), ident, Link(self, addr), XorShift(self.seed * 1000 + i + 1),
            Entropy(self.seed * 1000 + i), self.tick(), lambda name, data: True, crypto, False,
            limits,
        )  # fmt: skip
        self.nodes.append(node)
        self._wake.append(0)
        self._seeds.append(seed)
        self._nodekeys.append(ident.node_key)
        self._cryptos.append(crypto)
        self._limits.append(limits)
        self.ends[addr] = i
        self._boot(i, node)
        return node

    def restart(self, node, epoch, addr=None):
        """Power cut and boot: the same identity with an empty memory. Returns the new Node."""
        i = self.nodes.index(node)
        self.ends.pop(node.link.local, None)  # it may be off already
        addr = addr or node.link.local
        old = node.own
        ident = Identity(
            self._seeds[i], old.public_key, NETWORK, self._nodekeys[i], GROUP_KEY, epoch
        )
        self.nodes[i] = new = Node(
            node.cfg, ident, Link(self, addr), XorShift(self.seed * 1000 + i + 1 + epoch * 97),
            Entropy(self.seed * 1000 + i + epoch * 97), self.tick(), lambda name, data: True,
            self._cryptos[i], False, self._limits[i],
        )  # fmt: skip
        self.ends[addr] = i
        self._boot(i, new)
        return new

    def _boot(self, i, node):
        node.start(self.tick())
        node.sample(self.tick(), dict(SIGNALS))
        self._wake[i] = self.now
        self._push(self.now, i, None, None)

    def remove(self, node):
        """Power cut: it hears and says nothing more."""
        i = self.nodes.index(node)
        del self.ends[node.link.local]
        self._wake[i] = -1

    def attach(self, addr, receiver):
        """Anything else with an endpoint: receiver(data, from_addr, tick)."""
        self.ends[addr] = receiver

    def _push(self, t, to, data, addr):
        self._seq += 1
        heapq.heappush(self._queue, (t, self._seq, to, data, addr))

    def send(self, src, data, dst):
        self.sent += 1
        self.bytes += len(data)
        h = sha256(self._hash.digest())
        h.update(b"%d " % self.now)
        h.update(src)
        h.update(dst)
        h.update(data)
        self._hash = _Digest(h.digest())
        if self.log is not None:
            self.log.append((self.now, src, dst, data))
        if dst[0] >= 224:
            for addr in sorted(self.ends):
                if addr != src and addr[:3] == src[:3]:
                    self._deliver(src, addr, data)
        elif dst in self.ends:
            self._deliver(src, dst, data)

    def _deliver(self, src, dst, data):
        if self.loss and self.chance.getrandbits(20) < self.loss * 1048576:
            return
        d = self.delays[0] if src[:3] == dst[:3] else self.delays[1]
        d += self.chance.getrandbits(8) % (self.delays[2] + 1)
        self._push(self.now + d, dst, data, src)

    def run(self, ms, each=None):
        """Advance by `ms`; `each(node, event)` sees the nodes' events."""
        end = self.now + ms
        queue = self._queue
        while queue and queue[0][0] <= end:
            t, _, to, data, addr = heapq.heappop(queue)
            self.now = t
            if data is None:
                i = to
                if self._wake[i] < 0 or self._wake[i] > t:
                    continue
                node = self.nodes[i]
            else:
                i = self.ends.get(to)
                if i is None:
                    continue
                if not isinstance(i, int):
                    i(data, addr, self.tick())
                    continue
                node = self.nodes[i]
                node.receive(data, len(data), addr, self.tick())
            self._poll(i, node, each)
        self.now = end

    def _poll(self, i, node, each):
        wait = node.poll(self.tick())
        while True:
            e = node.next_event()
            if e is None:
                break
            if each is not None:
                each(node, e)
        at = self.now + max(1, wait)
        self._wake[i] = at
        self._push(at, i, None, None)

    def touch(self, node):
        """Poll a node soon: something was asked of it from outside."""
        i = self.nodes.index(node)
        self._wake[i] = self.now
        self._push(self.now, i, None, None)

    def digest(self):
        return binascii.hexlify(self._hash.digest()).decode()


class _Digest:
    """A digest that can be read twice (MicroPython's hash objects can not)."""

    def __init__(self, value):
        self._value = value

    def digest(self):
        return self._value
