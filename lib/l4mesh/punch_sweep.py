# floor 5: machines
# Guesses ports that a NAT chooses anew each time, within bounds. RAM: 5 kB, while it does.
"""docs/protocol.md 9, "Ports that are not known": carries out a plan of nat_pair.py for one Punch.

    sweep_of(meet, punch, now)      gives the punch a Sweep if its plan wants one
    s.poll(now) -> ms     s.done(now)     s.news(fresh)     s.settle(sock, all_)     s.close()

Not before two assistants have told the same IP address of the peer, so one liar can't aim this
at somebody; 1,024 packets at most, 500 a second; with one peer once in 10 minutes (once a minute
if it is only the next few ports of a sequence); never when metered (nat_pair.py sees to that).
"""

from . import ticks
from .compat import const
from .nat_pair import HARD, RELAY, plan
from .nat_type import SEQUENTIAL, SYMMETRIC
from .punch_fresh import Fresh
from .punch_pool import SOCKETS, Pool
from .shuffled import Shuffled
from .stun_client import StunClient
from .wire import ASK, SPRAYED, put16

_TICK_MS = const(10)
_TICK = const(5)  # packets in one: 500 a second
_AGAIN_MIN = const(10)
_FEW = const(64)  # packets that are no spraying yet
_PROOF_MS = const(1500)  # so long for the second assistant
_FRESH_MS = const(450)  # and so long for a sequence's newest port
_AFTER_MS = const(1200)
_SLOW_MS = const(4000)
_NO_SOCKET = const(40)  # tries, 50 ms apart: others keep theirs
_NEW = const(2)  # sockets of a side that counts, where the peer's window is 16
# Rounds of few packets: ms from each to the next.
_GAPS = (20, 30, 50, 100, 100, 200, 300, 400)


def sweep_of(meet, p, now):
    pl = plan(meet.nat, p.nat)
    if pl.how == RELAY and len(p.ends) < 2:  # a second one is on this network
        p.lost("its ports and ours can't be guessed")
    elif pl.how == HARD and meet.node.sockets is not None:
        p.sweep = Sweep(meet, p, pl, now)


class Sweep:
    def __init__(self, meet, p, pl, now):
        self._meet = meet
        self._p = p
        self._plan = pl
        self._born = now
        self._t0 = None  # when it began to send
        self._end = None
        self.sprays = False  # many packets are on their way
        self._i = 0  # ports tried, over all rounds
        self._to = bytearray(6)  # the IP address that two assistants saw, and the port in turn
        self._due = now
        self._round = 0
        self._last = None
        self._known = not _counts(p.nat)
        self._fresh = None
        self._new = False  # own socket may have old ports towards the peer: not the next ones
        self._order = Shuffled(pl.span, meet.rng) if pl.shuffle else None
        self._rtt = max([x.rtt for x in meet.standing.list] + [0]) or 200
        self.pool = Pool(meet, p, pl.low, self._rtt)
        self._own = None  # socket that sweeps, if not the node's own
        if _counts(meet.nat):
            # What we send to the peer takes the next port, so the look-up comes first.
            p.hold(_FRESH_MS, now)
            self._fresh = Fresh(meet, p, now, StunClient)
            self._new = True
        elif pl.wait_ms:
            p.hold(_PROOF_MS, now)

    def news(self, fresh):
        """Another PUNCH came: maybe with the newest port of the peer."""
        if fresh and self._t0 is None:
            self._known = True
            self._plan = plan(self._meet.nat, self._p.nat)

    def _ready(self, now):
        """May it begin? None: not yet."""
        p = self._p
        age = ticks.diff(now, self._born)
        if age > _PROOF_MS:
            return False
        looks = self._fresh is not None and not self._fresh.over
        if (looks or not self._known) and age < _FRESH_MS or p.begun is None:
            return None
        ips = list(p.by.values())
        for ip in ips:
            if ips.count(ip) > 1 and self._meet.can_be(ip + b"\x10\x08"):
                self._to[:4] = ip
                return self._book(now)
        return None

    def _book(self, now):
        """Is it long enough since the last time with this peer? Then it is written down."""
        meet = self._meet
        pl = self._plan
        minute = meet.node.minutes.advance(now)
        pause = 1 if pl.count * pl.rounds <= _FEW and pl.fresh <= SOCKETS else _AGAIN_MIN
        if pause > 1:  # 500 a second are for all attempts together: a relay has to do meanwhile
            if any(q.sweep is not None and q.sweep.sprays for q in meet.all):
                return False
            self.sprays = True
        meet.sprays = [s for s in meet.sprays if minute - s[1] < s[2]]
        if any(s[0] == self._p.peer for s in meet.sprays) or len(meet.sprays) >= 8:
            self.sprays = False
            return False
        meet.sprays.append((self._p.peer, minute, pause))
        return True

    def done(self, now):
        return self._end is not None and ticks.diff(now, self._end) >= 0

    def settle(self, keep, all_):
        """A way was found by socket `keep`: nothing more is sent."""
        self.pool.settle(keep, all_)
        if self._fresh is not None:
            self._fresh.close()
        self._end = self._born
        self.sprays = False

    def close(self):
        self.settle(None, True)

    def poll(self, now):
        if self._end is not None:
            return 60000
        if self._fresh is not None:
            self._fresh.poll(now)
        if self._t0 is None:
            ok = self._ready(now)
            if ok is None:
                return _TICK_MS
            self._t0 = self._due = now
            if not ok:
                self._p.hold(0, now)
                self._end = now
                return 0
            self._p.hold(self._plan.wait_ms, now)
        left = ticks.diff(self._due, now)
        if left <= 0:
            left = self._work(now)
            self._due = ticks.add(now, left)
            if left == 0:
                self.sprays = False
                self._end = ticks.add(now, self._rtt + _AFTER_MS)
        return max(1, left)

    def _work(self, now):
        """One tick: -> ms until the next, 0 when all is sent."""
        pl = self._plan
        if self.pool.failed > _NO_SOCKET:
            return 0
        if pl.count == 0:
            return self._roll(now)
        if pl.count == 1:
            return self._all_to_one(now)
        return self._spray(now)

    def _roll(self, now):
        """The peer guesses our ports: the more of them there are, the sooner it hits one."""
        pl = self._plan
        fresh = pl.fresh or (_NEW if self._new else 0)
        age = ticks.diff(now, self._t0) - pl.wait_ms
        if age < 0 or not fresh:
            return _TICK_MS if fresh else 0
        # It may have begun late: so some more, slowly, as long as it may be sweeping.
        return self.pool.roll(now, self.pool.opened < fresh, age < _SLOW_MS)

    def _all_to_one(self, now):
        """All sockets to the one port that the peer's sixth is to have."""
        pl = self._plan
        pool = self.pool
        while pool.opened < pl.fresh and pool.open(now) is not None:
            pass
        if self._round == len(_GAPS) or not pool.list:
            return 0
        to = self._aim(0)
        for x in pool.list:
            pool.left -= 1
            self._p.send(ASK, to, x[0], SPRAYED)
        self._round += 1
        return _GAPS[self._round - 1]

    def _aim(self, i):
        put16(self._to, 4, self._plan.port(i))
        return bytes(self._to)

    def _spray(self, now):
        pl = self._plan
        pool = self.pool
        n = 0
        while n < _TICK and pool.left > 0 and self._i < pl.count * max(1, pl.rounds):
            sock = self._own
            if self._new and sock is None:
                sock = self._own = pool.open(now)
                if sock is None:
                    return 50
            elif pl.each:
                k = self._i // pl.count
                while len(pool.list) <= k and pool.opened < SOCKETS:
                    if pool.open(now) is None:
                        return 50
                sock = pool.list[min(k, len(pool.list) - 1)][0]
            i = self._i % pl.count
            to = self._aim(i if self._order is None else self._order.at(i))
            # One frame for all of a tick: the peer takes the first, the rest is a replay.
            if n == 0 or sock is not self._last:
                self._p.send(ASK, to, sock, SPRAYED)
                self._last = sock
            else:
                self._p.resend(to, sock)
            self._i += 1
            pool.left -= 1
            n += 1
        return _TICK_MS if n else 0


def _counts(nat):
    return nat[0] == SYMMETRIC and nat[1] == SEQUENTIAL
