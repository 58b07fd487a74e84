# floor 6: pipeline
# Small signed messages between two nodes, over any way there is. RAM: 4 kB, once an app asks.
"""SAY (docs/protocol.md 4, "Messages of applications"): at most 128 bytes, whatever they mean.

    say = of(node, now)                        made with the first call; node.poll() drives it
    say.send(short_id, data, now) -> number    0: four wait already
    event (EV_SAID, short id, data)            somebody said this to us, once
    event (EV_SAID, short id, None, number, why)    ours: "" it was taken, or what went wrong

A message goes to where the peer table has its receiver: WiFi, a relayed way, a Bluetooth link. It
is signed with the sender's identity, over a challenge that the receiver gave a moment before: so
neither who has the group key nor who has kept an older message can speak for the sender. To sign
takes a board half a second and to check likewise; both are done in slices, one at a time, and the
receiver begins one check a second. It remembers what it took for longer than its challenges live.
"""

from . import ticks
from .compat import const
from .cookie import Cookies
from .counters import C_BAD_PARSE, C_BAD_SIG, C_COOKIE_BAD, C_LIMITED
from .events import EV_SAID
from .keys import node_id
from .wire import T_SAY, put30, u30

MOST = 128
_ASK = const(0)
_GO = const(1)
_SAID = const(2)
_HEARD = const(3)
_SHORT = const(13)  # of all but SAID
_HEAD = const(109)  # of SAID: what, number 4, challenge 8, key 32, signature 64
# HEARD
_TAKEN = const(0)
_BUSY = const(1)
_REFUSED = const(2)
_STALE = const(3)  # that challenge is too old, or of another boot: ask again

_WAITING = const(4)
_AGAIN_MS = const(1500)
_LIMIT_MS = const(45000)  # a challenge lives a minute at least
_CHECK_MS = const(1000)
_KEPT = const(24)
_KEPT_MS = const(130000)
_LOOK_MS = const(50)


def of(node, now: int, crypto=None):
    """The Say of a node."""
    for m in node.late:
        if isinstance(m, Say):
            return m
    if crypto is None:
        from . import ed25519 as crypto
    m = Say(node, now, crypto)
    node.late.append(m)
    return m


class Say:
    def __init__(self, node, now, crypto):
        self._node = node
        self._crypto = crypto
        self._fresh = Cookies(node.entropy, now)
        self._out = []  # [short id, number, data, since]; the first is under way
        self._go = None  # the challenge for it
        self._signed = None
        self._signing = None
        self._due = now
        self._check = None  # the job, short id, number, data, address
        self._checked = None
        self._kept = {}  # short id and number: when it was taken
        node.inbox.handle(T_SAY, self._take)

    def send(self, sid: bytes, data: bytes, now: int) -> int:
        if not 0 < len(data) <= MOST:
            raise ValueError("a message has 1 to 128 bytes; send a longer one in parts")
        if len(self._out) >= _WAITING:
            return 0
        number = int.from_bytes(self._node.entropy(4), "big") & 0x3FFFFFFF or 1
        self._out.append((bytes(sid[:8]), number, bytes(data), now))
        if len(self._out) == 1:
            self._due = now
        return number

    def poll(self, now: int) -> int:
        self._fresh.turn(now)
        if self._check is not None:
            good = self._check[0].step()
            if good is None:
                return 0
            self._judged(good, now)
        if self._signing is not None:
            sig = self._signing.step()
            if sig is None:
                return 0
            self._signing = None
            self._signed = sig
            self._due = now
        if not self._out:
            return _CHECK_MS
        left = ticks.diff(self._due, now)
        return min(left, _LOOK_MS) if left > 0 else self._speak(now)

    # our own

    def _speak(self, now):
        """Send what is due of the first message; ms until the next look."""
        sid, number, data, since = self._out[0]
        node = self._node
        slot = node.peers.find(sid)
        if slot < 0:
            return self._done("there is no way to it: no neighbour, no open way", now)
        if ticks.diff(now, since) >= _LIMIT_MS:
            return self._done("it did not answer in %d s" % (_LIMIT_MS // 1000), now)
        self._due = ticks.add(now, _AGAIN_MS)
        if self._go is None or self._signed is not None:
            what = _ASK if self._go is None else _SAID
            rest = b"" if what == _ASK else self._go + node.own.public_key + self._signed + data
            self._answer(what, number, rest, sid, node.peers.addr(slot))
        return _LOOK_MS

    def _done(self, why, now):
        sid, number, _, _ = self._out.pop(0)
        self._due = now
        self._go = self._signed = self._signing = None
        self._node.events.put((EV_SAID, sid, None, number, why))
        return 0

    def _answer(self, what, number, rest, sid, addr):
        tx = self._node.tx
        o = tx.begin(T_SAY, sid)
        b = tx.buf
        b[o] = what
        put30(b, o + 1, number)
        end = o + 5 + len(rest)
        b[o + 5 : end] = rest
        while end < o + _SHORT:
            b[end] = 0
            end += 1
        tx.send(end, addr)

    # what came

    def _take(self, slot, buf, addr, now):
        node = self._node
        g = node.gate
        o = g.off
        what = buf[o]
        number = u30(buf, o + 1)
        if g.linked or number < 0 or what > _HEARD or (what == _SAID and g.end - o <= _HEAD):
            return node.counters.inc(C_BAD_PARSE)
        if what & 1:
            ours = self._out and self._out[0][:2] == (g.sid, number)
            if not ours:
                return node.counters.inc(C_BAD_PARSE)
            if what == _GO:
                self._sign(bytes(buf[o + 5 : o + _SHORT]))
            elif self._signed is not None:
                self._told(buf[o + 5], now)
        elif not node.limits.allow_id(slot, now):
            node.counters.inc(C_LIMITED)
        elif what == _ASK:  # as long as its answer: no address has to be proven
            self._answer(_GO, number, self._fresh.make(addr, g.sid), g.sid, addr)
        else:
            status = self._judge(buf, o, g.end, number, addr, now)
            if status is not None:
                self._answer(_HEARD, number, bytes((status,)), g.sid, addr)

    def _sign(self, challenge):
        """The receiver is there: sign for it. A second challenge is for a doubled question."""
        if self._go is None:
            self._go = challenge
            sid, number, data, _ = self._out[0]
            self._signing = self._node.own.sign(_text(sid, challenge, number, data))

    def _told(self, status, now):
        if status == _TAKEN:
            self._done("", now)
        elif status == _REFUSED:
            self._done("it was refused: the other side found the signature wrong", now)
        elif status == _STALE:
            self._go = self._signed = None

    def _judge(self, buf, o, end, number, addr, now):
        """A SAID: its status, or None while it is being checked."""
        node = self._node
        sid = node.gate.sid
        key = sid + bytes(buf[o + 1 : o + 5])
        if key in self._kept:
            return _TAKEN
        if not self._fresh.good(addr, sid, buf, o + 5):
            node.counters.inc(C_COOKIE_BAD)
            return _STALE
        public = bytes(buf[o + 13 : o + 45])
        if end - o > _HEAD + MOST or node_id(public)[:8] != sid:
            node.counters.inc(C_BAD_SIG)
            return _REFUSED
        if self._check is not None:
            return None if self._check[1] == key else _BUSY
        if self._checked is not None and 0 <= ticks.diff(now, self._checked) < _CHECK_MS:
            return _BUSY
        if len(self._kept) >= _KEPT and not self._forget(now):
            node.counters.inc(C_LIMITED)
            return _BUSY
        self._checked = now
        data = bytes(buf[o + _HEAD : end])
        text = _text(node.short_id, bytes(buf[o + 5 : o + 13]), number, data)
        job = self._crypto.Verify(public, text, bytes(buf[o + 45 : o + _HEAD]))
        self._check = (job, key, number, data, addr)
        return None

    def _forget(self, now):
        # After six days without a message the difference is below 0.
        old = [k for k in self._kept if not 0 <= ticks.diff(now, self._kept[k]) <= _KEPT_MS]
        for k in old:
            del self._kept[k]
        return old

    def _judged(self, good, now):
        _, key, number, data, addr = self._check
        self._check = None
        if good:
            self._kept[key] = now
            self._node.events.put((EV_SAID, key[:8], data))
        else:
            self._node.counters.inc(C_BAD_SIG)
        self._answer(_HEARD, number, bytes((_TAKEN if good else _REFUSED,)), key[:8], addr)


def _text(receiver, challenge, number, data):
    """What the sender signs."""
    b = bytearray(4)
    put30(b, 0, number)
    return b"l4-say-v1\x00" + receiver + challenge + bytes(b) + data
