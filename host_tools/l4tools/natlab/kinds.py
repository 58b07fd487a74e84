"""The kinds of NAT, and the nftables rules that make a router of each.

`mapping`: EIM one outside port for all destinations, ADM one an address, APDM one an address and
port (RFC 4787). `filtering`: EIF everybody may send in, ADF who was sent to, at any port, APDF
exactly who was sent to.

Limits: no APDM with a wider filter (rare); in eim and adm two flows may meet at one outside port
by the hash, of which the later gets another port (0.1 % of flows).
"""

import os
from dataclasses import dataclass

from .needs import SMALL

EIM, ADM, APDM, NONE = "EIM", "ADM", "APDM", "none"
EIF, ADF, APDF, OPEN, BLOCKED = "EIF", "ADF", "APDF", "open", "blocked"


@dataclass(frozen=True)
class Kind:
    mapping: str
    filtering: str
    what: str
    port_keeping: bool = False
    carrier: str = ""  # kind of the carrier's NAT above the home router


KINDS = {
    "pub": Kind(NONE, OPEN, "a public address"),
    "pubfw": Kind(NONE, APDF, "no NAT, but a stateful firewall"),
    "fc": Kind(EIM, EIF, "full cone", True),
    "rc": Kind(EIM, ADF, "restricted cone", True),
    "pr": Kind(EIM, APDF, "port restricted: the ordinary Linux home router", True),
    "eim": Kind(EIM, APDF, "port restricted, other port outside than inside"),
    "clash": Kind(EIM, APDF, "as pr, and the router itself takes what nobody asked for", True),
    "adm": Kind(ADM, APDF, "a port an address"),
    "symseq": Kind(APDM, APDF, "symmetric, the next port each time"),
    "symblk": Kind(APDM, APDF, "symmetric, any port of a block of 512"),
    "sym": Kind(APDM, APDF, "symmetric at random; low ports stay low (Linux --random-fully)"),
    "symhi": Kind(APDM, APDF, "symmetric at random, 1024 to 65535"),
    "cgpr": Kind(EIM, APDF, "pr behind a carrier's eim", carrier="eim"),
    "cgsym": Kind(APDM, APDF, "pr behind a carrier's symblk", carrier="symblk"),
    "udpblk": Kind(BLOCKED, BLOCKED, "UDP does not get out; TCP does"),
    "symseq2": Kind(APDM, APDF, "held out: symmetric, every second port"),
    "symblk2k": Kind(APDM, APDF, "held out: symmetric, any port of a block of 2048"),
    "sympool": Kind(APDM, APDF, "held out: two public addresses, one or the other a destination"),
}
# The puncher was made for these; nobody looked at the others while it was made.
HELD_OUT = ("symseq2", "symblk2k", "sympool")
TUNED = tuple(k for k in KINDS if k not in HELD_OUT)

_UDP = "meta l4proto udp"
_BASE = 20000
_PRIVATE = "{ 192.168.0.0/16, 100.64.0.0/10 }"


def _ports(n: int, step: int = 1) -> str:
    return "{ %s }" % ", ".join("%d : %d" % (i, _BASE + i * step) for i in range(n))


def _many() -> int:
    return 512 if os.environ.get(SMALL) else 8192


def _post(kind, wan, second):
    """Rules of the source NAT."""
    n = _many()
    to = {
        "eim": "snat to %s:jhash ip saddr . udp sport mod %d seed 0xbeef map %s"
        % (wan, n, _ports(n)),
        "adm": "snat to %s:jhash ip saddr . udp sport . ip daddr mod %d seed 0xbeef map %s"
        % (wan, n, _ports(n)),
        "symseq": "snat to %s:numgen inc mod %d map %s" % (wan, 2 * n, _ports(2 * n)),
        "symseq2": "snat to %s:numgen inc mod %d map %s" % (wan, 2 * n, _ports(2 * n, 2)),
        "symblk": "masquerade to :%d-%d fully-random" % (_BASE, _BASE + 511),
        "symblk2k": "masquerade to :%d-%d fully-random" % (_BASE, _BASE + 2047),
        "symhi": "masquerade to :1024-65535 fully-random",
        "sym": "masquerade fully-random",
        "sympool": "snat to jhash ip daddr . udp dport mod 2 seed 0xbeef map { 0 : %s, 1 : %s }"
        % (wan, second or wan),
    }.get(kind)
    rules = ['oifname "wan" %s %s' % (_UDP, to)] if to else []
    if kind != "pubfw":
        rules.append('oifname "wan" masquerade')
    return rules


def rules(
    kind: str, wan: str, second: str = "", inbound: str = "drop", hairpin: bool = False,
    udp_timeout_s: int = 30,
) -> str:  # fmt: skip
    """A ruleset for `nft -f`. `wan`: the router's address outside; `second`: another, for sympool.

    `inbound`: what the router itself does with UDP that nobody asked for (drop, reject, accept);
    accept lets the kernel's table take the early packet's tuple, so that the host's own packet
    gets another port. `hairpin`: hosts inside reach each other by their outside addresses.
    """
    if kind == "clash":
        kind, inbound = "pr", "accept"
    pre, forward, post = [], [], _post(kind, wan, second)
    note = 'iifname "lan" oifname "wan" %s update ' % _UDP
    full = note + "@fc { udp sport : ip saddr . udp sport }"
    if kind == "fc" or hairpin:
        forward.append(full)
    if kind == "fc":
        pre.append('iifname "wan" %s dnat ip addr . port to udp dport map @fc' % _UDP)
    if kind == "rc":
        forward.append(note + "@rc { ip daddr . udp sport : ip saddr . udp sport }")
        pre.append('iifname "wan" %s dnat ip addr . port to ip saddr . udp dport map @rc' % _UDP)
    if hairpin:
        pre.append(
            'iifname "lan" ip daddr %s %s dnat ip addr . port to udp dport map @fc' % (wan, _UDP)
        )
        post.append(  # postrouting knows no iifname
            'oifname "lan" ip saddr %s ct status dnat %s snat to %s' % (_PRIVATE, _UDP, wan)
        )
    if kind == "udpblk":
        forward.insert(0, _UDP + " drop")
    forward += ['iifname "wan" ct status dnat accept', 'iifname "wan" ct state new drop']
    own = [] if inbound == "accept" else ['iifname "wan" ct state new %s' % inbound]
    map_ = (
        "map %s { type %s : ipv4_addr . inet_service; flags dynamic,timeout; timeout %ds; "
        "size 65535; }"
    )
    return "table ip lab {\n%s\n}\n" % "\n".join(
        (
            map_ % ("fc", "inet_service", udp_timeout_s),
            map_ % ("rc", "ipv4_addr . inet_service", udp_timeout_s),
            _chain("on_pre", "nat hook prerouting priority dstnat", pre),
            _chain("on_post", "nat hook postrouting priority srcnat", post),
            _chain("on_fwd", "filter hook forward priority filter", forward),
            _chain("on_own", "filter hook input priority filter", own),
        )
    )


def _chain(name, hook, lines):
    return "chain %s { type %s; policy accept;\n%s\n}" % (name, hook, "\n".join(lines))
