# floor 6: pipeline
# Sockets by which a node finds out about its NAT, and what can be asked by them. RAM: 4 kB.
"""ears = Ears(node)     own port's STUN answers, FILTER answers and their cookies come here

    ears.poll(now) -> ms                   before each step of the generators below
    e = ears.open(port)                    a throw-away socket, or None; port 0: any
    ears.own                               the node's own port, as an ear
    ears.close()                           all that were opened, but ears.kept
    yield from ears.ask(e, helpers)        STUN to all of them at once; then
      e.got[address]                       our endpoint there, or None; e.ms: longest round trip
    r = yield from ears.filter(e, what, helper, target, ms)
      nat_filter.FROM_HERE or ELSEWHERE: does what `helper` sends to our endpoint `target` come in?
      True, False, or None: could not be tried. `ms` is the round trip to it.

A helper is (endpoint, short id or None). What waits is resumed at each poll.
"""

from . import nat_filter, ticks
from .compat import const
from .counters import C_BAD_PARSE
from .events import EV_MAPPED
from .stun_client import StunClient
from .wire import COOKIE_LEN, HEAD, T_COOKIE, T_FILTER, VERSION, u30

_TICK_MS = const(20)
# STUN goes at 0, 500 and 1500 ms, which no assistant's limit minds.
_ASK_MS = const(3000)
_REST_MS = const(1700)  # after the first answer: time for two more tries of the others
_WORD_MS = const(700)  # for a cookie and an answer, besides two round trips
_SLACK_MS = const(200)
_TRIES = const(4)
_SURE = const(2)  # datagrams that were sent and did not come


class Ear:
    def __init__(self, node, sock=None, told=None):
        self.got = {}
        self.ms = 0
        self.sock = sock
        self.port = sock.port if sock is not None else node.link.local[4] << 8 | node.link.local[5]
        send = node.link.send if sock is None else sock.send
        self.client = StunClient(send, node.entropy, told or self.told)
        self.tried = []  # tokens of FILTER datagrams that came

    def told(self, addr, mapped, ms, code):
        self.got[addr] = mapped
        if mapped is not None and ms > self.ms:
            self.ms = ms

    def take(self, buf, n, addr, now, sock):
        if buf[0] != VERSION:
            self.client.take(buf, n, addr, now)
        elif n > HEAD + nat_filter.LEN and buf[1] == T_FILTER and buf[HEAD] == nat_filter.TRIED:
            # Its tag is not looked at: who knows the token was asked by us.
            self.tried.append(bytes(buf[HEAD + 1 : HEAD + 9]))


class Ears:
    def __init__(self, node):
        self.node = node
        self.now = 0
        self._asked = ()  # by own port
        self.own = Ear(node, None, self._told)
        self._open = []
        self.kept = None  # one that close() leaves (nat_life.py)
        self._token = self._target = self._to = self._word = None
        self._what = self._frame = 0
        self._cookie = node.inbox.handle(T_COOKIE, self._on_cookie)
        node.inbox.handle(T_FILTER, self._on_filter)
        node.asking = self.own.client

    # what comes in

    def _told(self, addr, mapped, ms, code):
        if addr in self._asked:
            self.own.told(addr, mapped, ms, code)
        else:  # somebody else's question, as with stun_client.attach()
            self.node.events.put((EV_MAPPED, addr, mapped, ms, code))

    def _on_cookie(self, slot, buf, addr, now):
        o = self.node.gate.off
        if self._token is None or u30(buf, o) != self._frame or addr != self._to[0]:
            return self._cookie(slot, buf, addr, now)
        self._request(bytes(buf[o + 4 : o + 4 + COOKIE_LEN]))

    def _on_filter(self, slot, buf, addr, now):
        o = self.node.gate.off
        if buf[o] <= nat_filter.ELSEWHERE:
            nat_filter.answer(self.node, slot, buf, addr, now)
        elif self._token is not None and bytes(buf[o + 1 : o + 9]) == self._token:
            self._word = buf[o]
        else:
            self.node.counters.inc(C_BAD_PARSE)

    # sockets

    def open(self, port: int):
        sockets = self.node.sockets
        sock = None if sockets is None else sockets.open(port, self._hear)
        if sock is None:
            return None
        e = Ear(self.node, sock)
        self._open.append(e)
        return e

    def _hear(self, buf, n, addr, now, sock):
        for e in self._open:
            if e.sock is sock:
                e.take(buf, n, addr, now, sock)

    def close(self) -> None:
        self._asked = ()
        for e in self._open:
            if e is not self.kept:
                e.sock.close()
        self._open = [e for e in self._open if e is self.kept]

    def end(self) -> None:
        """Nothing more is asked. Whoever got between us and the inbox goes on through us."""
        self.kept = None
        self.close()
        node = self.node
        if node.asking is self.own.client:
            node.asking = None
        node.inbox.handle(T_FILTER, None)
        top = node.inbox.handle(T_COOKIE, self._cookie)
        if top != self._on_cookie:
            node.inbox.handle(T_COOKIE, top)

    def poll(self, now: int) -> int:
        self.now = now
        wait = self.own.client.poll(now)
        for e in self._open:
            w = e.client.poll(now)
            wait = w if w < wait else wait
        return max(1, min(wait, _TICK_MS))

    # questions

    def _until(self, end):
        return ticks.diff(end, self.now) > 0

    def ask(self, ear, helpers):
        ear.got.clear()
        if ear is self.own:
            self._asked = [h[0] for h in helpers]
            self.node.asking = ear.client  # somebody may have put another there
        for h in helpers:
            ear.client.ask(h[0], self.now, True)
        end = ticks.add(self.now, _ASK_MS)
        first = True
        while len(ear.got) < len(helpers) and self._until(end):
            yield
            if first and ear.got:
                first = False
                rest = ticks.add(self.now, _REST_MS + 2 * ear.ms)
                end = rest if ticks.diff(end, rest) > 0 else end
        return ear

    def _request(self, cookie):
        tx = self.node.tx
        o = tx.begin(T_FILTER, self._to[1], cookie=cookie)
        end = nat_filter.write(tx.buf, o, self._what, self._token, self._target)
        tx.send(end, self._to[0])
        self._frame = tx.counter

    def filter(self, ear, what, helper, target, ms):
        self._what = what
        self._to = helper
        self._target = target
        tokens = []
        sent = 0
        for _ in range(_TRIES):
            self._word = None
            self._token = self.node.entropy(8)
            tokens.append(self._token)
            self._request(None)
            end = ticks.add(self.now, _WORD_MS + 2 * ms)
            while self._until(end):
                yield
                if any(t in tokens for t in ear.tried):
                    self._token = None
                    return True
                if self._word == nat_filter.NOT_HERE:
                    self._token = None
                    return None
                if self._word == nat_filter.SENT:  # longer than it takes, whatever the path
                    self._word = -1
                    sent += 1
                    end = ticks.add(self.now, _SLACK_MS + ms)
            if sent == _SURE:
                break
        self._token = None
        return False if sent == _SURE else None
