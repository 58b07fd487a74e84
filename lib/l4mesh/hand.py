# floor 6: pipeline
# Cut off from the upstream: gives readings to a neighbour that is not. RAM: loaded when needed.
"""The owner's side of custody (docs/protocol.md 7).

    hand = Hand(node, seal key, crypto)     takes RECEIPT, and COOKIE before others do
    hand.poll(now) -> ms                    hand.idle: nothing is left for it: close(), forget it
    hand.on_carried(slot, buf, addr, now)   a CARRIED under the group key

While no upstream is heard, pending readings go to one neighbour that says it hears one, oldest
first, a blob (blob.py) at a time. A receipt says that the neighbour has a blob on flash, signed
with its identity. That moves `queue.handed`: when the upstream is back, what is before it is sent
last, and what the cap drops of it is counted apart. Nothing is ever freed for a receipt; only the
upstream's own acknowledgement, tagged for us and brought by CARRIED, does that, like an ACK.

A neighbour that is silent, gone or five minutes without a word from the upstream is left for
another one, and begins with the oldest reading again: whatever comes twice is stored once.
"""

from hashlib import sha256
from struct import pack_into

from . import ticks
from .blob import BLOB_HEAD, BLOB_ROOM, BLOB_TAG, ack_good, close, keys_of
from .compat import const
from .counters import C_ACKED, C_BAD_PARSE, C_BAD_SIG, C_BAD_TAG, C_HANDED, C_HANDED_DROPPED
from .events import EV_ACKED
from .keys import node_id
from .peers import O_MODE, O_SAID, P_LAN
from .wire import COOKIE_LEN, STANDARD, T_COOKIE, T_HAND, T_RECEIPT, u30

_REPLY_MS = const(3000)  # a board signs for half a second, others may be before us
_TRIES = const(4)
_IDLE_MS = const(2000)
_LOOK_MS = const(100)
_CHECK_MS = const(1000)
_STALL_MS = const(300000)
_SHUN_MS = const(60000)  # no room, not now, no word
_SHUN_LONG_MS = const(3600000)  # took it, and nothing came of it
_SHUNNED = const(8)
_SIGNED = const(113)  # a RECEIPT with key and signature
_UPLINK = const(2)  # HELLO: I reach an upstream


class Hand:
    def __init__(self, node, seal_key, crypto):
        self._node = node
        self._queue = node.queue
        self._crypto = crypto
        self._keys = keys_of(seal_key)
        self._peer = None  # short id of the custodian
        self._slot = -1
        self._shun = {}  # short id: until
        self._digest = None  # of the blob on its way, None: none is
        self._head = None
        self._to = 0  # sequence behind it
        self._frame = 0
        self._tries = 0
        self._cookies = 0  # shown for this HAND
        self._due = None
        self._job = None  # the check of a receipt
        self._open = False  # a receipt may be checked
        self._moved = 0  # when the upstream's last word came
        self.idle = False
        node.queue.on_drop(self._dropping)
        self._next = node.inbox.handle(T_COOKIE, self._cookie)
        node.inbox.handle(T_RECEIPT, self._receipt)

    def close(self):
        """Leave no trace in the node."""
        self._queue.handed = 0
        self._queue.on_drop(None)
        self._digest = None
        top = self._node.inbox.handle(T_COOKIE, self._next)
        if top != self._cookie:  # who came later goes on through us
            self._node.inbox.handle(T_COOKIE, top)
        self._node.inbox.handle(T_RECEIPT, None)

    def _dropping(self, segments, row):
        """The cap takes a segment, the oldest: -> how many pending ones in it were handed."""
        n = 0
        for i in range(min(segments.count[row], self._queue.handed - segments.first[row])):
            n += not segments.is_done(row, i)
        self._node.counters.add(C_HANDED_DROPPED, n)
        return n

    def poll(self, now):
        if self._job is not None:
            good = self._job.step()
            if good is None:
                return 0
            self._job = None
            self._judged(good, now)
        node = self._node
        if node.reach.up or (node.uplink is not None and node.uplink.up):
            self._digest = self._due = None
            self.idle = not 0 <= self._queue.oldest() < self._queue.handed
            return _IDLE_MS
        self.idle = False
        if self._due is None or ticks.diff(self._due, now) <= 0:
            self._due = ticks.add(now, self._work(now))
        # A receipt that comes is not seen by who calls this: look often while one may.
        return max(1, min(ticks.diff(self._due, now), _LOOK_MS if self._digest else _IDLE_MS))

    def _work(self, now):
        """Something is due: -> ms to wait then."""
        node = self._node
        self._patience(now)
        if self._digest is not None:
            self._tries += 1
            if self._tries >= _TRIES:
                self._leave(_SHUN_MS, True, now)
        if self._peer is not None and not self._there(self._slot):
            # One that lost its own upstream goes on when that is back; one that is gone may not.
            self._leave(0, node.peers.find(self._peer) < 0, now)
        if self._peer is None and not self._choose(now):
            return _IDLE_MS
        if not self._hand(None):
            self._digest = None
            return _IDLE_MS
        return _REPLY_MS << min(self._tries, 2)

    def _patience(self, now):
        """Readings were taken over, and the upstream says nothing?"""
        q = self._queue
        if not 0 <= q.oldest() < q.handed:
            self._moved = now
        elif ticks.diff(now, self._moved) > _STALL_MS:
            self._leave(_SHUN_LONG_MS, True, now)

    def _there(self, i):
        """Does this peer slot say that it can help?"""
        p = self._node.peers
        if self._peer is not None and p.find(self._peer) != i:
            return False
        ok = p.flags(i) & P_LAN and p.get(i, O_SAID) & _UPLINK
        return ok and p.get(i, O_MODE) >= STANDARD

    def _leave(self, shun_ms, again, now):
        """No more for this neighbour. `again`: nothing counts as handed over any more."""
        if self._peer is not None and shun_ms:
            if len(self._shun) >= _SHUNNED:
                self._shun.clear()
            self._shun[self._peer] = ticks.add(now, shun_ms)
        self._peer = self._digest = self._job = None
        self._tries = 0
        if again:
            self._moved = now
            self._queue.handed = 0

    def _choose(self, now):
        """Each owner has an order of its own, so that a LAN's owners spread."""
        p = self._node.peers
        best = b""
        for i in range(p.slots):
            sid = p.short_id(i)
            if not self._there(i) or ticks.diff(self._shun.get(sid, now), now) > 0:
                continue
            rank = sha256(self._node.id + sid).digest()
            if rank > best:
                best = rank
                self._slot = i
        if best:
            self._peer = p.short_id(self._slot)
            self._shun.pop(self._peer, None)
        return best

    def _hand(self, cookie):
        """Send the oldest pending readings that are not handed over. False: there are none."""
        q = self._queue
        tx = self._node.tx
        o = tx.begin(T_HAND, self._peer, cookie=cookie)
        b = tx.buf
        made = q.since(q.handed, b, o + BLOB_HEAD, BLOB_ROOM)
        if made is None:
            return False
        first, count, end = made
        pack_into(">16s8sIB", b, o, self._node.id, q.id, first, count)
        end = close(self._keys, b, o, end)
        h = sha256(memoryview(b)[o:end]).digest()
        if h != self._digest:
            self._digest = h
            self._tries = 0
            self._head = bytes(b[o : o + BLOB_HEAD])
            self._to = first + count
        if cookie is None:
            self._cookies = 0
        self._open = True
        self._frame = tx.counter
        tx.send(end, self._node.peers.addr(self._slot))
        return True

    def _cookie(self, slot, buf, addr, now):
        g = self._node.gate
        if self._digest is None or g.linked or u30(buf, g.off) != self._frame:
            return self._next(slot, buf, addr, now)
        if slot == self._slot and self._cookies < 2:
            self._cookies += 1
            self._hand(bytes(buf[g.off + 4 : g.off + 4 + COOKIE_LEN]))

    def _receipt(self, slot, buf, addr, now):
        g = self._node.gate
        o = g.off
        h = self._digest
        if h is None or g.linked or slot != self._slot or buf[o : o + 16] != h[:16]:
            return self._node.counters.inc(C_BAD_PARSE)
        if buf[o + 16]:
            self._leave(_SHUN_MS, False, now)
            self._due = now
        elif g.end - o < _SIGNED:
            self._node.counters.inc(C_BAD_PARSE)
        elif self._open:
            self._open = False  # one check for each HAND; the next is a second away at least
            key = bytes(buf[o + 17 : o + 49])
            if node_id(key)[:8] != self._peer:
                return self._node.counters.inc(C_BAD_SIG)
            self._due = ticks.add(now, _CHECK_MS)
            text = b"l4-receipt-v1\x00" + self._head + h
            self._job = self._crypto.Verify(key, text, bytes(buf[o + 49 : o + _SIGNED]))

    def _judged(self, good, now):
        if not good:
            self._node.counters.inc(C_BAD_SIG)  # tried again when its time is over
        elif self._digest is not None:
            self._node.counters.add(C_HANDED, self._head[28])
            self._queue.handed = self._to
            self._digest = None
            self._tries = 0

    def on_carried(self, slot, buf, addr, now):
        """The upstream's word for us, by whichever neighbour."""
        node = self._node
        o = node.gate.off + 16
        end = node.gate.end
        if not ack_good(self._keys, buf, o, end):
            return node.counters.inc(C_BAD_TAG)
        before = node.counters.get(C_ACKED)
        if not buf[o + 24]:
            node.sync.on_ack(buf, o, end - BLOB_TAG - o, now)
        new = node.counters.get(C_ACKED) - before
        if new:
            self._moved = now
            node.events.put((EV_ACKED, new))

    def why(self):
        """What is handed over, in a sentence for status."""
        if self._peer is None:
            return "no neighbour takes readings"
        n = self._node.counters.get(C_HANDED)
        return "%d readings handed over, %d wait" % (n, self._queue.pending)
