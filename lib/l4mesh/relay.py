# floor 5: machines
# A relay between members that cannot reach each other. RAM: 250 B a channel, 60 B a place.
"""The same on a board and on a tier; only figures and the way of telling differ.

    relay = Relay(figures, send, tell, entropy, own)
    send(buf, n, addr) -> bool      what is carried: straight from the buffer it came in
    tell(sid, addr, token, what, status, peer, channel, good_s, kib)     a CALLED
    relay.call(sid, addr, token, what, peer, now)    a CALL from a proven address
    relay.take(buf, n, addr, now)   a carried datagram: True when it belongs to a channel of ours
    relay.moved(sid, addr)          a member's proven address changed
    relay.poll(now) -> ms

`figures`: dict of places, place_s, channels, of_one, from_ip, packets_s, kbit_s, kib, life_s,
idle_s, rest_s (the pause of a pair whose quota was used up; 0: it is renewed by asking) and
always (full or over a limit: the longest idle channel makes room).

Nothing here comes from a message but names: addresses are those that frames came from. Tables are
bounded, what is new is refused when they are full. Who sends what to whom is not looked at, but
that it begins as a frame: a carried datagram is never carried again.
"""

from . import ticks
from .calls import ENDED, FULL, HERE, NOT_HERE, OPEN, OVER_RELAY, PER_IP, PER_PEER, QUOTA, RESERVE
from .channel import Channel, pair_of
from .compat import const
from .links import TCP
from .wire import VERSION

_LOOK_MS = const(1000)
_NONE = bytes(8)
_NO_TOKEN = bytes(4)


class Relay:
    def __init__(self, figures, send, tell, entropy, own, loopback=False, ip_of=None):
        self._f = figures
        self._send = send
        self._tell = tell
        self._entropy = entropy
        self._own = own
        self._loopback = loopback
        self._ip_of = ip_of
        self._by = {}  # channel's name: Channel
        self._pairs = {}  # pair: Channel
        self._places = {}  # short id: [address, until]
        self._load = {}  # short id or IP: channels
        self._resting = {}  # pair: until
        self._looked = None
        self.carried = self.dropped = self.refused = 0

    def __len__(self):
        return len(self._by)

    @property
    def places(self):
        return len(self._places)

    # questions

    def call(self, sid: bytes, addr: bytes, token, what: int, peer: bytes, now: int) -> None:
        if what == RESERVE:
            status = self._reserve(sid, addr, now)
            good = 0 if status else self._f["place_s"]
            self._tell(sid, addr, token, what, status, _NONE, _NONE, good, 0)
            return
        c = self._pairs.get(pair_of(sid, peer))
        if what != OPEN:
            if c is not None:
                self._end(c, ENDED, sid)
            self._tell(sid, addr, token, what, HERE, peer, _NONE, 0, 0)
            return
        if c is not None:
            status = self._again(c, sid, addr, now)
        else:
            status = self._may_open(sid, addr, peer, now)
        if status:
            self.refused += 1
            self._tell(sid, addr, token, what, status, peer, _NONE, 0, 0)
        else:
            self._told(c or self._open(sid, addr, peer, now), sid, addr, token, now)

    def _told(self, c, sid, addr, token, now):
        peer = c.other(sid)
        good = c.good_s(now)
        self._tell(sid, addr, token, OPEN, HERE, peer, c.name, good, c.left >> 10)
        # Again, too: it may have had a restart since.
        self._tell(peer, c.at(peer), _NO_TOKEN, OPEN, HERE, sid, c.name, good, c.left >> 10)

    def _end_of_channel(self, addr):
        """May this proven address be one? A low port may: some NATs map so."""
        if addr == self._own or addr[4] == addr[5] == 0:
            return False
        if not addr[0]:
            return addr[1] == TCP
        return addr[0] < 224 and (addr[0] != 127 or self._loopback) and addr[3] != 255

    def _reserve(self, sid, addr, now):
        if not self._end_of_channel(addr):
            return OVER_RELAY
        place = self._places.get(sid)
        if place is None:
            if len(self._places) >= self._f["places"]:
                self._expire(now)
            if len(self._places) >= self._f["places"]:
                if not self._f["always"]:
                    self.refused += 1
                    return FULL
                self._places.pop(next(iter(self._places)))
            self._places[sid] = place = [addr, 0]
        elif place[0] != addr:
            self.moved(sid, addr)
        place[1] = ticks.add(now, self._f["place_s"] * 1000)
        return HERE

    def moved(self, sid: bytes, addr: bytes) -> None:
        """Only for an address that this member has proven."""
        place = self._places.get(sid)
        if place is not None and place[0] == addr or not self._end_of_channel(addr):
            return
        if place is not None:
            place[0] = addr
        if sid in self._load:
            for c in self._by.values():
                c.place(sid, addr)

    def _again(self, c, sid, addr, now):
        peer = c.other(sid)
        place = self._places.get(peer)
        to = c.at(peer) if place is None else place[0]  # it may have moved since
        if to == addr or not self._end_of_channel(addr):
            return OVER_RELAY
        c.place(peer, to)
        c.place(sid, addr)
        c.last = now
        if not self._f["rest_s"]:
            c.fill(now)
        return HERE

    def _may_open(self, sid, addr, peer, now):
        place = self._places.get(peer)
        if sid == peer or place is None or ticks.diff(place[1], now) <= 0:
            return NOT_HERE
        if place[0] == addr or not self._end_of_channel(addr):
            return OVER_RELAY  # a way back to where it came from
        rest = self._resting.get(pair_of(sid, peer))
        if rest is not None and ticks.diff(rest, now) > 0:
            return QUOTA
        return self._room(sid, peer, self._ip(addr), now)

    def _ip(self, addr):
        return addr[:4] if self._ip_of is None else self._ip_of(addr)

    def _open(self, sid, addr, peer, now):
        c = Channel(
            self._f, self._entropy(8), sid, addr, peer, self._places[peer][0], self._ip(addr), now
        )
        self._by[c.name] = self._pairs[pair_of(sid, peer)] = c
        for key in (sid, peer, c.ip):
            self._load[key] = self._load.get(key, 0) + 1
        return c

    def _room(self, sid, peer, ip, now):
        """0 when there is room for one more; else why not."""
        f = self._f
        for key, most, status in (
            (None, f["channels"], FULL),
            (sid, f["of_one"], PER_PEER),
            (peer, f["of_one"], PER_PEER),
            (ip, f["from_ip"], PER_IP),
        ):
            if self._number(key) < most:
                continue
            self._expire(now)
            if self._number(key) < most:
                continue
            if not f["always"]:
                return status
            self._end(self._idlest(key, now), ENDED)
        return HERE

    def _number(self, key):
        return len(self._by) if key is None else self._load.get(key, 0)

    def _idlest(self, key, now):
        found = None
        for c in self._by.values():
            if key is None or key == c.a or key == c.b or key == c.ip:
                if found is None or ticks.diff(found.last, c.last) > 0:
                    found = c
        return found

    # what is carried

    def take(self, buf, n: int, addr: bytes, now: int) -> bool:
        c = self._by.get(bytes(buf[4:12]))
        if c is None or buf[12] != VERSION or buf[1] or buf[2] or buf[3]:
            return False
        if addr == c.at_a:
            to = c.at_b
        elif addr == c.at_b:
            to = c.at_a
        else:
            return False
        may = c.within(n, now)
        if may:
            self.carried += 1
            self._send(buf, n, to)
        else:
            self.dropped += 1
            if may is None:
                self._used_up(c, now)
        return True

    def _used_up(self, c, now):
        self._end(c, QUOTA)
        if self._f["rest_s"]:
            if len(self._resting) >= 2 * self._f["channels"]:
                self._resting.clear()
            self._resting[pair_of(c.a, c.b)] = ticks.add(now, self._f["rest_s"] * 1000)

    def _end(self, c, status, by=None):
        """Forget a channel and tell those at its ends, but not who asked for that."""
        del self._by[c.name]
        del self._pairs[pair_of(c.a, c.b)]
        for key in (c.a, c.b, c.ip):
            self._load[key] -= 1
            if not self._load[key]:
                del self._load[key]
        for sid in (c.a, c.b):
            if sid != by:
                self._tell(sid, c.at(sid), _NO_TOKEN, OPEN, status, c.other(sid), c.name, 0, 0)

    def _expire(self, now):
        for c in list(self._by.values()):
            if c.over(now):
                self._used_up(c, now)
            elif ticks.diff(now, c.last) >= self._f["idle_s"] * 1000:
                self._end(c, ENDED)
        for sid in list(self._places):
            if ticks.diff(self._places[sid][1], now) <= 0:
                del self._places[sid]
        for pair in list(self._resting):
            if ticks.diff(self._resting[pair], now) <= 0:
                del self._resting[pair]

    def poll(self, now: int) -> int:
        if self._looked is None or ticks.diff(now, self._looked) >= _LOOK_MS:
            self._looked = now
            self._expire(now)
        return _LOOK_MS if self._by or self._places else 60000
