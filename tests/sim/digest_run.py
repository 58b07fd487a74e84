"""A seeded run whose every sent byte goes into a digest: the same on CPython and the unix port.

    python tests/sim/digest_run.py SEED MINUTES
    micropython -X heapsize=4m tests/sim/digest_run.py SEED MINUTES [ed25519]

Signatures are a quick stand-in (world.QuickCrypto), since an hour has thousands of them; with
`ed25519` they are the boards' own, signed and checked in slices.

40 nodes on four LANs of ten and an L3 that knows who joined; 10 % of all datagrams are lost; each
node looks somebody up every ten seconds. The clock starts 5 s before ticks wrap. Prints one line a
fact: `digest HEX`, `sent N`, `bytes N`, and `own N`, `lan N`, .. for the look-ups by their end.
"""

import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
for _name in ("/../../lib", "/..", ""):
    sys.path.insert(0, HERE + _name)

from l4mesh import ed25519  # noqa: E402
from l4mesh.endpoint import parse_endpoint  # noqa: E402
from l4mesh.events import EV_ANSWER  # noqa: E402
from l4mesh.prng import XorShift  # noqa: E402
from l4mesh.record import SIZE  # noqa: E402
from l4mesh.resolve import SOURCES  # noqa: E402
from l4mesh.wire import FOUND, STATUS_NAMES  # noqa: E402
from tier import FakeTier, with_key  # noqa: E402
from world import QuickCrypto, World  # noqa: E402

LANS = 4
EACH = 10
STEP_MS = 250  # 40 nodes: each asks every ten seconds
L3 = "10.77.0.3:4104"


class Registry(FakeTier):
    """An L3 that gives the records of those that joined, with their whole lifetime."""

    def receive(self, data, addr, tick):
        self.seen = []
        FakeTier.receive(self, data, addr, tick)

    def join(self, sid, key, data, addr):
        FakeTier.join(self, sid, key, data, addr)
        j = self.joins.pop()
        self.records[j[:16]] = (j[22 : 22 + SIZE], 30)


def run(seed, minutes, crypto):
    w = World(seed, loss=0.1, start=2**30 - 5000)
    Registry(w, 3, parse_endpoint(L3))
    config = {"upstream": [[3, L3]], "cache": 12, "quota_per_s": 10}
    for lan in range(LANS):
        for _ in range(EACH):
            w.add(lan + 1, config, with_key, crypto)
    rng = XorShift(seed + 1000)
    ends = {}

    def each(node, e):
        if e[0] == EV_ANSWER:
            name = SOURCES[e[3]] if e[2] == FOUND else STATUS_NAMES[e[2]]
            ends[name] = ends.get(name, 0) + 1

    nodes = w.nodes
    k = 0
    for _ in range(minutes * 60000 // STEP_MS):
        w.run(STEP_MS, each)
        # Some are asked for much more often than others.
        target = nodes[(rng.getrandbits(6) * rng.getrandbits(6) >> 6) % len(nodes)]
        node = nodes[k]
        k = (k + 1) % len(nodes)
        node.resolve(target.id, w.tick())
        w.touch(node)
    return w, ends


def main(args):
    crypto = ed25519 if args[2:] == ["ed25519"] else QuickCrypto()
    w, ends = run(int(args[0]), int(args[1]), crypto)
    print("digest", w.digest())
    print("sent", w.sent)
    print("bytes", w.bytes)
    for name in sorted(ends):
        print(name, ends[name])


if __name__ == "__main__":
    main(sys.argv[1:])
