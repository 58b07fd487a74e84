# floor 6: pipeline
# A record that came: usable at once, passed on once its signature was checked. RAM: none.
"""`learn` puts a well-formed record into the cache (unverified) and into the queue of signature
checks. When checker.py has the result, the record is verified or dropped. A peer's own checked
record also proves its epoch (docs/protocol.md 2, Replay).
"""

from .checker import Checker
from .peers import O_EPOCH, O_HASH, P_EPOCH, P_SIGNED, SLOT
from .record import O_EPOCH as R_EPOCH
from .record import SIZE, hash_of, id_of
from .routes import VERIFIED
from .wire import u30


class Learner:
    def __init__(self, me: bytes, routes, peers, minutes, crypto, counters, every_ms: int):
        self._me = me
        self._routes = routes
        self._peers = peers
        self._minutes = minutes
        self.checker = Checker(crypto, counters, self._checked, every_ms)

    def learn(self, buf, off: int, remaining: int, now_min: int) -> bool:
        """False when the record can not be checked now (or has no life left)."""
        node_id = id_of(buf, off)
        if node_id == self._me or remaining <= 0:
            return False
        r = self._routes
        i = r.peek(node_id)
        if i >= 0 and r.flags[i] & VERIFIED and self._held(i, buf, off):
            r.put(buf, off, remaining, True, now_min)
            self._signed(node_id, buf, off)
            return True
        r.put(buf, off, remaining, False, now_min)
        return self.checker.add(buf, off, min(remaining, 1440), now_min)

    def _checked(self, buf, off, life, good):
        node_id = id_of(buf, off)
        if not good:
            # Only this forgery goes: a better record may have come meanwhile.
            i = self._routes.peek(node_id)
            if i >= 0 and not self._routes.flags[i] & VERIFIED and self._held(i, buf, off):
                self._routes.drop(node_id)
            return
        if life > 0:
            self._routes.put(buf, off, life, True, self._minutes.minute)
        self._signed(node_id, buf, off)

    def _held(self, i, buf, off):
        return self._routes.slab[i * SIZE : (i + 1) * SIZE] == buf[off : off + SIZE]

    def _signed(self, node_id, buf, off):
        slot = self._peers.find(node_id[:8])
        if slot < 0:
            return
        peers = self._peers
        o = slot * SLOT + O_HASH
        named = peers.buf[o : o + 8] == hash_of(buf, off)  # by its last hello
        if named:
            peers.set_flag(slot, P_SIGNED)
        epoch = u30(buf, off + R_EPOCH)
        known = peers.get30(slot, O_EPOCH)
        # Upwards always; down only from an epoch that nothing but a tag has claimed (gate.py).
        if epoch > known or (epoch < known and named and not peers.flags(slot) & P_EPOCH):
            peers.restart(slot, epoch, 0)
            known = epoch
        if epoch == known:
            peers.set_flag(slot, P_EPOCH)
