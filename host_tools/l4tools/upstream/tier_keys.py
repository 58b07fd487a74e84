"""The keys a tier tags and seals with: its own towards the tiers above, each sender's below.

`link(short_id)` is asked by the gate, which cannot wait. For a sender whose key is not here it
returns None and notes the short id in `wanted`; the tier then fetches the key and looks at the
frame again. L1 derives a key at once, from the node id that a JOIN names in clear (`named`) or
that the registry knows for the short id. What only a frame claims is not kept until a good tag
has shown the claim to be true (`keep`), or anyone could push the real ones out.
"""

from collections import OrderedDict

from l4mesh.keyring import Keyring
from l4mesh.keys import mac_key, seal_key
from l4mesh.mac import Mac

_KEPT = 20_000
_OVERLAP_MIN = 1440


class _Key:
    __slots__ = ("node_id", "key", "mac", "seal", "good")

    def __init__(self, node_id, key):
        self.node_id, self.key = node_id, key
        self.good = False  # a tag under it was right
        self.mac = Mac(mac_key(key))
        self.seal = seal_key(key)


class TierKeys(Keyring):
    """`node_keys` is the NodeKeys of this tier, `above` the ids of the tiers above it, `groups`
    [(number, key), ..] with the newest last, `own` this tier's own node key (None on L1)."""

    def __init__(self, node_keys, own, above, groups, find=None):
        super().__init__()
        self._node_keys = node_keys
        self._find = find
        self._derives = own is None  # L1
        self._own = None if own is None else _Key(None, own)
        self._above = {node_id[:8] for node_id in above}
        self._groups = {number: Mac(mac_key(key)) for number, key in groups}
        self.number, self.key = groups[-1]
        self._ready = OrderedDict()  # short id -> _Key
        self.named = None  # the node id that the frame being looked at claims
        self.wanted = None  # the short id whose key was missing

    def group(self, number):
        return self._groups.get(number)

    def rotate(self, number, key, now_min) -> bool:
        """The owner's newer group key; those before are good for a day more. False: not newer."""
        if 1 <= (number - self.number) & 255 <= 8:
            self._groups[number] = Mac(mac_key(key))
            self.number, self.key = number, key
            self._old_end = now_min + _OVERLAP_MIN
            return True
        return number == self.number and key == self.key

    def expire(self, now_min) -> None:
        if self._old_end and now_min >= self._old_end:
            self._old_end = 0
            self._groups = {self.number: self._groups[self.number]}

    def link(self, short_id):
        key = self._of(short_id)
        return key.mac if key is not None else None

    def link_seal(self, short_id):
        key = self._of(short_id)
        return key.seal if key is not None else None

    def node(self, short_id):
        """(node id, node key) of a sender whose tag was good, or None."""
        key = self._of(short_id)
        return (key.node_id, key.key) if key is not None else None

    def keep(self, short_id) -> None:
        """The tag under the key of this sender was good: remember the key."""
        if short_id in self._above:
            return
        key = self._of(short_id)
        if key is not None and not key.good:
            key.good = True
            self._put(short_id, key)

    def forget(self, short_id) -> None:
        """Revoked: what was kept of it is good no more."""
        self._ready.pop(short_id, None)

    def good(self, short_id) -> bool:
        """Was there ever a good tag under the key that is here now?"""
        key = self._ready.get(short_id)
        return key is not None and key.good

    def _of(self, short_id):
        if short_id in self._above:
            return self._own
        known = self._node_keys.peek(short_id)
        ready = self._ready.get(short_id)
        if ready is not None:
            if known is None and not self._derives:
                del self._ready[short_id]  # it was borrowed, and the time is over
            elif known is None or known[1] == ready.key:
                return ready
        if known is not None:
            return self._put(short_id, _Key(*known))
        if self._derives:
            node_id = self._claimed(short_id)
            if node_id is not None:
                return _Key(node_id, self._node_keys.derive(node_id))
        self.wanted = short_id
        return None

    def _claimed(self, short_id):
        if self.named is not None and self.named[:8] == short_id:
            found = self.named
        else:
            found = self._find(short_id) if self._find else None
        return None if found is not None and self._node_keys.is_revoked(found) else found

    def _put(self, short_id, key):
        self._ready[short_id] = key
        self._ready.move_to_end(short_id)
        if len(self._ready) > _KEPT:
            self._ready.popitem(last=False)
        return key
