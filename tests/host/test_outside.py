"""The way out of a virtual LAN to this machine's loopback."""

import contextlib
import socket

from l4tools.lan.cable import BlockingCable
from l4tools.lan.hub import Hub

WAIT_S = 10


def real_socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(WAIT_S)
    return sock


def test_there_and_back_each_board_by_a_port_of_its_own():
    with (
        contextlib.closing(Hub(outside=True).start()) as hub,
        contextlib.closing(BlockingCable(hub.address, "10.77.1.11:4104")) as a,
        contextlib.closing(BlockingCable(hub.address, "10.77.1.12:4104")) as b,
        contextlib.closing(real_socket()) as tier,
        contextlib.closing(real_socket()) as other,
    ):
        there = "127.0.0.1:%d" % tier.getsockname()[1]
        seen = {}
        for cable, text in ((a, b"a"), (b, b"b"), (a, b"a")):
            cable.send(text, None, there)
            data, sender = tier.recvfrom(2048)
            assert data == text and seen.setdefault(text, sender) == sender
        assert seen[b"a"] != seen[b"b"]
        assert hub.way_in("10.77.1.11:4104") == "%s:%d" % seen[b"a"]
        # Whoever knows the port may write to it, as through a router that lets answers in.
        for sock in (tier, other):
            sock.sendto(b"hello", seen[b"b"])
            data, source = b.recv(WAIT_S)
            assert data == b"hello"
            assert source == socket.inet_aton("127.0.0.1") + sock.getsockname()[1].to_bytes(
                2, "big"
            )
        for far in ("192.0.2.1:4104", "10.1.1.1:4104", "255.255.255.255:4104"):
            a.send(b"x", None, far)
        a.send(b"last", None, there)
        assert tier.recvfrom(2048)[0] == b"last"
        assert hub.stats()["fate"] == {"outside": 4, "delivered": 2, "refused": 2}


def test_a_hub_has_no_way_out_unless_it_is_asked_for():
    with (
        contextlib.closing(Hub().start()) as hub,
        contextlib.closing(BlockingCable(hub.address, "10.77.1.11:4104")) as a,
        contextlib.closing(real_socket()) as tier,
    ):
        a.send(b"x", None, "127.0.0.1:%d" % tier.getsockname()[1])
        a.send(b"x", None, "10.77.1.11:4104")
        assert a.recv(WAIT_S)[0] == b"x"  # that one was behind it
        assert hub.stats()["fate"] == {"refused": 1, "delivered": 1}
        tier.settimeout(0)
        try:
            assert not tier.recv(10)
        except BlockingIOError:
            pass
