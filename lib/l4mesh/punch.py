# floor 5: machines
# One attempt to reach one peer directly: PROBEs to and fro until a way is found. RAM: 0.6 kB each.
"""docs/protocol.md 9, "Probing". Made by meet.py, for both sides of an attempt.

    p = Punch(meet, attempt8, peer short id, asked, now)     asked: we are who wants the meeting
    p.reach(addr)                one more endpoint that may be the peer's
    p.begin(now, wait)           the peer begins as well
    p.take(what, number, addr, sock, now)     a PROBE of this attempt
    p.poll(now) -> ms            p.over: it may be forgotten

`p.way` is None, or (addr, sock): found, since a tagged question of ours came back answered. `sock`
is None for the node's own socket. Who asked for the meeting decides which way both use.
"""

from . import ticks
from .compat import const
from .wire import ANSWER, ASK, CHOSEN, HEAD, SPRAYED, T_PROBE, TAG

_ENDS = const(8)
_EACH = const(20)  # packets to an address that never answered
_ANSWERS = const(80)
_LINGER_MS = const(5000)
_QUIET_MS = const(15)
# Ms from each round of questions to the next; the last goes on.
_GAPS = (20, 30, 50, 100, 100, 200, 250)
_TELLS = (60, 100, 150, 250, 400)


class _End:
    def __init__(self, addr, sock):
        self.addr = addr
        self.sock = sock
        self.sent = 0
        self.last = None  # when
        self.frame = 0
        self.heard = False  # something of the peer came from there


class Punch:
    def __init__(self, meet, attempt, sid, asked, now):
        self._meet = meet
        self._node = meet.node
        self.attempt = attempt
        self.peer = sid
        self.asked = asked
        self.born = now
        self.nat = bytes(8)
        self.news = False  # it was looked up for this attempt
        self.ends = []
        self.by = {}  # assistant: IP address of the peer as it sees it
        self.at = {}  # assistant: where it is, for what we have to tell it
        self.now = now  # of the last poll
        self.begun = None  # when the first question left, or will
        self.way = None
        self.ms = -1  # until the way was found
        self.over = False
        self.sweep = None  # punch_sweep.py, for ports that are not known
        self.told = None
        self.word = 0  # why the assistants refuse
        self.asks = None  # meet.py: the assistants asked
        self._due = now
        self._round = 0
        self._number = 0
        self._answers = 0
        self._tells = -1

    def reach(self, addr, sock=None):
        """`addr` may be the peer's. Its _End, or None: it can't be, or there are too many."""
        for e in self.ends:
            if e.addr == addr and e.sock is sock:
                return e
        mine = addr == self._node.own.lan
        if mine or len(self.ends) >= _ENDS or not self._meet.can_be(addr):
            return None
        e = _End(addr, sock)
        self.ends.append(e)
        return e

    def begin(self, now: int, wait: int = 0) -> None:
        if self.begun is None:
            self.begun = ticks.add(now, wait)
            self._due = self.begun

    def ask(self, e, now, more=0, cookie=None):
        if not e.heard and self._sent_to(e.addr[:4]) >= _EACH:
            return
        e.sent += 1
        e.last = now
        self._number = self._number % 200 + 1
        self.send(ASK | more, e.addr, e.sock, self._number, None, cookie)
        e.frame = self._node.tx.counter

    def _sent_to(self, ip):
        return sum(e.sent for e in self.ends if not e.heard and e.addr[:4] == ip)

    def send(self, what, addr, sock, number, seen=None, cookie=None):
        """One PROBE. `seen`: where the question came from that this answers."""
        tx = self._node.tx
        o = tx.begin(T_PROBE, self.peer, cookie=cookie)
        b = tx.buf
        b[o : o + 8] = self.attempt
        b[o + 8] = what
        b[o + 9 : o + 17] = self.peer
        b[o + 17] = number
        b[o + 18 : o + 24] = seen or bytes(6)
        if sock is None:
            return tx.send(o + 24, addr)
        n = tx.close(o + 24)
        return n > 0 and sock.send(b, n, addr)

    def resend(self, addr, sock):
        """The PROBE just sent, to another endpoint."""
        node = self._node
        (node.link if sock is None else sock).send(node.tx.buf, HEAD + 24 + TAG, addr)

    def hold(self, ms, now):
        """Send no question of our own for so long yet."""
        if self._round == 0:
            self.begun = self._due = ticks.add(now, ms)

    def heard_by(self, sock):
        return any(e.heard for e in self.ends if e.sock is sock)

    def forget(self, sock):
        """This socket is closed."""
        self.ends = [e for e in self.ends if e.sock is not sock]

    def on_cookie(self, counter, cookie, now) -> bool:
        for e in self.ends:
            if e.frame == counter and e.sent:
                e.heard = True
                self.ask(e, now, 0, cookie)
                return True
        return False

    def take(self, what, number, addr, sock, now):
        e = self.reach(addr, sock)
        if e is None:  # a ninth endpoint: nobody needs it
            return
        fresh = not e.heard
        e.heard = True
        if what & ASK:
            self._answer(e, what, number, now, fresh)
        if what & ANSWER:
            if what & CHOSEN:
                self._tells = -1
            # A question went there, or to many ports of that address: it came back.
            if e.sent or number == SPRAYED and addr[:4] in self.by.values():
                self._found(e, now)
            elif self.way is None:
                self.ask(e, now)

    def _answer(self, e, what, number, now, fresh):
        self._answers += 1
        if self._answers > _ANSWERS:
            return
        back = ANSWER | what & CHOSEN
        again = e.last is None or fresh or ticks.diff(now, e.last) > _QUIET_MS
        self.send(back, e.addr, e.sock, number, e.addr)
        if what & CHOSEN and not self.asked:
            # It had our answer there: so both directions work, and this is the way of both.
            if self.way is None or self.way[0] != e.addr or self.way[1] is not e.sock:
                self._settle(e, now, True)
            elif self.sweep is not None:
                self.sweep.settle(e.sock, True)
        elif self.way is None and again:
            self.ask(e, now)  # what we sent before may have met a closed door

    def _found(self, e, now):
        if self.way is not None:
            return
        self._settle(e, now)
        if self.asked:
            self._tells = 0
            self.ask(e, now, CHOSEN)
            self._due = ticks.add(now, _TELLS[0])

    def _settle(self, e, now, chosen=False):
        self.way = (e.addr, e.sock)
        if self.ms < 0:
            self.ms = ticks.diff(now, self.born)
        if self.sweep is not None:
            # The one who asked decides, maybe for a way that we don't know of yet.
            self.sweep.settle(e.sock, self.asked or chosen)
        self._last = ticks.add(now, _LINGER_MS)
        if self._tells < 0:
            self._due = self._last
        self._meet.found(self)

    def lost(self, why):
        """No way: the sockets go, whoever waits is told."""
        if not self.over:
            self.end()
            self._meet.lost(self, why)

    def end(self):
        self.over = True
        if self.sweep is not None:
            self.sweep.close()
            self.sweep = None

    def poll(self, now: int) -> int:
        if self.way is not None:
            return self._poll_found(now)
        if self.begun is None:
            return 60000
        wait = 60000
        if self.sweep is not None:
            wait = self.sweep.poll(now)
        left = ticks.diff(self._due, now)
        if left <= 0:
            if self._round > _EACH + 2 and (self.sweep is None or self.sweep.done(now)):
                self.lost("no packet of it came through")
                return 0
            for e in self.ends:
                self.ask(e, now)
            left = _GAPS[min(self._round, len(_GAPS) - 1)]
            self._round += 1
            self._due = ticks.add(now, left)
        return left if left < wait else wait

    def _poll_found(self, now):
        left = ticks.diff(self._due, now)
        if left > 0:
            return left
        if 0 <= self._tells < len(_TELLS):
            e = self.reach(self.way[0], self.way[1])
            self._tells += 1
            if e is not None:
                self.ask(e, now, CHOSEN)
            left = _TELLS[self._tells] if self._tells < len(_TELLS) else 1000
            self._due = ticks.add(now, left)
            return left
        self._tells = -1
        left = ticks.diff(self._last, now)
        if left <= 0:
            self.end()
            return 0
        self._due = self._last
        return left
