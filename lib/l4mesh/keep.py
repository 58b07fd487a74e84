# floor 6: pipeline
# A custodian: keeps neighbours' blobs, hands them on, brings the word back. RAM: on demand only.
"""The custodian's side of custody (docs/protocol.md 7). It can neither read nor change a blob.

    keep = Keep(node, shelf)                      shelf.py, already open
    keep.on_hand(slot, buf, addr, now)            a HAND that passed the gate
    keep.on_carried(slot, buf, addr, now)         a CARRIED under the node key
    keep.poll(now) -> ms                          keep.idle: nothing here for ten minutes

A HAND is taken in standard mode, while an upstream is heard, from the blob's own owner, within the
shelf's limits; it is on flash before the receipt leaves. Blobs go up as CARRY, one at a time and
only while no reading of our own waits. The upstream's word frees ours and is passed on to the
owner under the group key: at once, then with growing pauses for a day, or until its hello says
that it reaches an upstream itself. Receipts are signed in slices, one a second.
"""

from hashlib import sha256

from . import ticks
from .backoff import Backoff
from .compat import const
from .counters import C_BAD_PARSE, C_CARRIED, C_FLASH_FAIL, C_KEPT, C_LIMITED, C_NO_KEY
from .peers import O_SAID, P_LAN
from .wire import STANDARD, T_CARRIED, T_CARRY, T_RECEIPT, u30

_HEAD = const(29)
_MOST = const(1132)
_VIA = const(16)
_WORD = const(42)  # of an acknowledgement: its head and its tag
_SIGN_MS = const(1000)
_LOOK_MS = const(100)
_IDLE_MS = const(1000)
_UNUSED_MS = const(600000)
_OWNERS = const(8)
_PAUSES = (2000, 10000, 60000, 600000)  # until the word is said to its owner again
_SAYINGS = const(146)  # a day of them
_UPLINK = const(2)
# RECEIPT status
_TAKEN = const(0)
_FULL = const(1)
_NOT_NOW = const(2)
_REFUSED = const(2)  # ACK status, for the custodian only: not a genuine blob, or of a node removed


class Keep:
    def __init__(self, node, shelf, rng):
        self._node = node
        self._shelf = shelf
        self._rng = rng
        self._job = None  # signing
        self._for = None  # short id, address, SHA-256 of the blob
        self._last = None  # short id and RECEIPT of the newest
        self._signed = None
        self._out = None  # entry of the shelf that is on its way up
        self._due = None
        self._used = None
        self.idle = False
        self._pause = Backoff(2000, 60000)
        self._words = {}  # short id: [the upstream's word, said so often, when again]

    def _up(self):
        node = self._node
        return node.reach.up or (node.uplink is not None and node.uplink.up)

    # taking

    def on_hand(self, slot, buf, addr, now):
        node = self._node
        g = node.gate
        o = g.off
        n = g.end - o
        if node.serve.mode < STANDARD or not node.inbox.allowed(slot, buf, addr, now):
            return None
        good = not g.linked and n <= _MOST and buf[o + _HEAD - 1] and u30(buf, o + 24) >= 0
        if not good or buf[o : o + 8] != g.sid:  # nobody hands on what is another's
            return node.counters.inc(C_BAD_PARSE)
        node.peers.set(slot, O_SAID, 0)  # its last hello may be from before it was cut off
        h = sha256(memoryview(buf)[o : g.end]).digest()
        word = self._words.get(g.sid)
        if word is not None and self._is_covered(buf, o, word[0]):
            return self._say(g.sid, word[0], addr)
        if not self._shelf.has(buf, o, n):
            if not self._up():
                return self._receipt(g.sid, addr, h, _NOT_NOW)
            if not self._shelf.room(buf, o, n):
                node.counters.inc(C_LIMITED)
                return self._receipt(g.sid, addr, h, _FULL)
            if not self._shelf.add(buf, o, n):
                node.counters.inc(C_FLASH_FAIL)
                return self._receipt(g.sid, addr, h, _FULL)
            node.counters.inc(C_KEPT)
        self._sign(buf, o, h, addr, now)

    def _is_covered(self, buf, o, word):
        first = u30(buf, o + 24)
        if word[_VIA : _VIA + 24] == buf[o : o + 24]:
            for low, high in _ranges(word):
                if low <= first and first + buf[o + _HEAD - 1] - 1 <= high:
                    return True
        return False

    def _sign(self, buf, o, h, addr, now):
        """Begin a receipt; while another is being made the owner has to ask once more."""
        sid = self._node.gate.sid
        if self._last is not None and self._last[0] == sid and self._last[1][:16] == h[:16]:
            self._answer(sid, addr, self._last[1])
        elif self._job is None:
            if self._signed is not None and 0 <= ticks.diff(now, self._signed) < _SIGN_MS:
                return
            self._signed = now
            self._for = (sid, addr, h)
            head = bytes(buf[o : o + _HEAD])
            self._job = self._node.own.sign(b"l4-receipt-v1\x00" + head + h)

    def _receipt(self, sid, addr, h, status, rest=b""):
        payload = h[:16] + bytes((status,)) + rest
        if rest:
            self._last = (sid, payload)
        self._answer(sid, addr, payload)

    def _answer(self, sid, addr, payload, kind=T_RECEIPT):
        tx = self._node.tx
        o = tx.begin(kind, sid)
        end = o + len(payload)
        tx.buf[o:end] = payload
        tx.send(end, addr)

    # handing on

    def poll(self, now):
        if self._job is not None:
            sig = self._job.step()
            if sig is None:
                return 0
            self._job = None
            sid, addr, h = self._for
            self._receipt(sid, addr, h, _TAKEN, self._node.own.public_key + sig)
        self._say_again(now)
        if self._used is None or self._shelf.list or self._words:
            self._used = now
        self.idle = ticks.diff(now, self._used) > _UNUSED_MS
        if not self._up():
            self._out = self._due = None
        elif self._due is None or ticks.diff(self._due, now) <= 0:
            self._carry(now)
        return _LOOK_MS if self._shelf.list and self._up() else _IDLE_MS

    def _carry(self, now):
        """The next blob, when nothing of our own waits; or the same again."""
        node = self._node
        entries = self._shelf.list
        if not entries or (node.queue is not None and node.queue.pending):
            return
        if self._out not in entries:
            self._out = entries[0]
            self._pause.reset()
        self._due = ticks.add(now, self._pause.next(self._rng))
        tx = node.tx
        mqtt = node.uplink is not None and node.uplink.up
        t = None if mqtt else node.tiers.first_up()
        if not mqtt and t is None:
            return
        o = tx.begin(T_CARRY, None if mqtt else t.peer, link=True)
        tx.buf[o : o + _VIA] = node.id
        end = self._shelf.read(self._out, tx.buf, o + _VIA)
        if end < 0:  # the flash gives it no more; its owner has it
            node.counters.inc(C_FLASH_FAIL)
            self._shelf.done(self._out)
        elif mqtt:
            node.uplink.publish(tx.buf, tx.close(end))
        else:
            tx.send(end, t.addr)

    def on_carried(self, slot, buf, addr, now):
        """The upstream's word: ours to act on, then its owner's."""
        node = self._node
        o = node.gate.off
        n = node.gate.end - o - _VIA
        count = buf[o + _VIA + 25]
        if buf[o : o + _VIA] != node.id or n != _WORD + 8 * count:
            return node.counters.inc(C_BAD_PARSE)
        word = bytes(buf[o : node.gate.end])
        queue = word[_VIA : _VIA + 24]
        status = word[_VIA + 24]
        if status == _REFUSED:
            if self._out in self._shelf.list and self._out[3][:24] == queue:
                node.counters.inc(C_NO_KEY)
                self._shelf.done(self._out)
                self._due = now
            return
        done = self._shelf.covered(queue, list(_ranges(word)))
        node.counters.add(C_CARRIED, done)
        if status == _TAKEN and count:
            self._keep_word(queue[:8], word, now)
        if done:
            self._due = now

    # the word for the owner

    def _keep_word(self, sid, word, now):
        if len(self._words) >= _OWNERS and sid not in self._words:
            del self._words[next(iter(self._words))]
        self._words[sid] = [word, 0, now]

    def _say_again(self, now):
        p = self._node.peers
        for sid in self._words:
            w = self._words[sid]
            if ticks.diff(w[2], now) > 0:
                continue
            i = p.find(sid)
            w[2] = ticks.add(now, _PAUSES[min(w[1], 3)])
            w[1] += 1
            if w[1] > _SAYINGS or (i >= 0 and p.get(i, O_SAID) & _UPLINK):
                del self._words[sid]
                return  # the others at the next poll
            if i >= 0 and p.flags(i) & P_LAN:
                self._say(sid, w[0], p.addr(i))

    def _say(self, sid, word, addr):
        self._answer(sid, addr, word, T_CARRIED)

    def why(self):
        """What is in custody here, in a sentence for status."""
        n = self._node.counters.get(C_CARRIED)
        return "%d blobs of neighbours wait, %d were delivered" % (len(self._shelf.list), n)


def _ranges(word):
    """(first, last) pairs of a CARRIED payload."""
    for i in range(_VIA + 26, len(word) - 16, 8):
        yield u30(word, i), u30(word, i + 4)
