"""The lab's topology: public hosts, homes behind a router of some kind, carriers' NATs.

    lab = Lab(rtt_ms=60, jitter_ms=4, loss=0.01)
    lab.public("s")                             198.18.x.1, straight on the Internet
    lab.home("a", "pr", hosts=2)                hosts a and a2 behind a router
    c = lab.carrier("c", "eim")                 a carrier's NAT, 100.64/24 inside
    lab.home("b", "pr", parent=c)
    lab.inside("i", c)                          a host right on the carrier's network
    with lab: ...

Every home is 192.168.1.0/24 with its first host at .10, on purpose: as in life, a peer's address
in its own LAN is often one's own. `rtt_ms`, `jitter_ms` and `loss` are those of the path between
any two on the Internet (loss: one way).
"""

import json
import os
import socket
import subprocess
import sys
import time

from .kinds import KINDS, rules
from .space import GATE, GATE_MAC, Space, die_with_parent


class Lab:
    def __init__(self, rtt_ms=0.0, jitter_ms=0.0, loss=0.0, seed=1):
        self._figures = (rtt_ms / 4000, jitter_ms / 2000, loss / 2)
        self._seed = seed
        self.spaces = {}
        self.address = {}
        self.kind = {}  # host: kind
        self.second = {}  # host: its other public address
        self._ports, self._nft = {}, {}
        self._public = self._nets = self._macs = 0
        self._carriers = {}
        self._children = []
        self._switch = None
        self.up_s = 0.0
        self._net = self._space("")

    # -- building ----------------------------------------------------------------------------

    def _space(self, name):
        if name in self.spaces:
            raise ValueError("there is a %r in this lab already; give it another name" % name)
        self.spaces[name] = space = Space()
        return space

    def _next(self):
        """Public addresses are no neighbours of each other."""
        self._public += 1
        return "198.18.%d.1" % self._public

    def _mac(self):
        self._macs += 1
        return "02:00:00:00:%02x:%02x" % divmod(self._macs, 256)

    def _wan(self, name, figures, second=False):
        """A cable from `name` to the Internet, with a public address, or two."""
        space, ip, port, mac = (
            self.spaces[name],
            self._next(),
            "w%d" % len(self._ports),
            self._mac(),
        )
        places = [ip, self._next()] if second else [ip]
        self._net.link(port, space, "wan", mac)
        self._net.ip("link set %s up" % port)
        self._ports[port] = [*(figures or self._figures), mac, places]
        for place in places:
            space.ip("addr add %s/32 dev wan" % place)
        space.ip("link set wan up")
        space.knows(GATE, GATE_MAC, "wan")
        space.ip("route add default via %s dev wan onlink" % GATE)
        self.address[name] = ip
        if second:
            self.second[name] = places[1]
        return port

    def public(self, name: str, figures=None, second=False) -> str:
        """A host with a public address; `figures`: (delay s, jitter s, loss) of its own port."""
        self._space(name)
        self.kind[name] = "pub"
        self._wan(name, figures, second)
        return self.address[name]

    def home(self, name, kind, hosts=1, parent=None, figures=None, **options) -> None:
        """A router of `kind` (`pub`: none at all) and hosts NAME, NAME2, ..; see the top.

        `options` go to kinds.rules: inbound, hairpin, udp_timeout_s.
        """
        if KINDS[kind].carrier and parent is None:
            parent = self.carrier(name + "-carrier", KINDS[kind].carrier)
        if kind == "pub":
            self.public(name, figures)
            return
        router = name + "-router"
        space = self._space(router)
        lan = "192.168.1."
        if parent is not None:
            self.address[router] = self._attach(parent, space, "wan")
        else:
            port = self._wan(router, figures, kind == "sympool")
            if kind == "pubfw":  # public addresses inside, too
                self._nets += 1
                lan = "198.19.%d." % self._nets
                self._ports[port][-1].append(lan)
        mac = self._lan(space, lan + "1")
        for k in range(hosts):
            host = name if k == 0 else name + str(k + 1)
            inner, own = self._space(host), self._mac()
            self.kind[host] = kind
            self.address[host] = lan + str(10 + k)
            space.link("l%d" % k, inner, "eth0", own)
            space.ip("link set l%d master lan up" % k)
            space.knows(self.address[host], own, "lan")
            self._host(inner, self.address[host], lan + "1", mac)
        base = "pr" if KINDS[kind].carrier else kind
        text = rules(base, self.address[router], self.second.get(router, ""), **options)
        self._nft[router] = (text, options.get("udp_timeout_s", 30))

    def carrier(self, name, kind, figures=None, **options) -> str:
        """A carrier's NAT; its name is the `parent` of homes behind it."""
        space = self._space(name)
        self._wan(name, figures)
        net = len(self._carriers) + 1
        self._carriers[name] = [net, 1, self._lan(space, "100.64.%d.1" % net)]
        text = rules(kind, self.address[name], **options)
        self._nft[name] = (text, options.get("udp_timeout_s", 30))
        return name

    def inside(self, name, carrier) -> str:
        """A host on the carrier's own network."""
        self.address[name] = self._attach(carrier, self._space(name), "eth0")
        return self.address[name]

    def _attach(self, carrier, space, device):
        count = self._carriers[carrier]
        net, count[1], gate = count[0], count[1] + 1, count[2]
        ip, above, mac = "100.64.%d.%d" % (net, count[1]), self.spaces[carrier], self._mac()
        above.link("c%d" % count[1], space, device, mac)
        above.ip("link set c%d master lan up" % count[1])
        above.knows(ip, mac, "lan")
        self._host(space, ip, "100.64.%d.1" % net, gate, device)
        return ip

    def _lan(self, space, ip):
        mac = self._mac()
        space.ip("link add lan address %s type bridge" % mac)
        space.ip("link set lan up")
        space.ip("addr add %s/24 dev lan" % ip)
        return mac

    @staticmethod
    def _host(space, ip, gateway, mac, device="eth0"):
        space.ip("addr add %s/24 dev %s" % (ip, device))
        space.ip("link set %s up" % device)
        space.knows(gateway, mac, device)
        space.ip("route add default via %s" % gateway)

    # -- life --------------------------------------------------------------------------------

    def __enter__(self) -> "Lab":
        started = time.monotonic()
        try:
            self._up()
        except BaseException:
            self.close()
            raise
        self.up_s = time.monotonic() - started
        return self

    def __exit__(self, *_):
        self.close()

    def _up(self):
        Space.settle(list(self.spaces.values()))
        for name, (text, timeout_s) in self._nft.items():
            space = self.spaces[name]
            space.set("ipv4/ip_forward", 1)
            space.run(["nft", "-f", "-"], text)
            space.set("netfilter/nf_conntrack_udp_timeout", timeout_s)
            stream_s = timeout_s if timeout_s < 30 else 120
            space.set("netfilter/nf_conntrack_udp_timeout_stream", stream_s)
        with self._net:
            self._switch = subprocess.Popen(
                [sys.executable, "-m", "l4tools.natlab.switch", str(self._seed)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_parent,
            )  # fmt: skip
        self._switch.stdin.write(json.dumps(self._ports).encode() + b"\n")
        self._switch.stdin.flush()
        if self._switch.stdout.readline() != b"ready\n":
            raise RuntimeError("the switch of the lab did not start")

    def close(self) -> None:
        """End every process that was started in it; the namespaces go with the last of them."""
        for child in self._children + ([self._switch] if self._switch else []):
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        self._children, self._switch = [], None
        for space in self.spaces.values():
            space.close()

    # -- what is done in it ------------------------------------------------------------------

    def udp(self, name: str, port: int = 0, ip: str = "0.0.0.0") -> socket.socket:
        """A UDP socket of host `name`, which doesn't block."""
        with self.spaces[name]:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        try:
            s.bind((ip, port))
        except OSError:
            s.close()
            raise
        s.setblocking(False)
        return s

    def tcp(self, name: str) -> socket.socket:
        with self.spaces[name]:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def popen(self, name: str, argv: list[str], **options) -> subprocess.Popen:
        """A process of host `name`; the lab's end is its end."""
        options.setdefault("env", dict(os.environ))
        with self.spaces[name]:
            child = subprocess.Popen(argv, preexec_fn=die_with_parent, **options)
        self._children.append(child)
        return child

    def run(self, name: str, argv: list[str], timeout_s: float = 30) -> str:
        """A command of host `name`: all that it prints."""
        with self.spaces[name]:
            done = subprocess.run(
                argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=timeout_s,
            )  # fmt: skip
        return done.stdout

    def forget(self, name: str) -> None:
        """The router in front of host `name` loses all of its mappings, as by a restart."""
        router = self.spaces[name + "-router"]
        text, _ = self._nft[name + "-router"]
        router.run(["nft", "flush", "ruleset"])
        router.run(["nft", "-f", "-"], text)
