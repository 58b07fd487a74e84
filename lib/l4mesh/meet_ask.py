# floor 5: machines
# Asks assistants for one meeting, several at once. RAM: 0.3 kB while it goes on.
"""CONNECT to all assistants that may know the peer, again until each has answered (protocol.md 9).

If none has after three rounds (300 ms), or all refuse, what the peer's own record names is tried,
and its address on our LAN: a node that has an address of its own needs no assistant.
"""

from . import ticks
from .compat import const
from .endpoint import same_lan
from .peers import P_LAN, P_REMOTE, P_TIER
from .record import NO_ENDPOINT, O_LAN, O_RELAY, SIZE
from .wire import T_CONNECT, put16

_MOST = const(4)
_ALONE = const(3)  # rounds without a word, and the record has to do
# Ms from each round to the next, from the last to giving up, beyond a round trip.
_GAPS = (20, 40, 60, 140, 340, 640, 840)
_UNKNOWN_MS = const(40)  # for a round trip
_MOST_MS = const(300)
_WHY = (
    "no assistant answers",
    "no assistant knows it: it has not registered with any of ours",
    "the assistants have too much under way",
    "it has too much under way",
    "it does not want to",
    "it says nothing to the assistants",
)


class _Ask:
    def __init__(self, sid, addr, rtt):
        self.sid = sid
        self.addr = addr
        self.rtt = rtt
        self.frame = 0
        self.word = -1


class Asks:
    def __init__(self, meet, punch, peer_id, now):
        self._meet = meet
        self._p = punch
        self._round = 0
        self._due = now
        self._record = self._of_record(peer_id)
        self.list = [_Ask(x.sid, x.addr, x.rtt) for x in meet.standing.list]
        self._add_relay()
        self._neighbour()

    def _of_record(self, peer_id):
        """Copy of the endpoints and the relay that its record names, or None."""
        node = self._meet.node
        i = node.routes.peek(peer_id)
        if i < 0:
            return None
        return bytes(node.routes.slab[i * SIZE + O_LAN : i * SIZE + O_RELAY + 8])

    def _add_relay(self):
        relay = self._record[O_RELAY - O_LAN :] if self._record is not None else bytes(8)
        peers = self._meet.node.peers
        i = peers.find(relay)
        near = P_LAN | P_REMOTE | P_TIER
        if i >= 0 and peers.flags(i) & near and len(self.list) < _MOST:
            addr = peers.addr(i)
            if addr[0] and not any(a.sid == relay for a in self.list):
                self.list.append(_Ask(relay, addr, 0))

    def _neighbour(self):
        """Heard on this LAN: it may be there without further ado."""
        peers = self._meet.node.peers
        i = peers.find(self._p.peer)
        if i >= 0 and peers.flags(i) & P_LAN and peers.addr(i)[0]:
            self._p.reach(peers.addr(i))
            self._p.begin(self._due)

    def heard(self, sid, addr, status) -> bool:
        """A PUNCH came; False: not from who was asked."""
        for a in self.list:
            if a.sid == sid and a.addr == addr:
                a.word = status
                self._refused(status)
                return True
        return False

    def _refused(self, status):
        """Nobody is left who tells the peer, and nothing came of it: no use to go on."""
        p = self._p
        if status and p.by and min([a.word for a in self.list]) > 0:
            if not any(e.heard for e in p.ends):
                p.lost(_WHY[status])

    def on_cookie(self, counter, cookie, now) -> bool:
        for a in self.list:
            if a.frame == counter and a.word < 0:
                self._connect(a, cookie)
                return True
        return False

    def _connect(self, a, cookie=None):
        node = self._meet.node
        tx = node.tx
        o = tx.begin(T_CONNECT, a.sid, cookie=cookie)
        b = tx.buf
        b[o : o + 8] = self._p.attempt
        b[o + 8 : o + 16] = self._p.peer
        b[o + 16 : o + 24] = self._meet.nat
        b[o + 24 : o + 30] = node.own.lan
        put16(b, o + 30, a.rtt)
        tx.send(o + 32, a.addr)
        a.frame = tx.counter

    def _alone(self, now):
        """No assistant helps: what the record says has to do. False: it says nothing."""
        r = self._record
        if r is None:
            return False
        own = self._meet.node.own
        if same_lan(r, own.lan) and r[:4] != own.lan[:4]:
            self._p.reach(r[:6])
        if r[6:12] != NO_ENDPOINT:
            self._p.reach(r[6:12])
        if not self._p.ends:
            return False
        self._p.begin(now)
        return True

    def poll(self, now: int) -> int:
        left = ticks.diff(self._due, now)
        if left > 0:
            return left
        p = self._p
        waiting = [a for a in self.list if a.word < 0]
        words = [a.word for a in self.list]
        if 0 not in words:
            last = not waiting or self._round == len(_GAPS)
            if self._round == _ALONE or last and p.begun is None:
                self._alone(now)
            if last and p.begun is None:
                p.lost(_WHY[max(0, max(words))] if words else "no assistant is known")
                return 0
        if not waiting or self._round == len(_GAPS):
            self._due = ticks.add(now, 60000)
            return 60000
        for a in waiting:
            self._connect(a)
        rtt = max([a.rtt for a in waiting])
        left = _GAPS[self._round] + (min(rtt, _MOST_MS) or _UNKNOWN_MS)
        if p.by:  # one has answered: the others are only asked to be sure
            left *= 3
        self._round += 1
        self._due = ticks.add(now, left)
        return left
