# floor 8: effects
# Mesh frames over MQTT 3.1.1. RAM: 2.7 kB of buffers, umqtt's 4 kB on top.
"""An uplink through a broker: publishes to l4/<id>/up, listens to l4/<id>/down, both QoS 0. What
was published is not stored: only the upstream's own ACK means that.

umqtt makes the connection (CONNECT, will, log-in); then the loop has its own framing, since umqtt
waits inside publish, subscribe and half a message, and one of its forks retries for ever. What
still blocks is the handshake, at most 5 s a read: it runs after a non-blocking probe has found the
port open, and when the caller says that the node is idle. A host name costs a blocking look-up.

    down    -> probing  the delay is over (1 s doubling to 60 s, jittered)
    probing -> online   the port took a connection, the node was idle (or 10 s over), umqtt got in
    online  -> `up`     SUBACK came, within 10 s
    any     -> down     any error (nothing raises, why() tells), no PINGRESP in 10 s, stop()
"""

import errno
import gc
import random
import select
import socket

from l4mesh import ticks
from l4mesh.backoff import Backoff
from l4mesh.compat import const

_PING_MS = const(30000)
_ANSWER_MS = const(10000)
_LOOK_MS = const(50)
_MTU = const(1200)
# A full or empty socket buffer: EAGAIN; on ESP32 ETIMEDOUT, which is 116 there and 110 on unix.
_BUSY = (11, 110, 116)


class MqttUplink:
    """`user`, `password`, `node`: ASCII text; `node` names the topics and the client. `rng` for
    the jitter, `feed` is the watchdog's; `client_factory`: MQTTClient of umqtt.simple or a fork.
    """

    def __init__(self, host, port, user, password, node, client_factory=None, rng=None, feed=None):
        if not 0 < len(node) <= 64:
            raise ValueError("MQTT: bad node name. Pass the id in hex.")
        self._login = (node, host, port, user, password, 60)
        if not client_factory:
            from umqtt.simple import MQTTClient as client_factory
        self._make = client_factory
        self._rng = rng or random
        self._feed = feed or gc.collect  # a good moment for it
        self._backoff = Backoff(1000, 60000)
        self._call = self.sock = None  # the runner may poll sock
        self._base = b"l4/" + node.encode()
        self._down = self._text(b"/down")
        self._tx = bytearray(3) + self._text(b"/up")
        self._top = len(self._tx)  # where the payload starts
        self._tx += bytes(_MTU)
        self._rx = bytearray(5 + len(self._down) + _MTU)
        self._rxv = memoryview(self._rx)
        self.sent = self.received = self.refused = self.drops = 0
        self._said = ""
        self.stop()

    def stop(self):
        """Close. Without a DISCONNECT, so the broker publishes the will: offline."""
        if self.sock:
            self.sock.close()
        self.sock = self._due = self._watch = None
        self.up = self._asked = False
        self._sent = self._end = self._have = self._body = 0
        self._need = 2

    def on_frame(self, callback):
        """`callback(buf, n)` gets each frame that comes down, as bytes of its own."""
        self._call = callback

    def why(self):
        """One sentence on the connection."""
        state = "Connected" if self.up else "Connecting"
        return "%s to MQTT at %s:%d%s." % ((state,) + self._login[1:3] + (self._said,))

    def publish(self, buf, n):
        """Hand one frame to the network: False when it was not taken (try again later)."""
        if self.up and self._sent == self._end and 0 < n <= _MTU:
            tx = self._tx
            end = self._top + n
            tx[self._top : end] = memoryview(buf)[:n]
            size = end - 3
            a = 0 if size > 127 else 1
            tx[0] = 0x30
            tx[1] = 0x30 if a else size & 127 | 128
            tx[2] = size if a else size >> 7
            try:
                if self._send(tx, a, end):
                    self.sent += 1
                    return True
            except Exception as e:
                self._fail(e)
        self.refused += 1
        return False

    def poll(self, now, idle=True):
        """Do what is due; ms until it wants to be called again. `idle`: a handshake may block."""
        try:
            if not self.sock:
                return self._wait(now)
            if self._watch:
                return self._probed(now, idle)
            self._flush()
            if self._read(now):
                return 0  # one packet a poll: the node needs some ms for each
            if ticks.diff(self._due, now) <= 0:
                if self._asked:
                    raise OSError(errno.ETIMEDOUT)
                if self._sent == self._end:  # else 10 s more for what is stuck
                    self._send(b"\xc0\0", 0, 2)
                self._asked = True
                self._due = ticks.add(now, _ANSWER_MS)
            return _LOOK_MS
        except Exception as e:  # umqtt asserts and indexes what the broker sent
            self._fail(e)
            return 0

    def _wait(self, now):
        if self._due is None:
            self._due = ticks.add(now, self._backoff.next(self._rng) if self._said else 0)
        if ticks.diff(self._due, now) > 0:
            return ticks.diff(self._due, now)
        self._due = ticks.add(now, _ANSWER_MS)
        self.sock = s = socket.socket()
        s.setblocking(False)
        try:
            s.connect(socket.getaddrinfo(*self._login[1:3])[0][-1])
        except OSError as e:
            if e.errno != errno.EINPROGRESS:
                raise
        self._watch = select.poll()
        self._watch.register(s, select.POLLOUT)
        return _LOOK_MS

    def _probed(self, now, idle):
        ready = self._watch.poll(0)
        late = ticks.diff(self._due, now) <= 0
        if late and not ready or ready and ready[0][1] != select.POLLOUT:
            raise OSError(errno.ECONNREFUSED if ready else errno.ETIMEDOUT)
        if late or ready and idle:
            self.stop()
            self._handshake(now)
        return _LOOK_MS

    def wrap_socket(self, sock, server_hostname=None):
        """umqtt calls this as if it were a TLS context: the one chance to set up its socket."""
        sock.settimeout(5)
        try:
            sock.setsockopt(6, 1, 1)  # TCP_NODELAY, else umqtt's small sends cost 40 ms each
        except Exception:
            pass  # slower, not wrong
        return sock

    def _handshake(self, now):
        c = self._make(*self._login, ssl=self)
        c.set_last_will(self._base + b"/status", b"offline", True)
        self._feed()
        try:
            c.connect()
        finally:
            self.sock = c.sock
            self._feed()
        self.sock.setblocking(False)
        self._asked = True
        self._due = ticks.add(now, _ANSWER_MS)
        # SUBSCRIBE, and a retained PUBLISH of the opposite of the will
        status = self._text(b"/status", b"online")
        ask = bytes((0x82, len(self._down) + 3, 0, 1)) + self._down + bytes((0, 0x31, len(status)))
        self._send(ask + status, 0, len(ask) + len(status))

    def _text(self, leaf, text=b""):
        return bytes((0, len(self._base + leaf))) + self._base + leaf + text

    def _send(self, buf, a, end):
        """One write; what the socket did not take goes with the next polls. False: not a byte."""
        self._out = memoryview(buf)
        self._sent = a
        self._end = end
        self._flush()
        if self._sent == a:
            self._end = a  # as if it had never been asked
        return self._sent > a

    def _flush(self):
        while self._sent < self._end:
            try:
                self._sent += self.sock.send(self._out[self._sent : self._end])
            except OSError as e:
                if e.errno not in _BUSY:
                    raise
                return

    def _read(self, now):
        """Read up to `need`; True when a packet, whose body starts at `body`, is complete."""
        while self._have < self._need:
            n = self.sock.readinto(self._rxv[self._have : self._need])
            if n is None:
                return False
            if n == 0:
                raise OSError(errno.ECONNRESET)
            self._have += n
            if self._have == self._need and not self._body:
                self._length(self._need)
        self._take(self._rx[0] >> 4, self._body, self._need, now)
        self._have, self._body, self._need = 0, 0, 2
        return True

    def _length(self, i):
        """The header is rx[:i]: two bytes of length at most, three are more than a frame."""
        rx = self._rx
        if i == 2 and rx[1] & 128:
            self._need = 3
        else:
            self._body = i
            self._need = i + (rx[1] & 127) + (rx[2] << 7 if i == 3 else 0)
            if self._need > len(rx):
                raise ValueError("a message too long")

    def _take(self, kind, a, end, now):
        """One whole packet, its body rx[a:end]."""
        p = a + len(self._down)
        if kind == 3:  # PUBLISH; only QoS 0 and one topic were asked for
            if p <= end and self._rxv[a:p] == self._down and self._call:
                self.received += 1
                self._call(bytes(self._rxv[p:end]), end - p)
            return
        if kind == 9:  # SUBACK
            if self._rx[end - 1] & 128:
                raise ValueError("subscription refused")
            self.up = True
            self._said = ""
        elif kind == 13:  # PINGRESP: it has worked for 30 s
            self._backoff.reset()
        self._asked = False
        self._due = ticks.add(now, _PING_MS)

    def _fail(self, e):
        """Drop the connection and remember why."""
        code = e.args[0] if e.args else None
        if isinstance(e, OSError):
            e = getattr(errno, "errorcode", {}).get(code, code)
        elif code in (4, 5):  # MQTTException of umqtt: CONNACK's
            e = "user or password refused"
        self._said = ", last time: %r" % (e,)
        self.drops += 1
        self.stop()
