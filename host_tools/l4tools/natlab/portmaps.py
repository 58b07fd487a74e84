"""A real home router that maps ports on request: `python -m l4tools.natlab.portmaps`.

    serve(lab, "a", folder)      miniupnpd in the router in front of host `a`, PCP and NAT-PMP only

By itself: homes behind pr and symhi, each with a node that asks for its port, by PCP and by
NAT-PMP; a stranger's datagrams to the mapped port, before, while and after it is mapped; a router
without a public address, which refuses. Prints one line of JSON.
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path

from l4mesh import natcheck
from l4mesh.endpoint import format_endpoint
from l4mesh.portmap import PortMap

from ..link import now_ms
from .lab import Lab
from .labnode import LabNode
from .needs import tool
from .world import World

OUTSIDE = "11.0.0.1"  # no packet goes there
GATEWAY = bytes((192, 168, 1, 1))
_CHAINS = """table inet upnp {
chain forward { type filter hook forward priority 10; policy accept; jump mapped; }
chain mapped { }
chain pre { type nat hook prerouting priority -110; policy accept; jump mapped_pre; }
chain mapped_pre { }
chain post { type nat hook postrouting priority 110; policy accept; jump mapped_post; }
chain mapped_post { }
}
"""
_CONFIG = """ext_ifname=wan
listening_ip=lan
enable_natpmp=yes
enable_upnp=no
secure_mode=yes
upnp_table_name=upnp
upnp_nat_table_name=upnp
upnp_forward_chain=mapped
upnp_nat_chain=mapped_pre
upnp_nat_postrouting_chain=mapped_post
lease_file=%(folder)s/leases
min_lifetime=120
max_lifetime=86400
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def serve(lab, host: str, folder, outside: str | None = None) -> None:
    """Until the lab ends. It gives no ports while its outside address is a reserved one, as all of
    the lab are; `outside` is the one that it is to believe it has."""
    router = host + "-router"
    lab.spaces[router].run([tool("nft"), "-f", "-"], _CHAINS)
    folder = Path(folder) / router
    folder.mkdir(parents=True)
    config = folder / "miniupnpd.conf"
    said = "ext_ip=%s\n" % outside if outside is not None else ""
    config.write_text(said + _CONFIG % {"folder": folder})
    log = (folder / "log").open("wb")
    lab.popen(
        router, [tool("miniupnpd"), "-d", "-f", str(config), "-P", str(folder / "pid")],
        stdout=log, stderr=log,
    )  # fmt: skip


async def _knock(lab, at, node_socket) -> bool:
    """Does a stranger's datagram to `at` reach the node?"""
    stranger = lab.udp("stranger")
    heard = len(node_socket)
    try:
        for _ in range(3):
            stranger.sendto(b"\xc4 who are you", at)
            await asyncio.sleep(0.05)
    finally:
        stranger.close()
    return len(node_socket) > heard


async def _one(lab, world, host, pcp) -> dict:
    node = LabNode(lab, host, world.settings(host, host), lambda n, doc: None)
    heard, told = [], []
    inner = node.link._receive

    def receive(data, addr):
        heard.append(addr)
        inner(data, addr)

    node.link._receive = receive
    check = node.node.nat or natcheck.begin(node.node)
    pm = PortMap(node.node, lambda: GATEWAY, lambda at, now: told.append(at) or check.fixed(at))
    try:
        started = time.monotonic()
        at = (lab.address[host + "-router"], 4104)
        before = await _knock(lab, at, heard)
        node.node.late.append(pm)
        while not (told or pm.reason) and time.monotonic() - started < 15:
            if not pcp and pm.pcp:  # as with a router that knows the older one only
                pm.pcp = False
            node.wake()
            await asyncio.sleep(0.01)
        ms = round((time.monotonic() - started) * 1000)
        if not told:
            return {"mapped": None, "why": pm.why()}
        outside = format_endpoint(told[0])
        at = (at[0], told[0][4] << 8 | told[0][5])
        opened = await _knock(lab, at, heard)
        pm.stop(now_ms())
        await asyncio.sleep(0.3)
        closed = not await _knock(lab, at, heard)
        return {"mapped": outside, "before": before, "opened": opened, "closed": closed, "ms": ms}
    finally:
        node.close()


def run() -> dict:
    lab = Lab(rtt_ms=20)
    lab.public("stranger")
    hosts = {"pcp": ("pr", True), "pmp": ("pr", False), "hard": ("symhi", True),
             "refuses": ("pr", True)}  # fmt: skip
    for name, (kind, _) in hosts.items():
        lab.home(name, kind)
    with tempfile.TemporaryDirectory() as folder:
        world = World(lab, folder, levels=())
        with lab, world:
            for name in hosts:
                serve(lab, name, folder, None if name == "refuses" else OUTSIDE)
            time.sleep(0.3)

            async def all_() -> dict:
                one = [_one(lab, world, n, pcp) for n, (_, pcp) in hosts.items()]
                return dict(zip(hosts, await asyncio.gather(*one), strict=True))

            found = asyncio.run(all_())
            for name, row in found.items():
                row["router"] = lab.address[name + "-router"]
                if row["mapped"] is None:
                    log = Path(folder) / (name + "-router") / "log"
                    row["log"] = log.read_text(errors="replace")[-1500:]
            return found


if __name__ == "__main__":
    print(json.dumps(run()))
