# floor 4: tables
# Asks others by STUN where they see this node. RAM: its code, and 100 B a question.
"""Binding requests to several assistants at once, over the port that the mapping is wanted for.

    client = attach(node)           its answers are events: (EV_MAPPED, addr, mapped, ms, code)
    client.ask(addr, now, far)      False: too many questions under way
    detach(node)

Over a socket of one's own: StunClient(send, entropy, told), told(addr, mapped, ms, code),
    client.take(buf, n, addr, now)  a datagram; True when it was an answer to us
    client.poll(now)                ms until it wants to be called again

`mapped` is our endpoint as `addr` says it saw it, 6 bytes: a claim, of an assistant that got the
question (the answer has its id, 96 bits of entropy, and comes from `addr`). None: no answer
(code 0), or refused with `code`. `ms` counts from the first request: too long after a loss.

Two schedules: helpers near by get up to 6 requests within 0.3 s and 1 s in all (what a punch
waits for must not hang on one lost datagram); `far` is that of RFC 8489 6.2.1, 39.5 s in all.
A node in the mesh polls it itself. An ask() from outside of the node's events wants a poll soon.
"""

from . import ticks
from .compat import const
from .events import EV_MAPPED
from .stun import ASK, ERROR, SUCCESS, Message, ask

_PLACES = const(8)
_IDLE_MS = const(60000)
# Ms from each request to the next, from the last to giving up.
_NEAR = (20, 30, 50, 100, 100, 700)
_FAR = (500, 1000, 2000, 4000, 8000, 16000, 8000)


class _Place:
    def __init__(self):
        self.addr = None  # free
        self.id = b""
        self.gaps = _NEAR
        self.sent = 0  # requests
        self.first = 0
        self.due = 0


class StunClient:
    def __init__(self, send, entropy, told, places: int = _PLACES):
        self._send = send
        self._entropy = entropy
        self._told = told
        self._all = [_Place() for _ in range(places)]
        self._out = bytearray(ASK)
        self._message = Message()

    def ask(self, addr: bytes, now: int, far: bool = False) -> bool:
        """Ask the assistant at `addr`; a question that is under way already is not doubled."""
        free = None
        for p in self._all:
            if p.addr == addr:
                return True
            if p.addr is None:
                free = p
        if free is None:
            return False
        free.addr = addr
        free.id = self._entropy(12)
        free.gaps = _FAR if far else _NEAR
        free.sent = 0
        free.first = now
        self._request(free, now)
        return True

    def _request(self, p, now):
        n = ask(p.id, self._out)
        self._send(self._out, n, p.addr)  # a loss like any other if it fails
        p.due = ticks.add(now, p.gaps[p.sent])
        p.sent += 1

    def take(self, buf, n: int, addr: bytes, now: int) -> bool:
        for p in self._all:
            if p.addr == addr and bytes(buf[8:20]) == p.id:
                break
        else:
            return False
        m = self._message
        if not m.read(buf, n) or m.old:
            return False
        ms = ticks.diff(now, p.first)
        if m.kind == SUCCESS:
            mapped = None if m.unknown else m.mapped
            if mapped is not None and (not 0 < mapped[0] < 224 or mapped[4] == mapped[5] == 0):
                mapped = None  # no address that a host can have
            self._end(p, mapped, ms, 0)
            return True
        if m.kind == ERROR:
            self._end(p, None, ms, m.code)
            return True
        return False

    def _end(self, p, mapped, ms, code):
        addr = p.addr
        p.addr = None  # free first: who is told may ask again
        self._told(addr, mapped, ms, code)

    def poll(self, now: int) -> int:
        wait = _IDLE_MS
        for p in self._all:
            if p.addr is None:
                continue
            left = ticks.diff(p.due, now)
            if left <= 0:
                if p.sent == len(p.gaps):
                    self._end(p, None, ticks.diff(now, p.first), 0)
                    continue
                self._request(p, now)
                left = ticks.diff(p.due, now)
            wait = left if left < wait else wait
        return wait


def attach(node) -> StunClient:
    """A client on the node's own port; what it learns comes as EV_MAPPED."""

    def told(*what):
        node.events.put((EV_MAPPED,) + what)

    client = StunClient(node.link.send, node.entropy, told)
    node.asking = client
    node.late.append(client)
    return client


def detach(node) -> None:
    client = node.asking
    if client is not None:
        node.asking = None
        node.late.remove(client)
