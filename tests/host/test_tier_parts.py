"""The parts of a tier that need no process: tables, keys, counters, frames under load."""

import os
import random

from l4mesh.counters import Counters
from l4mesh.keys import node_key
from l4mesh.mac import Mac
from l4mesh.peers import P_PROVEN, P_TIER
from l4mesh.wire import T_PING
from l4tools.upstream.batches import most_ranges
from l4tools.upstream.nodekeys import NodeKeys
from l4tools.upstream.tier_keys import TierKeys
from l4tools.upstream.tier_tables import TierLimits, TierPeers, TierSender

ADDR = bytes((192, 0, 2, 9, 16, 8))


def sid(i):
    return i.to_bytes(8, "big")


def test_new_senders_push_out_new_senders_only():
    peers = TierPeers(slots=20, spare=5)
    for i in range(10):
        slot = peers.add(sid(i), ADDR, 1, 1, 0)
        peers.set_flag(slot, P_PROVEN)
    for i in range(100, 200):
        peers.add(sid(i), ADDR, 1, 1, 0)
    assert len(peers) == 15
    assert all(peers.find(sid(i)) >= 0 for i in range(10))
    assert [i for i in range(100, 200) if peers.find(sid(i)) >= 0] == list(range(195, 200))


def test_the_longest_silent_makes_room_and_tiers_never_do():
    peers = TierPeers(slots=8, spare=4)
    for i in range(8):
        slot = peers.add(sid(i), ADDR, 1, 1, 0)
        peers.set_flag(slot, P_TIER if i < 2 else P_PROVEN)
    peers.heard(peers.find(sid(2)), 1)
    for i in range(50, 55):
        peers.set_flag(peers.add(sid(i), ADDR, 1, 1, 1), P_PROVEN)
    left = [i for i in list(range(8)) + list(range(50, 55)) if peers.find(sid(i)) >= 0]
    assert left == [0, 1, 2] + list(range(50, 55))


def test_tables_stay_whole_under_random_use():
    rng = random.Random(3)
    peers = TierPeers(slots=30, spare=8)
    for turn in range(3000):
        name = sid(rng.randrange(60))
        slot = peers.find(name)
        if slot < 0:
            slot = peers.add(name, ADDR, 1, 1, turn)
            assert slot >= 0 and peers.find(name) == slot
        what = rng.randrange(5)
        if what == 0:
            peers.drop(slot)
        elif what == 1:
            peers.set_flag(slot, P_PROVEN, rng.random() < 0.7)
        elif what == 2:
            peers.heard(slot, turn)
        used = [i for i in range(30) if peers.used(i)]
        assert len(used) == len(peers) and len(peers._free) == 30 - len(used)
        assert sorted([*peers._new, *peers._old]) == used


def test_a_tier_may_say_more_than_a_node_and_a_stranger_gains_nothing():
    limits = TierLimits({"addr_s": 10, "addr_burst": 20, "global_s": 1000}, 100, os.urandom)
    other = bytes((192, 0, 2, 10, 16, 8))
    limits.trust(sid(1), ADDR)
    assert sum(limits.allow(ADDR, True, 1000) for _ in range(500)) == 500
    assert sum(limits.allow(other, True, 1000) for _ in range(500)) == 20
    assert sum(limits.allow(ADDR, False, 1000) for _ in range(500)) == 20  # not known: no tier
    assert sum(limits.allow(ADDR, True, 1000) for _ in range(5000)) == 500
    assert sum(limits.allow(ADDR, True, 1500) for _ in range(5000)) == 500


class _Nowhere:
    def __init__(self):
        self.frames = []

    def send(self, buf, n, addr):
        self.frames.append(bytes(buf[:n]))
        return True


class _Group:
    number = 1
    mac = Mac(bytes(32))

    def group(self, number):
        return self.mac


def test_each_peer_sees_counters_of_its_own():
    link, epochs = _Nowhere(), []
    tx = TierSender(link, _Group(), Counters(), bytes(4), bytes(8), 7, epochs.append)
    seen = {}
    for turn in range(60):
        for i in range(1, 4):
            if turn % i == 0:
                end = tx.begin(T_PING, sid(i)) + 17
                tx.send(end, ADDR)
                counter = int.from_bytes(link.frames[-1][24:28], "big")
                assert counter == tx.counter == seen.get(i, 0) + 1
                seen[i] = counter
    assert seen == {1: 60, 2: 30, 3: 20} and not epochs


def test_used_up_counters_begin_a_new_epoch():
    link, epochs = _Nowhere(), []
    tx = TierSender(link, _Group(), Counters(), bytes(4), bytes(8), 7, epochs.append)
    tx._counts[sid(1)] = (1 << 30) - 3
    heads = []
    for _ in range(3):
        tx.send(tx.begin(T_PING, sid(1)) + 17, ADDR)
        heads.append((link.frames[-1][20:24], link.frames[-1][24:28]))
    last = ((1 << 30) - 2).to_bytes(4, "big")
    one, two = (1).to_bytes(4, "big"), (2).to_bytes(4, "big")
    seven, eight = (7).to_bytes(4, "big"), (8).to_bytes(4, "big")
    assert heads == [(seven, last), (eight, one), (eight, two)]
    assert epochs == [8]


MASTER = bytes(range(32))
NODE = bytes(range(16))
GROUPS = [(1, bytes(32)), (2, bytes([1]) * 32)]


def test_l1_derives_what_a_join_names_and_keeps_it_after_a_good_tag():
    known = {}
    keys = TierKeys(NodeKeys(master=MASTER, find=known.get), None, [], GROUPS, known.get)
    assert keys.link(NODE[:8]) is None and keys.wanted == NODE[:8]
    keys.named = NODE
    right = keys.link(NODE[:8])
    assert right is not None and keys.node(NODE[:8]) == (NODE, node_key(MASTER, NODE))
    assert keys.link(bytes(8)) is None  # named, but not of this sender
    keys.named = None
    assert keys.link(NODE[:8]) is None  # a claim is not kept ..
    keys.named = NODE
    keys.keep(NODE[:8])
    keys.named = None
    assert keys.good(NODE[:8])
    assert keys.link(NODE[:8]).tag(b"x") == right.tag(b"x")  # .. a proven one is
    assert keys.group(1) is not None and keys.group(2) is not None and keys.group(3) is None
    assert keys.number == 2 and keys.key == GROUPS[1][1]


def test_a_lower_tier_uses_its_own_key_upward_and_forgets_borrowed_ones():
    now = [0.0]

    async def fetch(short_id, node_id):
        return NODE, node_key(MASTER, NODE), 1

    above = bytes([9]) * 16
    borrowed = NodeKeys(fetch=fetch, clock=lambda: now[0])
    keys = TierKeys(borrowed, node_key(MASTER, bytes(16)), [above], GROUPS)
    assert keys.link(above[:8]) is not None and keys.node(NODE[:8]) is None
    import asyncio

    asyncio.run(borrowed.get(NODE[:8], NODE))
    assert keys.node(NODE[:8]) == (NODE, node_key(MASTER, NODE))
    assert not keys.good(NODE[:8])
    keys.keep(NODE[:8])
    assert keys.good(NODE[:8])
    now[0] = 61
    assert keys.link(NODE[:8]) is None and not keys.good(NODE[:8])


def test_an_ack_is_at_most_three_times_its_batch():
    for n in (29 + 11, 100, 400, 1156):  # one short reading to a full batch
        frame, k = 28 + n + 16, most_ranges(n)
        assert 1 <= k <= 32
        assert 28 + 26 + 8 * k + 16 <= 3 * frame
    assert most_ranges(40) == 22 and most_ranges(1156) == 32
