# floor 7: node
# Sends small mail to a node that may be asleep. RAM: 1 kB, once somebody does.
"""MAIL, the sender's side: to the receiver if it is awake, else to a neighbour that keeps it.

    mail = of(node)             made with the first call; node.poll() drives it
    mail.send(short_id, data, now, minutes=1440) -> number     0: four are under way already
    event (EV_MAIL, receiver, None, number, status)            KEPT, GOT, NO_ROOM or NOT_HERE

A sleeper is one whose hello said so. This node keeps the mail itself if it hears that hello and is
in standard mode, else the neighbours of this LAN are asked in turn, four at most. KEPT may be
followed by GOT when the sleeper had it; that word is said once and may be lost.
"""

from . import ticks
from .compat import const
from .events import EV_MAIL
from .mailbox import GOT, MAIL_HEAD, MAIL_MOST, NOT_HERE
from .peers import O_MODE, O_SAID, P_LAN
from .post import Post
from .wire import COOKIE_LEN, STANDARD, T_COOKIE, T_MAIL, put16, put30, u30

_MOST = const(4)
_ASKED = const(4)
_REPLY_MS = const(700)
_TRIES = const(3)
_SLEEPS = const(4)


def of(node):
    post = None
    for m in node.late:
        if isinstance(m, Mail):
            return m
        if isinstance(m, Post):
            post = m
    return Mail(node, Post(node) if post is None else post)


class _Letter:
    def __init__(self, to, data, number, minutes):
        self.to = to
        self.data = data
        self.number = number
        self.minutes = minutes
        self.asked = []  # short ids
        self.at = None  # who is asked now
        self.tries = self.frame = self.due = 0
        self.worst = NOT_HERE


class Mail:
    def __init__(self, node, post):
        self._node = node
        self.post = post
        post.told = self._told
        self._all = []
        b = node.entropy(4)  # no number of before a restart again
        self._number = (b[0] & 31) << 24 | b[1] << 16 | b[2] << 8 | b[3]
        self._next = node.inbox.handle(T_COOKIE, self._cookie)
        node.late.append(self)

    def send(self, to: bytes, data: bytes, now: int, minutes: int = 1440) -> int:
        if len(to) < 8 or not 0 < len(data) <= MAIL_MOST:
            raise ValueError("mail goes to a short id of 8 bytes and has 1 to 128 bytes")
        if len(self._all) >= _MOST:
            return 0
        self._number += 1
        m = _Letter(bytes(to[:8]), bytes(data), self._number, minutes)
        node = self._node
        i = node.peers.find(m.to)
        if i >= 0 and node.peers.get(i, O_SAID) & _SLEEPS:
            status = self.post.hold(m.to, m.data, minutes, m.number)
            if status != NOT_HERE:
                node.events.put((EV_MAIL, m.to, None, m.number, status))
                return m.number
        self._all.append(m)
        m.due = now
        return m.number

    def _told(self, number, status):
        for m in self._all:
            if m.number == number:
                if status > GOT:  # the next one may have room
                    m.worst = min(m.worst, status)
                    m.at = None
                    m.due = None
                else:
                    self._end(m, status)
                return
        if status == GOT:
            self._node.events.put((EV_MAIL, None, None, number, GOT))

    def _end(self, m, status):
        self._all.remove(m)
        self._node.events.put((EV_MAIL, m.to, None, m.number, status))

    def poll(self, now: int) -> int:
        wait = 60000
        for m in list(self._all):
            left = 0 if m.due is None else ticks.diff(m.due, now)
            if left <= 0:
                if m.at is not None and m.tries >= _TRIES:
                    m.at = None
                if m.at is None and not self._choose(m):
                    self._end(m, m.worst)
                    continue
                self._send(m, None)
                m.tries += 1
                m.due = ticks.add(now, _REPLY_MS)
                left = _REPLY_MS
            wait = min(wait, left)
        return wait

    def _choose(self, m):
        """The receiver itself, then those who may keep it."""
        p = self._node.peers
        m.tries = 0
        i = p.find(m.to)
        if i >= 0 and not p.get(i, O_SAID) & _SLEEPS and m.to not in m.asked:
            m.at = m.to
        else:
            for i in range(p.slots):
                sid = p.short_id(i)
                if p.flags(i) & P_LAN and sid not in m.asked and sid != m.to:
                    if p.get(i, O_MODE) >= STANDARD and not p.get(i, O_SAID) & _SLEEPS:
                        m.at = sid
                        break
        if m.at is None or len(m.asked) >= _ASKED:
            return False
        m.asked.append(m.at)
        return True

    def _send(self, m, cookie):
        node = self._node
        i = node.peers.find(m.at)
        if i < 0:
            return
        tx = node.tx
        o = tx.begin(T_MAIL, m.at, cookie=cookie)
        b = tx.buf
        b[o : o + 8] = m.to
        b[o + 8 : o + 16] = node.short_id
        put30(b, o + 16, m.number)
        put16(b, o + 20, m.minutes)
        end = o + MAIL_HEAD + len(m.data)
        b[o + MAIL_HEAD : end] = m.data
        tx.send(end, node.peers.addr(i))
        m.frame = tx.counter

    def _cookie(self, slot, buf, addr, now):
        g = self._node.gate
        if not g.linked:
            for m in self._all:
                if m.at == g.sid and m.frame == u30(buf, g.off):
                    self._send(m, bytes(buf[g.off + 4 : g.off + 4 + COOKIE_LEN]))
                    m.frame = 0  # shown once
                    return
        self._next(slot, buf, addr, now)
