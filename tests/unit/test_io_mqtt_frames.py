"""MQTT packets in pieces, on a socket that takes and gives what the test lets it."""

import errno

from l4mesh_io import mqtt_frames
from l4mesh_io.mqtt_frames import MTU, Frames, Patient


class Sock:
    def __init__(self, room=1 << 20, coming=b""):
        self.room = room
        self.coming = coming
        self.wrote = b""
        self.offered = []
        self.ended = False

    def write(self, data):
        self.offered.append(bytes(data))
        n = min(len(data), self.room)
        if not n:
            return None
        self.room -= n
        self.wrote += bytes(data[:n])
        return n

    def readinto(self, view):
        n = min(len(view), len(self.coming))
        if not n:
            return 0 if self.ended else None
        view[:n] = self.coming[:n]
        self.coming = self.coming[n:]
        return n


def made(**kw):
    f = Frames()
    f.sock = Sock(**kw)
    return f


def packets(stream, piece):
    """What Frames reads of a stream that comes in pieces: (first byte, body)."""
    f = made()
    out = []
    while stream or f.sock.coming:
        f.sock.coming += stream[:piece]
        stream = stream[piece:]
        while f.read():
            out.append((f.rx[0], f.bytes(f.body, f.end)))
    return out


def test_publish_lengths():
    for n in (0, 1, 121, 122, 123, 1000, MTU):
        for retain in (False, True):
            f = made()
            data = bytes([i & 255 for i in range(n + 4)])
            assert f.publish(b"a/b", data, n, retain)
            size = 5 + n
            head = (0x31 if retain else 0x30,)
            head += (size,) if size < 128 else (size & 127 | 128, size >> 7)
            assert f.sock.wrote == bytes(head + (0, 3)) + b"a/b" + data[:n]
    f = made()
    assert not f.publish(b"a/b", bytes(1300), MTU + 1)
    assert not f.publish(b"t" * 108, bytes(MTU), MTU) and not f.busy


def test_what_the_socket_does_not_take_goes_later():
    f = made(room=4)
    assert f.publish(b"a", b"12345", 5) and f.busy
    assert not f.publish(b"b", b"x", 1)
    f.flush()
    assert f.sock.wrote == b"\x30\x08\0\1"
    f.sock.room = 100
    f.flush()
    assert f.sock.wrote == b"\x30\x08\0\1a12345" and not f.busy
    f.sock.room = 0
    assert not f.publish(b"a", b"lost", 4) and not f.busy  # plain: nothing of it is anywhere


def test_a_tls_record_is_offered_again_as_it_was():
    f = made(room=0)
    f.sticky = True
    assert f.publish(b"a", b"12345", 5) and f.busy
    assert not f.publish(b"b", b"67890", 5)
    f.flush()
    assert f.sock.offered[0] == f.sock.offered[1] == b"\x30\x08\0\1a12345"
    f.sock.room = 100
    f.flush()
    assert f.sock.wrote == f.sock.offered[0] and not f.busy


def test_packets_come_in_any_pieces():
    bodies = [bytes([n & 255]) * n for n in (0, 1, 127, 128, 1200)]
    stream = b""
    for b in bodies:
        n = len(b)
        stream += bytes((0x30, n) if n < 128 else (0x30, n & 127 | 128, n >> 7)) + b
    for piece in (1, 2, 3, 100, 5000):
        assert packets(stream, piece) == [(0x30, b) for b in bodies]
    assert packets(stream[:-1], 7) == [(0x30, b) for b in bodies[:-1]]


def test_too_long_and_ended():
    for head in (b"\x30\xff\x7f", b"\x30\xff\xff\xff\x7f", b"\x30\xa1\x0a"):
        f = made(coming=head)
        try:
            f.read()
        except ValueError as e:
            assert "too long" in str(e)
        else:
            raise AssertionError(head)
    f = made(coming=b"\x30\x05abc")
    assert not f.read()
    f.sock.ended = True
    try:
        f.read()
    except OSError as e:
        assert e.args[0] == errno.ECONNRESET
    else:
        raise AssertionError
    f.reset()
    f.sock = Sock(coming=b"\xd0\0")
    assert f.read() and f.rx[0] == 0xD0 and f.body == f.end == 2  # nothing left of the half


class Watch:
    """select, whose poll lets the next piece of `coming` arrive."""

    POLLIN = 1

    def __init__(self, sock, pieces=()):
        self.sock = sock
        self.pieces = list(pieces)
        self.waited = 0

    def register(self, sock, flags):
        assert sock == "raw" and flags == 1

    def poll(self, ms=None):
        if ms is None:
            return self
        assert 0 < ms <= 50
        self.waited += ms
        if self.pieces:
            self.sock.coming += self.pieces.pop(0)
        self.sock.room += 3
        return []


def patient(sock, pieces=()):
    """(Patient, what feeds were made): its waiting is the test's."""
    fed = []
    old = mqtt_frames.select
    mqtt_frames.select = watch = Watch(sock, pieces)
    try:
        return Patient(sock, "raw", lambda: fed.append(1)), fed, watch
    finally:
        mqtt_frames.select = old


def test_patient_reads_and_writes_all():
    p, fed, watch = patient(Sock(room=2), [b"ab", b"", b"c", b"defg"])
    p.write(b"1234567")
    p.send(b"89", 1)
    assert p.sock.wrote == b"12345678"
    assert p.read(3) == b"abc" and p.recv(4) == b"defg"
    assert len(fed) == watch.waited // 20 > 3


def test_patient_ends():
    for pieces in ([], [b"x"] * 3):
        p, fed, watch = patient(Sock(), pieces)
        try:
            p.read(4)
        except OSError as e:
            assert e.args[0] == errno.ETIMEDOUT
        else:
            raise AssertionError
        assert 9000 < watch.waited <= 10000 and len(fed) >= 499
    p = patient(Sock())[0]
    p.sock.ended = True
    try:
        p.read(1)
    except OSError as e:
        assert e.args[0] == errno.ECONNRESET
    else:
        raise AssertionError
