# floor 4: tables
# The keys a node accepts and signs frames with. RAM: 250 B a key, two group keys at most.
"""Group keys by number (the current one and, for an hour, the one before) and the link key.

`group(number)` and `link(short_id)` return a Mac or None. A tier replaces `link` by its own
look-up, since it shares another node key with each node below it.
"""

from .keys import mac_key, seal_key
from .mac import Mac

OVERLAP_MIN = 60


class Keyring:
    def __init__(self):
        self.number = 0
        self.key = None
        self._mac = None
        self._old = -1
        self._old_mac = None
        self._old_end = 0
        self._link = None
        self.seal = None
        self.behind = False  # a frame named a key ahead of ours: a hint that anybody can give

    def set_group(self, number: int, key: bytes, now_min: int) -> bool:
        """Take a group key; a number that is not ahead (modulo 256, window 8) is refused."""
        if len(key) != 32 or not 0 <= number <= 255:
            raise ValueError(
                "a group key is a number 0..255 and 32 bytes; provision the node again"
            )
        if self._mac is not None:
            step = (number - self.number) & 255
            if not 1 <= step <= 8:
                return False
            self._old = self.number
            self._old_mac = self._mac
            self._old_end = now_min + OVERLAP_MIN
        self.number = number
        self.key = key
        self._mac = Mac(mac_key(key))
        return True

    def set_node_key(self, node_key: bytes) -> None:
        self._link = Mac(mac_key(node_key))
        self.seal = seal_key(node_key)

    def expire(self, now_min: int) -> None:
        if self._old >= 0 and now_min >= self._old_end:
            self._old = -1
            self._old_mac = None

    def group(self, number: int):
        if number == self.number:
            return self._mac
        if number == self._old:
            return self._old_mac
        if self._mac is not None and 1 <= (number - self.number) & 255 <= 8:
            self.behind = True
        return None

    def link(self, short_id: bytes):
        return self._link

    def link_seal(self, short_id: bytes):
        return self.seal
