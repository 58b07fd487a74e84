"""What the tests of the core share: frames and records made by hand, a node on a captured link.

Everything here is made without the code under test where that is possible, from hashlib alone, so
that a mistake in both is not a test that passes. Runs on both Pythons.
"""

from hashlib import sha256

from l4mesh import ed25519, wire
from l4mesh.config import Config
from l4mesh.counters import Counters
from l4mesh.endpoint import parse_endpoint
from l4mesh.identity import Identity
from l4mesh.keys import hkdf, node_id, node_key
from l4mesh.mac import Mac
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh.seal import seal
from world import BROADCAST, GROUP, GROUP_KEY, NETWORK, SIGNALS, Entropy

MASTER = sha256(b"test master key").digest()
GROUP_BYTES = GROUP_KEY[1:]
_keys = {}
_people = {}
_pads = {}


def hmac(key, data):
    key = key + bytes(64 - len(key))
    inner = sha256(bytes([b ^ 0x36 for b in key]) + bytes(data)).digest()
    return sha256(bytes([b ^ 0x5C for b in key]) + inner).digest()


def tag_key(key):
    if key not in _keys:
        _keys[key] = hkdf(key, b"l4-mac-v1")
    return _keys[key]


def b4(v):
    return bytes(((v >> 24) & 255, (v >> 16) & 255, (v >> 8) & 255, v & 255))


def b2(v):
    return bytes((v >> 8, v & 255))


def frame(
    kind, src, dst, counter, payload, epoch=1, key=GROUP_BYTES, number=0, link=False,
    sealed=False, cookie=b"", net=NETWORK, clear=0,
):  # fmt: skip
    """A whole frame. `src`: 8 bytes or more of an id; `dst` likewise, or wire.ALL, wire.ANYONE."""
    flags = (1 if link else 0) | (2 if sealed else 0) | (4 if cookie else 0)
    b = bytearray((wire.VERSION, kind, flags, 0 if link else number))
    b += net + src[:8] + dst[:4] + b4(epoch) + b4(counter) + cookie + payload
    if sealed:
        seal(hkdf(key, b"l4-seal-v1"), b, 0, 28 + len(cookie) + clear, len(b))
    if key not in _pads:
        _pads[key] = Mac(tag_key(key))  # test_mac.py holds it against hmac() above
    return bytes(b + _pads[key].tag(b)[:16])


class Person:
    """Somebody with keys of their own: makes records, and frames with a running counter."""

    def __init__(self, n, addr="10.77.1.200:4104", epoch=1):
        self.seed = sha256(b"person %d" % n).digest()
        self.public = ed25519.public_key(self.seed)
        self.id = node_id(self.public)
        self.key = node_key(MASTER, self.id)
        self.addr = parse_endpoint(addr)
        self.epoch = epoch
        self.counter = 0
        self.jar = None

    def frame(self, kind, to, payload, **more):
        self.counter += 1
        more.setdefault("epoch", self.epoch)
        return frame(kind, self.id, to, self.counter, payload, **more)

    def record(self, epoch=None, counter=1, life=30, lan=None, public=bytes(6), good=True, tier=4):
        body = record_body(self.public, epoch or self.epoch, counter, life, lan or self.addr,
                           public, tier)  # fmt: skip
        k = bytes(body) + bytes((good,))
        if k not in _people:
            sig = ed25519.sign(self.seed, b"l4-record-v1\x00" + bytes(body)) if good else bytes(64)
            _people[k] = bytes(body) + sig
        return _people[k]

    def hello(self, record=None, flags=0, mode=2, interval=2, **more):
        h = sha256(record if record is not None else self.record()).digest()[:8]
        payload = bytes((flags, mode, 255, 0)) + b2(interval) + h + b"\x00"
        return self.frame(wire.T_HELLO, wire.ALL, payload, **more)

    def query(self, to, target, token=7, flags=0, pad=0, **more):
        payload = b4(token) + target + bytes((0, flags)) + bytes(pad)
        return self.frame(wire.T_QUERY, to, payload, **more)

    def ping(self, to, token=9, **more):
        return self.frame(wire.T_PING, to, b4(token) + bytes(13), **more)


def record_body(public, epoch, counter, life, lan, pub=bytes(6), tier=4, net=NETWORK):
    return (
        b"R\x01" + net + b4(epoch) + b4(counter) + public + bytes((tier,)) + b2(1)
        + lan + pub + bytes(8) + b2(life) + b"\x00"
    )  # fmt: skip


def answer(token, status, remaining=0, record=b"", source=4):
    return b4(token) + bytes((status, source, 2, 255, 0, 0)) + b2(remaining) + b"\x00\x00" + record


class Wire:
    """A link that keeps what was sent: `sent` is a list of (frame, address)."""

    group = GROUP
    broadcast = BROADCAST
    mtu = 1200

    def __init__(self, local):
        self.local = local
        self.sent = []
        self.works = True

    def send(self, buf, n, addr):
        if self.works:
            self.sent.append((bytes(buf[:n]), bytes(addr)))
        return self.works

    def take(self, kind=None):
        """What was sent since the last call, of one kind or of any."""
        out = [s for s in self.sent if kind is None or s[0][1] == kind]
        self.sent = []
        return out


ROOMY = {"addr_s": 10000, "addr_burst": 10000, "id_s": 10000, "id_burst": 10000,
         "global_s": 10000, "global_burst": 10000}  # fmt: skip


def bare_node(n=1, limits=None, linked=False, now=0, epoch=1, **config):
    """A Node with a captured link, started and with its record signed; nothing else there."""
    p = Person(n, "10.77.1.%d:4104" % (n % 250 + 1))
    ident = Identity(p.seed, p.public, NETWORK, p.key if linked else None, GROUP_KEY, epoch)
    link = Wire(p.addr)
    node = Node(
        Config(config), ident, link, XorShift(n), Entropy(n), now, lambda name, data: True, None,
        False, ROOMY if limits is None else limits,
    )  # fmt: skip
    node.start(now)
    node.sample(now, dict(SIGNALS))
    while not node.own.ready:
        node.own.poll(now)
    link.take()
    return node


def settle(node, now):
    """Let the signature checks that wait run to their end. Returns the tick after."""
    end = now + 20000
    while len(node.checker):
        now += min(1000, max(1, node.checker.poll(now, node.minutes.minute)))
        assert now < end
    return now


def prove(node, person, now):
    """Fetch a cookie by a PING and come back with it: from now on `person` is proven."""
    node.link.take()
    give(node, person, person.ping(node.id), now)
    cookie = node.link.take(wire.T_COOKIE)[-1][0][32:40]
    give(node, person, person.ping(node.id, cookie=cookie), now)
    assert len(node.link.take(wire.T_PONG)) == 1
    return cookie


def give(node, person, data, now):
    node.receive(data, len(data), person.addr, now)


def events(node):
    out = []
    while True:
        e = node.next_event()
        if e is None:
            return out
        out.append(e)


def count(node, i):
    return node.counters.get(i)


def counters():
    return Counters()


def gaps(times):
    """What lies between each and the next."""
    return [times[i + 1] - times[i] for i in range(len(times) - 1)]
