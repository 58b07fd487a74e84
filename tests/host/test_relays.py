"""Tiers as relays, as real processes: who may ask, what is handed on, quotas, moving, TCP."""

import os
import socket
import time

import pytest
from l4mesh.counters import Counters
from l4mesh.keyring import Keyring
from l4mesh.keys import node_id
from l4mesh.own import Own
from l4mesh.sender import Sender
from l4mesh.wire import T_CALL, T_CALLED, T_COOKIE, T_JOIN, T_JOINED, T_PING, T_PONG
from l4tools import fastsig
from tierbed import Bed

RESERVE, OPEN, END = 0, 1, 2
HERE, STRANGER, NOT_HERE, PER_IP, OFF, ENDED = 0, 1, 2, 5, 7, 9


class Caller:
    """A member on a socket of its own, UDP or TCP, without a Node: it says what it likes."""

    def __init__(self, bed, tier=3, linked=True, tcp=False):
        net = bed.network
        seed = os.urandom(32)
        self.id = node_id(fastsig.public_key(seed))
        self.sid = self.id[:8]
        self.keys = Keyring()
        self.keys.set_group(net.group[0], net.group[1], 0)
        self.keys.set_node_key(net.node_key(self.id))
        self.tx = Sender(self, self.keys, Counters(), net.network_id, self.sid, 1)
        self.net, self.linked = net, linked
        self.tier = tier
        host, _, port = bed.up[tier].rpartition(":")
        self.sock = socket.socket(type=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        self.sock.settimeout(3)
        self.tcp = tcp
        self.sock.connect((host, bed.tiers[tier].ready["tcp"] if tcp else int(port)))
        if linked:
            self.join(seed)

    def join(self, seed):
        """So that the tiers can find the key of its short id."""
        own = Own(seed, fastsig.public_key(seed), self.id, self.net.network_id, 4, 30, fastsig)
        own.set_endpoints(bytes((127, 0, 0, 1, 16, 8)), bytes(6))
        while not own.ready:
            own.poll(0)
        payload = self.id + b"join" + bytes((0, 0)) + own.record
        self.ask(T_JOIN, payload, sealed=True)
        while True:
            f = self.receive()
            if f[1] == T_COOKIE:
                self.ask(T_JOIN, payload, f[32:40], sealed=True)
            elif f[1] == T_JOINED:
                return

    def move(self):
        """Another local port, as after a NAT forgot the old one."""
        name = self.sock.getpeername()
        self.sock.close()
        self.sock = socket.socket(type=socket.SOCK_DGRAM)
        self.sock.settimeout(3)
        self.sock.connect(name)

    def send(self, buf, n, addr):
        data = bytes(buf[:n])
        self.sock.sendall((len(data).to_bytes(2, "big") if self.tcp else b"") + data)
        return True

    def receive(self):
        if not self.tcp:
            return self.sock.recv(2000)
        want, data = 2, b""
        while len(data) < want:
            data += self.sock.recv(want - len(data))
            if len(data) == 2 and want == 2:
                want += int.from_bytes(data, "big")
        return data[2:]

    def ask(self, kind, payload, cookie=None, sealed=False):
        to = self.net.tier_id(self.tier)[:8]
        o = self.tx.begin(kind, to, link=self.linked, sealed=sealed, cookie=cookie)
        self.tx.buf[o : o + len(payload)] = payload
        self.tx.send(o + len(payload), bytes(6))

    def said(self, kind):
        """The next frame of that kind; whatever else comes is passed over."""
        while True:
            f = self.receive()
            if f[0] == 0xC4 and f[1] == kind:
                return f[28:-16]

    def call(self, what, peer=None):
        """(status, channel)"""
        payload = b"tokn" + bytes((what, 0)) + (peer.sid if peer else bytes(8))
        self.ask(T_CALL, payload)
        while True:
            f = self.receive()
            if f[0] == 0xC4 and f[1] == T_COOKIE:
                self.ask(T_CALL, payload, f[32:40])
            elif f[0] == 0xC4 and f[1] == T_CALLED and f[28:32] == b"tokn":
                return f[33], f[42:50]

    def carry(self, channel, n=60, first=0xC4):
        data = b"\xc5\0\0\0" + channel + bytes((first,)) + os.urandom(n - 13)
        self.send(data, n, None)
        return data

    def nothing(self, wait_s=0.3):
        self.sock.settimeout(wait_s)
        try:
            return [self.receive()]
        except TimeoutError:
            return []
        finally:
            self.sock.settimeout(3)


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("relays"), tcp_port=0) as bed:
        yield bed


_open = []


def paired(bed, tier=3, **options):
    """(a, b, channel): a opened it, b has a place and was told. Older pairs end their channels."""
    while _open:
        x, y = _open.pop()
        x.call(END, y)
    a, b = Caller(bed, tier, **options), Caller(bed, tier, **options)
    assert b.call(RESERVE)[0] == HERE
    status, channel = a.call(OPEN, b)
    assert status == HERE
    told = b.said(T_CALLED)
    assert told[:4] == bytes(4) and told[6:14] == a.sid and told[14:22] == channel
    if tier == 3:
        _open.append((a, b))
    return a, b, channel


@pytest.mark.parametrize("tier", [3, 1])
@pytest.mark.parametrize("tcp", [False, True])
def test_two_members_talk_by_a_tier(bed, tier, tcp):
    a, b, channel = paired(bed, tier, tcp=tcp)
    for n in (56, 400, 1212):
        data = a.carry(channel, n)
        assert b.receive() == data
        data = b.carry(channel, n)
        assert a.receive() == data


def test_udp_and_tcp_meet(bed):
    a, b = Caller(bed), Caller(bed, tcp=True)
    assert b.call(RESERVE)[0] == HERE
    status, channel = a.call(OPEN, b)
    b.said(T_CALLED)
    assert status == HERE
    _open.append((a, b))
    data = a.carry(channel)
    assert b.receive() == data


def test_nobody_else_uses_a_channel(bed):
    a, b, channel = paired(bed)
    c = Caller(bed)
    assert c.call(RESERVE)[0] == HERE  # a member, with a proven address, and still not of it
    c.carry(channel)
    a.carry(os.urandom(8))
    a.carry(channel, first=0xC5)
    assert b.nothing() == []
    data = a.carry(channel)
    assert b.receive() == data


def test_who_is_no_member_or_a_tier(bed):
    a, b = Caller(bed, linked=False), Caller(bed)
    assert b.call(RESERVE)[0] == HERE
    assert a.call(OPEN, b)[0] == STRANGER and a.call(RESERVE)[0] == STRANGER
    a = Caller(bed)
    assert a.call(OPEN, a)[0] == NOT_HERE
    assert a.call(OPEN, Caller(bed))[0] == NOT_HERE
    a.keys.set_node_key(os.urandom(32))
    a.ask(T_CALL, b"tokn\x01\x00" + b.sid)
    assert a.nothing() == []


def test_l2_relays_nothing(bed):
    a = Caller(bed, 2)
    assert a.call(RESERVE)[0] == OFF


def test_a_moved_node_is_found_again(bed):
    a, b, channel = paired(bed)
    b.move()
    a.carry(channel)
    assert b.nothing() == []
    b.ask(T_PING, bytes(17))
    b.ask(T_PING, bytes(17), b.said(T_COOKIE)[4:12])  # any frame that proves the new address
    b.said(T_PONG)
    data = a.carry(channel)
    assert b.receive() == data
    a.move()
    assert a.call(OPEN, b) == (HERE, channel)
    data = a.carry(channel)
    while b.receive() != data:
        pass
    data = b.carry(channel)
    assert a.receive() == data


def test_one_pair_uses_up_its_quota_and_another_works_on(bed):
    a, b, channel = paired(bed)
    _open.clear()
    c, d, other = paired(bed)
    _open.append((a, b))
    went = 0
    for _ in range(300):
        a.carry(channel, 1212)
    while b.nothing(0.2):
        went += 1
    assert 26 <= went <= 60  # 4 s of 64 kbit/s, and a little for the time it took
    for _ in range(3):
        data = c.carry(other, 1000)
        assert d.receive() == data


def test_so_many_from_one_address_and_l1_takes_them_all_the_same(bed):
    paired(bed)
    b = Caller(bed)
    assert b.call(RESERVE)[0] == HERE
    callers = [Caller(bed) for _ in range(8)]
    said = [a.call(OPEN, b)[0] for a in callers]
    assert said == [HERE] * 7 + [PER_IP]
    _open.extend((a, b) for a in callers[:7])
    b = Caller(bed, 1)
    assert b.call(RESERVE)[0] == HERE
    assert [Caller(bed, 1).call(OPEN, b)[0] for _ in range(9)] == [HERE] * 9


def test_the_end_is_told(bed):
    a, b, channel = paired(bed)
    assert a.call(END, b)[0] == HERE
    told = b.said(T_CALLED)
    assert told[5] == ENDED and told[14:22] == channel
    a.carry(channel)
    assert b.nothing() == []


def test_junk_costs_nothing(bed):
    a = Caller(bed)
    for k in range(1000):
        n = 20 + k % 1190
        a.send(b"\xc5" + os.urandom(n - 1), n, None)
    a2, b2, channel = paired(bed)
    data = a2.carry(channel)
    assert b2.receive() == data


def test_a_relay_that_was_killed_knows_no_channel_and_serves_again(bed):
    a, b, channel = paired(bed)
    bed.cut_power(3)
    bed.restart(3)
    end = time.monotonic() + 20
    a.sock.close()
    a = Caller(bed)
    a.carry(channel)
    while b.nothing(0.1):
        assert time.monotonic() < end
    b.move()
    assert b.call(RESERVE)[0] == HERE
    assert a.call(OPEN, b)[0] == HERE
