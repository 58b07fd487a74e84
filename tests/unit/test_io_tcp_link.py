"""TcpLink against a listener in this process."""

import errno
import socket

from l4mesh_io import tcp_link
from l4mesh_io.address import Addresses
from l4mesh_io.tcp_link import TcpLink

FRAME = b"\xc4" + bytes(range(99))


class Node:
    def __init__(self):
        self.got = []

    def receive(self, buf, n, addr, now):
        self.got.append((bytes(buf[:n]), addr))


class Bed:
    def __init__(self, listening=True):
        self.now = 1000
        self.names = Addresses()
        self.listener = s = socket.socket()
        for port in range(23000, 24000):
            self.where = bytes((127, 0, 0, 1, port >> 8, port & 255))
            try:
                s.bind(self.names.native(self.where))
                break
            except OSError:
                continue
        if listening:
            s.listen(4)
        self.node = Node()
        self.link = TcpLink(self.node, 3, self.where)
        self.peer = None

    def open(self):
        self.link.open(self.now)
        self.run(lambda: self.link.up)
        self.peer = self.listener.accept()[0]
        self.peer.setblocking(False)
        return self

    def run(self, until, turns=3000):
        for _ in range(turns):
            self.now += 1
            self.link.poll(self.now)
            if until():
                return True
        raise AssertionError("never happened")

    def heard(self):
        """All that the other end has got by now."""
        try:
            return self.peer.recv(100000) or b""
        except OSError:
            return b""

    def close(self):
        for s in (self.link, self.listener, self.peer):
            if s is not None:
                s.close()


def framed(data):
    return bytes((len(data) >> 8, len(data) & 255)) + data


def test_both_ways():
    b = Bed().open()
    assert b.link.addr[:2] == b"\0\x03" and b.link.send(bytearray(FRAME + b"more"), 100)
    got = []
    b.run(lambda: got.append(b.heard()) or b"".join(got) == framed(FRAME))
    b.peer.send(framed(FRAME)[:50])
    b.run(lambda: True, 5)
    assert not b.node.got
    b.peer.send(framed(FRAME)[50:] + framed(FRAME + b"x") + b"\0")
    b.run(lambda: len(b.node.got) == 2)
    assert b.node.got == [(FRAME, b.link.addr), (FRAME + b"x", b.link.addr)]
    b.peer.send(framed(b"y" * 1212)[1:])
    b.close()


def test_the_longest_and_many():
    b = Bed().open()
    assert not b.link.send(bytes(1213), 1213)
    assert b.link.send(b"z" * 1212, 1212)
    b.peer.send(framed(b"z" * 1212))
    b.run(lambda: b.node.got)
    assert b.node.got[0][0] == b"z" * 1212
    for _ in range(200):
        b.peer.send(framed(FRAME))
    b.run(lambda: len(b.node.got) == 201)
    b.close()


def test_who_reads_nothing_costs_two_datagrams():
    b = Bed().open()
    sent = 0
    while b.link.send(bytes(1212), 1212):
        sent += 1
        assert sent < 20000
    assert b.link.up and not b.link.send(bytes(1212), 1212)
    got = 0
    for _ in range(20000):
        b.now += 1
        b.link.poll(b.now)
        got += len(b.heard())
        if got == sent * 1214:
            break
    assert got == sent * 1214 and b.link.send(FRAME, 100)
    b.close()


def test_lengths_that_no_datagram_has():
    for bad in (0, 19, 1213, 65535):
        b = Bed().open()
        b.peer.send(framed(FRAME) + bytes((bad >> 8, bad & 255)) + bytes(100))
        b.run(lambda link=b.link: not link.up)
        assert len(b.node.got) == 1 and not b.link.send(FRAME, 100)
        b.close()


def test_the_end_of_the_other_side():
    b = Bed().open()
    b.peer.close()
    b.run(lambda: not b.link.up)
    assert b.link.why[:4] == "TCP " and b.link.real is None
    b.peer = None
    b.open()
    assert b.link.up
    b.close()


def test_nobody_listens():
    b = Bed(False)
    b.link.open(b.now)
    b.run(lambda: b.link.real is None)
    assert not b.link.up and "127.0.0.1" in b.link.why
    assert b.link.poll(b.now) > 0 and not b.link.send(FRAME, 100)
    b.close()


def test_nobody_answers():
    b = Bed()

    class Never:
        def poll(self, ms):
            return []

    b.link.open(b.now)
    b.link._wait = Never()
    b.run(lambda: b.link.real is None, 10000)
    assert 7000 < b.now < 9100
    b.close()


def test_its_socket_is_watched_by_who_watches():
    class Watch:
        def __init__(self):
            self.all = []

        def adopt(self, s):
            self.all.append(s)

        def forget(self, s):
            self.all.remove(s)

    b = Bed()
    w = Watch()
    b.link = TcpLink(b.node, 1, b.where, w)
    b.open()
    assert w.all == [b.link] and b.link.addr[3] == 1
    b.peer.send(framed(FRAME))
    for _ in range(1000):
        b.link.receive(b.now)
        if b.node.got:
            break
    assert b.node.got == [(FRAME, b.link.addr)] and b.link.poll(b.now) == 1000
    b.link.close()
    assert w.all == []
    b.close()


class NoSocket:
    """The module socket of a board that has all its sockets in use."""

    AF_INET = socket.AF_INET
    SOCK_STREAM = socket.SOCK_STREAM

    @staticmethod
    def socket(*args):
        raise OSError(23)


class NoRoom:
    """TLS of a board that has no 30 kB in one piece."""

    def wrap(self, sock, name):
        raise MemoryError()


def test_no_socket_is_left_and_later_there_is():
    b = Bed()
    tcp_link.socket = NoSocket
    try:
        b.link.open(b.now)
    finally:
        tcp_link.socket = socket
    assert b.link.real is None and not b.link.up and "23" in b.link.why
    assert b.link.poll(b.now) > 0
    b.open()
    assert b.link.up and b.link.why == ""
    b.close()


def test_no_room_for_tls_fails_the_link_only():
    b = Bed()
    b.link = TcpLink(b.node, 3, b.where, None, NoRoom())
    b.link.open(b.now)
    b.run(lambda: b.link.real is None)
    assert not b.link.up and "TCP to 127.0.0.1" in b.link.why and str(errno.ENOMEM) in b.link.why
    b.close()
