"""The lab's topology: public hosts, homes behind a router of some kind, carriers' NATs.

    lab = Lab(rtt_ms=60, jitter_ms=4, loss=0.01)
    lab.public("s")                             198.18.1.x, straight on the Internet
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
from .space import Space, die_with_parent


class Lab:
    def __init__(self, rtt_ms=0.0, jitter_ms=0.0, loss=0.0, seed=1):
        self._figures = (rtt_ms / 4000, jitter_ms / 2000, loss / 2)
        self._seed = seed
        self.spaces = {}
        self.address = {}
        self.kind = {}  # host: kind
        self._ports, self._nft, self._routes = {}, {}, []
        self._public = 0
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
        self._public += 1
        n = self._public - 1
        return "198.18.%d.%d" % (1 + n // 250, 1 + n % 250)

    def _wan(self, name, figures):
        """A cable from `name` to the Internet, with a public address."""
        space, ip, port = self.spaces[name], self._next(), "w%d" % len(self._ports)
        self._net.link(port, space, "wan")
        self._net.ip("link set %s up" % port)
        self._ports[port] = figures or self._figures
        space.ip("addr add %s/16 dev wan" % ip)
        space.ip("link set wan up")
        self.address[name] = ip
        return ip

    def public(self, name: str, figures=None) -> str:
        """A host with a public address; `figures`: (delay s, jitter s, loss) of its own port."""
        self._space(name)
        self.kind[name] = "pub"
        return self._wan(name, figures)

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
        second = ""
        if parent is None:
            ip = self._wan(router, figures)
            if kind == "sympool":
                second = self._next()
                space.ip("addr add %s/16 dev wan" % second)
        else:
            ip = self._attach(parent, space, "wan")
        lan = "192.168.1."
        if kind == "pubfw":  # public addresses inside, which the Internet finds by a route
            lan = "198.19.%d." % (1 + len(self._routes))
            self._routes.append((lan + "0/24", ip))
        self.address[router] = ip
        self._lan(space, lan + "1")
        for k in range(hosts):
            host = name if k == 0 else name + str(k + 1)
            inner = self._space(host)
            self.kind[host] = kind
            self.address[host] = lan + str(10 + k)
            space.link("l%d" % k, inner, "eth0")
            space.ip("link set l%d master lan up" % k)
            self._host(inner, self.address[host], lan + "1")
        base = "pr" if KINDS[kind].carrier else kind
        self._nft[router] = (rules(base, ip, second, **options), options.get("udp_timeout_s", 30))

    def carrier(self, name, kind, figures=None, **options) -> str:
        """A carrier's NAT; its name is the `parent` of homes behind it."""
        space = self._space(name)
        ip = self._wan(name, figures)
        self._carriers[name] = [len(self._carriers) + 1, 1]
        self._lan(space, "100.64.%d.1" % self._carriers[name][0])
        self._nft[name] = (rules(kind, ip, **options), options.get("udp_timeout_s", 30))
        return name

    def inside(self, name, carrier) -> str:
        """A host on the carrier's own network."""
        return self._attach(carrier, self._space(name), "eth0", name)

    def _attach(self, carrier, space, device, host=None):
        count = self._carriers[carrier]
        net, count[1] = count[0], count[1] + 1
        ip, above = "100.64.%d.%d" % (net, count[1]), self.spaces[carrier]
        above.link("c%d" % count[1], space, device)
        above.ip("link set c%d master lan up" % count[1])
        self._host(space, ip, "100.64.%d.1" % net, device)
        if host is not None:
            self.address[host] = ip
        return ip

    @staticmethod
    def _lan(space, ip):
        for line in ("link add lan type bridge", "link set lan up", "addr add %s/24 dev lan" % ip):
            space.ip(line)

    @staticmethod
    def _host(space, ip, gateway, device="eth0"):
        space.ip("addr add %s/24 dev %s" % (ip, device))
        space.ip("link set %s up" % device)
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
        for net, via in self._routes:
            for name, space in self.spaces.items():
                if self.address.get(name, "").startswith("198.18.") and self.address[name] != via:
                    space.ip("route add %s via %s" % (net, via))
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
