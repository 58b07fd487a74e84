"""The default route, out of the kernel's table, and who asks for a port there."""

import asyncio

from l4mesh.portmap import PortMap
from l4tools import beyond
from l4tools.gateway import gateway
from l4tools.hostnode import HostNode
from l4tools.network import Network

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def row(dst="00000000", via="0101A8C0", flags="0003", metric=100, mask="00000000"):
    return "eth0\t%s\t%s\t%s\t0\t0\t%d\t%s\t0\t0\t0\n" % (dst, via, flags, metric, mask)


def read(tmp_path, *rows):
    table = tmp_path / "route"
    table.write_text(HEAD + "".join(rows))
    return gateway(table)


def test_the_default_route(tmp_path):
    lan = row("0001A8C0", "00000000", "0001", 0, "00FFFFFF")
    assert read(tmp_path, lan, row()) == bytes((192, 168, 1, 1))
    assert read(tmp_path, row(via="FE01A8C0", metric=600), row()) == bytes((192, 168, 1, 1))


def test_there_may_be_none(tmp_path):
    assert read(tmp_path) is None
    assert read(tmp_path, row(flags="0001"), row(flags="0002")) is None
    assert read(tmp_path, row(mask="000000FF"), "eth0\tbroken\n") is None
    assert gateway(tmp_path / "nothing") is None


def test_a_host_behind_a_nat_asks_its_router_and_gives_the_port_back(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    monkeypatch.setattr(beyond.beyond, "wanted", lambda node: True)
    stopped = []
    monkeypatch.setattr(PortMap, "stop", lambda self, now: stopped.append(self))

    async def go():
        async with HostNode(Network.create("router"), upstream={}) as n:
            while n.beyond.router is None:
                await asyncio.sleep(0.02)
            assert n.beyond.router in n.node.late
            for _ in range(50):
                if n.node.notes["router"]() == "no router in front of us":  # of 127.0.0.1
                    return n.beyond.router
                await asyncio.sleep(0.02)

    assert [asyncio.run(go())] == stopped and stopped[0] is not None
