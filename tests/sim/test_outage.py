"""200 nodes lose their upstream for an hour of virtual time, with a reading a minute each. Then it
is back for all of them at once: what comes must be bounded, and every reading stored once.
"""

from struct import pack_into, unpack_from

from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.keys import hkdf
from l4mesh.prng import XorShift
from l4mesh.queue import Queue
from l4mesh.seal import seal
from l4mesh_io.store_ram import RamSegments
from tier import FakeTier, with_key
from world import Entropy, QuickCrypto, World

NODES = 200
MINUTES = 60
EACH_MS = 4  # that the upstream needs for a batch, one after the other: 250 a second
L3 = "10.77.0.3:4104"
LINE = b"line"


class Store(FakeTier):
    """Stores batches by (node, queue id, sequence), in the order of arrival, and says so then."""

    def __init__(self, world, addr):
        super().__init__(world, 3, addr)
        self.stored = {}
        self.batches = self.repeated = self.longest = 0
        self.free = 0  # when the last one in the line is done
        world.attach(LINE, self.answer_batch)

    def receive(self, data, addr, tick):
        if data[1] == wire.T_BATCH and not self.quiet:
            self.batch(data, addr)
        else:
            super().receive(data, addr, tick)

    def batch(self, data, addr):
        sid = data[8:16]
        key = self._key(sid)
        b = bytearray(data[:-16])
        o = 36 if data[2] & 4 else 28
        seal(hkdf(key, b"l4-seal-v1"), b, 0, o + wire.clear_len(wire.T_BATCH), len(b))
        origin, queue, first, count = unpack_from(">16s8sIB", b, o)
        self.batches += 1
        o += 29
        for seq in range(first, first + count):
            k = b[o] + 1
            text = bytes(b[o + 10 : o + k])
            self.repeated += (origin, queue, seq) in self.stored
            assert self.stored.setdefault((origin, queue, seq), text) == text
            o += k
        assert o == len(b)
        now = self._world.now
        self.free = max(self.free, now) + EACH_MS
        self.longest = max(self.longest, self.free - now)
        word = bytearray(26 + 8)
        pack_into(">16s8sBBII", word, 0, origin, queue, 0, 1, first, first + count - 1)
        self._world._push(self.free, LINE, (sid, key, bytes(word)), addr)

    def answer_batch(self, what, addr, tick):
        sid, key, word = what
        self.send(wire.T_ACK, sid, key, word, addr, sealed=True)


def take(world, minute, chance):
    """A reading of each node, somewhere in this minute."""
    turns = sorted((chance.getrandbits(16) * 60000 >> 16, k) for k in range(len(world.nodes)))
    start = world.now
    for at, k in turns:
        world.run(start + at - world.now)
        node = world.nodes[k]
        text = b"n=%d" % (1000 * k + minute)
        assert node.submit(text, len(text), bytes(6), 0, 0)
        world.touch(node)
    world.run(start + 60000 - world.now)


def test_an_hour_without_upstream_of_200_nodes_that_come_back_at_once():
    w = World(seed=4)
    addr = parse_endpoint(L3)
    store = Store(w, addr)
    config = {"upstream": [[3, L3]], "mode": "passive", "hello_max_s": 3600, "lifetime_min": 300}
    for k in range(NODES):
        node = w.add(1 + k, config, with_key, QuickCrypto())
        q = Queue(RamSegments(4), Entropy(k), node.counters, 3)
        assert q.open()
        node.attach_queue(q, XorShift(k + 1))
    chance = XorShift(9)
    take(w, 0, chance)
    w.run(10000)
    assert len(store.stored) == NODES
    store.quiet = True
    for minute in range(1, MINUTES):
        take(w, minute, chance)
    assert len(store.stored) == NODES
    store.quiet = False
    store.batches = store.longest = store.repeated = 0
    back = w.now
    while any(n.queue.pending for n in w.nodes):
        assert w.now < back + 300000
        w.run(1000)
    took = w.now - back
    # lost == doubled == 0: every text that was taken, once, under a number of its own
    texts = sorted(store.stored.values())
    assert texts == sorted(b"n=%d" % (1000 * k + m) for k in range(NODES) for m in range(MINUTES))
    assert not any(n.queue.dropped for n in w.nodes)
    print("batches %d, again %d readings, longest line %d ms, all stored after %.1f s" % (
        store.batches, store.repeated, store.longest, took / 1000))  # fmt: skip
    assert store.batches <= 8 * NODES  # 59 readings are three batches
    assert store.longest < 1500 and store.repeated <= NODES * MINUTES // 10
    assert took < 60000
