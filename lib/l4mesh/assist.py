# floor 5: machines
# Helps two others through their NATs: tells both at once where they are. RAM: 5 kB, 0.2 kB each.
"""The assistant's side of rendezvous (docs/protocol.md 9), on nodes and on tiers.

    a = Assist(tx, counters, book)        assist_book.py; tiers have a larger one
    a.register(sid, buf, o, addr, now)    REGISTER, payload at buf[o:]; `addr` is proven, as in
    a.connect(sid, buf, o, addr, now)     CONNECT and
    a.punched(sid, buf, o, addr, now)     PUNCHED
    a.poll(now) -> ms
    attach(node)                          takes these kinds of a node's frames

An address comes from the datagram that was proven by a cookie, from nothing else: so nobody can
make it send to somebody who did not ask for it. Both tables are bounded; full, they refuse.
"""

from . import ticks
from .assist_book import KEPT, NOT_HERE, R_LAN, R_NAT, R_RTT, ROW, Book, row_of
from .compat import const
from .counters import C_BAD_PARSE
from .wire import (
    T_CONNECT,
    T_PUNCH,
    T_PUNCHED,
    T_REGISTER,
    T_REGISTERED,
    put16,
    u16,
)

GO = const(0)
ABSENT = const(1)
BUSY = const(2)
NOT_NOW = const(3)
NEVER = const(4)
SILENT = const(5)

SAME = const(1)  # flags of a PUNCH
ASKED = const(2)
NEWS = const(4)

_LIFE_MS = const(6000)
_DONE_MS = const(1500)
_WAIT_MS = const(300)  # nobody waits longer for the other
_EACH = const(2)  # attempts of one node
# Ms from each PUNCH for the peer to the next, from the last to giving up, beyond a round trip.
_GAPS = (20, 40, 80, 160, 360, 560)
_UNKNOWN_MS = const(40)  # for a round trip


class _Try:
    def __init__(self, attempt, a, row_a, b, row_b, now):
        self.attempt = attempt
        self.a = a  # who asked, and where it is
        self.row_a = row_a
        self.b = b
        self.row_b = row_b
        self.born = now
        self.due = now
        self.sent = 0
        self.status = -1  # the peer's word


class Assist:
    def __init__(self, tx, counters, book, tries: int = 8):
        self.book = book
        self.met = 0  # attempts that both sides began
        self._tx = tx
        self._count = counters
        self._tries_most = tries
        self._tries = {}  # attempt: _Try

    def register(self, sid, buf, o, addr, now):
        if buf[o + 20] & 1:
            self.book.drop(sid)
            status = NOT_HERE
        else:
            status = self.book.keep(sid, row_of(buf, o + 4, addr), now)
        self.registered(sid, buf, o, status, addr)

    def registered(self, sid, buf, o, status, addr):
        tx = self._tx
        p = tx.begin(T_REGISTERED, sid)
        b = tx.buf
        b[p : p + 4] = buf[o : o + 4]
        b[p + 4] = status
        b[p + 5 : p + 11] = addr
        put16(b, p + 11, self.book.hold_s if status == KEPT else 0)
        tx.send(p + 13, addr)

    def connect(self, sid, buf, o, addr, now):
        attempt = bytes(buf[o : o + 8])
        peer = bytes(buf[o + 8 : o + 16])
        t = self._tries.get(attempt)
        if t is None:
            self._expire(now)
            row = self.book.where(peer, now)
            if row is None or peer == sid:
                return self._refuse(attempt, ABSENT, peer, sid, addr)
            mine = sum(1 for x in self._tries.values() if x.a == sid and x.status < 0)
            if len(self._tries) >= self._tries_most or mine >= _EACH:
                return self._refuse(attempt, BUSY, peer, sid, addr)
            t = _Try(attempt, sid, row_of(buf, o + 16, addr), peer, row, now)
            self._tries[attempt] = t
            self._to_b(t, 0, now)
        elif t.a != sid or t.b != peer or t.row_a[:R_NAT] != addr:
            return self._count.inc(C_BAD_PARSE)
        self._to_a(t, ASKED, now)

    def _refuse(self, attempt, status, peer, sid, addr):
        self._punch(attempt, status, ASKED, peer, bytes(ROW), 0, sid, addr)

    def _wait(self, mine, other, t, now):
        """How long one of the two is to wait, so that both begin together."""
        a = u16(mine, R_RTT)
        b = u16(other, R_RTT)
        if not a or not b or b <= a:
            return 0
        return max(0, min((b - a) >> 1, _WAIT_MS) - ticks.diff(now, t.born))

    def _to_a(self, t, flags, now):
        status = t.status if t.status > 0 else GO
        w = self._wait(t.row_a, t.row_b, t, now)
        self._tell(t, status, flags, t.b, t.row_b, w, t.a, t.row_a)

    def _to_b(self, t, flags, now):
        if not flags:
            rtt = min(u16(t.row_b, R_RTT), _WAIT_MS) or _UNKNOWN_MS
            t.due = ticks.add(now, _GAPS[t.sent] + rtt)
            t.sent += 1
        w = self._wait(t.row_b, t.row_a, t, now)
        self._tell(t, GO, flags, t.a, t.row_a, w, t.b, t.row_b)

    def _tell(self, t, status, flags, peer, row, wait, sid, own):
        if row[:4] == own[:4]:
            flags |= SAME
        self._punch(t.attempt, status, flags, peer, row, wait, sid, bytes(own[:R_NAT]))

    def _punch(self, attempt, status, flags, peer, row, wait, sid, addr):
        tx = self._tx
        p = tx.begin(T_PUNCH, sid)
        b = tx.buf
        b[p : p + 8] = attempt
        b[p + 8] = status
        b[p + 9] = flags
        b[p + 10 : p + 18] = peer
        b[p + 18 : p + 38] = row[:R_RTT]
        put16(b, p + 38, wait)
        tx.send(p + 40, addr)

    def punched(self, sid, buf, o, addr, now):
        t = self._tries.get(bytes(buf[o : o + 8]))
        if t is None or sid != t.a and sid != t.b:
            return self._count.inc(C_BAD_PARSE)
        of_b = sid == t.b
        row = t.row_b if of_b else t.row_a
        if row[:R_NAT] != addr:
            return self._count.inc(C_BAD_PARSE)
        if buf[o + 9] & 1:  # its newest port: the other one is waiting for it
            row = row[:R_NAT] + bytes(buf[o + 10 : o + 18]) + row[R_LAN:]
            if of_b:
                t.row_b = row
            else:
                t.row_a = row
        if of_b and t.status < 0:
            word = buf[o + 8]
            t.status = GO if word == 0 else NOT_NOW if word == 1 else NEVER
            self.met += word == 0
            if word:
                self._to_a(t, ASKED, now)
        if buf[o + 9] & 1:
            if of_b:
                self._to_a(t, ASKED | NEWS, now)
            else:
                self._to_b(t, NEWS, now)

    def _expire(self, now):
        """Forget what is old; when it is full, what both sides have begun a while ago as well."""
        full = len(self._tries) >= self._tries_most
        for attempt, t in list(self._tries.items()):
            age = ticks.diff(now, t.born)
            if age > _LIFE_MS or full and t.status >= 0 and age > _DONE_MS:
                del self._tries[attempt]

    def poll(self, now: int) -> int:
        wait = 60000
        for t in self._tries.values():
            if t.status >= 0:
                continue
            left = ticks.diff(t.due, now)
            if left <= 0:
                if t.sent == len(_GAPS):
                    t.status = SILENT
                    self._to_a(t, ASKED, now)
                    continue
                self._to_b(t, 0, now)
                left = ticks.diff(t.due, now)
            wait = left if left < wait else wait
        return wait


def attach(node):
    """This node helps others from now on: it does when it is asked for the first time."""
    a = Assist(node.tx, node.counters, Book(32, 2, 60))

    def by(work):
        def take(slot, buf, addr, now):
            g = node.gate
            if not node.helps or g.linked or not node.inbox.allowed(slot, buf, addr, now):
                return
            if addr[0]:
                work(g.sid, buf, g.off, addr, now)
            elif g.kind == T_REGISTER:
                a.registered(g.sid, buf, g.off, NOT_HERE, addr)

        return take

    node.inbox.handle(T_REGISTER, by(a.register))
    node.inbox.handle(T_CONNECT, by(a.connect))
    node.inbox.handle(T_PUNCHED, by(a.punched))
    node.late.append(a)
    return a
