"""DNS-SD with the real zeroconf library, both ways, on the loopback interface and nowhere else.

Others may run the same on this machine at the same time: each test has a network id of its own.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from l4mesh.endpoint import parse_endpoint
from l4mesh.peers import O_MODE, P_LAN, P_SIGNED, Peers
from l4tools.dnssd import TYPE, Publisher, Shown, browse
from l4tools.errors import ToolError
from l4tools.hostrun import run, shown
from l4tools.network import Network
from l4tools.paths import micropython_argv
from zeroconf import IPVersion, ServiceInfo
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

ROOT = Path(__file__).resolve().parents[2]
LO = "127.0.0.1"


def three():
    """(network id, three nodes) that nobody else has."""
    modes = ("passive", "standard", "standard")
    nodes = [
        Shown(os.urandom(8), mode, parse_endpoint("10.9.8.%d:4104" % (7 + i)))
        for i, mode in enumerate(modes)
    ]
    return os.urandom(4), nodes


async def seen(net, mode="", want=None):
    """Ours among what is found; asked again until it is `want`, for a while."""
    for _ in range(12):
        rows = [r for r in await browse(LO, mode, 0.4) if r["network"] == net.hex()]
        got = sorted((r["node"], r["mode"], r["address"]) for r in rows)
        if want is None or got == want:
            break
    return got


def rows_of(nodes):
    return sorted((n.short_id.hex(), n.mode, "10.9.8.%d:4104" % n.endpoint[3]) for n in nodes)


def test_what_is_published_is_found_by_mode_and_says_goodbye():
    net, nodes = three()

    async def go():
        async with Publisher(LO, net) as p:
            await p.update(nodes)
            assert await seen(net, want=rows_of(nodes)) == rows_of(nodes)
            assert await seen(net, "passive", rows_of(nodes[:1])) == rows_of(nodes[:1])
            changed = [nodes[0]._replace(mode="standard"), nodes[1]]
            await p.update(changed)
            assert await seen(net, "standard", rows_of(changed)) == rows_of(changed)
            assert await seen(net, "passive", []) == []
            assert await seen(net, want=rows_of(changed)) == rows_of(changed)
        assert await seen(net, want=[]) == []

    asyncio.run(go())


def test_another_program_with_zeroconf_finds_them_and_sees_them_go():
    net, nodes = three()
    names = {"L4 %s.%s" % (n.short_id.hex()[:12], TYPE) for n in nodes}

    async def go():
        there, gone = set(), set()

        def heard(zeroconf, service_type, name, state_change):
            (gone if state_change.name == "Removed" else there).add((service_type, name))

        zc = AsyncZeroconf(interfaces=[LO], ip_version=IPVersion.V4Only)
        subtype = "_passive._sub." + TYPE
        browser = AsyncServiceBrowser(zc.zeroconf, [TYPE, subtype], handlers=[heard])
        try:
            async with Publisher(LO, net) as p:
                await p.update(nodes)
                passive = "L4 %s.%s" % (nodes[0].short_id.hex()[:12], TYPE)
                await until(lambda: {(TYPE, n) for n in names} <= there)
                await until(lambda: (subtype, passive) in there)
                info = AsyncServiceInfo(TYPE, passive)
                assert await info.async_request(zc.zeroconf, 3000)
                assert info.port == 4104 and info.parsed_addresses() == ["10.9.8.7"]
                texts = {k.decode(): v.decode() for k, v in info.properties.items()}
                assert texts == {
                    "txtvers": "1", "id": nodes[0].short_id.hex(), "net": net.hex(),
                    "mode": "passive", "ver": "1",
                }  # fmt: skip
            await until(lambda: {(TYPE, n) for n in names} <= gone)
        finally:
            await browser.async_cancel()
            await zc.async_close()

    asyncio.run(go())


async def until(condition, seconds=15):
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.05)


SCRIPT = """
import os, socket, sys, time
sys.path[:0] = [%r]
from l4mesh.browse import Browse
class One:
    def open(self, port, take):
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.setsockopt(0, 32, b"\\x7f\\x00\\x00\\x01")
        self.s.bind(socket.getaddrinfo("127.0.0.1", 0)[0][-1])
        self.s.settimeout(0.05)
        self.take = take
        return self
    def send(self, buf, n, addr):
        to = "%%d.%%d.%%d.%%d" %% tuple(addr[:4])
        return self.s.sendto(bytes(buf[:n]), socket.getaddrinfo(to, 5353)[0][-1])
    def close(self):
        self.s.close()
one = One()
b = Browse(one, os.urandom, lambda *a: print(a))
b.start(0)
t = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), t) < 1600:
    b.poll(time.ticks_diff(time.ticks_ms(), t))
    try:
        data = one.s.recv(1500)
        one.take(data, len(data), b"\\x7f\\0\\0\\1\\x14\\xe9", 0, one)
    except OSError:
        pass
"""


def test_the_unix_port_browses_what_another_program_publishes():
    me = os.urandom(6).hex()

    async def go():
        zc = AsyncZeroconf(interfaces=[LO], ip_version=IPVersion.V4Only)
        info = ServiceInfo(
            TYPE, "L4 %s.%s" % (me, TYPE), 4711, properties={"mode": "standard"},
            server="host-%s.local." % me, addresses=[bytes((10, 1, 2, 3))],
        )  # fmt: skip
        try:
            await (await zc.async_register_service(info, cooperating_responders=True))
            done = await asyncio.create_subprocess_exec(
                *micropython_argv("-c", SCRIPT % str(ROOT / "lib")),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            return (await asyncio.wait_for(done.communicate(), 20))[0].decode()
        finally:
            await zc.async_close()

    said = asyncio.run(go())
    mine = [x for x in said.splitlines() if me in x]
    want = "(b'L4 %s', b'\\n\\x01\\x02\\x03\\x12g', {b'mode': b'standard'})" % me
    assert mine == [want], said


def test_the_verb(tmp_path):
    net, nodes = three()

    async def go():
        async with Publisher(LO, net) as p:
            await p.update(nodes)
            done = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from l4tools.cli import main; main()", "browse",
                "--interface", LO, "--json", "--wait", "1.2",
                stdout=subprocess.PIPE, env={**os.environ, "L4_HOME": str(tmp_path)},
            )  # fmt: skip
            out, _ = await asyncio.wait_for(done.communicate(), 30)
            assert done.returncode == 0
            return json.loads(out)

    rows = [r for r in asyncio.run(go()) if r["network"] == net.hex()]
    assert sorted((r["node"], r["mode"], r["address"]) for r in rows) == rows_of(nodes)
    assert all(r["version"] == "1" and r["name"].startswith("L4 ") for r in rows)


def test_a_node_on_an_interface_publishes_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    network = Network.create("shown")
    said = []
    out = SimpleNamespace(record=said.append, note=said.append)
    options = {"listen": LO + ":0", "interface": LO, "upstream": {}}

    async def go():
        task = asyncio.create_task(run(out, network, options, LO))
        try:
            for _ in range(20):
                rows = [
                    r
                    for r in await browse(LO, "", 0.5)
                    if r["network"] == network.network_id.hex()
                ]
                if rows:
                    return rows
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    (row,) = asyncio.run(go())
    assert row["node"] == said[0]["node"].hex()[:16] and row["address"] == said[0]["at"]
    assert not [x for x in said if "stopped" in str(x)]


def test_an_address_that_is_not_here():
    with pytest.raises(ToolError, match="interface"):
        asyncio.run(browse("192.0.2.77", "", 0.2))

    async def publish():
        async with Publisher("192.0.2.77", bytes(4)):
            pass

    with pytest.raises(ToolError, match="no-dns-sd"):
        asyncio.run(publish())


def test_a_host_publishes_itself_and_checked_neighbours_by_ip():
    peers = Peers(8)
    for k, (flags, ip) in enumerate(
        ((P_LAN | P_SIGNED, 10), (P_LAN, 10), (P_SIGNED, 10), (P_LAN | P_SIGNED, 0))
    ):
        i = peers.add(bytes((65 + k,)) * 8, bytes((ip, 0, 0, k + 1, 16, 8)), 1, 1, 0)
        peers.set_flag(i, flags)
        peers.set(i, O_MODE, 1)
    node = SimpleNamespace(
        peers=peers, short_id=b"host-own", serve=SimpleNamespace(mode=3),
        link=SimpleNamespace(local=bytes((10, 0, 0, 99, 16, 8))),
    )  # fmt: skip
    assert shown(node) == [
        Shown(b"host-own", "active", bytes((10, 0, 0, 99, 16, 8))),
        Shown(b"A" * 8, "passive", bytes((10, 0, 0, 1, 16, 8))),
    ]
