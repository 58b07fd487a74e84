"""STUN clients of other people's against a MicroPython node and a tier, on real sockets.

coturn's turnutils_stunclient and Debian's stun run where they are installed; pystun3 (of RFC 3489)
and aioice come with the test extra. Limits are the shipped ones: each client has an address of its
own on loopback, so that what one asks does not use up another's share.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from binascii import crc32

import aioice.ice
import aioice.stun
import pytest
import stun as pystun3
from l4mesh.endpoint import parse_endpoint
from l4mesh.stun_client import StunClient
from l4tools.bench import device
from l4tools.bench.device import Device
from l4tools.bench.world import ASK_LEN, Asker, Identity, World, free_port
from l4tools.link import UdpLink, now_ms
from tierbed import Bed, until

ID = b"a third party"[:12]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """The port of a node that runs on MicroPython, in standard mode."""
    folder = tmp_path_factory.mktemp("node")
    patch = pytest.MonkeyPatch()
    patch.setattr(device, "build_dir", lambda name="": _made(folder / name))
    world, me, port = World(1), Identity("server"), free_port()
    try:
        path = world.write(folder / "w.json", me)
        with Device("served.py", path, port, "127.0.0.1:%d" % port) as running:
            assert running.read(60)["ready"]
            yield port
            asker = Asker(world, me, port)  # after all of that it answers look-ups as before
            try:
                asker.prove()
                assert len(asker.ask(5)) > ASK_LEN
            finally:
                asker.close()
            with Sock("127.0.1.99", port) as s:
                assert len(s.ask(message())) == 32
            counted = running.finish()["counters"]
            assert counted["stun_tx"] >= 1
            assert counted["stun_rx"] >= counted["stun_tx"] + counted.get("stun_limited", 0)
    finally:
        patch.undo()


def _made(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def tier(tmp_path_factory):
    """The port of an L1."""
    patch = pytest.MonkeyPatch()
    patch.setenv("L4_HOME", "")  # Bed sets it: put back what it was
    try:
        with Bed(tmp_path_factory.mktemp("tier"), tiers=(1,)) as bed:
            yield int(bed.up[1].rpartition(":")[2])
    finally:
        patch.undo()


@pytest.fixture(params=["node", "tier"])
def port(request):
    return request.getfixturevalue(request.param)


def client(command, *args, timeout_s=150):
    """What a Debian client prints; a skip, with the cure, where it is not installed."""
    if shutil.which(command) is None:
        pytest.skip("%s is not installed. Run `make stun-deps` as root." % command)
    done = subprocess.run(
        [command, *map(str, args)], capture_output=True, text=True, timeout=timeout_s
    )
    return done.stdout + done.stderr


class Sock(socket.socket):
    """A socket on an address of 127/8 that asks a server on 127.0.0.1."""

    def __init__(self, ip, port):
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.bind((ip, 0))
        self._server = ("127.0.0.1", port)
        self.mine = self.getsockname()

    def ask(self, data, wait_s=10.0):
        """The answer, from where it was asked for; None when none came."""
        self.settimeout(wait_s)
        self.sendto(data, self._server)
        try:
            answer, sender = self.recvfrom(2048)
        except TimeoutError:
            return None
        assert sender == self._server
        return answer


def message(body=b"", kind=1, cookie=b"\x21\x12\xa4\x42", mark=False):
    m = kind.to_bytes(2, "big") + (len(body) + 8 * mark).to_bytes(2, "big") + cookie + ID + body
    return m + b"\x80\x28\0\4" + (crc32(m) ^ 0x5354554E).to_bytes(4, "big") if mark else m


CHANGE_REQUEST = b"\0\3\0\4\0\0\0\6"
# What is asked, the length of the answer, and its type.
SIZES = {
    "plain": (message(), 32, 0x101),
    "fingerprint": (message(mark=True), 40, 0x101),
    "software": (message(b"\x80\x22\0\4test"), 32, 0x101),
    "unknown": (message(CHANGE_REQUEST), 36, 0x111),
    "unknown, fingerprint": (message(CHANGE_REQUEST, mark=True), 44, 0x111),
    "one empty unknown": (message(b"\0\x24\0\0"), 36, 0x111),
    "RFC 3489": (message(cookie=b"anid"), 32, 0x101),
}
SILENCE = {
    "RFC 3489, to come from elsewhere": message(CHANGE_REQUEST, cookie=b"anid"),
    "RFC 3489, to go elsewhere": message(b"\0\2\0\x08\0\1\x10\x08\x7f\0\0\x09", cookie=b"anid"),
    "indication": message(kind=0x11),
    "success": message(kind=0x101),
    "error": message(kind=0x111),
    "another method": message(kind=0x003),
    "wrong fingerprint": message(mark=True)[:-1] + b"!",
    "too short": message()[:19],
    "too long": message() + bytes(4),
    "attribute over the end": message(b"\x80\x22\0\x08test"),
}


def test_what_it_costs_a_victim(port):
    """No answer is over 1.6 times its request, 1.25 with IP and UDP headers; most get none."""
    for k, (name, (data, size, kind)) in enumerate(SIZES.items()):
        with Sock("127.0.1.%d" % (1 + k), port) as s:
            answer = s.ask(data)
            assert answer is not None and len(answer) == size, name
            assert int.from_bytes(answer[:2], "big") == kind and answer[4:20] == data[4:20], name
            assert len(answer) <= 1.6 * len(data) and len(answer) + 28 <= 1.25 * (len(data) + 28)
    with Sock("127.0.1.20", port) as s:
        for data in SILENCE.values():
            s.sendto(data, ("127.0.0.1", port))
        assert s.ask(message(b"\x80\x22\0\4last"))[:2] == b"\1\1"  # the only answer there is
        assert s.ask(message(kind=0x11), 0.1) is None


def _answered(sock):
    sock.settimeout(2.0)
    try:
        return len(sock.recv(2048)) > 0
    except TimeoutError:
        return False


def test_an_address_that_asks_too_often(port):
    """A burst of 10, then 5 a second; others don't notice, but who shares its bucket by chance.

    A board has few buckets, chosen by a secret: of eight others that ask at the same moment half
    would all have to be in this very one.
    """
    with contextlib.ExitStack() as stack:
        s, *others = [stack.enter_context(Sock("127.0.2.%d" % k, port)) for k in range(1, 10)]
        started_s = time.monotonic()
        for _ in range(100):
            s.sendto(message(), ("127.0.0.1", port))
        for other in others:
            other.sendto(message(), ("127.0.0.1", port))
        assert sum(_answered(other) for other in others) > len(others) // 2
        got = 0
        s.settimeout(0.1)
        try:
            while s.recv(2048):
                got += 1
        except TimeoutError:
            pass
        assert 1 <= got <= 11 + 5 * (time.monotonic() - started_s)


def test_turnutils_stunclient(port):
    said = client("turnutils_stunclient", "-L", "127.0.3.1", "-p", port, "127.0.0.1")
    assert "UDP reflexive addr: 127.0.3.1:" in said, said


def test_turnutils_natdiscovery(port):
    said = client("turnutils_natdiscovery", "-m", "-L", "127.0.3.2", "-p", port, "127.0.0.1")
    assert "UDP reflexive addr: 127.0.3.2:" in said, said


def test_debian_stun(port):
    """It sends once and waits for ever; a question over its address's limit gets no answer."""
    said = ""
    for _ in range(20):
        try:
            said = client("stun", "127.0.0.1:%d" % port, "1", "-v", timeout_s=3)
            break
        except subprocess.TimeoutExpired:
            continue
    assert "ok=1" in said and "mappedAddr=127.0.0.1:" in said, said


def test_pystun3(port):
    pystun3._initialize()
    with Sock("127.0.3.4", port) as s:
        s.settimeout(10)
        said = pystun3.stun_test(s, "127.0.0.1", port, *s.mine)
        assert (said["Resp"], said["ExternalIP"], said["ExternalPort"]) == (True, *s.mine)
        # The whole of its search: that nothing comes from an address never asked is a firewall.
        s.settimeout(0.3)
        kind, _ = pystun3.get_nat_type(s, *s.mine, "127.0.0.1", port)
        assert kind == pystun3.SymmetricUDPFirewall


class _Receiver:
    def data_received(self, data, component):
        raise AssertionError("aioice took the answer for no STUN: %s" % data.hex())

    def protocol_lost(self, protocol):
        pass


def test_aioice(port):
    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: aioice.ice.StunProtocol(_Receiver()), local_addr=("127.0.3.5", 0)
        )
        host, here = transport.get_extra_info("sockname")
        protocol.local_candidate = aioice.Candidate("1", 1, "udp", 1, host, here, "host")
        server = ("127.0.0.1", port)
        try:
            found, _ = await aioice.ice.server_reflexive_candidate(protocol, server)
            assert (found.type, found.host, found.port) == ("srflx", host, here)
            ask = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
            ask.add_fingerprint()
            answer, _ = await protocol.request(ask, server)
            assert answer.attributes["XOR-MAPPED-ADDRESS"] == (host, here)
            assert "FINGERPRINT" in answer.attributes  # and it was checked
            ask = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
            ask.attributes["PRIORITY"] = 7
            with pytest.raises(aioice.stun.TransactionFailed) as refused:
                await protocol.request(ask, server)
            assert refused.value.response.attributes["ERROR-CODE"][0] == 420
        finally:
            await protocol.close()

    asyncio.run(main())


def test_our_own_client_asks_both_at_once(node, tier):
    async def main():
        told = {}
        client = None

        def receive(data, addr):
            client.take(data, len(data), addr, now_ms())

        link = UdpLink("127.0.3.6:0", receive)
        try:
            client = StunClient(
                link.send,
                lambda n: ID[:n],
                lambda addr, *what: told.__setitem__(addr, what),
            )
            asked = [parse_endpoint("127.0.0.1:%d" % p) for p in (node, tier, free_port())]
            assert all(client.ask(a, now_ms()) for a in asked)
            await until(lambda: client.poll(now_ms()) and len(told) == 3, "all have their word")
            assert [told[a][0] for a in asked] == [link.local, link.local, None]
            assert all(0 <= told[a][1] < 1000 and told[a][2] == 0 for a in asked[:2])
        finally:
            link.close()

    asyncio.run(main())
