"""TICKET and GIVEN: boards of factory images trade their ticket for their keys.

Such a board has no key that a gate knows, so its frames do not go through one. L3 and L2 cannot
read them: they pass a TICKET up whole, inside a frame of their own, and its GIVEN back down, and
learn neither secret nor keys. L1 answers who knows the ticket's secret and holds the identity it
names: any other frame gets no word. An answer is never longer than what asked for it, so no cookie
is needed. A tier below always gets an answer, if an empty one: junk must not make L1 look silent.
"""

import asyncio

from l4mesh.counters import C_BAD_DST, C_BAD_NET, C_BAD_PARSE, C_BAD_TAG, C_LIMITED
from l4mesh.keys import mac_key, node_id, seal_key
from l4mesh.mac import Mac
from l4mesh.seal import seal
from l4mesh.ticket import (
    ANSWER_LEN,
    ASK_LEN,
    EXPIRED,
    GIVEN,
    LATER,
    REVOKED,
    USED,
    frame_key,
)
from l4mesh.wire import (
    ANYONE,
    F_SEALED,
    F_TICKET,
    HEAD,
    T_GIVEN,
    T_TICKET,
    TAG,
    VERSION,
    u30,
)

from .. import fastsig
from ..link import now_ms
from ..tickets import is_expired, secret_of
from .connect import StoreAway

_RATE_S = {1: 200, 2: 100, 3: 50}  # TICKETs a second, of all that are no tier
_BURST = 2  # seconds' worth
_BODY = 65  # of an answer, behind its status


class Tickets:
    """`book` (TicketBook) on L1 only."""

    def __init__(self, tier, book=None):
        self._tier, self._book = tier, book
        self._busy = set()  # frames under way
        self._tokens, self._last_s = float(_BURST * _RATE_S[tier.level]), 0.0

    @staticmethod
    def is_ticket(data) -> bool:
        """A TICKET as a board sends it? No other frame has this flag."""
        return len(data) == ASK_LEN and data[1] == T_TICKET and data[2] == F_TICKET

    def receive(self, data: bytes, addr: bytes) -> None:
        """A TICKET from anybody at all."""
        tier = self._tier
        wrong = self._form(data)
        if wrong is None and not (tier.limits.allow(addr, False, now_ms()) and self._take()):
            wrong = C_LIMITED
        if wrong is not None:
            tier.counters.inc(wrong)
            return
        self._spawn(data, self._direct(data, addr))

    def on_passed(self, slot, sid, buf, addr, started_ns) -> None:
        """A TICKET that a tier below passes up."""
        tier, g = self._tier, self._tier.gate
        if not g.linked or sid not in tier.below or g.end - g.off != 4 + ASK_LEN:
            tier.counters.inc(C_BAD_PARSE)
            return
        if not tier.allowed(slot, buf, addr):
            return
        token, data = bytes(buf[g.off : g.off + 4]), bytes(buf[g.off + 4 : g.end])
        if not self.is_ticket(data) or self._form(data) is not None:
            tier.counters.inc(C_BAD_PARSE)
            return
        self._spawn((sid, token), self._passed(token, data, sid, addr))

    # -- inside ------------------------------------------------------------------------------

    def _form(self, data):
        """Counter of what is wrong with the header, or None."""
        tier = self._tier
        if data[0] != VERSION or data[3] or u30(data, 20) < 0 or u30(data, 24) <= 0:
            return C_BAD_PARSE
        if data[4:8] != tier.net:
            return C_BAD_NET
        return None if data[16:20] in (ANYONE, tier.id[:4]) else C_BAD_DST

    def _take(self):
        rate = _RATE_S[self._tier.level]
        now_s = asyncio.get_running_loop().time()
        gained = (now_s - self._last_s) * rate
        self._tokens, self._last_s = min(_BURST * rate, self._tokens + gained), now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _spawn(self, key, work):
        if key in self._busy:
            work.close()
            return
        self._busy.add(key)
        if not self._tier.spawn(self._run(key, work)):
            self._busy.discard(key)

    async def _run(self, key, work):
        try:
            await work
        finally:
            self._busy.discard(key)

    async def _direct(self, data, addr):
        answer = await self._answer(data)
        if answer is not None:
            self._tier.send(answer, ANSWER_LEN, addr)

    async def _passed(self, token, data, sid, addr):
        answer = await self._answer(data)
        self._tier.reply(T_GIVEN, sid, addr, token + (answer or bytes(ANSWER_LEN)))

    async def _answer(self, data):
        """The GIVEN for a TICKET, as a frame; None: no word."""
        if self._tier.level == 1:
            return await self._judge(data)
        good = lambda p: len(p) == 4 + ANSWER_LEN and p[4] == VERSION and p[5] == T_GIVEN
        p = await self._tier.uplinks.ask(T_TICKET, bytes(4) + data, good, grace=4.0)
        return p[4:] if p is not None and good(p) else None

    # -- L1 ----------------------------------------------------------------------------------

    async def _judge(self, data):
        tier = self._tier
        ticket_id, public, nonce = data[28:36], data[36:68], data[68:84]
        shared = fastsig.shared(tier.cfg.seed, public)
        key = frame_key(secret_of(tier.cfg.master, ticket_id), shared, nonce)
        end = ASK_LEN - TAG
        if not shared or not Mac(mac_key(key)).good(memoryview(data)[:end], data, end):
            tier.counters.inc(C_BAD_TAG)
            return None
        node = node_id(public)
        if node[:8] != data[8:16]:
            tier.counters.inc(C_BAD_PARSE)
            return None
        try:
            body = await self._decide(ticket_id, public, node)
        except StoreAway:
            body = bytes((LATER,))
        return self._given(node, key, body)

    async def _decide(self, ticket_id, public, node):
        """Status and what goes with it."""
        tier, book = self._tier, self._book
        if public == tier.cfg.owner:  # so it is never used again
            use = await book.revoke(ticket_id)
            return bytes((REVOKED,)) + (use.node or b"")
        expired = is_expired(ticket_id)
        use = book.of(ticket_id)
        if use is None:
            if expired:
                return bytes((EXPIRED,))
            use = await book.claim(ticket_id, node)
        out = tier.stores.revoked
        if use.revoked is not None or out is not None and node in out:
            return bytes((REVOKED,))
        if use.node != node:
            await book.refused(ticket_id, node)
            return bytes((USED,))
        if expired:
            return bytes((EXPIRED,))
        keys = tier.keys
        given = tier.keyserve.keys.derive(node) + bytes((keys.number,)) + keys.key
        return bytes((GIVEN,)) + given

    def _given(self, node, key, body):
        tx = self._tier.tx
        o = tx.begin(T_GIVEN, node[:8])
        b = bytearray(tx.buf[:o])
        b[2], b[3] = F_TICKET | F_SEALED, 0
        b += body + bytes(1 + _BODY - len(body))
        seal(seal_key(key), b, 0, HEAD, len(b))
        return bytes(b + Mac(mac_key(key)).tag(b)[:TAG])
