# floor 8: effects
# MQTT 3.1.1 packets on a socket that never waits. RAM: 2.8 kB, its two buffers.
"""Frames   one packet out and one in at a time, in as many pieces as the socket likes
Patient  what umqtt gets for a socket while it connects: it waits, but not for ever

Sockets are used by write() and readinto() alone: these are what plain and TLS sockets of
MicroPython share, and both say None for "not now" on every port. (send() of an ESP32 says
ETIMEDOUT, and TLS has none.)
"""

import errno
import select

from l4mesh.compat import const

MTU = const(1200)  # the longest payload
_WAIT_MS = const(20)
_WAITS = const(500)  # 10 s for the whole of connecting
_ROOM = const(112)  # header and the longest topic


class Frames:
    """`sock` is set by the owner, non-blocking. Errors of the socket are raised as they are.

    `sticky`: a TLS socket has made a record of what it was offered, also when it says None. So
    the same bytes must be offered again, and count as taken.
    """

    def __init__(self):
        self.sock = None
        self.sticky = False
        self._tx = bytearray(_ROOM + MTU)
        self.rx = bytearray(_ROOM + MTU)
        self._rxv = memoryview(self.rx)
        self.reset()

    def reset(self):
        """Forget what was under way: there is a new connection, or none."""
        self._out = None
        self._sent = self._end = self._have = self.body = 0
        self.end = 2

    @property
    def busy(self):
        """A packet has not left yet: no other can begin."""
        return self._sent != self._end

    def publish(self, topic, buf, n, retain=False):
        """QoS 0. False: not taken, as the last packet is still leaving or the socket is full."""
        tx = self._tx
        t = len(topic)
        end = 5 + t + n
        if self._sent != self._end or n > MTU or end > len(tx):
            return False
        tx[3] = 0
        tx[4] = t
        tx[5 : 5 + t] = topic
        tx[5 + t : end] = memoryview(buf)[:n]
        size = end - 3
        a = 0 if size > 127 else 1  # a short length takes one byte less
        tx[a] = 0x31 if retain else 0x30
        if a:
            tx[2] = size
        else:
            tx[1] = size & 127 | 128
            tx[2] = size >> 7
        return self.send(tx, a, end)

    def send(self, buf, a, end):
        """Write buf[a:end]; what the socket did not take goes with later flushes, so `buf` must
        stay as it is. False: not a byte went, and it is as if it had never been asked.
        """
        self._out = memoryview(buf)
        self._sent = a
        self._end = end
        self.flush()
        if self._sent == a and not self.sticky:
            self._end = a
            return False
        return True

    def flush(self):
        while self._sent < self._end:
            n = self.sock.write(self._out[self._sent : self._end])
            if not n:
                return
            self._sent += n

    def read(self):
        """True when a whole packet is there: its first byte rx[0], the rest rx[body:end]. The
        next call begins the next one. ValueError: longer than anything that is for us.
        """
        if self._have == self.end:
            self._have = self.body = 0
            self.end = 2
        while self._have < self.end:
            n = self.sock.readinto(self._rxv[self._have : self.end])
            if n is None:
                return False
            if n == 0:
                raise OSError(errno.ECONNRESET)
            self._have += n
            if self._have == self.end and not self.body:
                self._length(self.end)
        return True

    def _length(self, i):
        """The header is rx[:i]: two bytes of length at most, three are more than a frame."""
        rx = self.rx
        if i == 2 and rx[1] & 128:
            self.end = 3
        else:
            self.body = i
            self.end = i + (rx[1] & 127) + (rx[2] << 7 if i == 3 else 0)
            if self.end > len(rx):
                raise ValueError("a message too long")

    def same(self, a, end, text):
        """Is rx[a:end] this text?"""
        return self._rxv[a:end] == text

    def bytes(self, a, end):
        return bytes(self._rxv[a:end])


class Patient:
    """`sock` (plain or TLS, non-blocking) for umqtt's connect(). `raw`: what poll() can watch.
    `feed` is the watchdog's. Ten seconds in all, whatever the other end does: OSError.
    """

    def __init__(self, sock, raw, feed):
        self.sock = sock
        self._feed = feed
        self._left = _WAITS
        self._poll = select.poll()
        self._poll.register(raw, select.POLLIN)

    def _wait(self):
        self._feed()
        self._left -= 1
        if self._left <= 0:
            raise OSError(errno.ETIMEDOUT)
        self._poll.poll(_WAIT_MS)

    def write(self, data, n=None):
        v = memoryview(data)
        if n is not None:
            v = v[:n]
        while len(v):
            k = self.sock.write(v)
            if k:
                v = v[k:]
            else:
                self._wait()

    send = write  # a fork of umqtt says send and recv

    def read(self, n):
        out = bytearray(n)
        v = memoryview(out)
        while len(v):
            k = self.sock.readinto(v)
            if k == 0:
                raise OSError(errno.ECONNRESET)
            if k:
                v = v[k:]
            else:
                self._wait()
        return out

    recv = read

    def close(self):
        self.sock.close()
