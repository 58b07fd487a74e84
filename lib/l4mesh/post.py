# floor 6: pipeline
# A neighbour's sleep: keeps small mail until it wakes. RAM: 3 kB with the first, 200 B a mail.
"""The parent's side of MAIL. A standard-mode node keeps what is sent to a neighbour that said it
sleeps, and gives it when the sleeper's hello comes:

    post = Post(node)           takes MAIL and MAILED, and the hellos of sleepers; by node.late
    post.hold(to, data, minutes, number) -> status     this node's own mail for a sleeper
    post.told(number, status)   set by who sends (mail.py): what became of that

At most 8 mails, 2 for a sleeper, 4 of a sender, in RAM: neither a restart nor the end of its
minutes leaves any, and who sent it is not told then. Sent three times a wake-up, 300 ms apart.
"""

from . import ticks
from .compat import const
from .counters import C_BAD_PARSE
from .mailbox import GOT, KEPT, MAIL_HEAD, NO_ROOM, NOT_HERE, Mailbox, answer
from .peers import O_SAID, P_LAN
from .wire import STANDARD, T_MAIL, T_MAILED, put16, put30, u16, u30

_MOST = const(8)
_PER_SLEEPER = const(2)
_PER_SENDER = const(4)
_AGAIN_MS = const(300)
_TRIES = const(3)
_SLEEPS = const(4)
_IDLE_MS = const(1000)


class _Mail:
    def __init__(self, to, sender, number, data, ends):
        self.to = to
        self.sender = sender
        self.number = number
        self.data = data
        self.ends = ends  # minute
        self.left = 0  # times to be sent in this wake-up
        self.due = 0


class Post(Mailbox):
    def __init__(self, node):
        Mailbox.__init__(self, node)
        self._all = []
        self.told = None
        self.delivered = 0
        node.inbox.handle(T_MAIL, self.on_mail)
        node.inbox.handle(T_MAILED, self._on_mailed)
        node.hello.awake = self._awake
        node.late.append(self)

    def __len__(self):
        return len(self._all)

    def _other(self, slot, buf, addr, now):
        node = self._node
        o = node.gate.off
        number = u30(buf, o + 16)
        if buf[o + 8 : o + 16] != node.gate.sid or number < 0:
            node.counters.inc(C_BAD_PARSE)  # nobody sends for others
        elif node.inbox.allowed(slot, buf, addr, now):
            data = bytes(buf[o + MAIL_HEAD : node.gate.end])
            status = self._keep(
                bytes(buf[o : o + 8]), node.gate.sid, number, data, u16(buf, o + 20)
            )
            answer(node.tx, buf, o, status, node.gate.sid, addr)

    def hold(self, to: bytes, data: bytes, minutes: int, number: int) -> int:
        return self._keep(to, self._node.short_id, number, data, minutes)

    def _keep(self, to, sender, number, data, minutes):
        node = self._node
        i = node.peers.find(to)
        if i < 0 or node.serve.mode < STANDARD:
            return NOT_HERE
        if not (node.peers.flags(i) & P_LAN and node.peers.get(i, O_SAID) & _SLEEPS):
            return NOT_HERE
        mine = theirs = 0
        for m in self._all:
            if m.sender == sender and m.number == number and m.to == to:
                return KEPT  # it was sent twice
            mine += m.to == to
            theirs += m.sender == sender
        if len(self._all) >= _MOST or mine >= _PER_SLEEPER or theirs >= _PER_SENDER:
            return NO_ROOM
        self._all.append(_Mail(to, sender, number, data, node.minutes.minute + max(minutes, 1)))
        return KEPT

    def _awake(self, slot, addr, now):
        """A sleeper's hello: now or never."""
        sid = self._node.peers.short_id(slot)
        for m in self._all:
            if m.to == sid and not m.left:
                m.left = _TRIES
                m.due = now

    def _on_mailed(self, slot, buf, addr, now):
        node = self._node
        g = node.gate
        o = g.off
        if not g.linked and buf[o : o + 8] == g.sid and buf[o + 20] == GOT:
            for m in self._all:
                if (
                    m.to == g.sid
                    and m.sender == buf[o + 8 : o + 16]
                    and m.number == u30(buf, o + 16)
                ):
                    self._all.remove(m)
                    self.delivered += 1
                    self._tell(m, buf, o)
                    return
        self._news(buf, o)

    def _tell(self, m, buf, o):
        """The sender hears once that it came; a lost word is not said again."""
        node = self._node
        if m.sender == node.short_id:
            self._news(buf, o)
            return
        i = node.peers.find(m.sender)
        if i >= 0:
            answer(node.tx, buf, o, GOT, m.sender, node.peers.addr(i))

    def _news(self, buf, o):
        if self.told is None or buf[o + 8 : o + 16] != self._node.short_id:
            self._node.counters.inc(C_BAD_PARSE)
        else:
            self.told(u30(buf, o + 16), buf[o + 20])

    def poll(self, now: int) -> int:
        node = self._node
        wait = _IDLE_MS
        minute = node.minutes.minute
        gone = None
        for m in self._all:
            i = node.peers.find(m.to)
            if i < 0 or minute >= m.ends:
                gone = m
            elif m.left:
                left = ticks.diff(m.due, now)
                if left <= 0:
                    self._send(m, node.peers.addr(i))
                    m.left -= 1
                    m.due = ticks.add(now, _AGAIN_MS)
                    left = _AGAIN_MS
                wait = min(wait, left)
        if gone is not None:
            self._all.remove(gone)
        return wait

    def _send(self, m, addr):
        tx = self._node.tx
        o = tx.begin(T_MAIL, m.to)
        b = tx.buf
        b[o : o + 8] = m.to
        b[o + 8 : o + 16] = m.sender
        put30(b, o + 16, m.number)
        put16(b, o + 20, 0)
        end = o + MAIL_HEAD + len(m.data)
        b[o + MAIL_HEAD : end] = m.data
        tx.send(end, addr)

    def why(self):
        """For status."""
        return "%d mails wait for sleepers, %d delivered." % (len(self._all), self.delivered)
