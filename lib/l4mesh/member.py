# floor 5: machines
# Membership: this node's registration upstream. RAM: 150 B.
"""JOIN with the nearest tier that answers, again when it says so or when the record changed.

States: WAIT (no record yet, or a pause) -> ASKED (a JOIN is out) -> WAIT. `joined` is true from
the first JOINED with status 0 until the lifetime it gave has run out. A JOINED that names a newer
record of ours means that our epoch was lost: we move to the epoch after it. Events: EV_JOINED,
EV_LEFT, EV_REFUSED, EV_CLOCK. `save(name, data)` keeps what must survive a restart.
"""

from . import ticks
from .backoff import Backoff
from .compat import const
from .counters import C_UPSTREAM_TX
from .endpoint import same_lan, usable
from .events import EV_CLOCK, EV_JOINED, EV_LEFT, EV_REFUSED
from .record import O_EPOCH, O_KEY, O_TIER, SIZE, check_form
from .wire import T_JOIN, put30, u16, u30

_REPLY_MS = const(600)
_BEHIND_MS = const(60000)
_TRIES = const(3)  # at once, then with growing pauses


class Member:
    def __init__(self, net, own, keys, tiers, reach, tx, counters, events, rng, save):
        self._net = net
        self._own = own
        self._keys = keys
        self._tiers = tiers
        self._tx = tx
        self._reach = reach
        self._count = counters
        self._events = events
        self._rng = rng
        self._save = save
        self.joined = False
        self.tier = None
        self._was_up = False
        self._asked = None
        self._token = 0
        self._frame = 0
        self._sent = 0
        self._due = 0
        self._version = 0
        self._ends = 0
        self._began = 0
        self._tries = 0  # JOINs in a row without a word
        self._pause = Backoff(1000, 60000)

    def start(self, now: int) -> None:
        self._began = now
        self._due = now

    def register(self, now: int) -> None:
        """Something in the record changed: tell the upstream soon."""
        if self._asked is None:
            self._due = now

    def leave(self) -> None:
        self.joined = False

    def _join(self, tier, cookie, now):
        self._count.inc(C_UPSTREAM_TX)
        tx = self._tx
        o = tx.begin(T_JOIN, tier.peer, link=True, sealed=True, cookie=cookie)
        b = tx.buf
        b[o : o + 16] = self._own.id
        if cookie is None:
            self._token = tx.counter
        put30(b, o + 16, self._token)
        b[o + 20] = self._keys.number
        b[o + 21] = 0
        b[o + 22 : o + 22 + SIZE] = self._own.record
        tx.send(o + 22 + SIZE, tier.addr)
        self._frame = tx.counter
        self._asked = tier
        self._version = self._own.version
        self._sent = now
        self._due = ticks.add(now, _REPLY_MS if not tier.rtt else _REPLY_MS + 3 * tier.rtt)

    def on_cookie(self, counter: int, cookie: bytes, now: int) -> bool:
        if self._asked is not None and counter == self._frame:
            self._join(self._asked, cookie, now)
            return True
        return False

    def on_joined(self, buf, off: int, end: int, now: int, now_min: int) -> bool:
        """A JOINED, opened; buf[off:end] is its payload."""
        t = self._asked
        if t is None or u30(buf, off) != self._token:
            return False
        self._asked = None
        self._tries = 0
        status = buf[off + 4]
        self._tiers.answered(t, now, self._sent)
        self._reach.look()
        if status == 3:
            self._due = ticks.add(now, self._pause.next(self._rng))
            return True
        if status == 1:
            self._due = ticks.add(now, self._pause.next(self._rng))
            return self._older(buf, off, end, now)
        if status != 0:
            self._events.put((EV_REFUSED, status, t.level))
            self._due = ticks.add(now, 600000)
            return True
        self._group(buf, off, end, now_min)
        first = not self.joined
        self.joined = True
        self.tier = t
        self._pause.reset()
        life = u16(buf, off + 12)
        again = max(u16(buf, off + 14), 10)
        self._ends = now_min + life + 1
        self._due = ticks.add(now, again * 1000 - self._rng.getrandbits(10))
        if buf[off + 16 : off + 22] != bytes(6):
            self._events.put((EV_CLOCK, bytes(buf[off + 16 : off + 22]), 1))
        if first:
            self._events.put((EV_JOINED, t.level, ticks.diff(now, self._began)))
        self._endpoint(bytes(buf[off + 6 : off + 12]), now)
        return True

    def _endpoint(self, seen, now):
        own = self._own
        # An endpoint that nobody may use would make nobody accept the record.
        if seen == own.public or not usable(seen, own.lan[0] == 127):
            return
        if own.public == bytes(6) or not same_lan(seen, own.lan):
            own.set_endpoints(own.lan, seen)  # the new record is registered when it is signed

    def _group(self, buf, off, end, now_min):
        if end - off >= 55 and self._keys.set_group(
            buf[off + 22], bytes(buf[off + 23 : off + 55]), now_min
        ):
            self._save("group", bytes(buf[off + 22 : off + 55]))

    def _older(self, buf, off, end, now):
        """The upstream knows a newer record of ours: our epoch was lost. Go past it."""
        o = end - SIZE
        own = self._own
        if o < off + 23 or not check_form(buf, o, SIZE, self._net, True):
            return True
        if bytes(buf[o + O_KEY : o + O_TIER]) != own.public_key:
            return True
        self.past(u30(buf, o + O_EPOCH), now)
        return True

    def past(self, epoch: int, now: int) -> None:
        """Go to the epoch after `epoch`, which a record signed by us carries."""
        if not self._own.epoch <= epoch < ticks.MASK:
            return
        epoch += 1
        e = bytearray(4)
        put30(e, 0, epoch)
        self._save("epoch", bytes(e))
        self._tx.epoch = epoch
        self._tx.counter = 0
        self._own.restart(epoch)
        self._pause.reset()
        self._due = now

    def poll(self, now: int, now_min: int) -> int:
        if not self._tiers.list:
            return 60000
        self._keys.expire(now_min)
        if self._keys.behind:  # a newer group key is in use: it comes with a JOINED
            self._keys.behind = False
            if self.joined and self._asked is None and ticks.diff(now, self._sent) >= _BEHIND_MS:
                self._due = now
        if self.joined and now_min >= self._ends:
            self.joined = False
            self._events.put((EV_LEFT,))
        if self._reach.up and not self._was_up and not self.joined and self._asked is None:
            self._pause.reset()
            self._tries = 0
            self._due = now
        self._was_up = self._reach.up
        return self._poll_join(now)

    def _poll_join(self, now):
        own = self._own
        if not own.ready:
            return 60000  # own.poll() asks for the time it needs
        if self._version and own.version != self._version and self._asked is None:
            self._due = now
        left = ticks.diff(self._due, now)
        if left > 0:
            return left
        if self._asked is not None:
            t = self._asked
            self._asked = None
            self._reach.missed(t, now)
            self._tries += 1
            if self._tries >= _TRIES:  # it may answer pings, and still have no word on this
                self._due = ticks.add(now, self._pause.next(self._rng))
                return max(0, ticks.diff(self._due, now))
        t = self._tiers.first_up()
        if t is None and not self.joined:
            # A tier that never heard of us has no key for our pings: a JOIN names us in full.
            t = self._tiers.list[self._tries % len(self._tiers.list)]
        if t is None:
            self._due = ticks.add(now, self._pause.next(self._rng))
            self._version = own.version
        else:
            self._join(t, None, now)
        return max(0, ticks.diff(self._due, now))
