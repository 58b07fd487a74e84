# floor 4: tables
# Stateless proof that an asker receives at its address (docs/protocol.md 2). RAM: 600 B.
"""Cookies: HMAC-SHA256(secret, address 6 || short id 8)[:8]. The secret comes from entropy,
changes every 60 s, and the one before stays good, so a cookie lives 60 to 120 s and nothing is
kept per asker.
"""

from . import ticks
from .compat import const
from .mac import Mac

_LIFE_MS = const(60000)


class Cookies:
    def __init__(self, entropy, now: int):
        self._entropy = entropy
        self._buf = bytearray(14)
        self._now = Mac(entropy(32))
        self._old = None
        self._born = now

    def turn(self, now: int) -> None:
        """Change the secret when it is due; poll this at least once a minute."""
        age = ticks.diff(now, self._born)
        if age >= _LIFE_MS or age < 0:
            self._old = self._now if 0 <= age < 2 * _LIFE_MS else None
            self._now = Mac(self._entropy(32))
            self._born = now

    def make(self, addr: bytes, short_id) -> bytes:
        self._buf[:6] = addr
        self._buf[6:] = short_id
        return self._now.tag(self._buf)[:8]

    def good(self, addr: bytes, short_id, buf, off: int) -> bool:
        """Does buf[off:off+8] hold a cookie made for this address and sender?"""
        self._buf[:6] = addr
        self._buf[6:] = short_id
        for mac in (self._now, self._old):
            if mac is not None:
                t = mac.tag(self._buf)
                d = 0
                for i in range(8):
                    d |= t[i] ^ buf[off + i]
                if d == 0:
                    return True
        return False
