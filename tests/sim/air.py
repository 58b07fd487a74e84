"""Bluetooth advertising and scanning on a virtual clock, with real Nearby machines; seeded.

    air = Air(seed=1, loss=0.2)
    b = air.add(window_ms=60, interval_ms=317)
    air.run(5000)                       virtual ms
    b.near                              its Nearby; b.found: {address: ms of the first word}

An advertiser speaks every `adv_ms` and 0 to 10 ms of chance (advDelay), for 1.5 ms on the three
channels; a scanner hears what falls whole into a window of its own, unless it is lost, or another
advertiser spoke within 0.4 ms (all are in range). No positions here: l4tools/radio has them.
"""

import heapq
from hashlib import sha256

from l4mesh.keyring import Keyring
from l4mesh.near_say import Voice
from l4mesh.nearby import Nearby
from l4mesh.peers import Peers
from l4mesh.prng import XorShift
from l4mesh.ring import Events
from l4mesh.routes import Routes
from l4mesh.ticks import MASK
from world import GROUP_KEY, Entropy

EVENT_US = 1500
CLASH_US = 400
COMPANY = 0xFFFF


class Named:
    """An object with the given attributes."""

    def __init__(self, **given):
        for name in given:
            setattr(self, name, given[name])


class Greeter:
    """Stands for hello.py: whom a hello was sent to alone."""

    def __init__(self):
        self.greeted = []

    def greet(self, peer, addr, asks):
        self.greeted.append((peer, addr, asks))
        return True


def home(n, group=GROUP_KEY[1:], endpoint=None, slots=50):
    """As much of a Node as discovery sees of it."""
    keys = Keyring()
    keys.set_group(0, group, 0)
    full = sha256(b"board %d" % n).digest()[:16]
    return Named(
        id=full, short_id=full[:8], keys=keys, peers=Peers(slots + 6, 24), routes=Routes(slots),
        entropy=Entropy(n), events=Events(24), own=Named(hash=sha256(full).digest()[:8]),
        link=Named(local=endpoint or bytes((10, 77, 1, n & 255, 16, 8))), serve=Named(mode=2),
        reach=Named(up=False), uplink=None, counters=None, hello=Greeter(),
    )  # fmt: skip


def address(rng):
    """A non-resolvable private address: the two highest bits are 0."""
    a = [rng.getrandbits(8) for _ in range(6)]
    a[0] &= 63
    return bytes(a)


class Board:
    def __init__(self, air, n, window_ms, interval_ms, adv_ms, round_ms, rest_ms, slots):
        self.air = air
        self.node = home(n, slots=slots)
        self.near = Nearby(self.node, Voice(self.node, COMPANY), slots)
        rng = air.rng
        self.addr = address(rng)
        self.window = window_ms * 1000
        self.interval = interval_ms * 1000
        self.phase = rng.getrandbits(30) % self.interval
        self.adv = (adv_ms or 211 + rng.getrandbits(16) % 47) * 1000
        self.round = round_ms * 1000
        self.rest = rest_ms * 1000
        self.began = rng.getrandbits(30) % (self.round + self.rest)
        self.said = self.data = None
        self.spoken = 0
        self.on = True
        self.found = {}

    def awake(self, us):
        """Does it listen? It speaks all the time."""
        return self.on and (us + self.began) % (self.round + self.rest) < self.round

    def speaks(self, us):
        """The advertisement of this round."""
        self.spoken += 1
        k = (us + self.began) // (self.round + self.rest)
        if k != self.said:
            self.said = k
            self.data = bytes(self.near.voice.advert(self.addr))
        return self.data

    def hears(self, us):
        at = (us + self.phase) % self.interval
        return self.awake(us) and (self.window == self.interval or at + EVENT_US <= self.window)

    def rotate(self):
        self.near.voice.rotate()
        self.addr = address(self.air.rng)
        self.said = None


class Air:
    def __init__(self, seed=1, loss=0.0, start=0):
        self.rng = XorShift(seed * 31 + 7)
        self.loss = int(loss * 65536)
        self.start = start
        self.us = 0
        self.boards = []
        self.clashes = self.heard = 0
        self._queue = []
        self._last = -CLASH_US

    def tick(self):
        return (self.start + self.us // 1000) & MASK

    def add(self, window_ms=60, interval_ms=317, adv_ms=0, round_ms=7000, rest_ms=0, slots=50):
        b = Board(self, len(self.boards), window_ms, interval_ms, adv_ms, round_ms, rest_ms, slots)
        self.boards.append(b)
        first = self.us + self.rng.getrandbits(30) % b.adv
        heapq.heappush(self._queue, (first, len(self.boards) - 1))
        return b

    def run(self, ms, until=None):
        """Virtual ms, or until(): asked after each advertisement. True when it came to that."""
        end = self.us + ms * 1000
        polled = self.us
        while self._queue[0][0] < end:
            us, i = heapq.heappop(self._queue)
            b = self.boards[i]
            delay = self.rng.getrandbits(16) % 10001
            heapq.heappush(self._queue, (us + b.adv + delay, i))
            self.us = us
            clash = us - self._last < CLASH_US or self._queue[0][0] - us < CLASH_US
            self._last = us
            if b.on:
                if clash:
                    self.clashes += 1
                else:
                    self._spread(b, us)
            if us - polled >= 1000000:
                polled = us
                for x in self.boards:
                    x.near.poll(self.tick())
            if until is not None and until():
                return True
        self.us = end
        return False

    def _spread(self, b, us):
        data = b.speaks(us)
        for x in self.boards:
            if x is not b and x.hears(us):
                if self.loss and self.rng.getrandbits(16) < self.loss:
                    continue
                self.heard += 1
                rssi = -60 - (self.rng.getrandbits(3))
                x.near.heard(b.addr, 1, rssi, data, len(data), self.tick())
                x.found.setdefault(b.addr, us // 1000)
