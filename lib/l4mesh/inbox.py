# floor 6: pipeline
# From a datagram to the machine that it concerns. RAM: none but its references.
"""`receive` takes any bytes at all: gate.py checks the frame, then it goes to its machine by type.

Unicast work (QUERY, PING, INFO_REQ) is done only for an address that was proven by a cookie, and
within the limit of the sender's id. Machines that asked something know the counter of their frame,
so a COOKIE or an ANSWER finds the one it belongs to.
"""

from .counters import C_ACKED, C_BAD_PARSE, C_BAD_RECORD, C_COOKIE_SENT, C_LIMITED, C_NACK_RX
from .events import EV_ACKED
from .peers import P_FETCHED
from .record import SIZE, check_form, id_of
from .seal import seal
from .wire import (
    ANSWER_LEN,
    COOKIE_LEN,
    F_COOKIE,
    FOUND,
    HEAD,
    T_ACK,
    T_ANSWER,
    T_BYE,
    T_CHUNK,
    T_COOKIE,
    T_DO,
    T_HELLO,
    T_INFO_REQ,
    T_JOINED,
    T_NACK,
    T_OFFER,
    T_PING,
    T_PONG,
    T_QUERY,
    T_WANT,
    clear_len,
    u16,
    u30,
)


class Inbox:
    def __init__(self, node, cookies, net: bytes, helper):
        self._node = node
        self._cookies = cookies
        self._net = net
        self._gate = node.gate
        self._peers = node.peers
        self._tx = node.tx
        self._count = node.counters
        self._limits = node.limits
        self._serve = node.serve
        self._minutes = node.minutes
        self._info = self._orders = None
        self._helper = helper
        self._do = {
            T_HELLO: self._hello, T_BYE: self._bye, T_COOKIE: self._cookie, T_QUERY: self._query,
            T_ANSWER: self._answer, T_PING: self._ping, T_PONG: self._pong, T_JOINED: self._joined,
            T_ACK: self._ack, T_NACK: self._nack, T_INFO_REQ: self._info_req,
            T_DO: self._order, T_OFFER: self._update, T_WANT: self._update, T_CHUNK: self._update,
        }  # fmt: skip

    def handle(self, kind: int, f):
        """Frames of `kind` go to f(slot, buf, addr, now): machines that not every node has.

        -> what took them before, or None. `f` None: nobody takes them any more."""
        old = self._do.pop(kind, None)
        if f:
            self._do[kind] = f
        return old

    def receive(self, buf, n: int, addr: bytes, now: int) -> bool:
        """One datagram: buf[:n] from the 6-byte endpoint `addr`. The buffer stays the caller's.

        True when deadlines may have changed, so that poll() wants a call; a look-up answered for
        another node changes none.
        """
        n = self._gate.check(buf, n, addr, now)
        if n >= 0:
            self._take(n, buf, addr, now)
            return self._gate.kind != T_QUERY
        if self._gate.dare >= 0:
            self._challenge(self._gate.dare, buf, addr)
        return self._gate.dare < -1

    def _take(self, slot, buf, addr, now):
        g = self._gate
        if not g.ahead and not g.stale:
            self._peers.heard(slot, now)
            if g.linked:
                self._node.reach.spoke(slot, addr, now)
        if g.kind in self._do or self._helper(self._node, g.kind):
            self._do[g.kind](slot, buf, addr, now)
        else:
            self._count.inc(C_BAD_PARSE)

    def _challenge(self, slot, buf, addr):
        """Ask the sender of the frame in `buf` to show that it receives at `addr`."""
        sid = bytes(buf[8:16])
        tx = self._tx
        o = tx.begin(T_COOKIE, sid, link=self._gate.linked)
        tx.buf[o : o + 4] = buf[24:28]
        tx.buf[o + 4 : o + 12] = self._cookies.make(addr, sid)
        self._count.inc(C_COOKIE_SENT)
        tx.send(o + 12, addr)

    def allowed(self, slot, buf, addr, now):
        """Unicast work: only for a proven address, and within the limit of the id."""
        if not self._gate.proven(slot, buf, addr):
            self._challenge(slot, buf, addr)
            return False
        if not self._limits.allow_id(slot, now):
            self._count.inc(C_LIMITED)
            return False
        return True

    def _opened(self, buf):
        """A copy of a sealed frame with its payload in clear; None when it can't be opened."""
        g = self._gate
        key = self._node.keys.link_seal(None)
        if not g.sealed or key is None:
            self._count.inc(C_BAD_PARSE)
            return None
        b = bytearray(buf[: g.end])
        seal(key, b, 0, g.off + clear_len(g.kind), g.end)
        return b

    def _hello(self, slot, buf, addr, now):
        g = self._gate
        if not g.linked and g.end - g.off >= 15 + buf[g.off + 14]:
            self._node.hello.on_hello(slot, buf, g.off, addr, now, g.ahead, self._limits)

    def _bye(self, slot, buf, addr, now):
        self._node.hello.on_bye(slot)

    def _cookie(self, slot, buf, addr, now):
        o = self._gate.off
        counter = u30(buf, o)
        cookie = bytes(buf[o + 4 : o + 4 + COOKIE_LEN])
        # Each machine knows the counter of the frame it waits for; nobody else's business. What
        # was asked with the node key gets no word from one that has the group key only.
        node = self._node
        if node.resolver.on_cookie(slot, counter, cookie, now):
            return
        if self._gate.linked:
            if not node.member.on_cookie(counter, cookie, now):
                node.reach.on_cookie(slot, counter, cookie, now)
        elif not node.fetch.on_cookie(counter, cookie, now):
            if node.far is None or not node.far.on_cookie(counter, cookie, now):
                if node.update is not None:
                    node.update(buf, addr, now)

    def _query(self, slot, buf, addr, now):
        if self.allowed(slot, buf, addr, now):
            self._serve.query(buf, self._gate, addr, now)

    def _answer(self, slot, buf, addr, now):
        g = self._gate
        minute = self._minutes.advance(now)
        if self._node.resolver.on_answer(slot, buf, g.off, g.end, g.linked, now, minute):
            return
        if not g.linked and self._node.fetch.on_answer(slot, buf, g.off, now):
            o = g.off + ANSWER_LEN
            ok = buf[g.off + 4] == FOUND and g.end - o >= SIZE
            if not ok or not check_form(buf, o, SIZE, self._net, self._node.loopback):
                self._count.inc(C_BAD_RECORD)
            elif id_of(buf, o)[:8] != bytes(buf[8:16]):
                self._count.inc(C_BAD_RECORD)
            elif self._node.learner.learn(buf, o, u16(buf, g.off + 10), minute):
                return
            self._peers.set_flag(slot, P_FETCHED, False)

    def _ping(self, slot, buf, addr, now):
        if not self.allowed(slot, buf, addr, now):
            return
        g = self._gate
        tx = self._tx
        o = tx.begin(T_PONG, bytes(buf[8:16]), link=g.linked)
        b = tx.buf
        b[o : o + 4] = buf[g.off : g.off + 4]
        b[o + 4] = self._serve.mode
        b[o + 5] = self._serve.battery
        b[o + 6] = self._serve.load
        b[o + 7 : o + 13] = addr
        tx.send(o + 13, addr)

    def _pong(self, slot, buf, addr, now):
        g = self._gate
        if g.linked:
            self._node.reach.on_pong(buf, g.off, now)
        elif self._node.far is not None:
            self._node.far.on_pong(slot, buf, g.off, addr, now)

    def _joined(self, slot, buf, addr, now):
        b = self._opened(buf)
        if b is not None:
            g = self._gate
            self._node.member.on_joined(b, g.off, g.end, now, self._minutes.advance(now))

    def _nack(self, slot, buf, addr, now):
        self._count.inc(C_NACK_RX)

    def _ack(self, slot, buf, addr, now):
        sync = self._node.sync
        b = self._opened(buf)
        if b is None or sync is None:
            return
        g = self._gate
        before = self._count.get(C_ACKED)
        sync.on_ack(b, g.off, g.end - g.off, now)
        new = self._count.get(C_ACKED) - before
        if new:
            self._node.events.put((EV_ACKED, new))

    def _info_req(self, slot, buf, addr, now):
        if not self.allowed(slot, buf, addr, now):
            return
        if self._info is None:
            from .info import Info  # only when somebody asks: it costs 3 kB

            self._info = Info(self._node)
        self._info.answer(
            bytes(buf[8:16]), buf, self._gate.off, self._gate.end, addr, self._gate.linked, now
        )

    def _order(self, slot, buf, addr, now):
        g = self._gate
        if not g.linked:
            self._count.inc(C_BAD_PARSE)
        # That the address is proven is not enough: the cookie shows that the order is no old one.
        elif not buf[2] & F_COOKIE or not self._cookies.good(addr, g.sid, buf, HEAD):
            self._challenge(slot, buf, addr)
        elif not self._limits.allow_id(slot, now):
            self._count.inc(C_LIMITED)
        else:
            b = self._opened(buf)
            if b is None:
                return
            if self._orders is None:
                from .orders import Orders  # 3 kB, for a few minutes in a node's life

                self._orders = Orders(self._node)
            self._orders.take(b, g.off, g.end, g.sid, addr, now)

    def _update(self, slot, buf, addr, now):
        # A CHUNK is the answer to a question of ours, found by its token.
        update = self._node.update
        if update is not None and not self._gate.linked:
            if buf[1] == T_CHUNK or self.allowed(slot, buf, addr, now):
                update(buf, addr, now)
