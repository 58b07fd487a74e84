# floor 6: pipeline
# Every datagram passes here first: form, limits, replay, tag. RAM: none but its fields.
"""The order of checks of docs/protocol.md 2, cheapest first; nothing is kept of what fails.

`check(buf, n, addr, now)` returns the sender's slot in the peer table, or -1 (counted). After 0 or
more: `sid` is the sender's short id, `off` and `end` bound the payload (after a cookie), `kind` is
the type, `linked` says it was tagged with the node key, `ahead` that its epoch is above the one
known (HELLO, ANSWER and COOKIE only), `stale` that it is below (a tier's JOIN only). After -1,
`dare` >= 0 is the slot of a sender that asked something and has to prove its address before its
counter is believed.

The first epoch heard of a sender is a claim that any member can make in its name. Until the
sender's own record or a node key has confirmed it (P_EPOCH), a lower epoch passes like a higher
one.
"""

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
from .guests import guest
from .peers import P_EPOCH, P_PROVEN
from .wire import (
    ASKS,
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
    T_JOIN,
    TAG,
    VERSION,
    WRAPPED,
    min_payload,
    u16,
    u30,
)

_KNOWN_FLAGS = const(7)


class Gate:
    def __init__(self, me, net, peers, keys, limits, cookies, counters, home=None):
        self._me = me[:8]
        self._n0 = u16(net, 0)
        self._n1 = u16(net, 2)
        self._d0 = u16(me, 0)
        self._d1 = u16(me, 2)
        self._peers = peers
        self._keys = keys
        self._limits = limits
        self._cookies = cookies
        self._count = counters
        self.sid = b""
        self._epoch = self._counter = self._now = 0
        self._known = self._jump = False
        self.kind = self.off = self.end = 0
        self.linked = self.sealed = self.ahead = self.stale = False
        self.dare = -1
        self._home = home  # who answers others by STUN, and asks them: nothing more of it here

    def _form(self, buf, n):
        """Counter of what is wrong with the header, or -1."""
        if n < MIN_FRAME or n > MAX_FRAME:
            return C_BAD_LEN
        if buf[0] != VERSION:
            return C_BAD_VERSION
        f = buf[2]
        least = min_payload(buf[1])
        if least < 0 or f & ~_KNOWN_FLAGS or f & (F_LINK | F_SEALED) == F_SEALED:
            return C_BAD_PARSE
        if f & F_COOKIE:
            least += COOKIE_LEN
        if n < HEAD + least + TAG:
            return C_BAD_LEN
        # Two bytes at a time, and no slices: those would be garbage.
        if buf[4] << 8 | buf[5] != self._n0 or buf[6] << 8 | buf[7] != self._n1:
            return C_BAD_NET
        d = buf[16] << 8 | buf[17]
        e = buf[18] << 8 | buf[19]
        if d == e == 0xFFFF:
            if buf[1] != T_HELLO and buf[1] != T_BYE:
                return C_BAD_DST
        elif (d != self._d0 or e != self._d1) and (d or e):
            return C_BAD_DST
        self._epoch = u30(buf, 20)
        self._counter = u30(buf, 24)
        return C_BAD_PARSE if self._epoch < 0 or self._counter <= 0 else -1

    # The steps of check() are kept so small that MicroPython finds room for their locals on the
    # C stack (11 words): what does not fit costs an allocation a call, and the heap its order.

    def check(self, buf, n: int, addr: bytes, now: int) -> int:
        self.dare = -1
        self._now = now
        slot = self._form(buf, n)
        if slot >= 0:  # no slot yet: what is wrong
            if n < 20 or 1 < buf[0] != WRAPPED or not self._other(buf, n, addr):
                self._count.inc(slot)
            return -1
        self._count.inc(C_RX)
        self.sid = bytes(buf[8:16])
        if self.sid == self._me:  # our own multicast, or an echo
            return -1
        slot = self._peers.find(self.sid)
        if not self._age(slot, buf, addr):
            return -1
        if not self._limits.allow(addr, self._known, now):
            self._count.inc(C_LIMITED)
            return -1
        if not self._tagged(buf, n):
            return -1
        if not self._known:
            return self._admit(slot, buf, addr)
        # The usual case: the next frame of somebody we know.
        self._peers.seen(slot, self._counter)
        if self.linked:
            self._peers.set_flag(slot, P_EPOCH)
        return slot

    def _other(self, buf, n, addr):
        """No frame: for one of the guests on this port? `dare` -2: it was an answer to us."""
        home = self._home
        if home is None:
            return False
        took = guest(home, buf, n, addr, self._now)
        if took < 0:
            home.helps = False  # without room for it, not tried again before the mode changes
            from .stun_serve import StunServe

            home.stun = StunServe(home)
            home.helps = True
            home.stun.take(buf, n, addr, self._now)
        if took > 1:
            self.dare = -2
        return took

    def _age(self, slot, buf, addr):
        """Replay pre-check and epoch; False when the frame is over (and counted)."""
        self.kind = buf[1]
        self.linked = buf[2] & F_LINK != 0
        self.sealed = buf[2] & F_SEALED != 0
        self.ahead = self.stale = self._jump = self._known = False
        if slot < 0:
            return True
        age = self._peers.judge(slot, self._epoch, self._counter)
        if age == 1:
            self._known = self._peers.addr_is(slot, addr)
        elif age == 2:
            self._jump = True
        elif age == 0:
            self._count.inc(C_REPLAY)
            return False
        else:
            return self._other_epoch(age == 3 or not self._peers.flags(slot) & P_EPOCH)
        return True

    def _tagged(self, buf, n):
        """Is the tag good? Then the payload's place is known."""
        mac = self._keys.link(self.sid) if self.linked else self._keys.group(buf[3])
        if mac is None:
            self._count.inc(C_NO_KEY)
            return False
        n -= TAG
        if not mac.good(memoryview(buf)[:n], buf, n):
            self._count.inc(C_BAD_TAG)
            return False
        self.off = HEAD + COOKIE_LEN if buf[2] & F_COOKIE else HEAD
        self.end = n
        return True

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

    def _admit(self, slot, buf, addr):
        """The tag was good: move the window, make a slot for a newcomer."""
        peers = self._peers
        sid = self.sid
        epoch = self._epoch
        counter = self._counter
        if slot < 0:
            slot = peers.add(sid, addr, epoch, counter, self._now)
            if slot < 0:
                self._count.inc(C_LIMITED)
                return -1
        elif self._jump:
            if not (buf[2] & F_COOKIE and self._cookies.good(addr, sid, buf, HEAD)):
                # Only who asks repeats it with a cookie; a COOKIE for a COOKIE would never end.
                if self.kind in ASKS:
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
        """Has the sender of the frame just checked shown that it receives at `addr`?"""
        if not addr[0] and addr[1]:  # by a way (links.py): an answer goes to who is at its end
            return True
        if self._peers.flags(slot) & P_PROVEN:
            if self._known or self._peers.addr_is(slot, addr):
                return True
        if not buf[2] & F_COOKIE:
            return False
        if not self._cookies.good(addr, self.sid, buf, HEAD):
            self._count.inc(C_COOKIE_BAD)
            return False
        self._peers.set_addr(slot, addr)
        self._peers.set_flag(slot, P_PROVEN)
        return True
