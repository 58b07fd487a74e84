# floor 5: machines
# Climbs the ladder of relays, keeps a way alive, notices that it died. RAM: none but its code.
"""What ways.py does over time with one Way.

climb     relays from the nearest on, the next one after 100 ms or a refusal; and the punch
alive     pinged 20 to 25 s after the last word (a NAT forgets after 30); data without any
          word for a second, or a ping without PONG, and three quick probes decide
dead      another path that still works, else climb again
upgrade   a relayed pair tries to become direct, after 5 s, 10 s, .. 10 min
unused    for five minutes: closed
"""

from . import ticks
from .calls import ENDED, HERE, OPEN
from .compat import const
from .way import DIRECT, NONE, OPENING, RELAYED

_HEDGE_MS = const(100)
_SILENT_MS = const(200)
_CARRY_MS = const(40)
_RETOLD = const(2)
_KEEP_MS = const(20000)
_SPREAD_MS = const(5000)
_DATA_MS = const(1000)
_PONG_MS = const(500)
_PROBE_MS = const(250)
_PROBES = const(3)
_UNUSED_MS = const(300000)
_RENEW_MS = const(3000)
_RESTED_MS = const(60000)
_LEAVE_MS = const(30000)  # a path that the peer does not use any more
# Ms from each round of asking to the next, from the last to giving up.
_ROUNDS = (200, 400, 800, 1600, 3200)


class Keeper:
    def __init__(self, ways):
        self._ways = ways

    # up

    def climb(self, w, now: int) -> None:
        w.began = now if w.state == OPENING or w.ms < 0 else w.began
        w.word = w.quiet = False
        self._punch(w, now)
        if w.use is None:
            self.ask_all(w, now)

    def ask_all(self, w, now: int) -> None:
        """Relays from the first on."""
        w.rungs = self._ways.asks.ladder(now)
        w.rung = w.round = 0
        w.asks = []
        w.told = None
        w.retold = 0
        self._ask(w, now)

    def _punch(self, w, now):
        w.upgrade = None
        ways = self._ways
        if ways.meet is None or w.id is None or w.punching or w.trial is not None:
            return
        w.punching = True
        if not ways.meet.connect(w.id, now, ways.paths.met):
            w.punching = False
            w.upgrade = ticks.add(now, w.again.next(ways.asks.rng))

    def _ask(self, w, now):
        """The next relay; after the last one, all once more."""
        asks = self._ways.asks
        if w.told is not None:  # the peer was told, and says nothing: a lost datagram, maybe
            w.asks.append((asks.call(w.told, OPEN, w.peer), w.told, now))
            for p in w.paths:
                if p.relay is w.told:
                    self._ways.ping(w, p, now)
            w.told = None
            w.retold += 1
            w.due = ticks.add(now, _HEDGE_MS)
        elif w.rung < len(w.rungs):
            r = w.rungs[w.rung]
            w.rung += 1
            w.asks.append((asks.call(r, OPEN, w.peer), r, now))
            w.due = ticks.add(now, _HEDGE_MS)
        elif w.round < len(_ROUNDS):
            w.due = ticks.add(now, _ROUNDS[w.round])
            w.round += 1
            w.rung = 0
            w.rungs = asks.ladder(now)
            w.asks = w.asks[-4:]
        else:
            self._over(w, now)

    def _over(self, w, now):
        w.due = ticks.add(now, 60000)
        if w.state == OPENING and not w.punching:
            from .ways_text import reason

            self._ways.close(w.peer, now, reason(w.last_no, w.word))

    def answered(self, w, relay, token, status, now: int) -> None:
        """CALLED, to a question of ours."""
        w.word = True
        mine = [a for a in w.asks if a[0] == token]
        if not mine:
            return
        if status == HERE:
            # As long again, and the peer's first frame should be here.
            w.told = relay if w.retold < _RETOLD else None
            w.due = ticks.add(now, _CARRY_MS + ticks.diff(now, mine[0][2]))
            w.asks = w.asks[-2:]
            return
        w.asks.remove(mine[0])
        w.last_no = status
        w.note(self._ways.name(relay), status, now)
        if w.use is None and not w.asks:
            self._ask(w, now)

    def no_punch(self, w, now: int) -> None:
        if w.state == RELAYED:
            w.upgrade = ticks.add(now, w.again.next(self._ways.asks.rng))
        elif w.state == OPENING and w.round >= len(_ROUNDS) and w.rung >= len(w.rungs):
            self._over(w, now)

    # alive?

    def alive(self, w, now: int) -> None:
        w.probes = 0
        w.probe = None
        if w.sent is not None and 4 * ticks.diff(now, w.sent) >= 3 * w.rtt:
            w.sent = None  # else it left before our data came
        w.keep = ticks.add(now, _KEEP_MS + self._ways.asks.rng.getrandbits(20) % _SPREAD_MS)

    def doubt(self, w, now: int) -> None:
        if w.use is not None and w.probe is None:
            w.probes = 0
            w.probe = now

    def dead(self, w, p, why, now: int) -> None:
        """A path carries no more: `why` is a status of CALLED, or -1: silent."""
        ways = self._ways
        ways.paths.drop(w, p)
        w.note("direct" if p.channel is None else ways.name(p.relay), why, now)
        if p is not w.use:
            if w.id is None and w.ms < 0 and not w.paths:  # the peer changed its mind
                ways.close(w.peer, now, "ended by the peer")
            return
        w.use = None
        w.probe = w.sent = None
        if why == ENDED and (w.id is None or ticks.diff(now, w.used) > _RESTED_MS):
            ways.close(w.peer, now, "ended by the peer")
            return
        for q in w.paths:
            if q.heard and q.channel is not None:
                q.leave = None
                w.use = q
                ways.tell(w, RELAYED, w.why, now)
                self.doubt(w, now)
                self._punch(w, now)
                return
        w.why = ""
        ways.tell(w, OPENING, "lost", now)
        w.began = now
        self.climb(w, now)

    def _probe(self, w, now):
        if w.probes > _PROBES:
            self.dead(w, w.use, -1, now)
            return
        w.probes += 1
        self._ways.ping(w, w.use, now)
        w.probe = ticks.add(now, max(_PROBE_MS, w.rtt + w.rtt // 2))

    # time

    def poll(self, w, now: int) -> int:
        wait = 60000
        for p in list(w.paths):
            if p.leave is not None:
                left = _LEAVE_MS - ticks.diff(now, p.last)
                left = max(left, ticks.diff(p.leave, now))
                if left <= 0:
                    self._ways.paths.drop(w, p)
                    continue
                wait = min(wait, left)
            elif p is w.use and p.renew is not None:
                wait = min(wait, self._renew(w, p, now))
        if w.trial is not None:
            wait = min(wait, self._ways.paths.poll(w, now))
        wait = min(wait, self._opening(w, now) if w.use is None else self._lives(w, now))
        return wait if w.state != NONE else 60000

    def _renew(self, w, p, now):
        if ticks.diff(p.renew, now) <= 0:
            self._ways.asks.call(p.relay, OPEN, w.peer)
            p.renew = ticks.add(now, _RENEW_MS)
        return ticks.diff(p.renew, now)

    def _opening(self, w, now):
        quiet = ticks.diff(now, w.began) - _SILENT_MS
        if not w.word and not w.quiet and quiet >= 0 and self._ways.on_silence is not None:
            w.quiet = True  # said once
            self._ways.on_silence(now)
            return 1  # it wants a poll soon
        if ticks.diff(w.due, now) <= 0:
            self._ask(w, now)
        left = max(0, ticks.diff(w.due, now))
        return min(left, -quiet) if quiet < 0 else left

    def _lives(self, w, now):
        if w.sent is not None and w.probe is None:
            if ticks.diff(now, w.sent) >= _DATA_MS:
                if self._heard_since(w, now):
                    self.alive(w, now)
                else:
                    self.doubt(w, now)
        elif ticks.diff(w.keep, now) <= 0 or self._unanswered(w, now) <= 0:
            self.doubt(w, now)
        if ticks.diff(now, w.used) >= _UNUSED_MS:
            self._ways.close(w.peer, now, "not used")
            return 60000
        if w.state != DIRECT and w.upgrade is not None and ticks.diff(w.upgrade, now) <= 0:
            self._punch(w, now)
        if w.probe is not None and ticks.diff(w.probe, now) <= 0:
            self._probe(w, now)
            if w.use is None:
                return max(0, ticks.diff(w.due, now))
        return self._next(w, now)

    def _heard_since(self, w, now):
        """What comes to the node's own socket directly passes by us."""
        peers = self._ways.node.peers
        i = peers.find(w.peer)
        return w.use.channel is None and i >= 0 and peers.age(i, now) < ticks.diff(now, w.sent)

    def _unanswered(self, w, now):
        """Ms until a ping without PONG, and without any other word for so long, is too old."""
        if not w.token:
            return 60000
        quiet = min(ticks.diff(now, w.asked), ticks.diff(now, w.use.last))
        return max(_PONG_MS, 3 * w.rtt) - quiet

    def _next(self, w, now):
        wait = ticks.diff(w.keep if w.probe is None else w.probe, now)
        if w.probe is None:
            wait = min(wait, self._unanswered(w, now))
        if w.sent is not None and w.probe is None:
            wait = min(wait, _DATA_MS - ticks.diff(now, w.sent))
        if w.upgrade is not None and w.state != DIRECT:
            wait = min(wait, ticks.diff(w.upgrade, now))
        return max(0, min(wait, _UNUSED_MS - ticks.diff(now, w.used)))
