# floor 6: pipeline
# Who is near by Bluetooth: from an advertisement to a neighbour. RAM: 5 kB with its table.
"""Discovery without a network (docs/protocol.md 11). The radio is l4mesh_io/ble.py's.

    near = Nearby(node, Voice(..))              what we say ourselves is near_say.py's
    near.heard(addr, kind, rssi, data, n, now)  any bytes; 2 new, 1 newer, 0 again, or a code < 0
    near.poll(now) -> ms                        a machine of node.late
    near.presence(short_id, now)                (path, ms ago), by any path; None: not here
    len(near)                                   how many; near_ask.py knows whose record is wanted

Events: (EV_NEARBY, 1, short id, endpoint, dBm) when a neighbour has a name, (EV_NEARBY, 0, short
id, None, None) when it is gone. Neighbours without a name make none.

It costs a look at the bytes, then the sequence, then an AES block; within a limit the MAC.
"""

from . import ticks
from .advert import IDENT, MAC, SEQ, payload
from .compat import const
from .events import EV_NEARBY
from .near_table import (
    N_NAMED,
    O_ASK,
    O_ENDPOINT,
    O_FIRST,
    O_HEARD,
    O_IDENT,
    O_MAC,
    O_MODE,
    O_RSSI,
    O_SEQ,
    O_STEP,
    SLOT,
    NearTable,
)
from .peers import P_LAN
from .wire import put30, u16

OTHER_NET = const(-4)
LIMITED = const(-5)
FORGED = const(-6)
REPLAY = const(-7)
ECHO = const(-8)
FULL = const(-9)

_CODES = const(10)
_STALE_MS = const(30000)  # how long one sequence counts as a sign of life
_TAKE_MS = const(12000)  # how long a living neighbour keeps its salt
_WAIT_MS = const(15000)  # the other one asks first; then we do
_KNOWN_S = const(30)  # MAC checks a second
_OTHER_S = const(20)
_BURST = const(40000)


class Nearby:
    def __init__(self, node, voice, slots: int = 50):
        self._node = node
        self.voice = voice
        self.table = NearTable(slots)
        self.counts = [0] * _CODES  # 0 taken, then by code (near_info.py names them)
        self._tokens = [_BURST, _BURST]
        self._filled = 0
        self._at = 0
        self._swept = 0

    def __len__(self):
        return len(self.table)

    def heard(self, addr: bytes, kind: int, rssi: int, data, n: int, now: int) -> int:
        """An advertisement `data[:n]` from `addr` (6 bytes) of type `kind` (1 random)."""
        code = payload(data, n, self.voice.company)
        if code >= 0:
            code = self._take(addr, kind, rssi, data, code, now)
        self.counts[-code if code < 0 else 0] += 1
        return code

    def _take(self, addr, kind, rssi, data, o, now):
        t = self.table
        i = t.at_addr(addr)
        known = i >= 0 and t.part(i, O_IDENT, 6) == data[o + IDENT : o + IDENT + 6]
        if known:
            step = (u16(data, o + SEQ) - u16(t.b, i * SLOT + O_SEQ)) & 0xFFFF
            if step == 0 and t.part(i, O_MAC, 6) == data[o + MAC : o + MAC + 6]:
                if t.age(i, O_STEP, now) > _STALE_MS:
                    return REPLAY
                t.sign(i, rssi, now)
                return 0
            if step == 0 or step > 0x7FFF:
                return REPLAY
        codec = self._check(addr, data, o, known, now)
        if isinstance(codec, int):
            return codec
        if known:
            self._write(i, codec, data, o, rssi, now)
            return 1
        return self._new(codec, addr, kind, rssi, data, o, now)

    def _check(self, addr, data, o, known, now):
        """The codec that finds it good, or a code."""
        for codec in self.voice.coders():
            if codec.tagged(addr, data, o):
                break
        else:
            return OTHER_NET
        if not self._allow(0 if known else 1, now):
            return LIMITED
        return codec if codec.good(addr, data, o) else FORGED

    def _allow(self, k, now):
        """A MAC check: out of the bucket of known ones, or of the others."""
        t = self._tokens
        passed = ticks.diff(now, self._filled)
        if passed:
            self._filled = now
            if not 0 < passed < 2000:
                passed = 2000
            t[0] = min(t[0] + passed * _KNOWN_S, _BURST)
            t[1] = min(t[1] + passed * _OTHER_S, _BURST)
        if t[k] < 1000:
            return False
        t[k] -= 1000
        return True

    def _new(self, codec, addr, kind, rssi, data, o, now):
        """A good one from an address, or with an ident, that is new."""
        t = self.table
        ident = bytes(data[o + IDENT : o + IDENT + 6])
        if codec.name(ident[:2], self._node.short_id) == ident[2:]:
            return ECHO
        sid = self.voice.who(codec, ident)
        i = t.at_addr(addr)
        j = -1 if sid is None else t.named(sid)
        old = t.past(ident, u16(data, o + SEQ))
        for k in (i, j):
            # Another salt than that it lives under: it rotated, or somebody plays an old tape.
            if old or k >= 0 and (t.had(k, ident[:2]) or t.age(k, O_STEP, now) < _TAKE_MS):
                return REPLAY
        if i >= 0 and i != j:
            self._drop(i)
        i = j
        if i < 0:
            i = t.room(sid is not None, now)
            if i < 0:
                return FULL
        fresh = not t.flags(i)
        t.put(i, addr, kind, ident, sid)
        self._write(i, codec, data, o, rssi, now)
        if not fresh:
            return 1
        # The lower one asks for the record first; if it does not, the other may.
        wait = 0 if self.voice.ident() < ident else _WAIT_MS
        put30(t.b, i * SLOT + O_ASK, ticks.add(now, wait))
        if sid is not None:
            self._tell(i)
        return 2

    def _write(self, i, codec, data, o, rssi, now):
        t = self.table
        s = i * SLOT
        t.b[s + O_SEQ : s + O_SEQ + 2] = data[o + SEQ : o + SEQ + 2]
        t.b[s + O_MAC : s + O_MAC + 6] = data[o + MAC : o + MAC + 6]
        t.b[s + O_MODE] = codec.mode
        at = codec.endpoint()
        moved = at != t.part(i, O_ENDPOINT, 6)
        t.b[s + O_ENDPOINT : s + O_ENDPOINT + 6] = at
        if moved and t.flags(i) & N_NAMED:
            self.voice.greet(t.part(i, 0, 8), at)
        if t.b[s + O_FIRST] != codec.first:
            t.b[s + O_FIRST] = codec.first
            put30(t.b, s + O_ASK, now)
        put30(t.b, s + O_STEP, now)
        t.sign(i, rssi, now)

    def _tell(self, i):
        t = self.table
        self._node.events.put(
            (EV_NEARBY, 1, t.part(i, 0, 8), t.part(i, O_ENDPOINT, 6), -t.get(i, O_RSSI))
        )

    def poll(self, now: int) -> int:
        left = 1000 - ticks.diff(now, self._swept)
        if 0 < left <= 1000:
            return left
        self._swept = now
        self.voice.poll(now)
        t = self.table
        for i in range(t.slots):
            if t.flags(i) and t.silent(i, now):
                self._drop(i)
        self._recognise()
        return 1000

    def _drop(self, i):
        t = self.table
        if t.flags(i) & N_NAMED:
            self._node.events.put((EV_NEARBY, 0, t.part(i, 0, 8), None, None))
        t.drop(i)

    def _recognise(self):
        """One neighbour without a name a second: it may have become known by another path."""
        t = self.table
        for _ in range(t.slots):
            self._at = i = (self._at + 1) % t.slots
            if t.flags(i) and not t.flags(i) & N_NAMED:
                for codec in self.voice.coders():
                    sid = self.voice.who(codec, t.part(i, O_IDENT, 6))
                    if sid is not None:
                        return self.recognised(i, sid)
                return None
        return None

    def recognised(self, i: int, sid: bytes) -> None:
        """The neighbour in slot `i` is `sid`."""
        j = self.table.named(sid)
        if j >= 0 and j != i:
            self.table.drop(j)  # itself, under an older salt
            self.table.name(i, sid)
        elif j < 0:
            self.table.name(i, sid)
            self._tell(i)
            self.voice.greet(sid, self.table.part(i, O_ENDPOINT, 6))

    def presence(self, sid: bytes, now: int):
        """(path, ms since it was heard) by the path that is newest: "ble", "lan"; None."""
        best = None
        i = self.table.named(sid)
        if i >= 0:
            best = ("ble", self.table.age(i, O_HEARD, now))
        p = self._node.peers
        i = p.find(sid)
        if i >= 0 and p.flags(i) & P_LAN and not p.gone(i, now):
            a = p.age(i, now)
            if best is None or a < best[1]:
                best = ("ble" if p.addr(i)[:2] == b"\x00\x02" else "lan", a)
        return best

    def why(self):
        named = sum(1 for i in range(self.table.slots) if self.table.flags(i) & N_NAMED)
        return "%d nearby by Bluetooth, %d of them known by name." % (len(self.table), named)

    def document(self, now: int):
        """For info.py: who is heard, and what was thrown away."""
        from .near_info import document

        return document(self, self._node, now)

    def rows(self, now):
        from .near_info import rows

        return rows(self, self._node, now)
