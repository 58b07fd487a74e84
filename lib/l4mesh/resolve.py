# floor 6: pipeline
# The look-up pipeline of the asking side: own cache, LAN, peers, L3, L2, L1. RAM: lookups.py.
"""`ask(target, now)` starts a look-up or joins one under way; its result is an event

    (EV_ANSWER, target id, status, source, ms, record or None, hops or None)

status: wire.FOUND, UNKNOWN (the authority says no), UNAVAILABLE (nobody there to ask: no tier gave
a word during the whole look-up) or FAILED (somebody was there, no answer by the deadline). source:
index into SOURCES. Each step has its own deadline. Near ones are asked first, all at once: three
neighbours and one far peer. Then the tiers, nearest first; who is silent is passed over, and after
the last one they are all asked once more if one gave no word. An answer is learnt on the way.
"""

from . import ticks
from .chooser import choose, note
from .compat import const
from .counters import C_BAD_RECORD, C_COALESCED, C_LOOKUP_OWN, C_LOOKUP_UNKNOWN, C_UPSTREAM_TX
from .events import EV_ANSWER
from .lookups import FAN, Lookups, tally
from .peers import O_RTT, P_LAN, P_REMOTE
from .record import SIZE, check_form, id_of
from .wire import (
    ANSWER_LEN,
    BUSY,
    FAILED,
    FOUND,
    QUERY_LEN,
    T_QUERY,
    UNAVAILABLE,
    UNKNOWN,
    put30,
    u16,
    u30,
)

SOURCES = ("", "l1", "l2", "l3", "p2p", "lan", "own")
_NEAR = const(1)
_TIER = const(2)
_STEP_MS = const(80)  # a step's deadline before a round trip is known
_STEP_MIN_MS = const(40)
_STEP_MAX_MS = const(400)
_TIER_MS = const(400)  # L3 may have to ask two tiers, and a radio that saves power is slow
Q_AUTHORITY = const(1)
Q_TRACE = const(2)


class Resolve:
    def __init__(self, net, peers, routes, tiers, reach, tx, counters, events, learn, places=8):
        self._net = net
        self._peers = peers
        self._routes = routes
        self._tiers = tiers
        self._tx = tx
        self._count = counters
        self._events = events
        self._reach = reach
        self._learn = learn
        self._under_way = Lookups(places)
        self._far = [0]
        self.loopback = False

    # asking

    def ask(self, target: bytes, now: int, now_min: int, flags: int = 0) -> bool:
        """Start a look-up of a 16-byte node id. False when all places are taken."""
        if len(target) != 16:
            raise ValueError("a node id has 16 bytes; use endpoint.parse_id() on text")
        past = flags & Q_AUTHORITY  # all that is remembered here
        i = -1 if past else self._routes.find(target, now_min)
        if i >= 0:
            rec = bytes(self._routes.view[i * SIZE : (i + 1) * SIZE])
            self._count.inc(C_LOOKUP_OWN)
            self._events.put((EV_ANSWER, target, FOUND, 6, 0, rec, None))
            return True
        if not past and self._under_way.refused(target, now):
            self._count.inc(C_LOOKUP_UNKNOWN)
            self._events.put((EV_ANSWER, target, UNKNOWN, 6, 0, None, None))
            return True
        if self._under_way.same(target, flags) is not None:
            self._count.inc(C_COALESCED)
            return True
        q = self._under_way.begin(target, flags, self._tx.counter + 1, now)
        if q is None:
            return False
        self._step(q, _TIER - 1 if past else 0, now)
        return True

    def _step(self, q, stage, now):
        """Go to the next one to ask: those near, then the tiers from the nearest on, twice."""
        if stage < _NEAR and self._ask_near(q, now):
            return
        q.stage = _TIER
        q.tier = self._tiers.after(q.tier)
        if q.tier is None and q.tries == 1:
            q.tries = 2  # some gave no word, but a lost datagram is no silence: once more
            q.tier = self._tiers.first_up()
        if q.tier is None:
            self._end(q, FAILED if q.alive else UNAVAILABLE, 0, None, None, now)
        else:
            self._ask_tier(q, now)

    def _ask_near(self, q, now):
        """Ask neighbours, and at the same time one far peer; False when there is nobody."""
        slots = q.slots
        n = choose(self._peers, q.target, P_LAN, FAN - 1, now, slots)
        if choose(self._peers, q.target, P_REMOTE, 1, now, self._far):
            slots[n] = self._far[0]
            n += 1
        if not n:
            return False
        q.stage = _NEAR
        q.waiting = n
        wait = 0
        for k in range(n):
            rtt = self._peers.get16(slots[k], O_RTT)
            t = rtt * 3 // 10 if rtt else _STEP_MS
            wait = t if t > wait else wait
            q.frames[k] = self._query(q, slots[k], None, now)
        for k in range(n, FAN):
            q.frames[k] = 0
        wait = min(max(wait, _STEP_MIN_MS), _STEP_MAX_MS)
        q.due = ticks.add(now, wait)
        return True

    def _ask_tier(self, q, now):
        q.waiting = 1
        q.due = ticks.add(now, max(_TIER_MS, 3 * q.tier.rtt))
        q.frames[0] = self._query(q, -1, None, now)
        for k in range(1, FAN):
            q.frames[k] = 0

    def _query(self, q, slot, cookie, now):
        """Send the question to a peer (slot -1: to the look-up's tier). Returns its counter."""
        tx = self._tx
        up = slot < 0
        peer = q.tier.peer if up else self._peers.short_id(slot)
        o = tx.begin(T_QUERY, peer, link=up, cookie=cookie)
        b = tx.buf
        put30(b, o, q.token)
        b[o + 4 : o + 20] = q.target
        b[o + 20] = 1 if up else 0
        b[o + 21] = q.flags
        end = o + QUERY_LEN
        if q.flags & Q_TRACE:
            b[end : end + 32] = bytes(32)
            end += 32
        if up:
            self._count.inc(C_UPSTREAM_TX)
        tx.send(end, q.tier.addr if up else self._peers.addr(slot))
        return tx.counter

    # words that come back

    def on_cookie(self, slot: int, counter: int, cookie: bytes, now: int) -> bool:
        """A peer wants proof of our address: ask it again with its cookie."""
        q, k = self._under_way.of_frame(counter)
        if q is None:
            return False
        up = q.stage == _TIER
        if slot == (q.tier.slot if up else q.slots[k]):  # it comes from the one we asked
            q.alive = q.alive or up
            q.frames[k] = self._query(q, -1 if up else slot, cookie, now)
        return True

    def on_answer(self, slot, buf, off, end, linked, now, now_min) -> bool:
        """An ANSWER; True when it was to one of our look-ups."""
        q = self._under_way.of_token(u30(buf, off))
        if q is None or linked != (q.stage == _TIER):
            return False
        status = buf[off + 4]
        late = False  # the word of a tier that we gave up on
        if linked:
            # A tier that cannot reach the authority is nobody to ask.
            q.alive = q.alive or status != UNAVAILABLE
            late = slot != q.tier.slot
        else:
            k = self._place(q, slot)
            if k < 0:
                return False
            q.frames[k] = 0
            self._peers.timed(slot, ticks.diff(now, q.started))
            if status != BUSY:  # throttled says nothing about what it holds
                note(self._peers, slot, status == FOUND)
        if status == FOUND and self._found(q, slot, buf, off, end, linked, now, now_min):
            return True
        if status == UNKNOWN and linked and buf[off + 5] == 1:
            self._under_way.refuse(q.target, u16(buf, off + 10), now)
            self._end(q, UNKNOWN, 1, None, None, now)
        elif not late:
            q.waiting -= 1
            if q.waiting <= 0:
                self._step(q, q.stage, now)
        return True

    def _place(self, q, slot):
        """Which of the peers asked has still to answer from `slot`; -1 for any other."""
        for k in range(FAN):
            if q.frames[k] and q.slots[k] == slot:
                return k
        return -1

    def _found(self, q, slot, buf, off, end, linked, now, now_min):
        o = off + ANSWER_LEN
        ok = end - o >= SIZE and check_form(buf, o, SIZE, self._net, self.loopback)
        if not ok or id_of(buf, o) != q.target:
            self._count.inc(C_BAD_RECORD)
            return False
        self._learn(buf, o, u16(buf, off + 10), now_min)
        src = buf[off + 5]
        if not linked:
            src = 5 if self._peers.flags(slot) & P_LAN else 4
        elif not 1 <= src <= 3:
            src = q.tier.level
        hops = bytes(buf[o + SIZE : end]) if end > o + SIZE else None
        self._end(q, FOUND, src, bytes(buf[o : o + SIZE]), hops, now)
        return True

    def _end(self, q, status, source, rec, hops, now):
        q.stage = 0
        tally(self._count, status, source)
        ms = ticks.diff(now, q.started)
        self._events.put((EV_ANSWER, q.target, status, source, ms, rec, hops))
        q.target = None

    def poll(self, now: int) -> int:
        """Deadlines; ms until the next one."""
        wait = 60000
        self._under_way.expire(now)
        for q in self._under_way.all:
            if not q.stage:
                continue
            left = ticks.diff(q.due, now)
            if left <= 0:
                self._late(q, now)
                left = ticks.diff(q.due, now) if q.stage else wait
            if left < wait:
                wait = left if left > 0 else 0
        return wait

    def _late(self, q, now):
        if q.stage == _TIER:
            self._reach.missed(q.tier, now)
            q.tries = q.tries or 1
        else:
            for k in range(FAN):
                if q.frames[k]:
                    note(self._peers, q.slots[k], False)
        self._step(q, q.stage, now)
