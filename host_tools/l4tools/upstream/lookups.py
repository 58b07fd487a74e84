"""Look-ups: from this tier's memory, else from the tiers above; L1 is the authority.

An answer from above is checked (form, id, signature) and kept for what it has left, so it is
cached on the way down and its remaining lifetime only falls. Equal questions at one time become
one. "unknown" only ever comes from the authority, with the seconds for which it may be believed.
"""

import time

from l4mesh.counters import (
    C_BAD_RECORD,
    C_BAD_SIG,
    C_COALESCED,
    C_SERVED,
    C_SERVED_HIT,
    C_SERVED_MISS,
    C_UPSTREAM_TX,
)
from l4mesh.record import BODY, O_KEY, O_TIER, SIZE, check_form, id_of, signed_text
from l4mesh.resolve import Q_AUTHORITY, Q_TRACE
from l4mesh.wire import (
    ACTIVE,
    ANSWER_LEN,
    BUSY,
    FOUND,
    MISS,
    QUERY_LEN,
    T_ANSWER,
    T_QUERY,
    UNAVAILABLE,
    UNKNOWN,
    put16,
    u16,
)

from .. import fastsig
from .connect import StoreAway

_PAD = 32  # bytes that a traced question carries, so that its answer is at most 3 times as long
_HOP = 7
_UNKNOWN_S = 30


class Found:
    """A result: status, where it was found, what is left of it, the hops above, time above."""

    __slots__ = ("status", "source", "remaining", "record", "hops", "above_ns")

    def __init__(self, status, source, remaining=0, record=b"", hops=b"", above_ns=0):
        self.status, self.source, self.remaining = status, source, remaining
        self.record, self.hops, self.above_ns = record, hops, above_ns


class Lookups:
    def __init__(self, tier):
        self._tier = tier
        self._asking = {}  # (target, flags) -> waiting questions

    def on_query(self, slot, sid, buf, addr, started_ns):
        tier = self._tier
        if not tier.proven(slot, buf, addr):
            return
        g = tier.gate
        off, end = g.off, g.end
        target = bytes(buf[off + 4 : off + 20])
        deep, flags = buf[off + 20], buf[off + 21] & (Q_AUTHORITY | Q_TRACE)
        if end - off < QUERY_LEN + _PAD:
            flags &= ~Q_TRACE
        question = (bytes(buf[off : off + 4]), sid, addr, g.linked, flags, started_ns)
        if not tier.within(slot):
            self._answer(question, Found(BUSY, tier.level))
            return
        found = self._here(target, flags)
        if found is not None:
            self._answer(question, found)
        elif not deep:
            self._answer(question, Found(MISS, tier.level))
        else:
            self._ask(target, flags, question)

    def _here(self, target, flags):
        """What this tier knows without asking anyone, or None."""
        tier, stores = self._tier, self._tier.stores
        if target == tier.id or target == tier.id[:8] + bytes(8):
            return Found(FOUND, tier.level, u16(tier.own.record, 69), bytes(tier.own.record))
        if stores.cache is None or flags & Q_AUTHORITY:
            return None
        kept = stores.cache.get(target)
        if kept is not None and kept[1] > 0:
            return Found(FOUND, tier.level, kept[1], kept[0])
        left_s = stores.cache.unknown_s(target)
        return Found(UNKNOWN, 1, left_s) if left_s else None

    def _ask(self, target, flags, question):
        key = (target, flags)
        waiting = self._asking.get(key)
        if waiting is not None:
            self._tier.counters.inc(C_COALESCED)
            waiting.append(question)
            return
        self._asking[key] = [question]
        work = self._authority if self._tier.level == 1 else self._above
        if not self._tier.spawn(self._run(key, work)):
            del self._asking[key]

    async def _run(self, key, work):
        found = None
        try:
            found = await work(*key)
        finally:
            waiting = self._asking.pop(key)
        for question in waiting:
            self._answer(question, found)

    async def _authority(self, target, flags):
        try:
            entry = await self._tier.stores.registry.get(target)
        except StoreAway:
            return Found(UNAVAILABLE, 1)
        if entry is None:
            return Found(UNKNOWN, 1, _UNKNOWN_S)
        return Found(FOUND, 1, min(entry[2] // 60, u16(entry[0], 69)), entry[0])

    async def _above(self, target, flags):
        tier = self._tier
        body = bytes(4) + target + bytes((1, flags))
        if flags & Q_TRACE:
            body += bytes(_PAD)
        tier.counters.inc(C_UPSTREAM_TX)
        asked_ns = time.perf_counter_ns()
        payload = await tier.uplinks.ask(T_QUERY, body, lambda p: p[4] in (FOUND, UNKNOWN))
        above_ns = time.perf_counter_ns() - asked_ns
        found = self._read(target, payload) if payload else None
        if found is None:
            found = Found(UNAVAILABLE, tier.level)
        found.above_ns = above_ns
        return found

    def _read(self, target, p):
        """The Found in an ANSWER's payload, also kept; None if it says nothing."""
        tier = self._tier
        status, source, remaining = p[4], p[5], u16(p, 10)
        if status == UNKNOWN and source == 1:
            tier.stores.cache.put_unknown(target, min(remaining, 300) or 1)
            return Found(UNKNOWN, 1, remaining)
        if status != FOUND:
            return None
        record = p[ANSWER_LEN : ANSWER_LEN + SIZE]
        if not check_form(record, 0, len(record), tier.net, True) or id_of(record, 0) != target:
            tier.counters.inc(C_BAD_RECORD)
            return None
        if not fastsig.verify(record[O_KEY:O_TIER], signed_text(record, 0), record[BODY:]):
            tier.counters.inc(C_BAD_SIG)
            return None
        tier.stores.cache.put(target, record, remaining)
        rest = p[ANSWER_LEN + SIZE :]
        hops = rest[1:] if rest and len(rest) == 1 + rest[0] * _HOP and rest[0] <= 2 else b""
        return Found(FOUND, source if 1 <= source <= 3 else 1, remaining, record, hops)

    def _answer(self, question, found):
        tier = self._tier
        token, sid, addr, linked, flags, started_ns = question
        if found is None:
            found = Found(UNAVAILABLE, tier.level)
        count = tier.counters
        count.inc(C_SERVED)
        count.inc(C_SERVED_HIT if found.status == FOUND else C_SERVED_MISS)
        o = tier.tx.begin(T_ANSWER, sid, link=linked)
        b = tier.tx.buf
        b[o : o + 4] = token
        b[o + 4] = found.status
        b[o + 5] = found.source
        b[o + 6] = ACTIVE
        b[o + 7] = 255
        b[o + 8] = tier.load
        b[o + 9] = 0
        put16(b, o + 10, found.remaining)
        spent_ns = time.perf_counter_ns() - started_ns
        put16(b, o + 12, _tenths(spent_ns - found.above_ns))
        end = o + ANSWER_LEN
        if found.status == FOUND:
            b[end : end + SIZE] = found.record
            end += SIZE
            if flags & Q_TRACE:
                hop = bytes((tier.level,)) + tier.id[:4] + _tenths(spent_ns).to_bytes(2, "big")
                hops = found.hops + hop
                b[end] = len(hops) // _HOP
                b[end + 1 : end + 1 + len(hops)] = hops
                end += 1 + len(hops)
        tier.tx.send(end, addr)


def _tenths(ns):
    """Nanoseconds in units of 0.1 ms, as a field holds it."""
    return min(max(0, ns) // 100_000, 65535)
