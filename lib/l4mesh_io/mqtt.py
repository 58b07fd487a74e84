# floor 9: links
# The connection to an MQTT 3.1.1 broker. RAM: 3.5 kB with its buffers, umqtt's 4 kB on top.
"""An uplink through a broker: publishes frames to l4/<id>/up, listens to l4/<id>/down, both QoS 0.
What was published is not stored: only the upstream's own ACK means that. Others may use the same
connection: hear(topic, f) and say(topic, data).

umqtt makes the connection (CONNECT, will, log-in); then the loop has its own framing, since umqtt
waits inside publish, subscribe and half a message, and one of its forks retries for ever. What
still blocks is connecting, 10 s at most (mqtt_frames.Patient): it runs after a non-blocking probe
has found the port open, and when the caller says that the node is idle. A host name costs a
blocking look-up on top. Nothing else here waits for the network.

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

from l4mesh_io.mqtt_frames import Frames, Patient

_PING_MS = const(30000)
_ANSWER_MS = const(10000)
_LOOK_MS = const(50)


def _text(text):
    return bytes((0, len(text))) + text


class MqttUplink:
    """`user`, `password`, `node`: text; `node` names the topics and the client. `rng` for the
    jitter, `feed` is the watchdog's; `client_factory`: MQTTClient of umqtt.simple or a fork;
    `tls`: mqtt_tls.Tls or None. `session` counts the times it was up, `pongs` the broker's
    answers to pings: what was said before the ping has come to the broker then.
    """

    def __init__(
        self, host, port, user, password, node, client_factory=None, rng=None, feed=None, tls=None
    ):
        if not 0 < len(node) <= 64:
            raise ValueError("MQTT: bad node name. Pass the id in hex.")
        # Bytes: umqtt takes the length of a text for that of its bytes.
        self._login = (node.encode(), host, port, user.encode(), password.encode(), 60)
        if not client_factory:
            from umqtt.simple import MQTTClient as client_factory
        self._make = client_factory
        self._rng = rng or random
        self._feed = feed or gc.collect  # a good moment for it
        self._tls = tls
        self._backoff = Backoff(1000, 60000)
        self._frames = Frames()
        self._frames.sticky = tls is not None
        self.base = b"l4/" + node.encode()
        self._up = self.base + b"/up"
        self._heard = []  # (topic with its length, f(data, retained)), in the order of SUBACK
        self._call = self.sock = None  # the runner may poll sock
        self.hear(self.base + b"/down", self._down)
        self.sent = self.received = self.refused = self.drops = self.session = self.pongs = 0
        self._said = ""
        self.deaf = ()  # topics that the broker does not let us hear
        self.stop()

    def stop(self):
        """Close. Without a DISCONNECT, so the broker publishes the will: offline."""
        if self.sock:
            self.sock.close()
        self.sock = self._due = self._watch = None
        self.up = self._asked = False
        self._frames.sock = None
        self._frames.reset()

    def hear(self, topic, f):
        """`f(data, retained)` gets what comes on `topic` (bytes), from the next connection on."""
        self._heard.append((_text(topic), f))

    def on_frame(self, callback):
        """`callback(buf, n)` gets each frame that comes down, as bytes of its own."""
        self._call = callback

    def _down(self, data, retained):
        if self._call:
            self.received += 1
            self._call(data, len(data))

    def why(self):
        """One sentence on the connection."""
        state = "Connected" if self.up else "Connecting"
        deaf = b", ".join(self.deaf).decode()
        if deaf:
            deaf = "; the broker does not let it hear " + deaf
        how = " by TLS" if self._tls else ""
        return "%s%s to MQTT at %s:%d%s%s." % (
            (state, how) + self._login[1:3] + (self._said, deaf)
        )  # fmt: skip

    def publish(self, buf, n):
        """Hand one frame to the network: False when it was not taken (try again later)."""
        if n > 0 and self._publish(self._up, buf, n, False):
            self.sent += 1
            return True
        self.refused += 1
        return False

    def say(self, topic, data, retain=False):
        """Publish `data`, QoS 0, at most 1200 bytes; False as above. `topic` is bytes."""
        return self._publish(topic, data, len(data), retain)

    def _publish(self, topic, buf, n, retain):
        try:
            return self.up and self._frames.publish(topic, buf, n, retain)
        except Exception as e:
            self._fail(e)
            return False

    def poll(self, now, idle=True):
        """Do what is due; ms until it wants to be called again. `idle`: connecting may block."""
        try:
            if not self.sock:
                return self._wait(now, idle)
            if self._watch:
                return self._probed(now, idle)
            frames = self._frames
            frames.flush()
            if frames.read():
                self._take(frames, now)
                return 0  # one packet a poll: the node needs some ms for each
            if ticks.diff(self._due, now) <= 0:
                if self._asked:
                    raise OSError(errno.ETIMEDOUT)
                if not frames.busy:  # else 10 s more for what is stuck
                    frames.send(b"\xc0\0", 0, 2)
                self._asked = True
                self._due = ticks.add(now, _ANSWER_MS)
            return _LOOK_MS
        except Exception as e:  # umqtt asserts and indexes what the broker sent
            self._fail(e)
            return 0

    def _wait(self, now, idle):
        if self._due is None:
            self._due = ticks.add(now, self._backoff.next(self._rng) if self._said else 0)
        left = ticks.diff(self._due, now)
        if left > 0:
            return left
        if not idle and left > -_ANSWER_MS:  # a host name is looked up, which blocks
            return _LOOK_MS
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
            self._connect(now)
        return _LOOK_MS

    def wrap_socket(self, sock, server_hostname=None):
        """umqtt calls this as if it were a TLS context: the one chance to set up its socket."""
        try:
            sock.setsockopt(6, 1, 1)  # TCP_NODELAY, else umqtt's small sends cost 40 ms each
        except Exception:
            pass  # slower, not wrong
        sock.setblocking(False)
        wrapped = self._tls.wrap(sock, self._login[1]) if self._tls else sock
        return Patient(wrapped, sock, self._feed)

    def _connect(self, now):
        c = self._make(*self._login, ssl=self)
        c.set_last_will(self.base + b"/status", b"offline", True)
        self._feed()
        try:
            c.connect()
        finally:
            # The socket itself; before it was wrapped umqtt has the plain one.
            self._frames.sock = self.sock = getattr(c.sock, "sock", c.sock)
            self._feed()
        self._asked = True
        self._due = ticks.add(now, _ANSWER_MS)
        ask = b"\0\1" + b"".join([t + b"\0" for t, _ in self._heard])
        # SUBSCRIBE, and a retained PUBLISH of the opposite of the will
        status = _text(self.base + b"/status") + b"online"
        n = len(ask)
        head = bytes((0x82, n) if n < 128 else (0x82, n & 127 | 128, n >> 7))
        out = head + ask + bytes((0x31, len(status))) + status
        self._frames.send(out, 0, len(out))

    def _take(self, frames, now):
        """One whole packet."""
        kind = frames.rx[0] >> 4
        if kind == 3:  # PUBLISH; only QoS 0 was asked for
            self._hand(frames, frames.body, frames.end)
            return
        if kind == 9:  # SUBACK
            self._subscribed(frames.bytes(frames.body + 2, frames.end))
        elif kind == 13:  # PINGRESP: it has worked for 30 s
            self.pongs += 1
            self._backoff.reset()
        self._asked = False
        self._due = ticks.add(now, _PING_MS)

    def _hand(self, frames, a, end):
        for topic, f in self._heard:
            p = a + len(topic)
            if p <= end and frames.same(a, p, topic):
                f(frames.bytes(p, end), frames.rx[0] & 1)
                return

    def _subscribed(self, codes):
        if not codes or codes[0] & 128 or len(codes) > len(self._heard):
            raise ValueError("subscription refused")
        heard = [t[2:] for t, _ in self._heard]
        self.deaf = [heard[i] for i in range(1, len(codes)) if codes[i] & 128]
        self.up = True
        self.session += 1
        self._said = ""

    def _fail(self, e):
        """Drop the connection and remember why."""
        code = e.args[0] if e.args else None
        if isinstance(e, OSError):
            e = getattr(errno, "errorcode", {}).get(code, code)
        elif isinstance(e, ValueError) and "certificate" in str(e):
            e = " ".join(str(e).split())  # TLS tells it in lines
        elif code in (4, 5):  # MQTTException of umqtt: CONNACK's
            e = "user or password refused"
        self._said = ", last time: %r" % (e,)
        self.drops += 1
        self.stop()
