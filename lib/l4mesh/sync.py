# floor 5: machines
# Delivers the queue's readings upstream, at least once. RAM: 300 B; the buffer is the node's.
"""Batches in flight, acknowledgements, retries.

BATCH payload (docs/protocol.md type 10): origin id 16, queue id 8, first sequence 4, count 1,
readings. It is written to buf[off:], 1156 B at most, and leaves by `send(buf, n, now) -> bool`:
n = length of the payload at `off`; the node seals, tags and picks MQTT or UDP; False = not now.
ACK payload (type 11): origin id 16, queue id 8, status 1, count 1, (first 4, last 4) each.

One batch in flight; one more for each that was acknowledged, up to four, unless the word took more
than half a second: then one, as the upstream has enough to do. No acknowledgement by the deadline
(1 s or four times the last wait, doubled up to 60 s, jittered): back to one, the oldest batch
again, with the same boundaries; new batches are half as long, twice as long with each word.
After an outage all nodes come back at once: each waits up to four seconds, then live readings go
first. The upstream stores a reading once however often it comes: repeating is always right.
Call `poll` after `queue.push`, after `on_ack` and when the time it returned is over.
"""

from struct import pack_into, unpack_from

from . import ticks
from .backoff import Backoff
from .compat import const
from .counters import C_ACK_FOREIGN, C_BAD_PARSE

_ROOM = const(1156)  # the longest payload
_HEAD = const(29)  # of a BATCH
_ACK = const(26)  # head of an ACK
_WINDOW = const(4)
_IDLE = const(60000)
_LEAST = const(139)  # room for a reading of the longest kind
_SLOW_MS = const(500)
_LATE_MS = const(15000)


def _ranges(buf, off, count):
    for i in range(off, off + 8 * count, 8):
        yield unpack_from(">II", buf, i)


def _ascending(buf, off, count):
    """Are all ranges ordered, apart and below 2**30?"""
    low = 0
    for first, last in _ranges(buf, off, count):
        if not low <= first <= last < 0x40000000:
            return False
        low = last + 1
    return True


class Sync:
    def __init__(self, queue, send, counters, rng, origin, buf, off=0):
        if len(origin) != 16 or len(buf) < off + _ROOM:
            raise ValueError("sync needs a 16-byte origin and a buffer of off + 1156; pass both")
        self._queue = queue
        queue.split()  # what an earlier boot left is history
        self._send = send
        self._counters = counters
        self._rng = rng
        self._origin = origin
        self._buf = buf
        self._off = off
        self._backoff = Backoff(1000, 60000)
        self._out = []  # (first, count) of batches made and not settled, oldest first
        self._sent = 0  # so many of them, from the front, are on their way
        self._window = 1
        self._room = _ROOM  # for a new batch, its head with it
        self._front = 0  # when the oldest batch in flight began to be the oldest
        self._due = 0  # when the next try is due; means nothing unless sent or held
        self._held = ""  # why nothing may leave before _due
        self._tries = 0  # deadlines missed since the last acknowledgement
        self._paused = False

    def poll(self, now):
        """Send what may leave: -> ms until needed again."""
        if self._paused:
            return _IDLE
        if self._sent or self._held:
            left = ticks.diff(self._due, now)
            if left <= 0:
                if self._sent:
                    self._tries += 1
                    self._room = max(self._room >> 1, _LEAST)
                self._restart()
            elif self._held:
                return left
        while self._sent < self._window and not self._held and self._step(now):
            pass
        if self._sent or self._held:
            return max(ticks.diff(self._due, now), 1)
        return _IDLE

    def _restart(self):
        """All batches in flight count as lost; begin with the oldest, one at a time."""
        self._sent = 0
        self._window = 1
        self._held = ""

    def _hold(self, why, now):
        self._restart()
        self._held = why
        self._due = ticks.add(now, self._backoff.next(self._rng))

    def _step(self, now):
        """Send one batch, a new one or one again. False = nothing to send."""
        q = self._queue
        off = self._off + _HEAD
        if self._sent < len(self._out):
            first, count = self._out[self._sent]
            end = q.again(first, count, self._buf, off, _ROOM - _HEAD)
            if end < 0:  # dropped at the cap, or unreadable: then a rewind brings it back
                self._out.pop(self._sent)
                return True
        else:
            made = q.batch(self._buf, off, self._room - _HEAD)
            if made is None:
                if q.pending and not self._out:
                    q.rewind()
                    self._hold("the flash cannot be read", now)
                return False
            first, count, end = made
            self._out.append((first, count))
        pack_into(">16s8sIB", self._buf, self._off, self._origin, q.id, first, count)
        if not self._send(self._buf, end - self._off, now):
            self._hold("the link took nothing", now)
            return False
        if not self._sent:
            self._front = now
            self._due = ticks.add(now, self._backoff.next(self._rng))
        self._sent += 1
        return True

    def on_ack(self, buf, off, n, now):
        """An ACK payload of n bytes at buf[off:]; anything else is counted and forgotten."""
        if n < _ACK or buf[off + 25] > 32 or n != _ACK + 8 * buf[off + 25]:
            return self._counters.inc(C_BAD_PARSE)
        count = buf[off + 25]
        if not _ascending(buf, off + _ACK, count):
            return self._counters.inc(C_BAD_PARSE)
        if bytes(buf[off : off + 16]) != self._origin:
            return self._counters.inc(C_ACK_FOREIGN)
        queue_id = bytes(buf[off + 16 : off + 24])
        if self._queue.ack(queue_id, _ranges(buf, off + _ACK, count)) < 0:
            return None
        # A word may come an hour late, for a batch of before an outage: it says nothing of now.
        took = ticks.diff(now, self._front)
        took = took if 0 <= took < _LATE_MS else _LATE_MS
        moved = self._settle(took)
        if buf[off + 24]:
            self._hold("the upstream said not now", now)
        elif moved:
            self._tries = 0
            self._backoff.reset()
            if self._held:
                self._restart()
            wait = self._backoff.next(self._rng)
            self._due = ticks.add(now, max(wait, 4 * took if took < _LATE_MS else 0))
            self._front = now
            self._room = min(self._room << 1, _ROOM)

    def _settle(self, took):
        """Forget the batches of which nothing is pending any more: -> how many.

        `took`: ms that the oldest waited for its word.
        """
        moved = i = 0
        while i < len(self._out):
            first, count = self._out[i]
            if not self._queue.settled(first, count):
                i += 1
                continue
            self._out.pop(i)
            moved += 1
            if i < self._sent:
                self._sent -= 1
                self._window = min(self._window + 1, _WINDOW) if took <= _SLOW_MS else 1
        return moved

    def pause(self, now):
        """The upstream is known to be away: send nothing until resume()."""
        self._restart()
        self._paused = True

    def resume(self, now):
        """It is back. All nodes hear that at once, so each waits up to four seconds first."""
        if self._paused:
            self._paused = False
            self._backoff.reset()
            self._queue.split()
            self._hold("the upstream came back", now)
            self._due = ticks.add(now, self._rng.getrandbits(12))

    def why(self):
        """What delivery is doing, in a sentence for status and `why`."""
        wait = "; %d readings wait" % self._queue.pending
        if self._paused:
            return "paused, no upstream" + wait
        if self._held:
            return "holding back, %s%s" % (self._held, wait)
        if self._tries:
            return "no acknowledgement after %d tries%s" % (self._tries, wait)
        if self._sent:
            return "sending, %d of %d batches in flight%s" % (self._sent, self._window, wait)
        return "idle" + wait
