# floor 5: machines
# This node's own signed record, made in slices. RAM: 300 B, and the signer while it works.
"""Keeps the node's record (docs/protocol.md 3) true: signs it at start, again when an endpoint or
capability changes, and otherwise at most every 10 minutes. `crypto` has `Sign(seed, pub, msg)`
with `.step()` (ed25519.py, or a faster one on a host).
"""

from . import ticks
from .compat import const
from .record import BODY, NO_ENDPOINT, SIZE, encode_body, hash_of, signed_text

_SLOW_MS = const(600000)


class Own:
    def __init__(self, seed, public, node_id, net, tier, lifetime_min, crypto):
        self.id = node_id
        self.public_key = public
        self._seed = seed
        self._net = net
        self._tier = tier
        self._life = lifetime_min
        self._crypto = crypto
        self.record = bytearray(SIZE)
        self.hash = bytes(8)
        self.ready = False
        self.version = 0  # grows with every signature
        self._next = bytearray(SIZE)
        self._job = None
        self._dirty = True
        self._slow = False
        self._signed = 0
        self._counter = 0
        self.epoch = 1
        self.lan = NO_ENDPOINT
        self.public = NO_ENDPOINT
        self.relay = bytes(8)
        self.caps = 0
        self.more = 0  # capabilities that machines add which came later

    def restart(self, epoch: int) -> None:
        """A new epoch (boot, or the old one was lost): the record must carry it."""
        self.epoch = epoch
        self.ready = False  # the old record would only make others ask again
        self._counter = 0
        self._job = None
        self._dirty = True
        self._slow = False

    def resume(self, counter: int, record) -> None:
        """After a deep sleep: records are numbered past `counter`; `record`, if not None, is the
        one signed before, and the caller knows that it still says the truth."""
        self._counter = counter
        if record is not None:
            self.record[:] = record
            self.hash = hash_of(self.record, 0)
            self._job = None
            self._dirty = self._slow = False
            self.ready = True
            self.version += 1

    def set_endpoints(self, lan, public) -> None:
        if not lan[0]:  # no WiFi: zeros, but a port
            lan = NO_ENDPOINT
        if lan != self.lan or public != self.public:
            self.lan = lan
            self.public = public
            self._job = None
            self._dirty = True
            self._slow = False

    def set_caps(self, caps: int) -> None:
        """A capability is no endpoint: its change waits for the slow clock."""
        caps |= self.more
        if caps != self.caps:
            self.caps = caps
            if not self._dirty:
                self._slow = self._dirty = True

    def poll(self, now: int) -> int:
        """One slice of signing at most; ms until needed again."""
        if self._job is not None:
            sig = self._job.step()
            if sig is None:
                return 0
            self._job = None
            self._next[BODY:SIZE] = sig
            self.record[:] = self._next
            self.hash = hash_of(self.record, 0)
            self.ready = True
            self.version += 1
            self._signed = now
            return 60000
        if not self._dirty:
            return 60000
        if self._slow:
            left = _SLOW_MS - ticks.diff(now, self._signed)
            if 0 < left <= _SLOW_MS:  # else it was signed over 6 days ago and the ticks wrapped
                return left
        self._dirty = self._slow = False
        self._counter += 1
        encode_body(
            self._next, 0, self._net, self.epoch, self._counter, self.public_key, self._tier,
            self.caps, self.lan, self.public, self.relay, self._life,
        )  # fmt: skip
        self._job = self.sign(signed_text(self._next, 0))
        return 0

    def sign(self, text):
        """The job of signing `text` as this node; each use has its own first bytes."""
        return self._crypto.Sign(self._seed, self.public_key, text)
