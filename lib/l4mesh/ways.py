# floor 6: pipeline
# Ways to peers that cannot be reached as they are: relayed at once, direct when it can be.
"""node.ways: loaded where a NAT was seen, or when a way is wanted (beyond.py). RAM: 14 kB.

    ways = Ways(node, meet, places)     meet: meet.py, or None (relays only)
    ways.open(id16, now) -> endpoint    send there as to any other. None: no place free
    ways.close(sid, now)
    ways.of(sid) -> Way or None         .state, .addr, .why
    ways.stand(True, now)               be found: keep places at relays
    ways.moved(now), ways.rerouted(now) our own address changed; relays are reached by TCP
    ways.on_silence                     f(now), when no relay gives a word in 200 ms: TCP then

Relay and punch begin together; the first usable path carries, and the best one goes on. A change
costs no frame: both paths are listened to, and what comes twice is dropped by the gate's window.
Each change is an event (EV_WAY, sid, state, why). ways_keep.py keeps ways alive and climbs again.
"""

from .calls import CARRIED, ROOM, put_head
from .compat import const
from .events import EV_WAY
from .links import WAY, of
from .peers import P_LAN, P_TIER
from .relay_ask import RelayAsk
from .way import DIRECT, NONE, Way
from .ways_keep import Keeper
from .ways_paths import Paths
from .wire import T_CALLED, T_COOKIE, T_PING, T_PONG, put30, u30

_ROOM_FRAME = const(1200)


class Ways:
    def __init__(self, node, meet, places: int = 8):
        self.node = node
        self.meet = meet
        self.relay = node.ways  # relaying.py, if it came first
        self.on_silence = None
        self.all = []
        self.now = 0
        self._places = places
        self._number = 0
        self._out = bytearray(ROOM)
        self._view = memoryview(self._out)
        self.asks = RelayAsk(node, self._called)
        self.keeper = Keeper(self)
        self.paths = Paths(self)
        handle = node.inbox.handle
        self._pong_next = handle(T_PONG, self._pong)
        self._cookie_next = handle(T_COOKIE, self._cookie)
        handle(T_CALLED, self.asks.on_called)
        of(node).serve(WAY, self.send)
        node.ways = self
        node.late.append(self)
        if meet is not None:
            meet.on_incoming = self.paths.met

    # what applications and glue call

    def open(self, node_id: bytes, now: int):
        if len(node_id) != 16 or node_id == self.node.id:
            raise ValueError("open() takes the 16-byte id of another node.")
        self.now = now
        w = self.of(node_id[:8])
        if w is None or w.state == NONE:
            w = self.make(node_id[:8], now)
            if w is None:
                return None
        w.used = now
        if w.id is None:
            w.id = node_id
            if w.state < DIRECT:
                self.keeper.climb(w, now)
        return w.addr

    def close(self, sid: bytes, now: int, why: str = "closed") -> None:
        w = self.of(sid)
        if w is None or w.state == NONE:
            return
        for p in list(w.paths):
            self.paths.drop(w, p)
        w.use = w.trial = None
        w.token = 0  # a PONG that comes late changes nothing
        w.asks = []
        if self.meet is not None:
            self.meet.drop(sid, now)
        w.punching = False
        self.tell(w, NONE, why, now)

    def of(self, sid: bytes):
        for w in self.all:
            if w.peer == sid:
                return w
        return None

    def stand(self, on: bool, now: int) -> None:
        self.asks.keep = on
        self.asks.changed(now)

    def moved(self, now: int) -> None:
        self.asks.changed(now)
        if self.meet is not None:
            self.meet.moved(now)
        for w in self.all:
            if w.state != NONE:
                self.keeper.doubt(w, now)

    def rerouted(self, now: int) -> None:
        """Relays have other endpoints (detour.py): what waits for them need not."""
        self.asks.changed(now)
        for w in self.all:
            if w.use is None and w.state != NONE:
                self.keeper.ask_all(w, now)

    def make(self, sid, now):
        w = self.of(sid)
        if w is not None:
            self.all.remove(w)
        if len(self.all) >= self._places:
            for w in self.all:
                if w.state == NONE:
                    self.all.remove(w)
                    break
            else:
                return None
        self._number = self._number % 65535 + 1
        self.all.append(Way(self._number, sid, now))
        self.forget_old(sid, now)
        return self.all[-1]

    def forget_old(self, sid, now):
        """Silent for long: it may have had a restart, and its new epoch would be refused."""
        peers = self.node.peers
        i = peers.find(sid)
        if i >= 0 and not peers.flags(i) & (P_LAN | P_TIER) and peers.age(i, now) > 30000:
            peers.drop(i)

    def tell(self, w, state, why, now):
        if w.set(state, now):
            self.node.events.put((EV_WAY, w.peer, state, why))

    # frames out

    def send(self, buf, n: int, addr: bytes) -> bool:
        """By Links, for our endpoints."""
        for w in self.all:
            if w.addr == addr:
                p = w.use or w.coming  # an answer goes back where the question came from
                if p is not None and buf[1] != T_PONG:
                    w.used = self.now
                    if w.sent is None:
                        w.sent = self.now
                return p is not None and self.by(p, buf, n)
        return False

    def by(self, p, buf, n) -> bool:
        """Send by this path."""
        if p.channel is None:
            return (self.node.link if p.sock is None else p.sock).send(buf, n, p.addr)
        if n > _ROOM_FRAME:
            return False
        put_head(self._out, p.channel)
        self._out[CARRIED : CARRIED + n] = self._cut(buf, n)
        return self.node.links.send(self._out, CARRIED + n, p.addr)

    def _cut(self, buf, n):
        tx = self.node.tx
        return tx.view[:n] if buf is tx.buf else memoryview(buf)[:n]

    def ping(self, w, p, now, cookie=None) -> None:
        """A PING by one path: its PONG, or anything else by it, shows that it works."""
        tx = self.node.tx
        o = tx.begin(T_PING, w.peer, cookie=cookie)
        w.shown = cookie is not None
        w.token = tx.counter
        w.asked = now
        w.pinged = p
        put30(tx.buf, o, w.token)
        tx.buf[o + 4 : o + 17] = bytes(13)
        n = tx.close(o + 17)
        if n:
            self.by(p, tx.buf, n)

    # frames in

    def take(self, buf, n: int, addr: bytes, now: int) -> bool:
        """A carried datagram (guests.py): for us, or to be handed on."""
        if n > CARRIED:
            channel = bytes(buf[4:CARRIED])
            for w in self.all:
                p = w.path_of(channel, addr)
                if p is not None and not buf[1] | buf[2] | buf[3]:
                    self.come(w, p, bytes(buf[CARRIED:n]), n - CARRIED, now)
                    return True
        return self.relay is not None and self.relay.take(buf, n, addr, now)

    def come(self, w, p, buf, n, now):
        self.now = now
        node = self.node
        w.coming = p
        node.receive(buf, n, w.addr, now)
        w.coming = None
        peers = node.peers
        i = peers.find(w.peer)
        # Only a good frame of this peer sets the time: what a relay may put in shows nothing.
        if i >= 0 and bytes(buf[8:16]) == w.peer and not peers.age(i, now):
            if not peers.flags(i) & P_LAN and not (w.use is not None and w.use.channel is None):
                peers.set_addr(i, w.addr)
            self.paths.heard(w, p, now, buf[1])

    def name(self, relay):
        return "l%d" % relay.level if relay.linked else relay.sid

    def _pong(self, slot, buf, addr, now):
        g = self.node.gate
        if g.linked or not self.paths.pong(g.sid, u30(buf, g.off), now):
            self._pong_next(slot, buf, addr, now)

    def _cookie(self, slot, buf, addr, now):
        g = self.node.gate
        counter = u30(buf, g.off)
        cookie = bytes(buf[g.off + 4 : g.off + 12])
        if self.asks.on_cookie(counter, cookie):
            return
        for w in self.all:
            if w.token == counter and w.peer == g.sid and not g.linked:
                if not w.shown:  # once for each ping
                    self.ping(w, w.pinged, now, cookie)
                return
        self._cookie_next(slot, buf, addr, now)

    def poll(self, now: int) -> int:
        self.now = now
        self.asks.busy = False
        for w in self.all:
            if w.state != NONE:
                self.asks.busy = True
        wait = self.asks.poll(now)
        for w in list(self.all):
            if w.state != NONE:
                left = self.keeper.poll(w, now)
                wait = left if left < wait else wait
        return max(0, wait)

    def _called(self, *what):
        self.paths.called(*what)

    def document(self, now: int):
        from .ways_text import document

        return document(self, now)
