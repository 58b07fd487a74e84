# floor 4: tables
# Recently seen keys, so that nothing is handled twice. RAM: slots * (size + 4).
"""A window over the last `slots` keys of `size` bytes each, at most `ttl_ms` old.

Keys lie in one slab that is searched at C speed; a new key takes the place of the oldest.
"""

from array import array

from .ticks import diff


class Dedup:
    def __init__(self, slots: int, size: int, ttl_ms: int):
        self._keys = bytearray(slots * size)
        self._at = array("I", bytes(4 * slots))
        self._size = size
        self._ttl_ms = ttl_ms
        self._used = 0
        self._next = 0

    def seen(self, key: bytes, now: int) -> bool:
        """True if `key` came within the last ttl_ms; if not, it is noted as of `now`.

        The time is that of the first sight: a key repeated for ever passes once a ttl_ms.
        """
        size = self._size
        if len(key) != size:
            raise ValueError("a key here has %d bytes; pass it whole." % size)
        slot = self._find(key)
        if slot < 0:
            slot = self._next
            self._next = (slot + 1) % len(self._at)
            self._used = max(self._used, slot + 1)
            self._keys[slot * size : slot * size + size] = key
        elif 0 <= diff(now, self._at[slot]) < self._ttl_ms:
            return True
        self._at[slot] = now
        return False

    def _find(self, key):
        size = self._size
        end = self._used * size
        at = self._keys.find(key, 0, end)
        while at > 0 and at % size:  # a chance hit across two keys
            at = self._keys.find(key, at + 1, end)
        return at // size if at >= 0 else -1
