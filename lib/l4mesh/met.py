# floor 6: pipeline
# What a meeting leaves behind: a neighbour, its endpoint, its record. RAM: none.
"""met(node, m, now) -> slot of the peer table, or -1: m is a Meeting (meeting.py) in state MET.

The endpoint of a Bluetooth neighbour is 0.2 and the first four bytes of its id: the same at every
meeting, so what waits for it finds it. One that is heard by datagrams as well keeps that address.
"""

from .compat import const
from .counters import C_LIMITED, C_NEIGHBOUR_NEW
from .events import EV_NEIGHBOUR
from .links import BLE
from .peers import (
    O_BATTERY,
    O_HASH,
    O_INTERVAL,
    O_LOAD,
    O_MODE,
    O_SAID,
    P_FETCHED,
    P_LAN,
    P_PROVEN,
    P_SIGNED,
    SLOT,
)
from .record import O_EPOCH, O_LIFE, hash_of
from .wire import u16, u30

_INTERVAL_S = const(40)  # three times that without a word of any kind: gone


def endpoint(sid: bytes) -> bytes:
    return bytes((0, BLE)) + sid[:4]


def met(node, m, now: int) -> int:
    peers = node.peers
    sid = m.sid
    addr = endpoint(sid)
    slot = peers.find(sid)
    if slot < 0:
        slot = peers.add(sid, addr, u30(m.theirs, O_EPOCH), u30(m.said, 0), now)
        if slot < 0:
            node.counters.inc(C_LIMITED)
            return slot
    known = peers.flags(slot) & P_LAN
    if not known or not peers.addr(slot)[0] or peers.gone(slot, now):
        peers.set_addr(slot, addr)
        peers.set_flag(slot, P_PROVEN | P_LAN)
        peers.set16(slot, O_INTERVAL, _INTERVAL_S)
    peers.heard(slot, now)
    peers.set(slot, O_SAID, m.said[4])
    peers.set(slot, O_MODE, m.said[5])
    peers.set(slot, O_BATTERY, m.said[6])
    peers.set(slot, O_LOAD, m.said[7])
    _learn(node, slot, m.theirs, now)
    if not known:
        node.counters.inc(C_NEIGHBOUR_NEW)
        node.events.put((EV_NEIGHBOUR, sid, addr))
    return slot


def _learn(node, slot, rec, now):
    """Into the cache at once, unverified; its signature is checked in slices."""
    peers = node.peers
    h = hash_of(rec, 0)
    o = slot * SLOT + O_HASH
    if peers.buf[o : o + 8] != h:
        peers.buf[o : o + 8] = h
        peers.set_flag(slot, P_SIGNED | P_FETCHED, False)
    minute = node.minutes.advance(now)
    taken = node.learner.learn(rec, 0, u16(rec, O_LIFE), minute)
    if taken and not peers.flags(slot) & P_SIGNED:
        peers.set_flag(slot, P_FETCHED)
