# floor 4: tables
# Who registered with this assistant, and from where. RAM: 0.1 kB a member, bounded.
"""book.keep(sid, row, now) -> KEPT, FULL or CROWDED; book.where(sid, now) -> row or None.

A row is 22 bytes: endpoint 6 (the one that the frame came from, proven by a cookie), nat 8,
endpoint on the LAN 6 (a claim: passed on only if private), round trip 2. A full table refuses what
is new, so nobody can push the others out; so many places at most are of one IP address.
"""

from . import ticks
from .compat import const

KEPT = const(0)
FULL = const(1)
CROWDED = const(2)
NOT_HERE = const(3)

ROW = const(22)
R_NAT = const(6)
R_LAN = const(14)
R_RTT = const(20)


def private(b6) -> bool:
    """Is this an endpoint that a LAN may have (RFC 1918, 6598; loopback for tests)?"""
    a = b6[0]
    b = b6[1]
    if a == 172:
        return 16 <= b < 32
    if a == 100:
        return 64 <= b < 128
    return a == 10 or a == 127 or (a == 192 and b == 168)


def row_of(buf, o: int, addr: bytes) -> bytes:
    """From nat 8, LAN 6, round trip 2 at buf[o:], and where they came from."""
    lan = bytes(buf[o + 8 : o + 14])
    if not private(lan):
        lan = bytes(6)
    return addr + bytes(buf[o : o + 8]) + lan + bytes(buf[o + 14 : o + 16])


class Book:
    def __init__(self, places: int, per_ip: int, hold_s: int, seen=None):
        """`seen(sid)`: where a member was heard from lately otherwise (tiers), or None."""
        self.hold_s = hold_s
        self._places = places
        self._per_ip = per_ip
        self._seen = seen
        self._rows = {}  # short id: (row, until)
        self._ips = {}  # IP address: how many of them

    def __len__(self):
        return len(self._rows)

    def keep(self, sid: bytes, row: bytes, now: int) -> int:
        ip = row[:4]
        old = self._rows.get(sid)
        if old is not None and old[0][:4] != ip:  # it is behind another router now
            self.drop(sid)
            old = None
        if old is None:
            status = self._room(ip, now)
            if status:
                return status
            self._ips[ip] = self._ips.get(ip, 0) + 1
        self._rows[sid] = (row, ticks.add(now, self.hold_s * 1000))
        return KEPT

    def _room(self, ip, now):
        if len(self._rows) >= self._places or self._ips.get(ip, 0) >= self._per_ip:
            for sid in [s for s, r in self._rows.items() if ticks.diff(r[1], now) <= 0]:
                self.drop(sid)
        if len(self._rows) >= self._places:
            return FULL
        return CROWDED if self._ips.get(ip, 0) >= self._per_ip else KEPT

    def drop(self, sid: bytes) -> None:
        if sid in self._rows:
            ip = self._rows.pop(sid)[0][:4]
            self._ips[ip] -= 1
            if not self._ips[ip]:
                del self._ips[ip]

    def where(self, sid: bytes, now: int):
        entry = self._rows.get(sid)
        addr = self._seen(sid) if self._seen is not None else None
        if entry is None or ticks.diff(entry[1], now) <= 0:
            return None if addr is None else addr + bytes(ROW - R_NAT)
        if addr is not None and addr != entry[0][:R_NAT]:
            return addr + entry[0][R_NAT:]  # its router gave it another port meanwhile
        return entry[0]
