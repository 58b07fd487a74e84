"""PING and INFO_REQ from a host: questions of people, which the Node itself never asks.

A question is answered by token. The node asked may want proof of our address first: then the
frame goes again with its cookie. Addresses come from the tiers' list, the neighbours or a look-up.
Who is silent there may be behind a NAT: then a way is opened (beyond.py), and the question goes by
it as soon as it carries.
"""

import asyncio
import json
import random
import time

from l4mesh.endpoint import format_endpoint, parse_endpoint
from l4mesh.wire import (
    INFO_PAD,
    MODE_NAMES,
    T_ANSWER,
    T_COOKIE,
    T_INFO,
    T_INFO_REQ,
    T_PING,
    T_PONG,
    put30,
    u16,
    u30,
)

from .errors import NotFound, ToolError, Unavailable

TOPICS = {
    "status": 1, "why": 2, "neighbours": 3, "counters": 4, "nat": 5, "ways": 6, "nearby": 7,
    "tickets": 8,
}  # fmt: skip
_TRY_S = 0.5
_TRIES = 4


class _Question:
    """A PING or INFO_REQ of ours: sent again with a cookie, answered by token."""

    def __init__(self, kind, peer, addr, body, token):
        self.kind, self.peer, self.addr, self.body, self.token = kind, peer, addr, body, token
        self.future = asyncio.get_running_loop().create_future()
        self.frame = 0
        self.sent_s = 0.0


class Asking:
    """The asking half of HostNode, which has `node`, `link`, `network` and `lookup`."""

    def __init__(self):
        self._questions = {}  # token -> _Question
        self._token = random.getrandbits(29)
        self.tier_ms = None  # own time of the tier whose ANSWER came last

    def hear(self, node) -> None:
        """Let the answers that this node receives come here."""
        do = node.inbox._do
        cookie, pong, answer = do[T_COOKIE], do[T_PONG], do[T_ANSWER]
        do[T_ANSWER] = lambda *a: self._note(*a) or answer(*a)
        do[T_COOKIE] = lambda *a: self._on_cookie(*a) or cookie(*a)
        do[T_PONG] = lambda *a: self._on_answer(*a) or pong(*a)
        do[T_INFO] = self._on_answer

    async def ping(self, node_id, timeout_s=5.0, addr=None) -> float:
        """Round trip in ms. NotFound or Unavailable say which of the two it was."""
        return (await self.pong(node_id, timeout_s, addr))["ms"]

    async def pong(self, node_id, timeout_s=5.0, addr=None) -> dict:
        """The same with what the node says of itself; battery None = mains."""
        p, sent_s, got_s = await self._ask(T_PING, node_id, bytes(17), timeout_s, addr)
        return {
            "ms": (got_s - sent_s) * 1000,
            "mode": MODE_NAMES[p[4]] if p[4] < len(MODE_NAMES) else "",
            "battery": p[5] if p[5] <= 100 else None,
            "load": p[6],
            "seen_as": format_endpoint(p[7:13]),
        }

    async def info(self, node_id, topic="status", timeout_s=5.0, addr=None):
        """The document that a node or tier gives on a topic of TOPICS."""
        if topic not in TOPICS:
            raise ValueError("topics are " + ", ".join(TOPICS))
        text, part, parts = b"", 0, 1
        while part < parts:
            body = bytearray(INFO_PAD)
            body[4], body[5] = TOPICS[topic], part
            p, _, _ = await self._ask(T_INFO_REQ, node_id, body, timeout_s, addr)
            parts = p[6]
            text += p[7:]
            part += 1
        try:
            return json.loads(text)
        except ValueError:
            raise ToolError(
                "The answer of %s changed while it was read. Ask again." % node_id.hex()
            ) from None

    async def where(self, node_id, timeout_s):
        """Addresses to try, best first."""
        for t in self.node.tiers.list:
            if t.peer == node_id[:8] or self.network.tier_id(t.level) == node_id:
                return [t.addr]
        slot = self.node.peers.find(node_id[:8])
        known = [self.node.peers.addr(slot)] if slot >= 0 else []
        if known:
            return known
        found = await self.lookup(node_id, timeout_s=timeout_s)
        if found.status == "unknown":
            raise NotFound(
                "The authority knows no node %s. Check the id, or wait until it has joined."
                % node_id.hex()
            )
        if found.status != "found":
            raise Unavailable(
                "Where %s is could not be found out: nobody above answers. Check `l4 upstream`."
                % node_id.hex()
            )
        ends = found.endpoints
        lan, public = ends.get("lan"), ends.get("public")
        here = self.link.local[:3]
        order = [public, lan] if not lan or parse_endpoint(lan)[:3] != here else [lan, public]
        return [parse_endpoint(a) for a in order if a]

    async def _ask(self, kind, node_id, body, timeout_s, addr):
        end_s = asyncio.get_running_loop().time() + timeout_s
        addrs = [addr] if addr is not None else await self.where(node_id, timeout_s)
        way = None
        try:
            for _ in range(_TRIES):
                for a in addrs:
                    q = self._question(kind, node_id, a, body)
                    left_s = end_s - asyncio.get_running_loop().time()
                    try:
                        return await asyncio.wait_for(q.future, max(0.01, min(_TRY_S, left_s)))
                    except TimeoutError:
                        pass
                    finally:
                        self._questions.pop(q.token, None)
                    if addr is None and way is None and self._may_be_beyond(a):
                        way = asyncio.create_task(self.beyond.reach(node_id, timeout_s))
                    if way is not None and way.done() and way.result():
                        addrs = [way.result()]
                        break
        finally:
            if way is not None and not way.done():
                way.cancel()
        raise Unavailable(
            "%s does not answer at %s. It may be asleep, switched off or behind a NAT."
            % (node_id.hex(), " or ".join(format_endpoint(a) for a in addrs) or "any address")
        )

    def _may_be_beyond(self, addr):
        """Can somebody silent at `addr` be behind a NAT? No tier is, nor who is on loopback."""
        tier = any(t.addr == addr for t in self.node.tiers.list)
        return not tier and addr[0] not in (0, 127) and self.node.tiers.first_up() is not None

    def _question(self, kind, node_id, addr, body):
        self._token = (self._token + 1) & (1 << 30) - 1
        q = _Question(kind, node_id[:8], addr, bytearray(body), self._token)
        put30(q.body, 0, q.token)
        self._questions[q.token] = q
        self._send(q, None)
        return q

    def _send(self, q, cookie):
        tx = self.node.tx
        o = tx.begin(q.kind, q.peer, cookie=cookie)
        tx.buf[o : o + len(q.body)] = q.body
        q.sent_s = time.monotonic()
        tx.send(o + len(q.body), q.addr)
        q.frame = tx.counter

    def _on_cookie(self, slot, buf, addr, now):
        o = self.node.gate.off
        counter = u30(buf, o)
        for q in self._questions.values():
            if q.frame == counter and bytes(buf[8:16]) == q.peer:
                self._send(q, bytes(buf[o + 4 : o + 12]))
                return True
        return False

    def _note(self, slot, buf, addr, now):
        g = self.node.gate
        self.tier_ms = u16(buf, g.off + 12) / 10 if g.linked else None

    def _on_answer(self, slot, buf, addr, now):
        """A PONG or INFO: True when it is to a question of ours."""
        g = self.node.gate
        q = self._questions.get(u30(buf, g.off))
        if q is None or (g.kind == T_PONG) != (q.kind == T_PING) or bytes(buf[8:16]) != q.peer:
            return False
        if not q.future.done():
            q.future.set_result((bytes(buf[g.off : g.end]), q.sent_s, time.monotonic()))
        return True
