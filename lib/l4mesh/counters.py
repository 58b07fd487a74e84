# floor 4: tables
# What happened, counted: one int a cause. RAM: 4 B a counter, and the names.
"""Counters stop at 2**30 - 1 instead of wrapping, so a large one is never mistaken for a small.

Use `counters.inc(C_RX)`. The text name of C_RX is "rx": made from this module when it is asked
for, so no list of texts has to be kept in RAM or in step.
"""

from array import array

from .compat import const

C_RX = const(0)  # datagrams looked at, good or bad
C_TX = const(1)  # frames given to the link
C_TX_FAIL = const(2)  # the link refused a frame
C_BAD_LEN = const(3)
C_BAD_VERSION = const(4)
C_BAD_NET = const(5)
C_BAD_DST = const(6)
C_LIMITED = const(7)  # over a limit of limits.py
C_REPLAY = const(8)  # counter seen before, or below the window
C_EPOCH_OLD = const(9)
C_EPOCH_AHEAD = const(10)  # higher epoch without a signed record
C_BAD_TAG = const(11)
C_BAD_PARSE = const(12)
C_BAD_RECORD = const(13)
C_BAD_SIG = const(14)
C_NO_KEY = const(15)
C_COOKIE_SENT = const(16)
C_COOKIE_BAD = const(17)
C_NACK_SENT = const(18)
C_NACK_RX = const(19)
C_SERVED = const(20)  # look-ups answered for others
C_SERVED_HIT = const(21)
C_SERVED_MISS = const(22)
C_LOOKUP_OWN = const(23)  # own look-ups by where the answer was found
C_LOOKUP_LAN = const(24)
C_LOOKUP_P2P = const(25)
C_LOOKUP_L3 = const(26)
C_LOOKUP_L2 = const(27)
C_LOOKUP_L1 = const(28)
C_LOOKUP_UNKNOWN = const(29)  # the authority says no such node
C_LOOKUP_UNAVAILABLE = const(30)  # nobody to ask
C_LOOKUP_FAILED = const(31)  # no word by the deadline
C_UPSTREAM_TX = const(32)
C_COALESCED = const(33)
C_HEDGED = const(34)
C_SIG_OK = const(35)
C_SIG_QUEUE_FULL = const(36)
C_HELLO_RX = const(37)
C_HELLO_TX = const(38)
C_NEIGHBOUR_NEW = const(39)
C_NEIGHBOUR_GONE = const(40)
C_TAKEN = const(41)  # readings safe in flash
C_ACKED = const(42)  # readings stored upstream
C_DROPPED = const(43)  # readings lost to the cap, oldest first
C_VOLATILE = const(44)  # readings kept in RAM only
C_FLASH_FAIL = const(45)
C_ACK_FOREIGN = const(46)  # an ACK for another queue id
C_MODE_CHANGES = const(47)
C_ZERO_LEN = const(48)  # empty datagrams
C_SEND_ERRNO = const(49)
C_EV_DROPPED = const(50)
C_GC = const(51)
C_MEM_ERROR = const(52)
C_HANDED = const(53)  # own readings that a custodian gave a receipt for
C_HANDED_DROPPED = const(54)  # of those, lost to the cap before the upstream had them
C_KEPT = const(55)  # blobs of neighbours taken into custody
C_CARRIED = const(56)  # of those, stored upstream
C_STUN_RX = const(57)  # Binding requests
C_STUN_TX = const(58)
C_STUN_LIMITED = const(59)

_COUNT = const(60)
_TOP = const(0x3FFFFFFF)


class Counters:
    def __init__(self):
        self._n = array("I", bytes(4 * _COUNT))

    def inc(self, i: int):
        n = self._n
        if n[i] < _TOP:
            n[i] += 1

    def add(self, i: int, by: int):
        """`by` >= 0, below 2**29."""
        n = self._n
        n[i] = _TOP if n[i] > _TOP - by else n[i] + by

    def get(self, i: int) -> int:
        return self._n[i]

    def items(self):
        """(name, value) of every counter that is not zero, in order of number."""
        names = [None] * _COUNT
        # By its name: a built image keeps numbers here and the names in a file of their own.
        m = __import__("l4mesh.counters", None, None, ("C_RX",))
        for name in dir(m):
            if name[:2] == "C_":
                names[getattr(m, name)] = name[2:].lower()
        return [(names[i], self._n[i]) for i in range(_COUNT) if self._n[i]]
