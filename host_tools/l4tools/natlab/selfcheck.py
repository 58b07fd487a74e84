"""Does every router of the lab do what its kind says? `python -m l4tools.natlab.selfcheck`.

    look(lab, hosts) -> {host: Seen}        by raw STUN, all hosts at once

Three helpers, as any node is one: A (two ports) and B are asked, which gives the mapping; C, never
asked, and a third port of A send to a socket of its own, which gives the filtering. STUN is read
and written by lib/l4mesh/stun.py. With `--third-party` coturn's and Debian's clients look, too.
"""

import argparse
import json
import os
import re
import select
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from l4mesh.endpoint import format_endpoint
from l4mesh.stun import ASK, OUT, REQUEST, SUCCESS, Message, ask

from .kinds import ADF, ADM, APDF, APDM, BLOCKED, EIF, EIM, KINDS, NONE, OPEN
from .lab import Lab
from .needs import tool

PORT = 3478
_LOW = range(600, 1024)


@dataclass
class Seen:
    """What a host's NAT did. `mapped`: of A, A's other port, B; `more`: ports of fresh sockets."""

    mapping: str = BLOCKED
    filtering: str = BLOCKED
    local: str = ""
    mapped: list[str] = field(default_factory=list)
    more: list[int] = field(default_factory=list)
    low: int = 0  # outside port of a socket on a port of 600..1023


class Helpers:
    """Public hosts a, b, c of the lab: they answer STUN, and send where they are told."""

    NAMES = ("stun-a", "stun-b", "stun-c")

    def __init__(self, lab):
        a, b, c = self.NAMES
        places = ((a, PORT), (a, PORT + 1), (b, PORT), (a, PORT + 2), (c, PORT))
        self.socks = [lab.udp(name, port) for name, port in places]
        self.at = [(lab.address[name], port) for name, port in places]
        self._message, self._out = Message(), bytearray(OUT)

    def serve(self, sock) -> None:
        data, (host, port) = sock.recvfrom(2048)
        if self._message.read(data, len(data)) and self._message.kind == REQUEST:
            addr = socket.inet_aton(host) + port.to_bytes(2, "big")
            n = self._message.answer(data, addr, self._out)
            sock.sendto(self._out[:n], (host, port))


def build(kinds, **figures) -> Lab:
    """A lab with one host of each kind, by its kind's name, and the helpers."""
    lab = Lab(**figures)
    for name in Helpers.NAMES:
        lab.public(name, second=True)
    for kind in kinds:
        lab.home(kind, kind)
    return lab


class _Ask:
    """A socket of a host with the answers it got: {index of helper: endpoint}."""

    def __init__(self, lab, host, port=0):
        self.sock = lab.udp(host, port)
        self.mapped, self.heard = {}, set()
        self._ids = {}
        self._message = Message()

    def ask(self, helpers, k) -> None:
        if k in self.mapped:
            return
        out, mark = bytearray(ASK), self._ids.setdefault(k, os.urandom(12))
        ask(mark, out)
        self.sock.sendto(out, helpers.at[k])

    def take(self, helpers) -> None:
        data, origin = self.sock.recvfrom(2048)
        k = helpers.at.index(origin)
        if data == b"unasked":
            self.heard.add(k)
        elif self._message.read(data, len(data)) and self._message.kind == SUCCESS:
            if data[8:20] == self._ids.get(k):
                self.mapped[k] = self._message.mapped


def look(lab, hosts, rtt_ms: float = 0) -> dict[str, Seen]:
    helpers = Helpers(lab)
    main = {h: _Ask(lab, h) for h in hosts}
    fresh = {h: [_Ask(lab, h) for _ in range(8)] for h in hosts}
    low = {h: _low(lab, h) for h in hosts}
    alone = {h: _Ask(lab, h) for h in hosts}
    asks = [
        *main.values(),
        *low.values(),
        *alone.values(),
        *(a for f in fresh.values() for a in f),
    ]
    wait_s = 0.12 + 2 * rtt_ms / 1000
    for _ in range(3):  # what is lost is asked again
        for k in (0, 1, 2):
            for a in main.values():
                a.ask(helpers, k)
            _turn(helpers, asks, 0.02)
        for a in (*low.values(), *alone.values()):
            a.ask(helpers, 0)
        for several in fresh.values():
            for a in several:
                a.ask(helpers, 0)
        _turn(helpers, asks, wait_s)
    for _ in range(3):
        for a in alone.values():
            if 0 in a.mapped:
                to = a.mapped[0]
                to = (socket.inet_ntoa(to[:4]), int.from_bytes(to[4:], "big"))
                for k in (3, 4):  # never asked by anybody
                    helpers.socks[k].sendto(b"unasked", to)
        _turn(helpers, asks, wait_s)
    found = {h: _judge(lab, h, main[h], fresh[h], low[h], alone[h]) for h in hosts}
    for sock in [a.sock for a in asks] + helpers.socks:
        sock.close()
    return found


def _low(lab, host):
    for port in _LOW:
        try:
            return _Ask(lab, host, port)
        except OSError:
            continue
    raise RuntimeError("no port of 600..1023 is free in an empty namespace")


def _turn(helpers, asks, seconds):
    """Serve and take for a while."""
    whose = {a.sock: a for a in asks}
    socks = [*helpers.socks, *whose]
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for sock in select.select(socks, [], [], left)[0]:
            if sock in whose:
                whose[sock].take(helpers)
            else:
                helpers.serve(sock)


def _judge(lab, host, main, fresh, low, alone) -> Seen:
    own = "%s:%d" % (lab.address[host], main.sock.getsockname()[1])
    if len(main.mapped) < 3:
        return Seen(local=own)
    seen = [format_endpoint(main.mapped[k]) for k in (0, 1, 2)]
    if seen[0] == seen[1] == seen[2]:
        mapping = NONE if seen[0] == own else EIM
    else:
        mapping = ADM if seen[0] == seen[1] else APDM
    filtering = {0: APDF, 1: ADF, 2: EIF}[len(alone.heard)]
    if mapping == NONE and filtering == EIF:
        filtering = OPEN
    more = [int.from_bytes(a.mapped[0][4:], "big") for a in fresh if 0 in a.mapped]
    outside = int.from_bytes(low.mapped[0][4:], "big") if 0 in low.mapped else 0
    return Seen(mapping, filtering, own, seen, more, outside)


# -- other people's clients ---------------------------------------------------------------------


def third_party(lab, hosts, server: str) -> dict[str, dict[str, str]]:
    """What coturn's and Debian's clients say, of which are installed: {host: {client: words}}."""
    other = lab.second[server]
    found = {h: {} for h in hosts}
    if tool("turnserver") is None:
        return found
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    lab.popen(
        server,
        [tool("turnserver"), "-n", "--log-file", "stdout", "--pidfile", "", "-z", "--no-tls",
         "--no-dtls", "--no-tcp", "--no-cli", "-L", lab.address[server], "-L", other],
        **quiet,
    )  # fmt: skip
    _answers(lab, server)
    at = lab.address[server]
    jobs = []
    for h in hosts:
        if tool("stun"):
            jobs.append((h, "stun", [tool("stun"), at, "-p", "5060"]))
        if tool("turnutils_natdiscovery"):
            jobs.append((h, "coturn", [tool("turnutils_natdiscovery"), "-m", "-f", at]))

    def one(job):
        host, client, argv = job
        try:
            return host, client, lab.run(host, ["timeout", "40", *argv], 60)
        except subprocess.TimeoutExpired:
            return host, client, ""

    with ThreadPoolExecutor(len(jobs) or 1) as pool:
        for host, client, text in pool.map(one, jobs):
            found[host][client] = _words(client, text)
    return found


def _answers(lab, server):
    """Wait until the server does."""
    sock = lab.udp(server)
    request = bytearray(ASK)
    try:
        for _ in range(100):
            ask(os.urandom(12), request)
            sock.sendto(request, (lab.address[server], PORT))
            if select.select([sock], [], [], 0.1)[0]:
                return
    finally:
        sock.close()
    raise RuntimeError("coturn's server did not answer")


def _words(client, text):
    if client == "stun":
        line = re.search(r"Primary: (.*)", text)
        return line.group(1).strip() if line else text.strip()[-80:]
    lines = re.findall(r"(No NAT[^!\n]*|[A-Z]\w+[ -]\w+ (?:Mapping|Filtering)[^!\n]*)", text)
    return "; ".join(dict.fromkeys(x.strip(" -=") for x in lines)) or text.strip()[-80:]


def main() -> None:
    parse = argparse.ArgumentParser(prog="python -m l4tools.natlab.selfcheck")
    parse.add_argument("--third-party", action="store_true")
    parse.add_argument("--rtt", type=float, default=10, metavar="MS")
    options = parse.parse_args()
    with build(KINDS, rtt_ms=options.rtt) as lab:
        found = {h: asdict(s) for h, s in look(lab, list(KINDS), options.rtt).items()}
        if options.third_party:
            for host, words in third_party(lab, list(KINDS), Helpers.NAMES[0]).items():
                found[host]["others"] = words
        print(json.dumps({"up_s": round(lab.up_s, 2), "hosts": found}))


if __name__ == "__main__":
    main()
