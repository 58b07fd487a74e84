"""Which share of nodes is behind which kind of NAT, in percent: stated assumptions, not a census.

Sources: docs/nat.md. `mixed` is set so that simultaneous punching without prediction comes out
at what DCUtR measured in the field (70 +- 7 %, arXiv 2510.27500); no published split of the
symmetric kinds was found. Change the figures and `python -m l4tools.natlab.report` weighs anew.
"""

POPULATIONS = {
    "home": {"pub": 4, "fc": 10, "rc": 5, "pr": 66, "clash": 4, "adm": 1, "symseq": 2,
             "symblk": 2, "sym": 2, "symhi": 2, "udpblk": 2},
    "mixed": {"pub": 4, "fc": 8, "rc": 4, "pr": 56, "clash": 4, "adm": 2, "symseq": 4,
              "symblk": 6, "sym": 3, "symhi": 6, "udpblk": 3},
    "mobile": {"pub": 4, "fc": 12, "rc": 4, "pr": 34, "clash": 2, "adm": 3, "symseq": 8,
               "symblk": 12, "sym": 5, "symhi": 12, "udpblk": 4},
}  # fmt: skip

# Cells of these with each other must always become direct, and fast.
EASY = ("pub", "pubfw", "fc", "rc", "pr", "eim", "clash", "cgpr")
# One of these with an easy one, or two of them: direct by prediction.
PREDICTABLE = ("symseq", "symblk", "sym", "cgsym")
# Never direct, whatever is done: relay.
BLOCKED = ("udpblk",)


def weighted(population: str, rate) -> float:
    """Share of pairs, 0..1, of which rate(kind, kind) -> 0..1 is true."""
    p = POPULATIONS[population]
    return sum(p[a] * p[b] * rate(a, b) for a in p for b in p) / 1e4


for _name, _p in POPULATIONS.items():
    if sum(_p.values()) != 100:
        raise ValueError("the shares of %s add up to %s, not 100" % (_name, sum(_p.values())))
