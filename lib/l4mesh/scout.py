# floor 6: pipeline
# Neighbours where the access point carries no multicast: hello to each alone. RAM: when lonely.
"""For a node that hears nobody by the group. It says hello (with the flag "answer me soon") to
addresses of its own /24 that it has from somebody, one every ten seconds at most, three times each
an hour; never to addresses it made up. Whoever answers is a neighbour, and is greeted again when
nothing was heard of it for a while, so that both sides stay present to each other.

    s = Scout(node)      s.poll(now) -> ms, by node.late
    s.idle               nothing was found, and there is nothing to try: to be forgotten, close()

Addresses come from: neighbours that were here and are gone; records in the cache; the nearest
tier, asked (INFO, topic 9) who else joined from behind the same address.
"""

import json

from . import ticks
from .compat import const
from .endpoint import parse_endpoint, same_lan, usable
from .peers import O_HELLO, P_LAN
from .record import O_LAN, O_TIER, SIZE
from .wire import INFO_PAD, STANDARD, T_INFO, T_INFO_REQ, put30, u30

_LOOK_MS = const(1000)
_NEXT_MS = const(10000)
_GATHER_MS = const(300000)
_AGAIN_MS = const(3600000)
_TRIES = const(3)
_MOST = const(16)  # addresses on trial, and neighbours that are kept
_BY_ONE = const(16)
_TOPIC = const(9)


class Scout:
    def __init__(self, node):
        self._node = node
        self._every = max(node.cfg.hello_max_s, 10) * 1000
        self._trial = {}  # address: times greeted
        self._met = {}  # short id: (address, tick of our last greeting), of who is here
        self._next = self._gather = self._token = None
        self._rest = self._asked = 0
        self.idle = False
        self._info = node.inbox.handle(T_INFO, self._on_info)
        node.late.append(self)

    def close(self) -> None:
        node = self._node
        node.late.remove(self)
        node.inbox.handle(T_INFO, self._info)

    def poll(self, now: int) -> int:
        node = self._node
        if node.serve.mode < STANDARD or not usable(node.own.lan, node.loopback):
            return _LOOK_MS
        alone = self._partners(now)
        if alone and (self._gather is None or ticks.diff(self._gather, now) <= 0):
            self._gather = ticks.add(now, _GATHER_MS if self._collect(now) else _NEXT_MS >> 2)
        if alone and (self._next is None or ticks.diff(self._next, now) <= 0):
            self._next = ticks.add(now, _NEXT_MS)
            self._try()
        self.idle = alone and not self._met and not self._open()
        return _LOOK_MS

    def _open(self):
        return any(self._trial[a] < _TRIES for a in self._trial)

    def _partners(self, now):
        """Greet neighbours that are heard by no other way. True: nobody is heard by the group."""
        node = self._node
        p = node.peers
        alone = True
        here = {}
        for i in range(p.slots):
            if not p.flags(i) & P_LAN:
                continue
            sid = p.short_id(i)
            addr = p.addr(i)
            by_one = p.get(i, O_HELLO) & _BY_ONE
            alone = alone and by_one
            if not addr[0] or len(here) >= _MOST:
                continue
            last = self._met[sid][1] if sid in self._met else now
            # Any frame counts: whoever greets is heard by the other side as well.
            if by_one and min(p.age(i, now), ticks.diff(now, last)) >= self._every:
                node.hello.greet(sid, addr, 1)
                last = now
            here[sid] = (addr, last)
        for sid in self._met:
            if sid not in here:
                self._add(self._met[sid][0])
        self._met = here
        return alone

    def _add(self, addr):
        lan = self._node.own.lan
        if addr == lan or not usable(addr, self._node.loopback) or not same_lan(addr, lan):
            return
        if len(self._trial) < _MOST and addr not in self._trial:
            self._trial[addr] = 0

    def _collect(self, now):
        """What addresses are there to try? False: the tier is still to be asked."""
        node = self._node
        if ticks.diff(now, self._rest) >= _AGAIN_MS or ticks.diff(now, self._rest) < 0:
            self._rest = now
            self._trial.clear()
        r = node.routes
        for i in range(r.slots):
            if r.node_id(i) is not None and r.slab[i * SIZE + O_TIER] == 4:
                o = i * SIZE + O_LAN
                self._add(bytes(r.slab[o : o + 6]))
        t = node.tiers.first_up()
        if t is None:
            return True
        if t.peer is None or not node.member.joined:
            return False
        if self._asked >= _TRIES:
            self._asked = 0
            return True
        self._asked += 1
        tx = node.tx
        o = tx.begin(T_INFO_REQ, t.peer, link=True)
        self._token = tx.counter
        put30(tx.buf, o, self._token)
        tx.buf[o + 4] = _TOPIC
        tx.buf[o + 5 : o + INFO_PAD] = bytes(INFO_PAD - 5)
        tx.send(o + INFO_PAD, t.addr)
        return False

    def _try(self):
        """One address more, the least tried first."""
        best = None
        here = [addr for addr, _ in self._met.values()]
        for a in self._trial:
            if a in here:
                continue
            if self._trial[a] < _TRIES and (best is None or self._trial[a] < self._trial[best]):
                best = a
        if best is not None:
            self._trial[best] += 1
            self._node.hello.greet(None, best, 1)

    def _on_info(self, slot, buf, addr, now):
        g = self._node.gate
        if not g.linked or self._token is None or u30(buf, g.off) != self._token:
            if self._info is not None:
                self._info(slot, buf, addr, now)
            return
        self._token = None
        self._asked = _TRIES  # for five minutes
        try:
            said = json.loads(bytes(buf[g.off + 7 : g.end]).decode())
        except ValueError:
            said = None
        if not isinstance(said, list):
            return
        for text in said[:_MOST]:
            try:
                self._add(parse_endpoint(text))
            except (ValueError, AttributeError, TypeError):
                pass  # no address
