# floor 5: machines
# Answers to other nodes' look-ups: the hot path. RAM: none but its fields.
"""`query` writes the ANSWER to a QUERY into the one transmit buffer and sends it.

A node gives its own record in every mode (without it nobody could check its hellos). Records of
others it gives from the first minute within a small quota, and without it once the demand shows
that its cache is worth it (`full`, set from modes.py); `passive` sends askers upstream (BUSY).
Requests and hits are counted here also when throttled: they are the demand that modes.py judges.
"""

from struct import pack_into

from . import ticks
from .compat import const
from .counters import C_SERVED, C_SERVED_HIT, C_SERVED_MISS
from .record import SIZE
from .routes import VERIFIED
from .wire import ANSWER_LEN, BUSY, FOUND, MISS, PASSIVE, QUERY_LEN, T_ANSWER, TRACE_PAD, put16

_BURST_S = const(5)


class Serve:
    def __init__(self, own, routes, tx, counters, cfg, minutes):
        self._own = own
        self._routes = routes
        self._tx = tx
        self._count = counters
        self._rate = cfg.quota_per_s
        self._life = cfg.lifetime_min
        self._minutes = minutes
        self._tokens = self._rate * _BURST_S * 1000
        self._last = 0
        self.mode = PASSIVE
        self.full = False
        self.battery = 255
        self.load = 0
        self.requests = 0
        self.hits = 0
        self._mine = own.id[:8] + bytes(8)

    def _quota(self, now):
        top = self._rate * _BURST_S * 1000
        d = ticks.diff(now, self._last)
        self._last = now
        t = top if d < 0 or d > 60000 else min(top, self._tokens + d * self._rate)
        self._tokens = t - 1000 if t >= 1000 else t
        return t >= 1000

    def query(self, buf, g, addr, now: int):
        """Answer the QUERY in `buf` that the gate `g` let through, from a proven asker."""
        tx = self._tx
        off = g.off
        target = bytes(buf[off + 4 : off + 20])
        o = tx.begin(T_ANSWER, g.sid, g.linked)
        b = tx.buf
        for i in range(4):
            b[o + i] = buf[off + i]
        p = o + ANSWER_LEN
        own = self._own
        status = MISS
        remaining = 0
        if target == self._mine or target == own.id:
            status = FOUND if own.ready else MISS
            remaining = self._life
            b[p : p + SIZE] = own.record
        else:
            r = self._routes
            now_min = self._minutes.minute
            i = r.find(target, now_min)
            self.requests += 1
            if i >= 0 and r.flags[i] & VERIFIED:
                remaining = r.remaining(i, now_min)
            if remaining > 0:
                self.hits += 1
                status = FOUND
                b[p : p + SIZE] = r.view[i * SIZE : (i + 1) * SIZE]
            if self.mode <= PASSIVE or not (self.full or self._quota(now)):
                status = BUSY
        count = self._count
        count.inc(C_SERVED)
        count.inc(C_SERVED_HIT if status == FOUND else C_SERVED_MISS)
        pack_into(
            ">BBBBBBHH", b, o + 4, status, 4, self.mode, self.battery, self.load, 0, remaining, 0
        )
        if status == FOUND:
            p += SIZE
            # A trace has one hop, ourselves; without the padding it would be too long an answer.
            if g.end - off >= QUERY_LEN + TRACE_PAD and buf[off + 21] & 2:
                b[p] = 1
                b[p + 1] = 4
                b[p + 2 : p + 6] = own.id[:4]
                put16(b, p + 6, 0)
                p += 8
        tx.send(p, addr)
