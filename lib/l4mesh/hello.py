# floor 5: machines
# Discovery on the LAN: hello by trickle, and presence. RAM: 100 B.
"""HELLO to the group (and, for the first ones, the subnet broadcast): trickle timer (RFC 6206,
without suppression, since presence needs every hello), I_min at start, at a new neighbour and at a
new record; a changed digest does not reset it. A neighbour is gone after three of its own
announced intervals. A hello that names a record we have not checked is left to fetch.py (its peer
flags say so).
"""

from . import ticks
from .compat import const
from .counters import C_HELLO_RX, C_HELLO_TX, C_NEIGHBOUR_GONE, C_NEIGHBOUR_NEW
from .events import EV_GONE, EV_NEIGHBOUR
from .peers import (
    O_BATTERY,
    O_HASH,
    O_INTERVAL,
    O_LOAD,
    O_MODE,
    O_SAID,
    P_FETCHED,
    P_LAN,
    P_SIGNED,
    P_TIER,
    SLOT,
)
from .wire import (
    ALL,
    HELLO_LEN,
    PASSIVE,
    T_BYE,
    T_HELLO,
    put16,
    u16,
)

_LOUD = const(3)
_PASSIVE_FACTOR = const(4)
_FORGET_MS = const(3600000)


class Hello:
    def __init__(self, cfg, own, tx, peers, routes, counters, events, rng, group, broadcast):
        self._min = cfg.hello_min_s * 1000
        self._max = cfg.hello_max_s * 1000
        self._own = own
        self._tx = tx
        self._peers = peers
        self._routes = routes
        self._count = counters
        self._events = events
        self._rng = rng
        self._group = group
        self._broadcast = broadcast
        self._interval = self._min
        self._at = 0
        self._end = 0
        self._sent = True
        self._loud = _LOUD
        self._swept = 0
        self._told = 0  # version of our record that others are told soon
        self.mode = PASSIVE
        self.battery = 255
        self.load = 0
        self.uplink = False

    def start(self, now: int) -> None:
        self._interval = self._min
        self._loud = _LOUD
        self._swept = now
        self._begin(now)
        # The first hello leaves within I_min/8: somebody who just came is in a hurry.
        self._at = ticks.add(now, self._rng.getrandbits(20) % (self._min // 8 + 1))

    def _begin(self, now):
        self._end = ticks.add(now, self._interval)
        half = self._interval >> 1
        self._at = ticks.add(now, half + self._rng.getrandbits(24) % half)
        self._sent = False

    def hurry(self, now: int) -> None:
        """Something others should know: back to I_min."""
        if self._interval > self._min:
            self._interval = self._min
            self._begin(now)

    def poll(self, now: int) -> int:
        if ticks.diff(now, self._swept) >= 1000:
            self._swept = now
            self._sweep(now)
        if self._own.version != self._told:
            self._told = self._own.version
            self.hurry(now)
        if not self._sent and ticks.diff(self._at, now) <= 0:
            self._sent = True
            self._send(now)
        if ticks.diff(self._end, now) <= 0:
            top = self._max * (_PASSIVE_FACTOR if self.mode == PASSIVE else 1)
            self._interval = min(self._interval * 2, top)
            self._begin(now)
        left = ticks.diff(self._end if self._sent else self._at, now)
        return max(0, min(left, 1000) if len(self._peers) else left)

    def _send(self, now):
        if not self._own.ready:
            self._sent = False
            self._at = ticks.add(now, 20)
            return
        tx = self._tx
        o = tx.begin(T_HELLO, ALL)
        b = tx.buf
        b[o] = (1 if self._loud else 0) | (2 if self.uplink else 0)
        b[o + 1] = self.mode
        b[o + 2] = self.battery
        b[o + 3] = self.load
        # The longest wait until the next one: the rest of this interval and all of the next.
        top = self._max * (_PASSIVE_FACTOR if self.mode == PASSIVE else 1)
        put16(b, o + 4, min(3 * self._interval, 2 * top) // 1000 + 1)
        b[o + 6 : o + 14] = self._own.hash
        b[o + 14] = 0
        end = o + HELLO_LEN
        self._count.inc(C_HELLO_TX)
        if self._loud:
            # Access points that filter multicast often let the broadcast through; receivers
            # know the second copy by its counter.
            self._loud -= 1
            tx.send(end, self._broadcast)
        tx.send(end, self._group)

    def bye(self, reason: int) -> None:
        o = self._tx.begin(T_BYE, ALL)
        self._tx.buf[o] = reason
        self._tx.send(o + 1, self._group)

    def on_hello(self, slot: int, buf, off: int, addr: bytes, now: int, ahead: bool) -> None:
        peers = self._peers
        self._count.inc(C_HELLO_RX)
        new = not peers.flags(slot) & P_LAN
        # Also with an epoch not confirmed yet: after a reboot its record is to be had at this
        # address only. It is not noted as heard (inbox.py), so a claim alone keeps nobody alive.
        peers.set_addr(slot, addr)
        peers.set_flag(slot, P_LAN)
        peers.set(slot, O_SAID, buf[off])
        peers.set(slot, O_MODE, buf[off + 1])
        peers.set(slot, O_BATTERY, buf[off + 2])
        peers.set(slot, O_LOAD, buf[off + 3])
        peers.set16(slot, O_INTERVAL, max(u16(buf, off + 4), 1))
        o = slot * SLOT + O_HASH
        same = True
        for i in range(8):
            same = same and peers.buf[o + i] == buf[off + 6 + i]
        if not same:
            peers.buf[o : o + 8] = buf[off + 6 : off + 14]
            peers.set_flag(slot, P_SIGNED | P_FETCHED, False)
        if new:
            self._count.inc(C_NEIGHBOUR_NEW)
            self._events.put((EV_NEIGHBOUR, peers.short_id(slot), addr))
            self.hurry(now)
        elif buf[off] & 1:
            self.hurry(now)

    def on_bye(self, slot: int) -> None:
        if self._peers.flags(slot) & P_LAN:
            self._gone(slot)

    def _gone(self, slot):
        sid = self._peers.short_id(slot)
        self._count.inc(C_NEIGHBOUR_GONE)
        self._events.put((EV_GONE, sid))
        if self._peers.flags(slot) & P_TIER:
            self._peers.set_flag(slot, P_LAN, False)
        else:
            self._peers.drop(slot)

    def _sweep(self, now):
        for i in range(self._peers.slots):
            f = self._peers.flags(i)
            if f & P_LAN:
                if self._peers.gone(i, now):
                    self._gone(i)
            elif f and not f & P_TIER and self._peers.age(i, now) > _FORGET_MS:
                self._peers.drop(i)  # before the ticks of its last word wrap
