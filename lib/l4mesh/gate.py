# floor 5: machines
# Every datagram passes here first: form, limits, replay, tag. RAM: none but its fields.
"""The order of checks of docs/protocol.md 2, cheapest first; nothing is kept of what fails.

`check(buf, n, addr, now)` returns the sender's slot in the peer table, or -1 (counted). After 0 or
more: `off` and `end` bound the payload (after a cookie), `kind` is the type, `linked` says it was
tagged with the node key, `ahead` that its epoch is above the one known (HELLO, ANSWER and COOKIE
only), `stale` that it is below (a tier's JOIN only). After -1, `dare` >= 0 is the slot of a sender
that asked something and has to prove its address before its counter is believed.

The first epoch heard of a sender is a claim that any member can make in its name. Until the
sender's own record or a node key has confirmed it (P_EPOCH), a lower epoch passes like a higher
one.
"""

from struct import unpack_from

from .compat import const
from .counters import (
    C_BAD_DST,
    C_BAD_LEN,
    C_BAD_NET,
    C_BAD_PARSE,
    C_BAD_TAG,
    C_BAD_VERSION,
    C_COOKIE_BAD,
    C_EPOCH_AHEAD,
    C_EPOCH_OLD,
    C_LIMITED,
    C_NO_KEY,
    C_REPLAY,
    C_RX,
)
from .peers import P_EPOCH, P_PROVEN
from .ticks import MASK
from .wire import (
    ALL,
    ANYONE,
    COOKIE_LEN,
    F_COOKIE,
    F_LINK,
    F_SEALED,
    HEAD,
    MAX_FRAME,
    MIN_FRAME,
    T_ANSWER,
    T_BYE,
    T_COOKIE,
    T_HELLO,
    T_INFO_REQ,
    T_JOIN,
    T_PING,
    T_QUERY,
    TAG,
    VERSION,
    min_payload,
)

_KNOWN_FLAGS = const(7)


class Gate:
    def __init__(self, me, net, peers, keys, limits, cookies, counters):
        self._me = me[:8]
        self._net = net
        self._to = me[:4]
        self._peers = peers
        self._keys = keys
        self._limits = limits
        self._cookies = cookies
        self._count = counters
        self.kind = 0
        self.off = 0
        self.end = 0
        self.linked = False
        self.sealed = False
        self.ahead = False
        self.stale = False
        self.dare = -1

    def _form(self, buf, n):
        """Counter of what is wrong with the header, or -1."""
        if n < MIN_FRAME or n > MAX_FRAME:
            return C_BAD_LEN
        if buf[0] != VERSION:
            return C_BAD_VERSION
        kind = buf[1]
        f = buf[2]
        least = min_payload(kind)
        if least < 0 or f & ~_KNOWN_FLAGS or f & (F_LINK | F_SEALED) == F_SEALED:
            return C_BAD_PARSE
        if f & F_COOKIE:
            least += COOKIE_LEN
        if n < HEAD + least + TAG:
            return C_BAD_LEN
        if buf[4:8] != self._net:
            return C_BAD_NET
        to = buf[16:20]
        if to == self._to or to == ANYONE:
            return -1
        return -1 if to == ALL and (kind == T_HELLO or kind == T_BYE) else C_BAD_DST

    def check(self, buf, n: int, addr: bytes, now: int) -> int:
        count = self._count
        self.dare = -1
        bad = self._form(buf, n)
        if bad < 0:
            epoch, counter = unpack_from(">II", buf, 20)
            if epoch > MASK or not 0 < counter <= MASK:
                bad = C_BAD_PARSE
        if bad >= 0:
            count.inc(bad)
            return -1
        count.inc(C_RX)
        sid = bytes(buf[8:16])
        if sid == self._me:  # our own multicast, or an echo
            return -1
        peers = self._peers
        slot = peers.find(sid)
        self.kind = buf[1]
        f = buf[2]
        self.linked = linked = f & F_LINK != 0
        self.sealed = f & F_SEALED != 0
        self.ahead = self.stale = False
        jump = False
        known = False
        if slot >= 0:
            age = peers.judge(slot, epoch, counter)
            if age == 1:
                known = peers.addr_is(slot, addr)
            elif age == 2:
                jump = True
            elif age == 0:
                count.inc(C_REPLAY)
                return -1
            elif not self._other_epoch(age == 3 or not peers.flags(slot) & P_EPOCH):
                return -1
        if not self._limits.allow(addr, known, now):
            count.inc(C_LIMITED)
            return -1
        mac = self._keys.link(sid) if linked else self._keys.group(buf[3])
        if mac is None:
            count.inc(C_NO_KEY)
            return -1
        end = n - TAG
        if not mac.good(memoryview(buf)[:end], buf, end):
            count.inc(C_BAD_TAG)
            return -1
        self.off = HEAD + COOKIE_LEN if f & F_COOKIE else HEAD
        self.end = end
        if known:  # the usual case
            peers.seen(slot, counter)
            if linked:
                peers.set_flag(slot, P_EPOCH)
            return slot
        return self._admit(slot, sid, buf, addr, epoch, counter, jump, now)

    def _other_epoch(self, above):
        if above:
            self.ahead = not self.linked
            if self.linked or self.kind in (T_HELLO, T_ANSWER, T_COOKIE):
                return True
            self._count.inc(C_EPOCH_AHEAD)
            return False
        self.stale = True
        if self.linked and self.kind == T_JOIN:
            return True
        self._count.inc(C_EPOCH_OLD)
        return False

    def _admit(self, slot, sid, buf, addr, epoch, counter, jump, now):
        """The tag was good: move the window, make a slot for a newcomer."""
        peers = self._peers
        if slot < 0:
            slot = peers.add(sid, addr, epoch, counter, now)
            if slot < 0:
                self._count.inc(C_LIMITED)
                return -1
        elif jump:
            if not (buf[2] & F_COOKIE and self._cookies.good(addr, sid, buf, HEAD)):
                # Only who asks repeats it with a cookie; a COOKIE for a COOKIE would never end.
                if self.kind in (T_QUERY, T_PING, T_INFO_REQ, T_JOIN):
                    self.dare = slot
                self._count.inc(C_REPLAY)
                return -1
            peers.restart(slot, epoch, counter)
        elif self.linked and not self.stale and epoch != peers.get30(slot, 18):
            # The node key is held by the node and its upstream only: nobody else can move this.
            peers.restart(slot, epoch, counter)
        elif not self.ahead and not self.stale:
            peers.seen(slot, counter)
        if self.linked and not self.stale:
            peers.set_flag(slot, P_EPOCH)
        return slot

    def proven(self, slot: int, buf, addr: bytes) -> bool:
        """Has the sender of this frame shown that it receives at `addr`?"""
        if self._peers.flags(slot) & P_PROVEN and self._peers.addr_is(slot, addr):
            return True
        if not buf[2] & F_COOKIE:
            return False
        if not self._cookies.good(addr, bytes(buf[8:16]), buf, HEAD):
            self._count.inc(C_COOKIE_BAD)
            return False
        self._peers.set_addr(slot, addr)
        self._peers.set_flag(slot, P_PROVEN)
        return True
