"""The MQTT uplink against a broker of a few lines: states, silence, nonsense, stuck sends."""

import errno

from l4mesh import ticks
from l4mesh.prng import XorShift
from l4mesh_io import mqtt, mqtt_frames

NODE = "00112233445566778899aabbccddeeff"
DOWN = b"l4/" + NODE.encode() + b"/down"
UP = b"l4/" + NODE.encode() + b"/up"
STATUS = b"l4/" + NODE.encode() + b"/status"
START = ticks.MASK - 3000  # the clock wraps during each test
SUBACK = b"\x90\x03\x00\x01\x00"
PONG = b"\xd0\x00"


class Sock:
    """A non-blocking socket whose other end is the test."""

    def __init__(self, net):
        self.net = net
        self.wrote = b""
        self.room = 1 << 20
        self.coming = b""
        self.ended = False
        self.closed = False
        self.timeout = None
        self.options = []

    def setblocking(self, on):
        self.timeout = None if on else 0

    def setsockopt(self, *args):
        self.options.append(args)
        if self.net.old_kernel:
            raise OSError(errno.EINVAL, "")

    def connect(self, addr):
        assert self.timeout == 0 and addr == ("10.0.0.1", 1883)
        self.net.connects += 1
        raise OSError(self.net.connect_errno, "")

    def write(self, data):
        assert self.timeout == 0 and not self.closed
        n = min(len(data), self.room)
        if self.net.send_errno:
            raise OSError(self.net.send_errno, "")
        if not n:
            return None
        self.room -= n
        self.wrote += bytes(data[:n])
        return n

    def readinto(self, view):
        assert self.timeout == 0 and not self.closed and len(view)
        n = min(len(view), len(self.coming))
        if not n:
            return 0 if self.ended else None
        view[:n] = self.coming[:n]
        self.coming = self.coming[n:]
        return n

    def close(self):
        self.closed = True


class Net:
    """socket, select and umqtt in one."""

    POLLIN = 1
    POLLOUT = 4

    def __init__(self):
        self.ready = [(None, 4)]
        self.connects = 0
        self.connect_errno = errno.EINPROGRESS
        self.send_errno = 0
        self.waits = 0
        self.old_kernel = False
        self.refusal = self.connack = None
        self.made = []
        self.socks = []

    def socket(self):
        self.socks.append(Sock(self))
        return self.socks[-1]

    def getaddrinfo(self, host, port):
        return [(2, 1, 0, "", (host, port))]

    def poll(self, timeout=None):
        if timeout is None:
            return self  # select.poll()
        if self.watched == self.POLLIN:  # umqtt's turn: it may wait, but not long
            assert 0 < timeout <= 50
            self.waits += 1
            return []
        assert timeout == 0
        return self.ready

    def register(self, sock, flags):
        assert flags in (self.POLLIN, self.POLLOUT)
        self.watched = flags

    def client(self, *args, ssl=None):
        self.made.append(args)
        return Client(self, ssl)


class Client:
    def __init__(self, net, ssl):
        self.net = net
        self.ssl = ssl
        self.sock = None

    def set_last_will(self, topic, msg, retain):
        self.will = (topic, msg, retain)
        assert self.will == (STATUS, b"offline", True)

    def connect(self):
        self.sock = self.ssl.wrap_socket(self.net.socket(), server_hostname="10.0.0.1")
        assert self.net.socks[-1].timeout == 0
        if self.net.refusal:
            raise self.net.refusal
        if self.net.connack is not None:
            self.net.socks[-1].coming = self.net.connack
            self.sock.send(b"hello")
            assert self.sock.recv(4) == b"\x20\x02\0\0"


class MQTTException(Exception):
    pass


class Bench:
    """One uplink, its broker and its clock."""

    def __init__(self):
        self.net = Net()
        self.fed = [0]
        self.frames = []
        self.now = START
        self.restore = mqtt.socket, mqtt.select, mqtt_frames.select
        mqtt.socket = mqtt.select = mqtt_frames.select = self.net
        self.link = mqtt.MqttUplink(
            "10.0.0.1", 1883, NODE, "pw", NODE, self.net.client, XorShift(1), self.feed
        )
        self.link.on_frame(lambda buf, n: self.frames.append((buf, n)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        mqtt.socket, mqtt.select, mqtt_frames.select = self.restore

    def feed(self):
        self.fed[0] += 1

    @property
    def sock(self):
        return self.net.socks[-1]

    def poll(self, ms=0, idle=True):
        self.now = ticks.add(self.now, ms)
        return self.link.poll(self.now, idle)

    def run(self, ms):
        left = ms
        while left > 0:
            wait = min(self.poll() or 1, left)
            self.now = ticks.add(self.now, wait)
            left -= wait
        self.poll()

    def until_made(self, n):
        """Go on until umqtt was used for the n-th time, 200 s at most."""
        for _ in range(2000):
            if len(self.net.made) < n:
                self.run(100)
        assert len(self.net.made) == n

    def up(self):
        self.poll()
        self.poll()
        self.sock.coming += SUBACK
        self.poll()
        assert self.link.up
        self.sock.wrote = b""
        return self

    def down_frame(self, data, topic=DOWN, op=0x30):
        size = 2 + len(topic) + len(data)
        head = bytes((op, size)) if size < 128 else bytes((op, size & 127 | 128, size >> 7))
        return head + bytes((0, len(topic))) + topic + data


def test_connects_subscribes_and_says_online():
    with Bench() as b:
        assert not b.link.up and b.poll() > 0
        assert b.net.connects == 1  # the probe
        b.poll()
        assert b.net.socks[0].closed  # it was one
        assert b.net.made == [(NODE.encode(), "10.0.0.1", 1883, NODE.encode(), b"pw", 60)]
        assert b.sock.options == [(6, 1, 1)]
        assert b.fed == [2]  # before and after what blocks
        want = bytes((0x82, 45, 0, 1, 0, 40)) + DOWN + b"\0"
        want += bytes((0x31, 50, 0, 42)) + STATUS + b"online"
        assert b.sock.wrote == want
        assert not b.link.up
        b.sock.coming = SUBACK
        assert b.poll() == 0 and b.link.up
        assert b.link.why() == "Connected to MQTT at 10.0.0.1:1883."
        assert b.link.sock is b.sock


def test_more_topics_and_other_messages():
    heard = []
    with Bench() as b:
        b.link.hear(b"homeassistant/status", lambda data, old: heard.append((data, old)))
        b.link.hear(b"l4/x/cmd", lambda data, old: heard.append((data, old)))
        assert not b.link.say(b"t", b"x")
        b.poll()
        b.poll()
        want = bytes((0x82, 45 + 23 + 11, 0, 1, 0, 40)) + DOWN + b"\0"
        want += b"\0\x14homeassistant/status\0\0\x08l4/x/cmd\0"
        assert b.sock.wrote.startswith(want + b"\x31")
        b.sock.coming = b"\x90\x05\0\1\0\0\x80"
        b.poll()
        assert b.link.up and b.link.session == 1 and b.link.deaf == [b"l4/x/cmd"]
        assert b.link.why().endswith("; the broker does not let it hear l4/x/cmd.")
        b.sock.wrote = b""
        assert b.link.say(b"a/b", b"{}") and b.link.say(b"a/b", b"", True)
        assert b.sock.wrote == b"\x30\x07\0\3a/b{}" + b"\x31\x05\0\3a/b"
        assert not b.link.say(b"a/b", bytes(1201)) and b.link.up
        b.sock.coming = b.down_frame(b"online", b"homeassistant/status")
        b.sock.coming += b.down_frame(b"old", b"homeassistant/status", 0x31) + b.down_frame(b"x")
        for _ in range(3):
            b.poll()
        assert heard == [(b"online", 0), (b"old", 1)] and b.frames == [(b"x", 1)]


def test_more_topics_than_fit_one_byte_of_length():
    with Bench() as b:
        b.link.hear(b"a" * 90, print)
        b.poll()
        b.poll()
        n = 2 + 43 + 93
        assert b.sock.wrote[:5] == bytes((0x82, n & 127 | 128, 1, 0, 1))


def test_no_suback_for_more_than_was_asked():
    with Bench() as b:
        b.poll()
        b.poll()
        b.sock.coming = b"\x90\x04\0\1\0\0"
        b.poll()
        assert not b.link.up and b.link.drops == 1


def test_pongs_tell_what_has_come_through():
    with Bench() as b:
        b.up()
        b.run(30100)
        assert b.link.pongs == 0
        b.sock.coming = PONG
        b.run(100)
        assert b.link.pongs == 1


def test_no_nodelay_is_no_error():
    with Bench() as b:
        b.net.old_kernel = True
        b.up()


def test_waits_until_the_node_is_idle_but_not_for_ever():
    with Bench() as b:
        b.poll()
        for _ in range(90):
            assert b.poll(100, idle=False) > 0
        assert b.net.made == []
        b.poll(1000, idle=False)
        assert len(b.net.made) == 1


def test_frames_up():
    with Bench() as b:
        b.up()
        for n in (1, 44, 88, 89, 90, 1200):
            data = bytes(i & 255 for i in range(n))
            assert b.link.publish(data + b"more", n)
            size = 2 + len(UP) + n
            head = (0x30, size) if size < 128 else (0x30, size & 127 | 128, size >> 7)
            assert b.sock.wrote == bytes(head + (0, len(UP))) + UP + data
            b.sock.wrote = b""
        assert b.link.sent == 6
        assert not b.link.publish(bytes(1300), 1201) and not b.link.publish(b"", 0)
        assert b.link.refused == 2 and b.sock.wrote == b""


def test_frames_down_in_any_pieces():
    for piece in (1, 2, 3, 7, 5000):
        with Bench() as b:
            b.up()
            data = [bytes([n & 255]) * n for n in (0, 1, 44, 83, 84, 1200)]
            stream = b"".join([b.down_frame(d) for d in data]) + PONG
            while stream or b.sock.coming:
                b.sock.coming += stream[:piece]
                stream = stream[piece:]
                b.poll()
            assert b.frames == [(d, len(d)) for d in data]
            assert b.link.up and b.link.received == 6


def test_one_packet_a_poll():
    with Bench() as b:
        b.up()
        b.sock.coming = b.down_frame(b"x") * 3
        assert [b.poll() for _ in range(4)] == [0, 0, 0, 50]
        assert len(b.frames) == 3


def test_other_topics_are_ignored():
    with Bench() as b:
        b.up()
        b.sock.coming = b.down_frame(b"x", UP + b"..") + b.down_frame(b"x", b"a") + b"\x30\x00"
        # A topic that claims to be longer than its packet, after the right one in the buffer
        b.sock.coming += b.down_frame(b"x") + b"\x30\x02\x00\x28"
        for _ in range(6):
            b.poll()
        assert len(b.frames) == 1 and b.link.up


def test_a_message_too_long_drops_the_connection():
    for head in (
        b"\x30\xff\x7f",
        b"\x30\xff\xff\xff\x7f",
        b"\x30\xff\xff\xff\xff\xff",
        b"\x30\x90\x20",
    ):
        with Bench() as b:
            b.up()
            b.sock.coming = head + bytes(500)
            b.poll()
            assert not b.link.up and b.link.drops == 1 and b.sock.closed
            assert "too long" in b.link.why()


def test_ping_and_silence():
    with Bench() as b:
        b.up()
        b.run(29900)
        assert b.sock.wrote == b""
        b.run(200)
        assert b.sock.wrote == b"\xc0\0"
        b.sock.coming = PONG
        b.run(29900)
        assert b.sock.wrote == b"\xc0\0" and b.link.up
        b.run(200)
        assert b.sock.wrote == b"\xc0\0" * 2
        b.run(9700)
        assert b.link.up
        b.run(500)
        assert not b.link.up and "ETIMEDOUT" in b.link.why()


def test_no_suback_no_uplink():
    with Bench() as b:
        b.poll()
        b.poll()
        b.run(9900)
        assert b.link.drops == 0
        assert not b.link.publish(b"x", 1)
        b.run(200)
        assert b.link.drops == 1


def test_a_refused_subscription_is_named():
    with Bench() as b:
        b.poll()
        b.poll()
        b.sock.coming = b"\x90\x03\x00\x01\x80"
        b.poll()
        assert not b.link.up and "subscription refused" in b.link.why()


def test_the_broker_goes_away():
    with Bench() as b:
        b.up()
        b.sock.coming = b.down_frame(b"abc")[:20]  # in the middle of a message
        b.sock.ended = True
        b.poll()
        assert not b.link.up and b.sock.closed and "ECONNRESET" in b.link.why()
        b.run(3000)
        b.sock.coming = SUBACK + b.down_frame(b"abc")
        b.run(100)
        assert b.link.up and b.frames == [(b"abc", 3)]  # nothing left of the half


def test_a_full_buffer_takes_the_rest_later():
    with Bench() as b:
        b.up()
        b.sock.room = 100
        assert b.link.publish(b"a" * 300, 300)
        assert len(b.sock.wrote) == 100
        assert not b.link.publish(b"b", 1)  # one at a time
        b.sock.room = 1000
        b.poll()
        assert b.sock.wrote.endswith(b"a" * 300) and len(b.sock.wrote) == 303 + 2 + len(UP)
        b.sock.room = 0
        assert not b.link.publish(b"c", 1)  # not a byte went: not taken
        b.sock.room = 1000
        assert b.link.publish(b"d", 1)
        b.poll()
        assert b.sock.wrote.endswith(UP + b"d")
        assert len(b.sock.wrote) == 305 + len(UP) + 5 + len(UP)


def test_a_stuck_send_drops_the_connection():
    with Bench() as b:
        b.up()
        b.sock.room = 10
        assert b.link.publish(b"a" * 300, 300)
        b.run(41000)
        assert b.link.drops == 1


def test_a_broken_send_drops_the_connection():
    with Bench() as b:
        b.up()
        b.net.send_errno = 104
        assert not b.link.publish(b"a", 1)
        assert not b.link.up and b.link.drops == 1
        assert not b.link.publish(b"a", 1)
        assert b.poll() == 0 or not b.link.up


def test_connection_refused_and_silent_hosts():
    for ready, word in (([(None, 28)], "ECONNREFUSED"), ([], "ETIMEDOUT")):
        with Bench() as b:
            b.net.ready = ready
            b.run(10200)
            assert b.link.drops >= 1 and word in b.link.why()
            assert b.net.made == [] and all(s.closed for s in b.net.socks[:-1])


class SmallErrno:
    """A build without the table of names, and with the ESP32's numbers."""

    EINPROGRESS = 119
    ETIMEDOUT = 116


def test_an_error_at_once_is_an_error():
    with Bench() as b:
        b.net.connect_errno = errno.EACCES
        b.poll()
        assert b.link.drops == 1 and "EACCES" in b.link.why()
        old = mqtt.errno
        mqtt.errno = SmallErrno
        try:
            b.net.connect_errno = 118
            b.run(3000)
            assert b.link.drops == 2 and "last time: 118" in b.link.why()
        finally:
            mqtt.errno = old


def test_what_umqtt_raises_is_told():
    for refusal, word in (
        (MQTTException(5), "user or password"),
        (MQTTException(3), "MQTTException"),
        (AssertionError(), "AssertionError"),
        (IndexError("bytes index out of range"), "IndexError"),
        (OSError(errno.ETIMEDOUT), "ETIMEDOUT"),
        (TypeError("NoneType"), "TypeError"),
    ):
        with Bench() as b:
            b.net.refusal = refusal
            b.poll()
            assert b.poll() == 0
            assert b.link.drops == 1 and word in b.link.why()
            assert all(s.closed for s in b.net.socks) and b.fed == [2]


def test_a_slow_broker_is_waited_for_but_not_for_ever():
    with Bench() as b:
        b.net.connack = b"\x20\x02\0\0"
        b.up()
        assert b.sock.wrote == b"" and b.net.waits == 0
    for coming in (b"", b"\x20\x02\0"):
        with Bench() as b:
            b.net.connack = coming
            b.poll()
            b.poll()
            assert b.net.waits * 20 <= 10000 and "ETIMEDOUT" in b.link.why()
            assert b.fed[0] > 400  # the watchdog had no reason to bite
            assert all(s.closed for s in b.net.socks)


def test_backoff_grows_until_it_has_worked_for_a_while():
    with Bench() as b:
        b.net.connect_errno = 113
        b.run(600000)
        tries = b.net.connects
        assert 12 <= tries <= 24
        b.net.connect_errno = errno.EINPROGRESS
        b.until_made(1)
        b.sock.coming = SUBACK
        b.run(100)
        b.sock.ended = True  # a link that flaps is not one that works
        b.run(20000)
        assert b.net.connects == tries + 1
        b.until_made(2)
        b.sock.coming = SUBACK
        b.run(30100)
        b.sock.coming = PONG
        b.run(100)
        b.sock.ended = True
        before = b.net.connects
        b.run(1400)
        assert b.net.connects == before + 1


def test_stop_closes_and_poll_starts_again():
    with Bench() as b:
        b.up()
        sock = b.sock
        b.link.stop()
        assert sock.closed and not b.link.up and b.link.sock is None
        b.link.stop()
        b.up()
        assert b.link.drops == 0


def test_random_bytes_never_raise():
    rng = XorShift(7)
    for _ in range(150):
        with Bench() as b:
            b.up()
            n = rng.getrandbits(6)
            b.sock.coming = bytes(rng.getrandbits(8) for _ in range(n)) + SUBACK
            for _ in range(n + 4):
                wait = b.poll()
                assert 0 <= wait <= 75000
            assert b.link.up or b.link.drops


def test_a_bad_node_name_is_refused():
    for node in ("", "x" * 65):
        try:
            mqtt.MqttUplink("10.0.0.1", 1883, "u", "p", node, Net().client)
        except ValueError as e:
            assert "id in hex" in str(e)
        else:
            raise AssertionError(node)
