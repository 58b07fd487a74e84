"""A node of the NAT lab on MicroPython: real Node, Udp, Runner and Sockets.

Its settings (natlab/world.py) are the first line of stdin, commands the lines after it
(driven.py); what it says are lines of JSON on stdout. The end of stdin is its end.
"""

import gc
import json
import select
import sys
import time
from binascii import unhexlify

import driven
from l4mesh import ed25519
from l4mesh.config import Config
from l4mesh.endpoint import parse_endpoint
from l4mesh.identity import Identity
from l4mesh.node import Node
from l4mesh.prng import XorShift
from l4mesh_io import clock
from l4mesh_io.entropy import entropy
from l4mesh_io.runner import Runner
from l4mesh_io.sockets import Sockets
from l4mesh_io.tcp_link import TcpLink
from l4mesh_io.udp import Udp

_LOOK_MS = 10
_SAMPLE_MS = 500


class Commands:
    """Lines from stdin, taken without waiting."""

    def __init__(self, runner, do):
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._runner = runner
        self._do = do

    def poll(self, now):
        while self._poll.poll(0):
            line = sys.stdin.readline()
            if not line:
                self._runner.stop()
                return 1000
            self._do(json.loads(line), now)
        return _LOOK_MS


def four(text):
    return parse_endpoint(text + ":1")[:4]


def say(doc):
    sys.stdout.write(json.dumps(doc) + "\n")


def main():
    doc = json.loads(sys.stdin.readline())
    ident = Identity(
        unhexlify(doc["seed"]), unhexlify(doc["public"]), unhexlify(doc["network"]),
        unhexlify(doc["nodekey"]), unhexlify(doc["group"]), doc.get("epoch", 1),
    )  # fmt: skip
    now = clock.now()
    link = Udp(
        four(doc["ip"]), doc["port"], parse_endpoint(doc["multicast"]), False, four(doc["mask"])
    )
    seed = entropy(4)
    rng = XorShift((seed[0] << 16) | (seed[1] << 8) | seed[2])
    cfg = Config(doc["config"])
    node = Node(cfg, ident, link, rng, entropy, now, lambda name, data: True, ed25519)
    runner = Runner(node, link, clock.now)
    node.sockets = Sockets(runner, False)
    driver = driven.Driven(node, say, rng)
    runner.on_event(driver.event)
    runner.add(Commands(runner, driver.do).poll)
    runner.add(driver.poll)
    runner.add(driven.sampling(node, _SAMPLE_MS))
    driven.sampling(node, _SAMPLE_MS)(now)
    node.start(now)
    driver.begin(now, lambda level, at: TcpLink(node, level, at, node.sockets))
    gc.collect()
    say({"ready": time.ticks_ms(), "id": doc["id"]})
    try:
        runner.run()
    except KeyboardInterrupt:
        pass
    say({"ended": True, "counters": dict(node.counters.items())})


main()
