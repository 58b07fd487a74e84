"""What the device scripts of the bench share: a node out of a JSON file. Runs on the unix port."""

import gc
import json
import sys
import time
from binascii import unhexlify

from l4mesh import ed25519, ticks
from l4mesh.config import Config
from l4mesh.endpoint import parse_endpoint
from l4mesh.identity import Identity
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh_io import clock
from l4mesh_io.entropy import entropy
from l4mesh_io.udp import Udp

SIGNALS = {"mains": True, "battery": None, "heap_free": None, "heap_largest": None, "wifi": True,
           "metered": False}  # fmt: skip
_DEMAND_MS = 6000
_calls = 0


def steady():
    """A clock that moves with the work done, not with time: counts of a run repeat exactly."""
    global _calls
    _calls += 1
    return (_calls >> 4) & ticks.MASK


def load(path):
    with open(path) as f:
        return json.load(f)


def make(doc, port, group, now):
    """(node, link) of the identity in `doc`; its hellos go to the one endpoint `group`.

    It comes out started, its record signed and relaying on, as after some seconds of demand:
    those pass before `now()`.
    """
    start = ticks.add(now(), -_DEMAND_MS)
    ident = Identity(
        unhexlify(doc["seed"]), unhexlify(doc["public"]), unhexlify(doc["network"]), None,
        unhexlify(doc["group"]),
    )  # fmt: skip
    link = Udp(bytes((127, 0, 0, 1)), port, parse_endpoint(group), False, b"\xff\xff\xff\xff")
    seed = entropy(3)
    rng = XorShift((seed[0] << 16) | (seed[1] << 8) | seed[2])
    node = Node(
        Config(doc["config"]), ident, link, rng, entropy, start, lambda name, data: True, ed25519
    )
    node.loopback = node.resolver.loopback = True
    node.start(start)
    _demand(node, start)
    while not node.own.ready:  # else it signs its record among what is measured
        node.poll(now())
    minute = node.minutes.advance(now())
    for text in doc["records"]:
        rec = unhexlify(text)
        node.routes.put(rec, 0, 1440, True, minute)
    del doc["records"]
    gc.collect()
    return node, link


def _demand(node, t):
    """Others ask a lot: the judgements of modes.py raise the node to full relaying."""
    for k in range(0, _DEMAND_MS, 100):
        node.serve.requests = node.serve.hits = 10
        node.sample(ticks.add(t, k), dict(SIGNALS))
        node.poll(ticks.add(t, k))
    while node.next_event() is not None:
        pass
    if not node.serve.full:
        raise ValueError("the node does not relay yet; check the figures in world.py")


def sampling(node, every):
    """A job for the runner: what the supervisor does with the board's signals."""

    def sample(now):
        node.sample(now, dict(SIGNALS))
        return every

    return sample


def say(doc):
    sys.stdout.write(json.dumps(doc) + "\n")


def real_clock():
    return clock.now


def percentiles(values, scale=1):
    v = sorted(values)
    n = len(v)
    return {"p50": v[n // 2] / scale, "p99": v[n * 99 // 100] / scale} if n else {}


def pause(ms):
    time.sleep_ms(ms)
