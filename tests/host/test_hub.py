"""The virtual LAN: who hears whom, delays, loss, cuts, TCP; nothing but loopback is touched."""

import asyncio
import socket
import struct
import threading
import time

import pytest
from l4tools.errors import NotFound, ToolError, Unavailable
from l4tools.lan import addr as A
from l4tools.lan.cable import BlockingCable, CableSocket, connect_tcp
from l4tools.lan.control import ControlClient, ControlServer
from l4tools.lan.hub import DELAYS, Hub

GROUP = "239.76.52.1:5000"


@pytest.fixture
def hub():
    hub = Hub(seed=7).start()
    yield hub
    hub.close()


@pytest.fixture
def cables(hub):
    """Make cables by address text; all closed at the end."""
    made = []

    def make(vaddr):
        cable = BlockingCable(hub.address, vaddr)
        made.append(cable)
        return cable

    yield make
    for cable in made:
        cable.close()


def test_unicast_carries_source_and_payload(cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    assert a.send(b"hello", 5, b.vaddr)
    assert b.recv() == (b"hello", a.vaddr)
    assert b.send(b"back....", 4, "10.77.1.11:5000")
    assert a.recv() == (b"back", b.vaddr)


def test_empty_and_largest_datagrams_arrive_too_long_does_not(hub, cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    for payload in (b"", bytes(1472), bytes(1473), b"end"):
        a.send(payload, len(payload), b.vaddr)
    assert [len(b.recv()[0]) for _ in range(3)] == [0, 1472, 3]
    assert hub.stats()["fate"]["refused"] == 1


def test_group_reaches_members_of_the_same_lan_only(cables):
    a, b, c = cables("10.77.1.11:5000"), cables("10.77.1.12:5000"), cables("10.77.1.13:5000")
    other_lan, other_port = cables("10.77.2.11:5000"), cables("10.77.1.14:5001")
    internet = cables("10.77.0.3:5000")
    for cable in (a, b, other_lan, other_port, internet):
        cable.join("239.76.52.1")  # c did not join
    a.send(b"all", None, GROUP)
    assert b.recv() == (b"all", a.vaddr)
    for cable in (a, c, other_lan, other_port, internet):
        assert cable.recv(0.02) is None


@pytest.mark.parametrize("to", ["10.77.1.255:5000", "255.255.255.255:5000"])
def test_broadcast_needs_no_membership_and_stays_in_its_lan(cables, to):
    a, b, far = cables("10.77.1.11:5000"), cables("10.77.1.12:5000"), cables("10.77.2.12:5000")
    a.send(b"x", None, to)
    assert b.recv() == (b"x", a.vaddr)
    assert a.recv(0.02) is None
    assert far.recv(0.01) is None


def test_broadcast_of_another_lan_goes_nowhere(cables):
    a, far = cables("10.77.1.11:5000"), cables("10.77.2.12:5000")
    a.send(b"x", None, "10.77.2.255:5000")
    assert far.recv(0.03) is None


def test_delay_classes():
    ip = A.pack_ip
    table = {
        ("10.77.1.1", "10.77.1.2"): "lan",
        ("10.77.1.1", "10.77.2.1"): "p2p",
        ("10.77.1.1", "10.77.0.3"): "l3",
        ("10.77.1.1", "10.77.0.2"): "l2",
        ("10.77.1.1", "10.77.0.1"): "l1",
        ("10.77.0.3", "10.77.0.2"): "l3l2",
        ("10.77.0.2", "10.77.0.1"): "l2l1",
        ("10.77.0.3", "10.77.0.1"): "l3l1",
        ("10.77.0.9", "10.77.1.1"): "p2p",
        ("10.77.0.9", "10.77.0.1"): "l1",
        ("10.77.1.1", "10.77.1.1"): "self",
    }
    for (a, b), cls in table.items():
        assert A.delay_class(ip(a), ip(b)) == A.delay_class(ip(b), ip(a)) == cls
        assert cls in DELAYS


def test_round_trip_takes_twice_the_delay_at_least(hub, cables):
    a, l1 = cables("10.77.1.11:5000"), cables("10.77.0.1:4444")
    hub.configure(delays={"l1": 30})
    start = time.monotonic()
    a.send(b"?", 1, l1.vaddr)
    assert l1.recv()
    l1.send(b"!", 1, a.vaddr)
    assert a.recv()
    assert time.monotonic() - start >= 0.060


def test_jitter_keeps_the_order_of_a_pair(hub, cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    hub.configure(jitter=5)
    for i in range(60):
        a.send(bytes([i]), 1, b.vaddr)
    assert [b.recv()[0][0] for _ in range(60)] == list(range(60))


def test_a_slow_sender_does_not_hold_up_a_neighbour(hub, cables):
    a, b, l1 = cables("10.77.1.11:5000"), cables("10.77.1.12:5000"), cables("10.77.0.1:4444")
    hub.configure(delays={"l1": 200})
    l1.send(b"slow", None, b.vaddr)
    a.send(b"fast", None, b.vaddr)
    assert b.recv()[0] == b"fast"
    assert b.recv()[0] == b"slow"


def test_loss_is_seeded():
    def losses(seed):
        hub = Hub(seed=seed, loss=0.3).start()
        a, b = BlockingCable(hub.address, "10.77.1.11:1024"), None
        try:
            b = BlockingCable(hub.address, "10.77.1.12:1024")
            for i in range(100):
                a.send(bytes([i]), 1, b.vaddr)
            a.send(b"", 0, a.vaddr)  # to itself: never lost, comes last
            assert a.recv() is not None
            got = []
            while (one := b.recv(0.05)) is not None:
                got.append(one[0][0])
            assert hub.stats()["fate"]["loss"] == 100 - len(got)
            return got
        finally:
            a.close()
            if b:
                b.close()
            hub.close()

    first = losses(3)
    assert first == losses(3)
    assert 50 < len(first) < 90
    assert first != losses(4)


def test_cut_and_heal(hub, cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    far, l3, l2 = cables("10.77.2.11:5000"), cables("10.77.0.3:4444"), cables("10.77.0.2:4444")

    def passes(x, y):
        cut = hub.stats()["fate"].get("cut", 0)
        x.send(b"p", 1, y.vaddr)
        while y.recv(0.01) is None:
            if hub.stats()["fate"].get("cut", 0) > cut:
                return False
        return True

    hub.configure(delays={"l2": 4, "l3l2": 4})
    hub.cut("l3")
    assert not passes(a, l3) and not passes(l3, l2) and passes(a, l2) and passes(a, b)
    hub.heal("l3")
    hub.cut("l3-l2")
    assert passes(a, l3) and not passes(l3, l2) and not passes(l2, l3)
    hub.heal()
    hub.cut("lan:1")
    assert passes(a, b) and not passes(a, l3) and not passes(far, a) and passes(far, l3)
    hub.heal()
    hub.cut("10.77.1.12")
    assert not passes(a, b) and passes(a, l3)
    hub.heal()
    hub.cut("upstream")
    assert not passes(a, l2) and passes(l2, l3) and passes(a, far)
    hub.heal()
    assert passes(a, l2)
    assert hub.stats()["fate"]["cut"] == 8
    with pytest.raises(ToolError, match="cannot be cut"):
        hub.cut("moon")


def test_a_cut_loses_what_is_on_its_way(hub, cables):
    a, l1 = cables("10.77.1.11:5000"), cables("10.77.0.1:4444")
    hub.configure(delays={"l1": 60})
    a.send(b"x", 1, l1.vaddr)
    while not hub.stats()["sent"]:
        time.sleep(0.001)
    hub.cut("l1")
    assert l1.recv(0.12) is None
    assert hub.stats()["fate"] == {"cut": 1}


def test_stats_count_by_class_and_host(hub, cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    far, l3, l2 = cables("10.77.2.11:5000"), cables("10.77.0.3:4444"), cables("10.77.0.2:4444")
    hub.configure(delays={cls: 0 for cls in DELAYS})
    for x, y in ((a, b), (a, far), (a, l3), (l3, l2), (l2, l3), (l3, a)):
        x.send(b"1", 1, y.vaddr)
        assert y.recv()
    a.send(b"1", 1, "10.77.1.99:9999")
    a.send(b"1", 1, "8.8.8.8:53")
    a.send(b"", 0, a.vaddr)
    assert a.recv()
    stats = hub.stats(reset=True)
    assert stats["sent"] == {
        "lan": 2,
        "p2p": 1,
        "board>l3": 1,
        "l3>l2": 1,
        "l2>l3": 1,
        "l3>board": 1,
        "self": 1,
    }
    assert stats["fate"] == {"delivered": 7, "unbound": 1, "refused": 1}
    assert stats["host"]["10.77.1.11"] == [6, 2]
    assert hub.stats()["fate"] == {}


def test_tap_sees_each_datagram_with_its_fate(hub, cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    seen = []
    stop = hub.tap(lambda t, src, dst, data, fate: seen.append((src, dst, bytes(data), fate)))
    a.send(b"one", None, b.vaddr)
    assert b.recv()
    hub.cut("10.77.1.12")
    a.send(b"two", None, b.vaddr)
    while len(seen) < 2:
        time.sleep(0.001)
    stop()
    assert seen == [(a.vaddr, b.vaddr, b"one", "sent"), (a.vaddr, b.vaddr, b"two", "cut")]


def test_one_socket_one_address_and_power_cut_frees_it(hub, cables):
    a, old = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    new = cables("10.77.1.12:5000")  # the same board after a restart
    a.send(b"x", 1, new.vaddr)
    assert new.recv() == (b"x", a.vaddr)
    assert old.recv(0.01) is None
    hub.drop("10.77.1.12")
    assert hub.endpoints() == ["10.77.1.11:5000"]
    a.send(b"x", 1, new.vaddr)
    assert new.recv(0.02) is None


def test_strangers_and_nonsense_are_counted(hub, cables):
    a = cables("10.77.1.11:5000")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        for frame in (b"", b"D", b"Dxxxxxxhello", b"B", b"B123", b"G", b"Zzz", b"\xff" * 2000):
            raw.sendto(frame, hub.address)
    a.send(b"", 0, a.vaddr)
    assert a.recv() == (b"", a.vaddr)
    assert hub.stats()["fate"]["refused"] == 1
    for bad in ("8.8.8.8:53", "10.77.1.255:5000", "10.77.1.5:0"):
        with pytest.raises(ToolError, match="not on the virtual network"):
            BlockingCable(hub.address, bad)


def test_no_hub_is_said_in_a_sentence():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match="No hub answers"):
        BlockingCable(("127.0.0.1", port), "10.77.1.11:5000")


def test_only_loopback_is_ever_addressed(hub):
    with pytest.raises(ToolError, match="loopback"):
        BlockingCable(("192.0.2.1", 5000), "10.77.1.11:5000")
    with pytest.raises(ToolError, match="loopback"):
        hub.forward("10.77.0.3:1883", "192.0.2.1:1883")
    assert hub.address[0] == "127.0.0.1"


def test_the_kernel_itself_keeps_the_hub_on_loopback(hub):
    """A socket bound to 127.0.0.1 cannot send to another machine, whatever code asks it to."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="Invalid argument"):
            bound.sendto(b"", ("192.0.2.1", 9))  # TEST-NET-1: nobody, should it ever get out
    finally:
        bound.close()
    ports = {"%04X" % hub.address[1]}
    for table in ("udp", "tcp"):
        with open("/proc/net/" + table) as f:
            locals_ = [line.split()[1].split(":") for line in f.readlines()[1:]]
        assert {ip for ip, port in locals_ if port in ports} == {"0100007F"}


def test_real_interfaces_carry_nothing(hub, cables):
    """Packet counters of everything but lo, while groups and far addresses are used."""

    def sent():
        out = {}
        with open("/proc/net/dev") as f:
            for line in f.readlines()[2:]:
                name, rest = line.split(":")
                out[name.strip()] = int(rest.split()[9])
        return out

    a = cables("10.77.1.11:5000")
    for _ in range(5):  # other programs send, too; a leak would show in every round
        before = sent()
        for _ in range(500):
            for to in (GROUP, "255.255.255.255:5000", "8.8.8.8:53", "10.77.1.12:5000"):
                a.send(b"leak?", None, to)
        a.send(b"", 0, a.vaddr)
        assert a.recv()
        after = sent()
        assert after["lo"] - before["lo"] >= 2000
        if all(after[name] - before[name] < 250 for name in before if name != "lo"):
            return
    raise AssertionError("packets left the machine: %r, then %r" % (before, after))


def test_asyncio_cable(hub, cables):
    async def run():
        got = asyncio.Queue()
        l3 = CableSocket(hub.address, "10.77.0.3:4444", lambda d, a: got.put_nowait((d, a)))
        a = cables("10.77.1.11:5000")
        try:
            for i in range(100):
                a.send(bytes([i]), 1, l3.vaddr)
            back = [await asyncio.wait_for(got.get(), 5) for _ in range(100)]
            assert [d[0] for d, _ in back] == list(range(100))
            assert {s for _, s in back} == {a.vaddr}
            buf = bytearray(b"answer and more")
            assert l3.send(buf, 6, a.vaddr)
            assert a.recv() == (b"answer", l3.vaddr)
        finally:
            l3.close()

    asyncio.run(run())


def _echo_server():
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            with conn:
                try:
                    while data := conn.recv(65536):
                        conn.sendall(data)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    return server


def test_tcp_is_forwarded_delayed_and_cut(hub):
    server = _echo_server()
    try:
        hub.forward("10.77.0.3:1883", "127.0.0.1:%d" % server.getsockname()[1])
        start = time.monotonic()
        conn = connect_tcp(hub.address, "10.77.1.11:40000", "10.77.0.3:1883")
        conn.settimeout(5)
        blob = bytes(range(256)) * 2000
        threading.Thread(target=conn.sendall, args=(blob,), daemon=True).start()
        got = b""
        while len(got) < len(blob):
            got += conn.recv(65536)
        assert got == blob
        assert time.monotonic() - start >= 0.016  # handshake and echo: four times 4 ms
        hub.cut("l3")
        with pytest.raises(ConnectionResetError):
            conn.recv(1)
        conn.close()
        with pytest.raises(OSError, match="No route"):
            connect_tcp(hub.address, "10.77.1.11:40000", "10.77.0.3:1883")
        hub.heal()
        with pytest.raises(ConnectionRefusedError):
            connect_tcp(hub.address, "10.77.1.11:40000", "10.77.0.3:9999")
        again = connect_tcp(hub.address, "10.77.1.11:40000", "10.77.0.3:1883")
        again.sendall(b"bye")
        again.shutdown(socket.SHUT_WR)
        assert again.recv(10) == b"bye"
        assert again.recv(10) == b""
        again.close()
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_tcp_that_is_reset_while_the_other_end_closes(hub):
    server = socket.create_server(("127.0.0.1", 0))
    try:
        hub.configure(delays={"l3": 150})
        hub.forward("10.77.0.3:1883", "127.0.0.1:%d" % server.getsockname()[1])
        conn = connect_tcp(hub.address, "10.77.1.11:40000", "10.77.0.3:1883")
        server.accept()[0].close()  # its end is on the way for 150 ms
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()
        time.sleep(0.4)
        conn = connect_tcp(hub.address, "10.77.1.11:40000", "10.77.0.3:1883")
        server.accept()[0].close()
        assert conn.recv(1) == b""  # the hub lives
        conn.close()
    finally:
        server.close()


def test_control_channel(tmp_path, hub, cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    server = hub.loop.call(ControlServer, hub.loop, tmp_path / "c", hub.control_ops())
    client, tap = ControlClient(tmp_path / "c"), ControlClient(tmp_path / "c")
    try:
        assert client.hub() == "%s:%d" % hub.address
        assert client.endpoints() == ["10.77.1.11:5000", "10.77.1.12:5000"]
        tap.call("tap")
        client.cut(what="10.77.1.11")
        a.send(b"\x01\x02", None, b.vaddr)
        seen = tap.next(5)
        assert (seen["src"], seen["hex"], seen["fate"]) == ("10.77.1.11:5000", "0102", "cut")
        client.heal()
        assert client.configure(loss=0.5)["loss"]["lan"] == 0.5
        assert client.stats(reset=True)["fate"] == {"cut": 1}
        with pytest.raises(NotFound, match="cannot be cut"):
            client.cut(what="nonsense")
        with pytest.raises(ToolError, match="cut failed .TypeError"):
            client.cut(why="nonsense")
        with pytest.raises(ToolError, match="No such operation"):
            client.call("explode")
        with pytest.raises(ToolError, match="delay class"):
            client.configure(delays={"warp": 1})
        assert client.hub()  # still alive after all that
    finally:
        client.close()
        tap.close()
        hub.loop.call(server.close)
    with pytest.raises(Unavailable, match="Nothing listens"):
        ControlClient(tmp_path / "c")


def test_an_access_point_that_filters_multicast_and_one_that_isolates(hub, cables):
    a, b = cables("10.77.1.11:5000"), cables("10.77.1.12:5000")
    far, other = cables("10.77.0.3:5000"), cables("10.77.2.11:5000")
    b.join(GROUP)
    everything = {"group": GROUP, "broadcast": "10.77.1.255:5000", "all": "255.255.255.255:5000"}

    def heard():
        for name, to in everything.items():
            a.send(name.encode(), None, to)
        a.send(b"one", None, b.vaddr)
        got = []
        while (d := b.recv(0.3)) is not None:
            got.append(d[0].decode())
            if got[-1] == "one":
                break
        return got

    assert heard() == ["group", "broadcast", "all", "one"]
    hub.filter(1, "multicast")
    assert heard() == ["broadcast", "all", "one"]
    hub.filter(1, "multicast, broadcast")
    assert heard() == ["one"]
    hub.filter(1, "clients")
    assert heard() == []
    for to in (far, other):
        assert a.send(b"up", None, to.vaddr) and to.recv() == (b"up", a.vaddr)
    assert hub.stats()["fate"]["filtered"] == 8
    hub.filter(1)
    assert heard() == ["group", "broadcast", "all", "one"]
    with pytest.raises(ToolError, match="multicast"):
        hub.filter(1, "anycast")
