# floor 5: machines
# Whose record is to be fetched over Bluetooth, and when. RAM: none but its code.
"""Slots `i` of the table of a Nearby (nearby.py):

    wanted(near, node, now) -> i                whom to ask now, -1: nobody
    device(near, i)                             (address type, address), to connect to
    met(near, i, short_id, record, off, now)    it proved who it is; its record is held now
    failed(near, i, now)                        no link, no record, a wrong one: later, ever later

Asked are neighbours without a name, and those whose advertisement names another record than the
checked one that is held. Not those on the same LAN: fetch.py has a cheaper way. Of two that want
each other the lower ident asks, the other only after 15 s.
"""

from . import ticks
from .compat import const
from .near_table import N_MET, N_NAMED, O_ASK, O_FIRST, O_FLAGS, O_HELD, O_TRIES, O_TYPE, SLOT
from .peers import P_LAN, P_SIGNED
from .record import SIZE, hash_of
from .routes import VERIFIED
from .wire import put30

_AGAIN_MS = const(5000)  # doubled with each failure
_DOUBLED = const(6)
_RENEW_MS = const(600000)


def wanted(near, node, now: int) -> int:
    """The one that has waited longest for its question; -1."""
    t = near.table
    best = -1
    longest = -1
    for i in range(t.slots):
        if t.flags(i):
            late = ticks.diff(now, t.tick(i, O_ASK))
            if late > longest and _lacks(t, i, node):
                longest = late
                best = i
    return best


def _lacks(t, i, node):
    f = t.flags(i)
    if not f & N_NAMED:
        return True
    first = t.get(i, O_FIRST)
    if f & N_MET and t.get(i, O_HELD) == first:
        return False
    sid = t.part(i, 0, 8)
    p = node.peers
    k = p.find(sid)
    if k >= 0 and p.flags(k) & P_LAN and p.flags(k) & P_SIGNED and p.addr(k)[:2] != b"\x00\x02":
        return False
    r = node.routes
    for k in range(r.slots):
        full = r.node_id(k)
        if full is not None and full[:8] == sid and r.flags[k] & VERIFIED:
            return hash_of(r.slab, k * SIZE)[0] != first
    return True


def device(near, i: int):
    return near.table.get(i, O_TYPE), near.table.addr(i)


def met(near, i: int, short_id: bytes, record, off: int, now: int) -> None:
    """Over GATT `i` proved that it is there and is `short_id`, and gave this record."""
    t = near.table
    near.recognised(i, short_id)
    s = i * SLOT
    t.b[s + O_FLAGS] |= N_MET
    t.b[s + O_HELD] = hash_of(record, off)[0]
    t.b[s + O_TRIES] = 0
    put30(t.b, s + O_ASK, ticks.add(now, _RENEW_MS))


def failed(near, i: int, now: int) -> None:
    t = near.table
    s = i * SLOT
    n = t.b[s + O_TRIES]
    t.b[s + O_TRIES] = min(n + 1, _DOUBLED)
    put30(t.b, s + O_ASK, ticks.add(now, _AGAIN_MS << n))
