# floor 4: tables
# Neighbours heard by Bluetooth: one slab of fixed slots. RAM: 58 B a slot, 50 slots 3.1 kB.
"""A slot (52 B, and 6 of address in a slab of its own, which is searched natively):

 0 short id 8 (zeros: no name yet) | 8 address type | 9 salt 2, ephemeral id 4 | 15 sequence 2
17 MAC 6 of what was heard last | 23 mode | 24 endpoint 6 | 30 first byte of the record's hash
31 -dBm, smoothed | 32 last heard 4 (tick) | 36 sequence last grew 4 (tick) | 40 salts before 4
44 next asked 4 (tick) | 48 flags | 49 questions in vain | 50 first byte of the record held | 51 0

Who was silent for three rounds is taken out by the machine (nearby.py). A full table gives a slot
only to a neighbour with a name, and only that of the longest unheard one without.
"""

from . import ticks
from .compat import const
from .wire import put30, u16, u30

SLOT = const(52)
O_TYPE = const(8)
O_IDENT = const(9)
O_SEQ = const(15)
O_MAC = const(17)
O_MODE = const(23)
O_ENDPOINT = const(24)
O_FIRST = const(30)
O_RSSI = const(31)
O_HEARD = const(32)
O_STEP = const(36)
O_SALTS = const(40)
O_ASK = const(44)
O_FLAGS = const(48)
O_TRIES = const(49)
O_HELD = const(50)

N_USED = const(1)
N_NAMED = const(2)
N_MET = const(4)  # it proved over GATT who and that it is there, under this very salt

SLOW = const(4)  # mode bits: listens half of the time,
UPLINK = const(8)  # reaches an upstream
_PAST = const(24)
_GONE_MS = const(30000)  # three rounds of listening, rests included


class NearTable:
    def __init__(self, slots: int = 50):
        self.slots = slots
        self.b = bytearray(slots * SLOT)
        self._addrs = bytearray(slots * 6)
        self._past = bytearray(_PAST * 8)  # ident and sequence of who was taken out, a ring
        self._next = 0

    def __len__(self):
        return sum(1 for i in range(self.slots) if self.b[i * SLOT + O_FLAGS])

    def flags(self, i: int) -> int:
        return self.b[i * SLOT + O_FLAGS]

    def get(self, i: int, o: int) -> int:
        return self.b[i * SLOT + o]

    def part(self, i: int, o: int, n: int) -> bytes:
        i = i * SLOT + o
        return bytes(self.b[i : i + n])

    def addr(self, i: int) -> bytes:
        return bytes(self._addrs[6 * i : 6 * i + 6])

    def tick(self, i: int, o: int) -> int:
        return u30(self.b, i * SLOT + o)

    def age(self, i: int, o: int, now: int) -> int:
        """Ms since the tick at `o`; a slot is swept long before that wraps."""
        return max(ticks.diff(now, u30(self.b, i * SLOT + o)), 0)

    def at_addr(self, addr: bytes) -> int:
        return self._find(self._addrs, addr, 6)

    def named(self, short_id: bytes) -> int:
        """The slot of the neighbour `short_id`; -1 when it is not heard, or has no name yet."""
        i = self._find(self.b, short_id, SLOT)
        return i if i >= 0 and self.flags(i) & N_NAMED else -1

    def _find(self, slab, what, size):
        at = slab.find(what)
        while at >= 0:
            i = at // size
            if at == i * size and (slab is self._past or self.flags(i)):
                return i
            at = slab.find(what, at + 1)
        return -1

    def silent(self, i: int, now: int) -> bool:
        return self.age(i, O_HEARD, now) > _GONE_MS

    def room(self, has_name: bool, now: int) -> int:
        """A free slot; -1: the table is full of better ones."""
        worst = -1
        oldest = -1
        for i in range(self.slots):
            f = self.flags(i)
            if not f:
                return i
            if not f & N_NAMED:
                a = self.age(i, O_HEARD, now)
                if a > oldest:
                    oldest = a
                    worst = i
        if not has_name or worst < 0:
            return -1
        self.drop(worst)
        return worst

    def put(self, i: int, addr: bytes, kind: int, ident: bytes, name) -> None:
        """Begin slot `i`, or give who has it a new address and ident."""
        o = i * SLOT
        b = self.b
        if b[o + O_FLAGS]:
            b[o + O_SALTS + 2 : o + O_SALTS + 4] = b[o + O_SALTS : o + O_SALTS + 2]
            b[o + O_SALTS : o + O_SALTS + 2] = b[o + O_IDENT : o + O_IDENT + 2]
            b[o + O_FLAGS] &= ~N_MET & 255
        else:
            b[o : o + SLOT] = bytes(SLOT)
            b[o + O_SALTS : o + O_SALTS + 4] = ident[:2] + ident[:2]
            b[o + O_FLAGS] = N_USED
        b[o + O_TYPE] = kind
        b[o + O_IDENT : o + O_IDENT + 6] = ident
        self._addrs[6 * i : 6 * i + 6] = addr
        if name:
            self.name(i, name)

    def name(self, i: int, short_id: bytes) -> None:
        o = i * SLOT
        self.b[o : o + 8] = short_id
        self.b[o + O_FLAGS] |= N_NAMED

    def had(self, i: int, salt: bytes) -> bool:
        """Is `salt` its own, or one of the two before?"""
        o = i * SLOT
        b = self.b
        for k in (O_IDENT, O_SALTS, O_SALTS + 2):
            if b[o + k] == salt[0] and b[o + k + 1] == salt[1]:
                return True
        return False

    def sign(self, i: int, rssi: int, now: int) -> None:
        """It was heard: when, and how loud (an average that follows by a quarter)."""
        o = i * SLOT
        b = self.b
        r = min(max(-rssi, 1), 127)
        old = b[o + O_RSSI]
        b[o + O_RSSI] = (3 * old + r + 2) >> 2 if old else r
        put30(b, o + O_HEARD, now)

    def past(self, ident, seq: int) -> bool:
        """Was it taken out, and is that no newer sequence of it? Then somebody plays a tape."""
        at = self._find(self._past, ident, 8)
        if at < 0:
            return False
        step = (seq - u16(self._past, 8 * at + 6)) & 0xFFFF
        return step == 0 or step > 0x7FFF

    def drop(self, i: int) -> None:
        o = i * SLOT
        at = self._find(self._past, self.part(i, O_IDENT, 6), 8)
        if at < 0:
            at = self._next
            self._next = (at + 1) % _PAST
        self._past[8 * at : 8 * at + 8] = self.b[o + O_IDENT : o + O_IDENT + 8]
        self.b[o : o + SLOT] = bytes(SLOT)
        self._addrs[6 * i : 6 * i + 6] = bytes(6)
