# floor 5: machines
# Who this node is: its keys, network and epoch, out of a store. RAM: 250 B.
"""`Identity.load(store, entropy, public_key)` reads (or, the first time, makes) the seed and
counts the epoch up *before* anything is sent. What the owner's tool adds later (network id, node
key, group key) may be missing: then `missing` names it.

store: load(key) -> bytes or None, save(key, data) -> bool. Keys: seed 32, public 32, network 4,
nodekey 32, group 1+32, epoch 4.
"""

from .keys import node_id
from .wire import put30, u30


class Identity:
    def __init__(self, seed, public, network=None, node_key=None, group=None, epoch=1):
        self.seed = seed
        self.public = public
        self.id = node_id(public)
        self.network = network
        self.node_key = node_key
        self.group = group  # bytes: number, key
        self.epoch = epoch

    @property
    def missing(self) -> str:
        """The first thing the owner's tool has not given yet, or an empty string."""
        if self.network is None:
            return "network"
        if self.group is None:
            return "group"
        return ""

    @classmethod
    def load(cls, store, make_seed, public_key, slept=None):
        """`make_seed() -> 32 bytes` with a radio on; `public_key(seed) -> 32 bytes`. `slept`: the
        epoch that a deep sleep kept with its counter (firmware/sleeper.py): it goes on."""
        seed = store.load("seed")
        public = store.load("public")
        if seed is None or len(seed) != 32:
            seed = make_seed()
            public = None
            if not store.save("seed", seed):
                raise OSError("the identity could not be stored; check the flash")
        if public is None or len(public) != 32:
            public = public_key(seed)
            store.save("public", public)
        e = store.load("epoch")
        epoch = u30(e, 0) if e is not None and len(e) == 4 else 0
        if slept is None or slept != epoch:
            epoch = epoch + 1 if epoch >= 0 else 1
            b = bytearray(4)
            put30(b, 0, epoch)
            if not store.save("epoch", bytes(b)):
                raise OSError("the boot epoch could not be stored; check the flash")
        return cls(
            seed, public, _sized(store, "network", 4), _sized(store, "nodekey", 32),
            _sized(store, "group", 33), epoch,
        )  # fmt: skip


def _sized(store, key, n):
    v = store.load(key)
    return v if v is not None and len(v) == n else None
