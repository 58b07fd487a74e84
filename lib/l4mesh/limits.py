# floor 4: tables
# The one table of limits, and the token buckets that keep it. RAM: 8 B a bucket, 1.3 KiB a board.
"""Who may ask how much: per address and port, per id, and in all; all figures of it live here.

A bucket holds milli-tokens and the tick of its last use: `rate` tokens a second come in, at most
`burst` are kept, each frame takes one. All buckets are one array of fixed size: an address picks
its bucket by a multilinear hash keyed with 16 bytes of entropy, so that nobody can aim at
another's bucket, and any number of spoofed addresses costs no memory.
Known peers (known address, id and plausible counter; the caller decides) have address buckets of
their own and half of the global rate for themselves; when that is used up they share the other
half, which is all that strangers get. So a flood under foreign addresses, even under a
neighbour's, silences no neighbour. A span of over 6 days since the last use reads as the past:
the bucket is full again.
"""

from array import array

from .compat import const
from .ticks import MASK

# Rates in frames a second. `board.toml` may change figures, never the way they are applied.
LIMITS_BOARD = {
    "addr_s": 10,  # per address and port
    "addr_burst": 20,
    "id_s": 8,  # per id, after its tag was found good
    "id_burst": 16,
    "global_s": 30,  # in all; half of it reserved for known peers
    "global_burst": 60,
    "buckets": 64,  # address buckets for known peers, and as many for strangers
    "unverified": 8,  # of the cache's slots
    "checks_s": 1,  # signature checks started
    "stun_addr_s": 5,  # Binding requests (stun_serve.py), per address whatever its port
    "stun_s": 50,  # in all; buckets apart from those of frames
    "relay_sessions": 4,  # where relaying is on at all; it is off on boards
    "relay_peer_sessions": 1,
    "relay_s": 20,  # packets
    "relay_kbit_s": 16,
    "relay_kib": 128,  # in all, a session
    "relay_life_s": 120,
    "relay_idle_s": 30,
    "answer_times": 3,  # an answer is at most so many times its request
    "nack_s": 1,  # per peer
}
# Only what differs on a host.
LIMITS_HOST = {
    "global_s": 10000,
    "global_burst": 10000,
    "buckets": 4096,
    "checks_s": 200,
    "stun_s": 1000,
}

_MINE = const(2)  # the two global buckets come first: 0 strangers and overflow, 1 known peers
_HASHED = const(16)  # buckets for ids without a slot


def _filled(level, passed, limit):
    """The level after `passed` ms. The past, modulo 2**30, is beyond the time to fill as well."""
    # Asking for the time to fill first keeps the product below 2**30.
    if passed >= limit[1] // limit[0]:
        return limit[1]
    level += passed * limit[0]
    return level if level < limit[1] else limit[1]


class Limits:
    def __init__(self, table, slots: int, entropy):
        """`table`: what differs from LIMITS_BOARD; `slots`: peers that have a bucket by number."""
        figures = dict(LIMITS_BOARD) if table else LIMITS_BOARD
        for key in table:
            if key not in figures:
                raise ValueError("%r is no limit; see LIMITS_BOARD for the names." % key)
            if not 0 < table[key] <= 100000:
                raise ValueError("limit %s must be from 1 to 100000; check the figure." % key)
            figures[key] = table[key]
        self.table = figures
        self._addr = (figures["addr_s"], figures["addr_burst"] * 1000)
        self._id = (figures["id_s"], figures["id_burst"] * 1000)
        # Halves; a global rate of 1 still leaves each half alive.
        self._all = ((figures["global_s"] + 1) // 2, (figures["global_burst"] + 1) // 2 * 1000)
        self._buckets = n = figures["buckets"]
        self._slots = slots
        self._ids = 2 * n + _MINE
        secret = entropy(16)
        self._key = tuple((secret[i] << 8 | secret[i + 1]) + 1 for i in range(0, 16, 2))
        # Start full: a rest of a whole burst at tick 0 stays full, whatever `now` is first.
        self._b = array("I", bytes(8 * (self._ids + slots + _HASHED)))
        for i in range(self._ids + slots + _HASHED):
            limit = self._all if i < _MINE else self._addr if i < self._ids else self._id
            self._b[2 * i] = limit[1]

    def allow(self, addr: bytes, known: bool, now: int) -> bool:
        """Before the tag check: may a frame from this 6-byte address be looked at?"""
        k = self._key
        i = k[0] * addr[0] + k[1] * addr[1] + k[2] * addr[2]
        i = (i + k[3] * addr[3] + k[4] * addr[4] + k[5] * addr[5]) % 65521 % self._buckets
        if not known:
            return self._take(i + _MINE, self._addr, now) and self._take(0, self._all, now)
        if not self._take(i + self._buckets + _MINE, self._addr, now):
            return False
        return self._take(1, self._all, now) or self._take(0, self._all, now)

    def allow_id(self, who, now: int) -> bool:
        """After the tag check: `who` is a peer's slot number, or the 8-byte id of one without."""
        if not isinstance(who, int):
            k = self._key
            h = 0
            for j in range(8):
                h += k[j] * who[j]
            who = self._slots + h % 65521 % _HASHED
        return self._take(self._ids + who, self._id, now)

    def _take(self, i, limit, now):
        b = self._b
        i += i
        level = b[i]
        last = b[i + 1]
        if level < limit[1] and last != now:
            level = _filled(level, (now - last) & MASK, limit)
        b[i + 1] = now
        if level < 1000:
            b[i] = level
            return False
        b[i] = level - 1000
        return True
