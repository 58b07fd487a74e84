"""TCP at a tier: framing, who is cut off, limits, slow readers, TLS."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import sys
from pathlib import Path

import pytest
from l4tools.errors import ToolError
from l4tools.paths import micropython_argv
from l4tools.upstream.tcp_side import TcpSide
from tierbed import run, until

FRAME = b"\xc4" + bytes(59)


class Home:
    """As much of a tier as TcpSide knows."""

    def __init__(self):
        self.got = []
        self.tcp = None

    def receive(self, data, addr):
        self.got.append((data, addr))


async def side(**options):
    home = Home()
    home.tcp = TcpSide(home, **options)
    await home.tcp.start("127.0.0.1", 0)
    return home


def framed(data):
    return len(data).to_bytes(2, "big") + data


async def connected(home, **options):
    return await asyncio.open_connection("127.0.0.1", home.tcp.port, **options)


def test_both_ways_and_each_connection_has_an_endpoint():
    async def main():
        home = await side()
        r1, w1 = await connected(home)
        r2, w2 = await connected(home)
        w1.write(framed(FRAME)[:30])
        await asyncio.sleep(0.01)
        w1.write(framed(FRAME)[30:] + framed(FRAME + b"x"))
        await until(lambda: len(home.got) == 2, "two frames")
        w2.write(framed(b"\xc5" + bytes(1211)))
        await until(lambda: len(home.got) == 3, "a carried one")
        one, other = home.got[0][1], home.got[2][1]
        assert [d for d, _ in home.got] == [FRAME, FRAME + b"x", b"\xc5" + bytes(1211)]
        assert one == home.got[1][1] != other and one[:2] == other[:2] == b"\0\x03"
        assert home.tcp.ip_of(one) == bytes((127, 0, 0, 1))
        assert home.tcp.send(bytearray(FRAME + b"more"), 60, one)
        assert await r1.readexactly(62) == framed(FRAME)
        w1.close()
        await until(lambda: len(home.tcp) == 1, "one is gone")
        assert not home.tcp.send(FRAME, 60, one) and home.tcp.send(FRAME, 60, other)
        assert await r2.readexactly(62) == framed(FRAME)
        await home.tcp.stop()
        assert len(home.tcp) == 0

    run(main())


@pytest.mark.parametrize("length", [0, 1, 19, 1213, 65535])
def test_a_length_that_no_datagram_has_ends_it(length):
    async def main():
        home = await side()
        r, w = await connected(home)
        w.write(framed(FRAME) + length.to_bytes(2, "big") + bytes(3000))
        assert await r.read() == b""
        assert len(home.got) == 1
        await until(lambda: len(home.tcp) == 0, "it is cut off")
        await home.tcp.stop()

    run(main())


def test_who_brings_nothing_good_is_cut_off():
    async def main():
        home = await side(first_s=0.3)
        idle, w1 = await connected(home)
        junk, w2 = await connected(home)
        good, w3 = await connected(home)
        for w in (w2, w3):
            w.write(framed(FRAME))
        await until(lambda: len(home.got) == 2, "two frames")
        home.tcp.good(home.got[1][1])
        home.tcp.good(b"\0\x03\x09\x09\x09\x09")
        kept = home.got[1][1]
        assert await idle.read() == b"" and await junk.read() == b""
        assert len(home.tcp) == 1 and home.tcp.send(FRAME, 60, kept)
        await home.tcp.stop()

    run(main())


def test_so_many_from_one_address_and_in_all():
    async def main():
        for options in ({"from_ip": 2}, {"connections": 2}):
            home = await side(**options)
            kept = [await connected(home) for _ in range(2)]
            await until(lambda h=home: len(h.tcp) == 2, "two connections")
            r, w = await connected(home)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                w.write(framed(FRAME))
                await r.readexactly(1)
            assert home.tcp.refused == 1 and len(home.tcp) == 2
            kept[0][1].close()
            await until(lambda h=home: len(h.tcp) == 1, "one is gone")
            r, w = await connected(home)
            w.write(framed(FRAME))
            await until(lambda h=home: h.got, "its frame")
            await home.tcp.stop()

    run(main())


def test_a_reader_that_takes_nothing_costs_a_bounded_buffer():
    async def main():
        home = await side()
        r, w = await connected(home, limit=1024)
        w.write(framed(FRAME))
        await until(lambda: home.got, "its frame")
        addr = home.got[0][1]
        big = bytes(1212)
        sent = sum(home.tcp.send(big, 1212, addr) for _ in range(20000))
        assert sent < 20000 and home.tcp.dropped == 20000 - sent
        w.transport.abort()
        await home.tcp.stop()

    run(main())


def certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tier")])
    now = datetime.datetime.now(datetime.UTC)
    ip = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([ip]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_tls(tmp_path):
    cert, key = certificate(tmp_path)

    async def main():
        home = Home()
        home.tcp = TcpSide(home)
        await home.tcp.start("127.0.0.1", 0, cert, key)
        context = ssl.create_default_context(cafile=cert)
        r, w = await connected(home, ssl=context)
        w.write(framed(FRAME))
        await until(lambda: home.got, "its frame")
        home.tcp.send(FRAME, 60, home.got[0][1])
        assert await r.readexactly(62) == framed(FRAME)
        plain, w = await connected(home)
        w.write(framed(FRAME))
        await plain.read()
        assert len(home.got) == 1
        await home.tcp.stop()

    run(main())


NODE_SIDE = """
import sys, time
sys.path[:0] = %r
from l4mesh_io.mqtt_tls import Tls
from l4mesh_io.tcp_link import TcpLink

class Node:
    got = 0
    def receive(self, buf, n, addr, now):
        assert bytes(buf[:n]) == FRAME and addr[:2] == b"\\0\\3"
        self.got += 1

FRAME = %r
node = Node()
link = TcpLink(node, 3, %r, None, Tls(%r))
link.open(0)
sent = False
for now in range(0, 10000, 20):
    link.poll(now)
    if link.up and not sent:
        sent = link.send(FRAME, len(FRAME)) and link.send(FRAME, len(FRAME))
    if node.got == 2 or sent and not link.up or link.why:
        break
    time.sleep(0.02)
print(node.got, link.why)
link.close()
"""


@pytest.mark.parametrize("python", ["cpython", "micropython"])
@pytest.mark.parametrize("whose", ["its", "another"])
def test_a_nodes_own_link_over_tls(tmp_path, python, whose):
    cert, key = certificate(tmp_path)
    (tmp_path / "b").mkdir()
    ca = cert if whose == "its" else certificate(tmp_path / "b")[0]
    lib = str(Path(__file__).resolve().parents[2] / "lib")
    argv = [sys.executable] if python == "cpython" else micropython_argv()

    async def main():
        home = Home()
        home.tcp = TcpSide(home)
        await home.tcp.start("127.0.0.1", 0, cert, key)
        where = bytes((127, 0, 0, 1)) + home.tcp.port.to_bytes(2, "big")
        script = tmp_path / "node_side.py"
        script.write_text(NODE_SIDE % ([lib], FRAME, where, ca))
        child = await asyncio.create_subprocess_exec(
            *argv, str(script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        if whose == "its":
            await until(lambda: len(home.got) == 2, "its frames")
            assert [d for d, _ in home.got] == [FRAME, FRAME]
            for _ in range(2):
                assert home.tcp.send(FRAME, 60, home.got[0][1])
        said = (await asyncio.wait_for(child.communicate(), 30))[0].decode()
        if whose == "its":
            assert said.strip() == "2", said
        else:
            assert said.startswith("0 TCP to 127.0.0.1:") and home.got == [], said
        await home.tcp.stop()

    run(main())


def test_what_cannot_be_used_is_told(tmp_path):
    async def main():
        home = await side()
        again = TcpSide(Home())
        with pytest.raises(ToolError, match="cannot be used"):
            await again.start("127.0.0.1", home.tcp.port)
        with pytest.raises(ToolError, match="certificate"):
            await again.start("127.0.0.1", 0, str(tmp_path / "none.pem"))
        await home.tcp.stop()

    run(main())


def test_who_does_not_finish_the_handshake_counts_and_is_cut_off(tmp_path):
    cert, key = certificate(tmp_path)

    async def main():
        home = Home()
        home.tcp = TcpSide(home, from_ip=2, first_s=0.4)
        await home.tcp.start("127.0.0.1", 0, cert, key)
        silent = [await connected(home) for _ in range(6)]
        await until(lambda: home.tcp.refused == 4, "the others are refused")
        assert len(home.tcp) == 2
        for r, w in silent:
            with contextlib.suppress(ConnectionError):
                assert await r.read() == b""
            w.close()
        await until(lambda: len(home.tcp) == 0, "they are cut off")
        context = ssl.create_default_context(cafile=cert)
        r, w = await connected(home, ssl=context)
        w.write(framed(FRAME))
        await until(lambda: home.got, "its frame")
        await home.tcp.stop()

    run(main())
