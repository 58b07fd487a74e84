# floor 5: machines
# Discovery on the LAN: hello by trickle, and presence. RAM: 100 B.
"""HELLO to the group (to the broadcast, too: the first, and while nobody is heard by the group):
trickle timer (RFC 6206, without suppression, since presence needs every hello), I_min at start, at
a new neighbour and at a new record; a changed digest does not reset it. A neighbour is gone after
three of its own announced intervals. A hello that names a record we have not checked is left to
fetch.py (its peer flags say so).

Hellos to the group are numbered (1 to 15, then 1), so that a receiver sees how many it missed:
its loss, in 1/256, is a running mean over eight. A hello to one node is not numbered; with the
flag "answer me soon" it is answered by one of the same length to where it came from (scout.py).
A node that sleeps says so, and its interval is how long it may be gone (firmware/sleeper.py).
"""

from . import ticks
from .compat import const
from .counters import C_HELLO_RX, C_HELLO_TX, C_NEIGHBOUR_GONE, C_NEIGHBOUR_NEW
from .events import EV_GONE, EV_NEIGHBOUR
from .peers import (
    O_BATTERY,
    O_HASH,
    O_HELLO,
    O_INTERVAL,
    O_LOAD,
    O_LOSS,
    O_MODE,
    O_SAID,
    P_FETCHED,
    P_LAN,
    P_SIGNED,
    P_TIER,
    SLOT,
)
from .wire import ALL, HELLO_LEN, PASSIVE, T_BYE, T_HELLO, put16, u16

_LOUD = const(3)
_PASSIVE_FACTOR = const(4)
_FORGET_MS = const(3600000)
_ALONE_MS = const(60000)
_ALONE_AGAIN_MS = const(600000)
_ASKS = const(1)
_SLEEPS = const(4)
_BROADCAST = const(8)  # a copy, for where the group's was kept back
_BY_ONE = const(16)  # O_HELLO: it came to us alone
_BY_COPY = const(32)


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
        self.number = 0
        self.quiet = False  # awake again: nobody is to answer soon
        self.gap_s = 0  # of a node that sleeps: until its next hello, at most
        self.window = 0  # and how long it hears what it is told, in 0.1 s
        self.awake = None  # awake(slot, addr, now): a sleeper says hello
        self.lonely = None  # lonely(now): nobody was heard by the group for a minute; each 10 min
        self._alone = 0
        self._copy = True  # nobody is heard by the group

    def start(self, now: int) -> None:
        self._interval = self._min
        self._loud = 0 if self.quiet else _LOUD
        self._swept = self._alone = now
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
        self.number = self.number % 15 + 1
        tx = self._tx
        end = self._write(ALL, (_ASKS if self._loud else 0) | self.number << 4)
        self._count.inc(C_HELLO_TX)
        tx.send(end, self._group)
        if self._loud or self._copy:
            # Access points that filter multicast often let the broadcast through; receivers
            # know the second copy by its counter.
            tx.buf[end - HELLO_LEN] |= _BROADCAST
            tx.send(end, self._broadcast)
        if self._loud:
            self._loud -= 1

    def _write(self, to, flags):
        """A HELLO in the transmit buffer: -> its end."""
        tx = self._tx
        o = tx.begin(T_HELLO, to)
        b = tx.buf
        # The longest wait until the next one: the rest of this interval and all of the next.
        top = self._max * (_PASSIVE_FACTOR if self.mode == PASSIVE else 1)
        wait = min(3 * self._interval, 2 * top) // 1000 + 1
        load = self.load
        if self.gap_s:
            flags |= _SLEEPS
            wait = self.gap_s
            load = self.window
        b[o] = flags | (2 if self.uplink else 0)
        b[o + 1] = self.mode
        b[o + 2] = self.battery
        b[o + 3] = load
        put16(b, o + 4, wait)
        b[o + 6 : o + 14] = self._own.hash
        b[o + 14] = 0
        return o + HELLO_LEN

    def greet(self, peer, addr: bytes, asks: int) -> bool:
        """Say hello to one node, `peer` None: whoever is at `addr`; `asks`: it is to answer."""
        if not self._own.ready:
            return False
        return self._tx.send(self._write(peer, asks), addr)

    def bye(self, reason: int) -> None:
        o = self._tx.begin(T_BYE, ALL)
        self._tx.buf[o] = reason
        self._tx.send(o + 1, self._group)

    def on_hello(self, slot: int, buf, off: int, addr: bytes, now, ahead: bool, limits) -> None:
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
            peers.set(slot, O_HELLO, 0)  # it may have begun anew
        if buf[16] & buf[17] & buf[18] & buf[19] == 255:  # to all
            self._heard(slot, buf[off] >> 4, _BY_COPY if buf[off] & _BROADCAST else 0)
        else:
            peers.set(slot, O_HELLO, peers.get(slot, O_HELLO) | _BY_ONE)
            # An answer is as long as what asks for it, and asks for none.
            if buf[off] & _ASKS and limits.allow_id(slot, now):
                self.greet(peers.short_id(slot), addr, 0)
        if new:
            self._count.inc(C_NEIGHBOUR_NEW)
            self._events.put((EV_NEIGHBOUR, peers.short_id(slot), addr))
            self.hurry(now)
        elif buf[off] & _ASKS and not peers.get(slot, O_HELLO) & _BY_ONE:
            self.hurry(now)
        if buf[off] & _SLEEPS and self.awake is not None and not ahead:
            self.awake(slot, addr, now)

    def _heard(self, slot, number, how):
        """By the group: how many were lost since the one before?"""
        peers = self._peers
        old = peers.get(slot, O_HELLO) & 15
        peers.set(slot, O_HELLO, number | how)
        if old and number:
            loss = peers.get(slot, O_LOSS)
            for _ in range((number - old) % 15 - 1):
                loss += (263 - loss) >> 3
            if number != old:
                loss -= (loss + 7) >> 3
            peers.set(slot, O_LOSS, min(loss, 255))

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
        self._copy = True
        for i in range(self._peers.slots):
            f = self._peers.flags(i)
            if f & P_LAN:
                if self._peers.gone(i, now):
                    self._gone(i)
                    continue
                how = self._peers.get(i, O_HELLO)
                self._copy = self._copy and how & (_BY_ONE | _BY_COPY)
                if not how & _BY_ONE:
                    self._alone = now
            elif f and not f & P_TIER and self._peers.age(i, now) > _FORGET_MS:
                self._peers.drop(i)  # before the ticks of its last word wrap
        if self.lonely is not None and ticks.diff(now, self._alone) >= _ALONE_MS:
            self._alone = ticks.add(now, _ALONE_AGAIN_MS - _ALONE_MS)
            self.lonely(now)
