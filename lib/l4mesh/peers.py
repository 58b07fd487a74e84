# floor 4: tables
# Who was heard: one slab of fixed slots, replay windows included. RAM: 64 B a slot and its index.
"""Peer table. A slot (64 B) holds what is known of one sender:

 0 short id 8 | 8 endpoint 6 | 14 flags | 15 mode | 16 battery | 17 load | 18 epoch 4
22 top counter 4 | 26 window 16 (bit c % 128: counter c was seen) | 42 last heard 4 (tick)
46 interval 2 (s) | 48 round trip 2 (0.1 ms, 0 unknown) | 50 asked | 51 hits | 52 record hash 8
60 what its last hello said 1 (the flags) | 61 number of its last hello to all (low 4 bits; 0: none
yet; 16: the last one came to us alone, 32: by broadcast) | 62 loss of its hellos 1 (1/256)
63 unused 1

A slot is addressed by its number; machines read and write it by the methods and offsets below.
"""

from . import ticks
from .compat import const
from .wire import put16, put30, u16, u30

SLOT = const(64)
O_ADDR = const(8)
O_FLAGS = const(14)
O_MODE = const(15)
O_BATTERY = const(16)
O_LOAD = const(17)
O_EPOCH = const(18)
O_TOP = const(22)
O_WINDOW = const(26)
O_HEARD = const(42)
O_INTERVAL = const(46)
O_RTT = const(48)
O_ASKED = const(50)
O_HITS = const(51)
O_HASH = const(52)
O_SAID = const(60)
O_HELLO = const(61)
O_LOSS = const(62)

P_PROVEN = const(1)  # its address was proven by a cookie
P_LAN = const(2)  # heard by hello on this LAN
P_TIER = const(4)  # an upstream tier: never evicted
P_SIGNED = const(8)  # its signed record was checked
P_EPOCH = const(16)  # its epoch was confirmed by its signed record or a node key
P_REMOTE = const(32)  # an L4 peer beyond this LAN that answered us
P_FETCHED = const(64)  # its record came and waits for its signature check
_USED = const(128)

JUMP = const(65536)
_MISSES = const(3)


class Peers:
    def __init__(self, slots: int = 50, spare: int = 8, per_ip: int = 0):
        """`spare` slots for unproven senders; at most `per_ip` for one IPv4 address (0: any)."""
        self.slots = slots
        self._per_ip = per_ip or slots
        self.buf = bytearray(slots * SLOT)
        self._view = memoryview(self.buf)
        self._spare = spare
        self._index = {i: i for i in range(slots)}
        self._index.clear()

    def __len__(self):
        return len(self._index)

    def find(self, short_id: bytes) -> int:
        return self._index.get(short_id, -1)

    def short_id(self, i: int) -> bytes:
        return bytes(self.buf[i * SLOT : i * SLOT + 8])

    def addr(self, i: int) -> bytes:
        o = i * SLOT + O_ADDR
        return bytes(self.buf[o : o + 6])

    def addr_is(self, i: int, addr: bytes) -> bool:
        o = i * SLOT + O_ADDR
        return self._view[o : o + 6] == addr

    def set_addr(self, i: int, addr: bytes) -> None:
        """Another address is not proven yet."""
        if not self.addr_is(i, addr):
            o = i * SLOT + O_ADDR
            self.buf[o : o + 6] = addr
            self.set_flag(i, P_PROVEN, False)

    def flags(self, i: int) -> int:
        return self.buf[i * SLOT + O_FLAGS]

    def set_flag(self, i: int, f: int, on: bool = True) -> None:
        o = i * SLOT + O_FLAGS
        if on:
            self.buf[o] |= f
        else:
            self.buf[o] &= ~f & 255

    def get(self, i: int, o: int) -> int:
        return self.buf[i * SLOT + o]

    def get16(self, i: int, o: int) -> int:
        return u16(self.buf, i * SLOT + o)

    def get30(self, i: int, o: int) -> int:
        return u30(self.buf, i * SLOT + o)

    def set(self, i: int, o: int, v: int) -> None:
        self.buf[i * SLOT + o] = v

    def set16(self, i: int, o: int, v: int) -> None:
        put16(self.buf, i * SLOT + o, v if v < 65535 else 65535)

    def set30(self, i: int, o: int, v: int) -> None:
        put30(self.buf, i * SLOT + o, v)

    def heard(self, i: int, now: int) -> None:
        put30(self.buf, i * SLOT + O_HEARD, now)

    def timed(self, i: int, ms: int) -> None:
        """Take a round trip into the running mean of peer `i` (RFC 6298's 1/8)."""
        rtt = self.get16(i, O_RTT)
        d = ms * 10 if ms < 6000 else 60000
        self.set16(i, O_RTT, (rtt * 7 + d) >> 3 if rtt else max(d, 1))

    def age(self, i: int, now: int) -> int:
        """Milliseconds since this peer was heard (right for 6.2 days: forget it in time)."""
        d = ticks.diff(now, u30(self.buf, i * SLOT + O_HEARD))
        return d if d >= 0 else 0 if d > -60000 else ticks.MASK >> 1

    def gone(self, i: int, now: int) -> bool:
        """Three announced intervals were missed (10 s at least)."""
        lim = self.get16(i, O_INTERVAL) * 1000 * _MISSES
        return self.age(i, now) > (lim if lim > 10000 else 10000)

    def used(self, i: int) -> bool:
        return self.buf[i * SLOT + O_FLAGS] != 0

    def add(self, short_id: bytes, addr: bytes, epoch: int, counter: int, now: int) -> int:
        """A slot for a sender not known yet; -1 when the table is full of better ones."""
        i = self._room(addr, now)
        if i < 0:
            return -1
        o = i * SLOT
        b = self.buf
        b[o : o + SLOT] = bytes(SLOT)
        b[o : o + 8] = short_id
        b[o + O_ADDR : o + O_ADDR + 6] = addr
        b[o + O_FLAGS] = _USED
        self._index[short_id] = i
        self.restart(i, epoch, counter)
        self.heard(i, now)
        self.set16(i, O_INTERVAL, 60)
        return i

    def drop(self, i: int) -> None:
        sid = self.short_id(i)
        if self._index.get(sid, -1) == i:
            del self._index[sid]
        o = i * SLOT
        self.buf[o : o + SLOT] = bytes(SLOT)

    def _crowd(self, addr, now):
        """The longest unheard of `per_ip` peers with this IP; -1 while they are fewer."""
        b = self.buf
        n = 0
        oldest = -1
        i = -1
        for k in range(self.slots):
            o = k * SLOT + O_ADDR
            if b[o + 6] and b[o : o + 4] == addr[:4] and not b[o + 6] & P_TIER:
                n += 1
                a = self.age(k, now)
                if a > oldest:
                    oldest = a
                    i = k
        return i if n >= self._per_ip else -1

    def _room(self, addr, now):
        i = self._crowd(addr, now)
        if i >= 0:
            self.drop(i)
            return i
        # Unproven ones share `spare` slots: a flood of new names displaces itself only.
        worst = -1
        oldest = -1
        unproven = 0
        free = -1
        gone = -1
        for i in range(self.slots):
            f = self.flags(i)
            if not f:
                free = i
            elif not f & (P_PROVEN | P_TIER | P_SIGNED):
                unproven += 1
                a = self.age(i, now)
                if a > oldest:
                    oldest = a
                    worst = i
            elif not f & P_TIER and self.gone(i, now):
                gone = i
        if free >= 0 and unproven < self._spare:
            return free
        i = worst if unproven >= self._spare or gone < 0 else gone
        if i >= 0:
            self.drop(i)
        return i

    # Replay (RFC 4303 section 3.4.3, 64 entries): check first, move only after the tag passed. As
    # in RFC 6479 the bits stay where they are: the top moves, and bytes are cleared ahead of it.

    def restart(self, i: int, epoch: int, counter: int) -> None:
        """Begin a window: everything up to `counter` counts as seen."""
        b = self.buf
        o = i * SLOT
        put30(b, o + O_EPOCH, epoch)
        put30(b, o + O_TOP, counter)
        for k in range(O_WINDOW, O_WINDOW + 16):
            b[o + k] = 255
        b[o + O_WINDOW + (counter >> 3 & 15)] = (2 << (counter & 7)) - 1

    def judge(self, i: int, epoch: int, counter: int) -> int:
        """0 seen before or too old; 1 fresh; 2 fresh, but a jump: more than 2**16 ahead, only
        with a cookie; 3 of a higher epoch, 4 of a lower one."""
        i *= SLOT
        top = u30(self.buf, i + O_EPOCH)
        if epoch != top:
            return 3 if epoch > top else 4
        top = u30(self.buf, i + O_TOP) - counter
        if top < 0:
            return 1 if top >= -JUMP else 2
        i += O_WINDOW + (counter >> 3 & 15)
        return 0 if top > 63 or self.buf[i] & (1 << (counter & 7)) else 1

    def seen(self, i: int, counter: int) -> None:
        i *= SLOT
        top = u30(self.buf, i + O_TOP)
        if counter > top:
            put30(self.buf, i + O_TOP, counter)
            if counter >> 3 != top >> 3:
                self._clear(i + O_WINDOW, top >> 3, counter >> 3)
        self.buf[i + O_WINDOW + (counter >> 3 & 15)] |= 1 << (counter & 7)

    def _clear(self, o, old, new):
        for k in range(max(old, new - 16) + 1, new + 1):
            self.buf[o + (k & 15)] = 0
