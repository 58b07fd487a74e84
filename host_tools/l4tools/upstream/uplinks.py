"""What a tier asks of the tiers above it, and whether they are there.

A request goes to the nearest tier above that is not silent, and after a short time to the next
one as well; the first good answer counts, also a late one. A tier that let two requests pass
without any word is silent: it is asked nothing more, only pinged, with growing pauses. An answer
finds its request by the token, a COOKIE by the counter of the frame.
"""

import asyncio
import itertools
import logging

from l4mesh import ticks
from l4mesh.backoff import Backoff
from l4mesh.wire import MAX_FRAME, T_JOIN, T_PING, TAG, put30

from ..link import now_ms

log = logging.getLogger("l4tools.upstream")

_SILENT = 2
_IDLE_MS = 4000  # ping a tier that said nothing for so long
_LOOK_S = 0.1
_PING_S = 0.5
_COOKIES = 4  # rounds of one request
_TOP = 1 << 30


class Upper:
    """One tier above."""

    def __init__(self, level, addr, node_id):
        self.level, self.addr, self.node_id = level, addr, node_id
        self.short_id = node_id[:8]
        self.up, self.heard = True, False  # until proven silent: the first question decides
        self.missed = 0
        self.last_ms = now_ms()  # last word
        self.rtt_ms = 0
        self.due_ms = now_ms()  # next ping
        self.pause = Backoff(250, 4000)


class _Request:
    __slots__ = (
        "upper",
        "kind",
        "body",
        "sealed",
        "token",
        "frame",
        "cookies",
        "future",
        "sent_ms",
    )

    def __init__(self, upper, kind, body, sealed, token, future):
        self.upper, self.kind, self.body, self.sealed = upper, kind, body, sealed
        self.token, self.future = token, future
        self.frame, self.cookies = None, 0
        self.sent_ms = now_ms()


class Uplinks:
    """`above`: [(level, address, node id)]. `hop_s`: {message kind: seconds for one tier}."""

    def __init__(self, tx, above, hop_s, rng, name):
        self.list = [Upper(*a) for a in sorted(above, key=lambda a: -a[0])]
        self._by_short = {u.short_id: u for u in self.list}
        self._tx, self._hop_s, self._rng, self._name = tx, hop_s, rng, name
        self._tokens = itertools.count(rng.getrandbits(20) + 1)
        self._waiting = {}  # token -> _Request
        self._frames = {}  # (short id, counter) of a request's newest frame -> _Request
        self._task = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def ladder(self) -> list:
        """The tiers to ask, nearest first; none that is known to be silent."""
        return [u for u in self.list if u.up]

    # -- asking ------------------------------------------------------------------------------

    async def ask(self, kind, body, good, sealed=False, grace=1.0):
        """The first payload for which `good(payload)`, else the last one that came, else None.

        `body` begins with (for JOIN: has at 16) four bytes for the token. `grace`: after the last
        tier was asked, wait so many hops more for any of them.
        """
        hop_s = self._hop_s.get(kind, 0.5)
        requests, last = [], None
        try:
            for upper in self.ladder():
                requests.append(self._send(upper, kind, body, sealed))
                last, done = await self._first(requests, good, hop_s, last, requests[-1])
                if done:
                    return last
            return (await self._first(requests, good, hop_s * grace, last, None))[0]
        finally:
            for r in requests:
                self._forget(r)
                r.future.cancel()

    def post(self, kind, body, sealed=False) -> bool:
        """Pass on what is answered by a frame of its own; False when no tier above is there."""
        ladder = self.ladder()
        if not ladder:
            return False
        loop = asyncio.get_running_loop()
        r = _Request(ladder[0], kind, body, sealed, None, None)
        self._transmit(r, None)
        loop.call_later(self._hop_s.get(kind, 0.5), self._posted, r)
        return True

    def _posted(self, r):
        self._forget(r)
        self._missed(r)

    async def _first(self, requests, good, wait_s, last, newest):
        """(last answer, is it good): wait for a good one, a no of `newest`, or the time."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + wait_s
        heard = set()
        while True:
            for r in requests:
                if r.future.done() and r not in heard:
                    heard.add(r)
                    last = r.future.result()
                    if good(last):
                        return last, True
            waiting = [r.future for r in requests if not r.future.done()]
            if not waiting or (newest is not None and newest.future.done()):
                return last, False
            left_s = end_s - loop.time()
            if left_s <= 0:
                if newest is not None:
                    self._missed(newest)
                return last, False
            await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)

    def _send(self, upper, kind, body, sealed):
        body = bytearray(body)
        token = next(self._tokens) % _TOP
        put30(body, 16 if kind == T_JOIN else 0, token)
        future = asyncio.get_running_loop().create_future()
        r = _Request(upper, kind, body, sealed, token, future)
        self._waiting[token] = r
        self._transmit(r, None)
        return r

    def _transmit(self, r, cookie):
        tx = self._tx
        o = tx.begin(r.kind, r.upper.short_id, link=True, sealed=r.sealed, cookie=cookie)
        end = o + len(r.body)
        if end > MAX_FRAME - TAG:  # a full BATCH has no room for a cookie: it comes again,
            o = tx.begin(T_PING, r.upper.short_id, link=True, cookie=cookie)  # .. this proves us
            tx.buf[o : o + 17] = bytes(17)
            tx.send(o + 17, r.upper.addr)
            return
        tx.buf[o:end] = r.body
        self._frames.pop(r.frame, None)
        r.frame = (r.upper.short_id, tx.counter)
        self._frames[r.frame] = r
        tx.send(end, r.upper.addr)

    def _forget(self, r):
        self._frames.pop(r.frame, None)
        self._waiting.pop(r.token, None)

    # -- words that come back ----------------------------------------------------------------

    def on_cookie(self, short_id, counter, cookie) -> bool:
        """An upper tier wants proof of our address: the frame again, with its cookie."""
        r = self._frames.get((short_id, counter))
        if r is None or r.cookies >= _COOKIES:
            return False
        r.cookies += 1
        self._transmit(r, cookie)
        return True

    def on_answer(self, short_id, token, payload) -> bool:
        """An answer to the request with this token; True when somebody waits for it."""
        r = self._waiting.get(token)
        if r is None or r.upper.short_id != short_id or r.future.done():
            return False
        if r.kind == T_PING:
            rtt_ms = ticks.diff(now_ms(), r.sent_ms)
            r.upper.rtt_ms = rtt_ms if not r.upper.rtt_ms else (r.upper.rtt_ms * 3 + rtt_ms) >> 2
        r.future.set_result(payload)
        return True

    def spoke(self, short_id) -> None:
        """Any frame with a good tag from an upper tier shows that it is there."""
        u = self._by_short.get(short_id)
        if u is None:
            return
        u.last_ms = now_ms()
        u.missed = 0
        if not u.up or not u.heard:
            log.info("%s: L%d is there.", self._name, u.level)
        u.up = u.heard = True
        u.due_ms = ticks.add(u.last_ms, _IDLE_MS)
        u.pause.reset()

    def _missed(self, r):
        u = r.upper
        if u.heard and ticks.diff(u.last_ms, r.sent_ms) >= 0:  # it spoke since: slow, not silent
            return
        u.missed += 1
        if u.missed >= _SILENT or not u.up:
            if u.up:
                log.warning("%s: L%d does not answer; asking without it.", self._name, u.level)
            u.up = False
            u.due_ms = ticks.add(now_ms(), u.pause.next(self._rng))

    # -- pings -------------------------------------------------------------------------------

    async def _run(self):
        pings = set()
        while True:
            for u in self.list:
                if ticks.diff(u.due_ms, now_ms()) <= 0:
                    u.due_ms = ticks.add(now_ms(), int(_PING_S * 2000))
                    task = asyncio.create_task(self._ping(u))
                    pings.add(task)
                    task.add_done_callback(pings.discard)
            await asyncio.sleep(_LOOK_S)

    async def _ping(self, upper):
        r = self._send(upper, T_PING, bytes(17), False)
        try:
            await asyncio.wait((r.future,), timeout=_PING_S)
            if not r.future.done():
                self._missed(r)
        finally:
            self._forget(r)
