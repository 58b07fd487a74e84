# floor 4: tables
# One way to one peer: its paths, since when, what was tried. RAM: 0.6 kB each.
"""A way has an endpoint of its own, 0.1.x.x:1 (links.py), and up to three paths under it: `use`
carries what we send; by the others (a relay just left, another just found) frames are still taken.
"""

from . import ticks
from .backoff import Backoff
from .compat import const

NONE = const(0)  # kept to tell about it; its place may be taken
OPENING = const(1)
RELAYED = const(2)
DIRECT = const(3)

_PATHS = const(3)
_TRIED = const(8)


class Path:
    """`channel` None: direct, to `addr` over `sock` (None: the node's own socket)."""

    def __init__(self, channel, addr, relay, now: int, sock=None):
        self.channel = channel
        self.addr = addr
        self.relay = relay  # relay_ask.Place, or a copy of what it was
        self.sock = sock
        self.heard = False  # the peer was heard by it
        self.born = self.last = now
        self.renew = None  # when its channel wants a CALL
        self.leave = None  # when it is given up, since another is better


class Way:
    def __init__(self, number: int, sid: bytes, now: int):
        self.addr = bytes((0, 1, number >> 8 & 255, number & 255, 0, 1))
        self.peer = sid
        self.id = None  # all 16 bytes, when we are who opened it
        self.state = OPENING
        self.since = now
        self.began = now
        self.used = now  # last frame that was no ping of ours
        self.ms = -1  # from open to the first usable path
        self.paths = []
        self.use = self.coming = None
        self.trial = self.pinged = None  # a direct path that has to show itself first; last ping's
        self.trials = 0
        self.tried = []  # (what, outcome, ms since open)
        self.why = ""  # not direct
        self.punching = False
        self.again = Backoff(5000, 600000)
        self.upgrade = None  # when a direct way is tried next
        # asking relays
        self.rungs = []
        self.rung = 0
        self.round = 0
        self.due = now
        self.asks = []  # (token, relay, when) under way
        self.told = None  # the relay that told the peer of a channel
        self.retold = 0
        self.word = False  # a relay said something
        self.quiet = False  # none did, and that was told
        self.last_no = -1  # the last refusal
        # is it alive?
        self.keep = now
        self.probes = 0
        self.probe = None
        self.sent = None  # first data since something was heard
        self.token = 0
        self.shown = False  # the last ping had a cookie
        self.asked = 0
        self.rtt = 0

    def note(self, what, outcome, now: int) -> None:
        """The newest few of what was tried; the same again only moves."""
        for k in range(len(self.tried)):
            if self.tried[k][:2] == (what, outcome):
                del self.tried[k]
                break
        if len(self.tried) >= _TRIED:
            del self.tried[0]
        self.tried.append((what, outcome, ticks.diff(now, self.began)))

    def path_of(self, channel, addr):
        for p in self.paths:
            if p.channel == channel and p.addr == addr:
                return p
        return None

    def add(self, path):
        """-> the path that made room and has to be closed, or None."""
        out = None
        if len(self.paths) >= _PATHS:
            for p in self.paths:
                if p is not self.use and p is not self.trial:
                    self.paths.remove(p)
                    out = p
                    break
        self.paths.append(path)
        return out

    def set(self, state: int, now: int) -> bool:
        """True when that is news."""
        if state == self.state:
            return False
        if self.ms < 0 and state >= RELAYED:
            self.ms = ticks.diff(now, self.began)
        self.state = state
        self.since = now
        return True
