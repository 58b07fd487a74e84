"""What discovery by Bluetooth keeps in memory: `discovery.py N` fills the table of N neighbours.

Prints bytes retained: of the code and its keys, of the machine with its table, of N neighbours in
it, and after 10,000 strangers with addresses of their own.
"""

import gc
import json
import sys

from l4mesh import node  # noqa: F401  (what a board has loaded anyway)
from l4mesh.keyring import Keyring
from l4mesh.peers import Peers
from l4mesh.prng import XorShift
from l4mesh.ring import Events
from l4mesh.routes import Routes
from l4mesh_io.entropy import entropy


class Thing:
    pass


def thing(**given):
    out = Thing()
    for name in given:
        setattr(out, name, given[name])
    return out


def home(k):
    """As much of a node as discovery sees of it."""
    keys = Keyring()
    keys.set_group(0, b"group key of the bench, 32 bytes", 0)
    return thing(
        short_id=bytes((k >> 8, k & 255)) * 4, keys=keys, entropy=entropy, serve=thing(mode=2),
        reach=thing(up=False), uplink=None, own=thing(hash=bytes(8)), peers=Peers(56, 24),
        routes=Routes(50), events=Events(24), link=thing(local=bytes(6)),
    )  # fmt: skip


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def main():
    n = int(sys.argv[1])

    me = home(0)
    rng = XorShift(1)
    before = used()
    from l4mesh.near_say import Voice
    from l4mesh.nearby import Nearby

    voice = Voice(me, 0xFFFF)
    voice.advert(bytes(6))
    code = used() - before
    other = home(1)
    other.keys = me.keys
    theirs = Voice(other, 0xFFFF)
    theirs.advert(bytes(6))
    before = used()
    near = Nearby(me, voice, n)
    table = used() - before
    before = used()
    for k in range(n):
        addr = bytes((1, 0, 0, 0, 0, k))
        theirs.rotate()
        data = bytes(theirs.advert(addr))
        assert near.heard(addr, 1, -60, data, 31, 1000 * k) == 2
    addr = data = None
    full = used() - before
    assert len(near.table) == n
    before = used()
    for k in range(10000):
        addr = bytes((2, 0, 0, 0, k >> 8, k & 255))
        data = bytes([rng.getrandbits(8) for _ in range(31)])
        near.heard(addr, 1, -70, data, 31, 1000 * n + k)
    addr = data = None
    strangers = used() - before
    assert len(near.table) == n
    print(json.dumps({"code": code, "table": table, "full": full, "strangers": strangers}))


main()
