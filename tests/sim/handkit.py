"""What the tests of custody share: nodes with queues, a tier that stores.

lan = Lan(owners=1, custodians=1)
lan.cut(lan.owners[0])                 its datagrams to and from the tier are lost
lan.run(60_000)
lan.tier.stored                        {(origin, queue id): {sequence: reading}}
"""

from hashlib import sha256

from kit import MASTER, ROOMY, b2
from l4mesh import blob, ed25519, wire
from l4mesh.counters import Counters
from l4mesh.hand import Hand
from l4mesh.keep import Keep
from l4mesh.keys import hkdf, node_key
from l4mesh.prng import XorShift
from l4mesh.queue import Queue
from l4mesh.seal import seal
from l4mesh.shelf import Shelf
from l4mesh_io.store_ram import RamSegments
from tier import FakeTier, with_key
from world import QuickCrypto, World

TIER = bytes((10, 77, 0, 3, 16, 8))
NOW6 = (1_800_000_000_000).to_bytes(6, "big")


def blob_keys(node):
    return blob.keys_of(hkdf(node_key(MASTER, node.id), b"l4-seal-v1"))


class StoringTier(FakeTier):
    """Answers BATCH with ACK and CARRY with CARRIED, as docs/protocol.md says."""

    def __init__(self, world, level, addr):
        FakeTier.__init__(self, world, level, addr)
        self.stored = {}  # (origin, queue id): {sequence: [reading, via or None]}
        self.again = self.refused = 0
        self.drop = lambda data: False
        self.status = wire.UNKNOWN
        self.not_now = False

    def receive(self, data, addr, tick):
        if self.drop(data):
            return
        kind = data[1]
        if kind not in (wire.T_BATCH, wire.T_CARRY):
            return FakeTier.receive(self, data, addr, tick)
        sid = data[8:16]
        key = self._key(sid)
        if key is None or kind in self.mute or self.quiet:
            return
        self.seen.append(kind)
        p = bytearray(data[28:-16])
        if kind == wire.T_BATCH:
            b = bytearray(data[:-16])
            seal(hkdf(key, b"l4-seal-v1"), b, 0, 28, len(b))
            ack = self.take(bytes(b[28:57]), bytes(b[57:]), None)
            self.send(wire.T_ACK, sid, key, ack, addr, sealed=True)
            return
        via = bytes(p[:16])
        assert via[:8] == sid
        origin = bytes(p[16:32])
        keys = blob.keys_of(hkdf(node_key(MASTER, origin), b"l4-seal-v1"))
        end = blob.unclose(keys, p, 16, len(p))
        if end < 0:
            self.refused += 1
            word = origin + bytes(p[32:40]) + b"\x02\x00" + bytes(16)
        else:
            word = self.take(bytes(p[16:45]), bytes(p[45:end]), via)
            word += blob.ack_tag(keys, word)
        self.send(wire.T_CARRIED, sid, key, via + word, addr)

    def take(self, head, readings, via):
        q = head[:24]
        first = int.from_bytes(head[24:28], "big")
        have = self.stored.setdefault(q, {})
        if not self.not_now:
            o = 0
            for i in range(head[28]):
                r = readings[o + 1 : o + 1 + readings[o]]
                o += 1 + readings[o]
                if first + i in have:
                    assert have[first + i][0] == r
                    self.again += 1
                else:
                    have[first + i] = [r, via]
            assert o == len(readings)
        runs = []
        for s in sorted(have):
            if runs and runs[-1][1] == s - 1:
                runs[-1][1] = s
            else:
                runs.append([s, s])
        out = q + bytes((1 if self.not_now else 0, len(runs)))
        for low, high in runs:
            out += low.to_bytes(4, "big") + high.to_bytes(4, "big")
        return out

    def texts(self, node):
        """The texts of what is stored of a node, in order of sequence; each once by nature."""
        out = []
        for q in self.stored:
            if q[:16] == node.id:
                out += [self.stored[q][s][0][9:].decode() for s in sorted(self.stored[q])]
        return out

    def via(self, node):
        return set(v for q in self.stored if q[:16] == node.id for _, v in self.stored[q].values())


class Side:
    """A node of the LAN with all that firmware/custody.py gives one."""

    def __init__(self, lan, node):
        self.lan = lan
        self.node = node
        self.flash = RamSegments(5)
        self.box = RamSegments(5)
        self.cap = 4
        self.taken = 0
        self.crypto = lan.crypto
        self.boot(node)

    def boot(self, node):
        self.node = node
        self.hand = self.keep = None
        self.on = True
        self.due = 0
        q = Queue(self.flash, self.entropy, node.counters, self.cap)
        assert q.open()
        self.queue = q
        node.attach_queue(q, XorShift(5))
        node.inbox.handle(wire.T_HAND, self.on_hand)
        node.inbox.handle(wire.T_CARRIED, self.on_carried)
        if self.box.list():
            self.borrow()

    def entropy(self, n):
        return sha256(self.node.id + bytes((len(self.flash.list()),))).digest()[:n]

    def lend(self):
        key = self.node.keys.link_seal(None)
        self.hand = Hand(self.node, key, self.crypto or ed25519)
        return self.hand

    def borrow(self):
        shelf = Shelf(self.box)
        assert shelf.open()
        self.keep = Keep(self.node, shelf, XorShift(7))
        return self.keep

    def on_hand(self, slot, buf, addr, now):
        if self.keep is None:
            self.borrow()
        self.keep.on_hand(slot, buf, addr, now)

    def on_carried(self, slot, buf, addr, now):
        to = self.keep if self.node.gate.linked else self.hand
        if to is not None:
            to.on_carried(slot, buf, addr, now)

    def take(self, n, pad=40):
        """Readings are taken: -> their texts."""
        out = []
        for _ in range(n):
            text = "n=%d %s" % (self.taken, "x" * pad)
            self.taken += 1
            data = text.encode()
            assert self.node.submit(data, len(data), NOW6, 1, 1)
            out.append(text)
        self.lan.world.touch(self.node)
        return out

    def poll(self, now):
        if not self.on:
            return
        if self.keep is not None:
            self.keep.poll(now)
        if self.hand is not None:
            self.hand.poll(now)

    def restart(self, epoch):
        """Power cut and boot: flash stays."""
        self.on = True
        self.boot(self.lan.world.restart(self.node, epoch))

    def count(self, name):
        return dict(self.node.counters.items()).get(name, 0)


class Lan:
    def __init__(self, owners=1, custodians=1, seed=3, loss=0.0, real=False, **config):
        self.world = w = World(seed, loss=0.0)
        self.crypto = None if real else QuickCrypto()
        self.tier = StoringTier(w, 3, TIER)
        config["upstream"] = [[3, "10.77.0.3:4104"]]
        config["hello_max_s"] = 10
        self.away = set()  # addresses cut off from the tier
        self.sides = []
        for _ in range(owners + custodians):
            n = w.add(1, config, with_key, self.crypto, ROOMY)
            self.sides.append(Side(self, n))
        self.owners = self.sides[:owners]
        self.custodians = self.sides[owners:]
        self._deliver = w._deliver
        w._deliver = self._maybe
        self.filter = None  # f(src, dst, data) True: lost
        self.double = 0  # every so many-th frame of custody comes twice
        self._n = 0
        self.lossy = loss

    def _maybe(self, src, dst, data):
        if TIER in (src, dst) and (src in self.away or dst in self.away):
            return
        if self.filter is not None and self.filter(src, dst, data):
            return
        kind = data[1]
        if self.lossy and 25 <= kind <= 28:
            if self.world.chance.getrandbits(10) < self.lossy * 1024:
                return
        self._deliver(src, dst, data)
        self._n += 1
        if self.double and 25 <= kind <= 28 and self._n % self.double == 0:
            self._deliver(src, dst, data)

    def cut(self, side):
        self.away.add(side.node.link.local)

    def heal(self, side):
        self.away.discard(side.node.link.local)

    def off(self, side):
        """The power goes."""
        side.on = False
        self.world.remove(side.node)

    def run(self, ms, until=None, step=50):
        """Advance; True as soon as `until()` is."""
        for _ in range(ms // step):
            self.world.run(step)
            for s in self.sides:
                s.poll(self.world.tick())
            if until is not None and until():
                return True
        return False


def hello_payload(flags, record):
    return bytes((flags, 2, 255, 0)) + b2(2) + sha256(record).digest()[:8] + b"\x00"


def fresh_counters():
    return Counters()
