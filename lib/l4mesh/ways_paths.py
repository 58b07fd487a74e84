# floor 5: machines
# The paths under a way: from CALLED or a punch to the one that carries. RAM: none but its code.
"""What ways.py does when a path comes, is heard by, or goes.

A relay's path carries from the first frame of the peer that came by it; a direct one from the
punch's round trip on. What it takes over from is listened to for half a minute more.
"""

from . import ticks
from .calls import END, HERE
from .compat import const
from .nat_type import SYMMETRIC
from .peers import P_LAN, P_PROVEN
from .way import DIRECT, NONE, RELAYED, Path
from .wire import T_PING, T_PONG, T_PROBE

_LEAVE_MS = const(5000)
_TRIAL_MS = const(120)
_TRIALS = const(10)
_FRESH_MS = const(3000)  # a direct path: frames by relays are still on their way


class Paths:
    def __init__(self, ways):
        self._ways = ways

    def called(self, relay, token, status, peer, channel, good_s, now: int) -> None:
        """CALLED about a channel: an answer to us, or the peer's doing."""
        ways = self._ways
        ways.now = now
        w = ways.of(peer)
        if w is None or w.state == NONE:
            if token or status != HERE or not relay.ok:
                return
            w = ways.make(peer, now)
            if w is None:
                return
        elif token:
            ways.keeper.answered(w, relay, token, status, now)
        p = w.path_of(channel, relay.addr)
        if status != HERE:
            if p is not None:
                ways.keeper.dead(w, p, status, now)
            return
        if token and w.state == DIRECT:  # too late to be of use
            ways.asks.call(relay, END, peer)
            return
        if p is None:
            ways.forget_old(peer, now)
            p = Path(channel, relay.addr, relay, now)
            self._add(w, p)
            ways.ping(w, p, now)
        p.renew = ticks.add(now, max(10000, good_s * 500))

    def heard(self, w, p, now: int, kind: int) -> None:
        """A good frame of the peer came by this path."""
        ways = self._ways
        p.heard = True
        p.last = now
        ways.keeper.alive(w, now)
        if kind != T_PING and kind != T_PONG:
            w.used = now
        if p is w.trial:
            self._take_over(w, p, now)
            return
        old = w.use
        if old is p or old is not None and not self._better(w, p, old, now):
            return
        if old is not None:
            old.leave = ticks.add(now, _LEAVE_MS)
        p.leave = None
        w.use = p
        if w.state != RELAYED:
            w.note(ways.name(p.relay), HERE, now)
            ways.tell(w, RELAYED, w.why, now)

    def _better(self, w, p, old, now):
        """A relay's path that is newer: the peer lost the other one, or it would not use this."""
        if p.channel is None or w.paths.index(p) < w.paths.index(old):
            return False
        return old.channel is not None or ticks.diff(now, old.born) > _FRESH_MS

    def met(self, sid, addr, sock, ms, why) -> None:
        """meet.py: a direct path, or None and why not; also when the peer asked for it."""
        ways = self._ways
        now = ways.node._now
        w = ways.of(sid)
        if addr is None:
            if w is not None:
                w.punching = False
                w.why = why
                ways.keeper.no_punch(w, now)
            return
        if w is None or w.state == NONE:
            w = ways.make(sid, now)
            if w is None:
                if sock is not None:
                    sock.close()
                return
        w.punching = False
        self._direct(w, addr, sock, why, now)

    def _direct(self, w, addr, sock, why, now):
        if sock is not None:
            sock.take = self._from(w)
        p = Path(None, addr, None, now, sock)
        p.why = why
        p.tokens = []
        old = w.trial
        w.trial = None
        if old in w.paths:
            w.paths.remove(old)
        self._add(w, p)
        if old is not None:
            self.drop(w, old)
        if w.use is not None and self._guessed(w, addr, sock):
            # Of many sockets the peer may have chosen another: no data before a ping came back.
            w.trial = p
            w.trials = 0
            self.poll(w, now)
        else:
            self._take_over(w, p, now)

    def _guessed(self, w, addr, sock):
        """Were ports guessed for it?"""
        if sock is not None:
            return True
        meet = self._ways.meet
        for p in meet.all if meet is not None else ():
            if p.peer == w.peer and (meet.nat[0] == SYMMETRIC or p.nat[0] == SYMMETRIC):
                return True
        return False

    def poll(self, w, now: int) -> int:
        """The trial of a direct path."""
        every = max(_TRIAL_MS, w.rtt + w.rtt // 2)
        if w.trials:
            left = every - ticks.diff(now, w.asked)
            if left > 0:
                return left
        if w.trials == _TRIALS:
            p = w.trial
            w.trial = None
            self.drop(w, p)
            w.note("direct", -1, now)
            w.why = "the port was another one in the end"
            self._ways.keeper.no_punch(w, now)
            return 60000
        w.trials += 1
        self._ways.ping(w, w.trial, now)
        w.trial.tokens.append(w.token)
        return every

    def _take_over(self, w, p, now):
        ways = self._ways
        w.trial = None
        p.heard = True
        p.last = now
        for q in w.paths:  # a while longer: what is on its way there still comes
            if q is not p and q.leave is None:
                q.leave = ticks.add(now, _LEAVE_MS)
        w.use = p
        w.asks = []
        w.note("direct", HERE, now)
        peers = ways.node.peers
        i = peers.find(w.peer)
        if i >= 0 and not peers.flags(i) & P_LAN:
            peers.set_addr(i, w.addr if p.sock is not None else p.addr)
            peers.set_flag(i, P_PROVEN)
        w.why = ""
        w.again.reset()
        ways.keeper.alive(w, now)
        ways.tell(w, DIRECT, p.why, now)

    def pong(self, sid, token: int, now: int) -> bool:
        """False: to no ping of ours."""
        for w in self._ways.all:
            p = None
            if w.peer != sid or token <= 0:
                continue
            if w.token == token:
                w.token = 0
                w.rtt = ticks.diff(now, w.asked)
                p = w.pinged
            elif w.trial is not None and token in w.trial.tokens:  # an earlier one
                p = w.trial
            if p is None:
                continue
            if p is w.trial:
                self._take_over(w, p, now)
            elif w.use is not None and w.use.channel is None:
                w.use.last = now
            self._ways.keeper.alive(w, now)
            return True
        return False

    def _from(self, w):
        """take() for a socket that only this way has."""
        ways = self._ways

        def take(buf, n, addr, now, sock):
            if n > 1 and buf[1] == T_PROBE and ways.meet is not None:
                ways.meet.take(buf, n, addr, now, sock)
                return
            for p in w.paths:
                if p.sock is sock and p.addr == addr:
                    ways.come(w, p, buf, n, now)
                    return

        return take

    def _add(self, w, p):
        old = w.add(p)
        if old is not None:
            self.drop(w, old)

    def drop(self, w, p) -> None:
        """This path is not used any more."""
        if p in w.paths:
            w.paths.remove(p)
        # A peer may come to one socket of ours from several ports, one after the other.
        if p.sock is not None and p.sock not in [q.sock for q in w.paths]:
            p.sock.close()
        # END is for the pair: not while another channel of this relay is used.
        if p.channel is not None and p.relay.sid not in [q.relay.sid for q in w.paths if q.relay]:
            self._ways.asks.call(p.relay, END, w.peer)
