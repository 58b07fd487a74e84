"""What real nodes find out about the lab's NATs: `python -m l4tools.natlab.classes`.

    classes.run(kinds, rtt_ms=60, loss=0.01) -> {kind: {"type", "sub", "step", "flags", "ms", ..}}

Each host of the lab runs natcheck.py with three public L4 nodes as assistants; `wrong(kind, got)`
says in words what differs from what the kind is (kinds.py). Prints one line of JSON.
"""

import argparse
import asyncio
import json
import tempfile

from l4mesh import natcheck
from l4mesh.nat_type import BY_ADDRESS, EARLY, SUBS, TYPES
from l4mesh.peers import P_REMOTE

from ..link import now_ms
from .kinds import ADF, ADM, APDM, BLOCKED, EIF, KINDS, NONE, OPEN
from .lab import Lab
from .labnode import LabNode
from .world import World

HELPERS = ("help-a", "help-b", "help-c")
_AT_ONCE = 6  # assistants have a board's limits
_WAIT_S = 30.0
_SUBS = {
    "pub": (0,), "pubfw": (5,), "fc": (6,), "rc": (6,), "pr": (6,), "clash": (6,), "eim": (0,),
    "symseq": (1,), "symseq2": (1,), "symblk": (2,), "symblk2k": (2,), "sym": (3,), "symhi": (4,),
    "cgpr": (0,), "cgsym": (2,), "udpblk": (0,), "adm": (2, 4), "sympool": (0, 2, 3, 4),
}  # fmt: skip


def expected(kind: str) -> str:
    """The name of the type that a node behind this kind should find."""
    k = KINDS[kind]
    if k.mapping == BLOCKED:
        return "udp blocked"
    if k.filtering == OPEN:
        return "public"
    if k.mapping in (ADM, APDM):
        return "symmetric"
    names = {EIF: "full cone", ADF: "restricted cone"}
    return names.get(k.filtering, "port restricted cone")


def wrong(kind: str, got: dict) -> str:
    """ "" when the node is right about its NAT, else a sentence."""
    if got["type"] != expected(kind):
        return "%s is %s, the node says %s" % (kind, expected(kind), got["type"])
    if got["sub"] not in [SUBS[i] for i in _SUBS[kind]]:
        return "%s: the node says %r" % (kind, got["sub"])
    if bool(got["flags"] & EARLY) != (kind == "clash"):
        return "%s: flag of early packets is %r" % (kind, got["flags"])
    if got["step"] != {"symseq": 1, "symseq2": 2}.get(kind, 0):
        return "%s: step %d" % (kind, got["step"])
    nothing = KINDS[kind].mapping in (NONE, BLOCKED)
    return "" if nothing or got["seen"] else "%s: no address" % kind


async def _classify(lab, world, kinds):
    def make(host, seed):
        return LabNode(lab, host, world.settings(host, seed), lambda node, doc: None)

    out, nodes = {}, []
    try:
        helpers = [make(h, h) for h in HELPERS]
        nodes += helpers
        for i in range(0, len(kinds), _AT_ONCE):
            some = {k: make(k, k) for k in kinds[i : i + _AT_ONCE]}
            nodes += some.values()
            for n in some.values():
                for h in helpers:
                    slot = n.node.peers.add(h.id[:8], h.link.local, 1, 1, now_ms())
                    n.node.peers.set_flag(slot, P_REMOTE)
                check = n.node.nat or natcheck.begin(n.node)
                check.check(now_ms())
                n.wake()
            await _all_done([n.node.nat for n in some.values()])
            out.update({k: _row(n.node.nat) for k, n in some.items()})
            for n in some.values():
                n.close()
                nodes.remove(n)
    finally:
        for n in nodes:
            n.close()
    return out


async def _all_done(checks):
    for _ in range(int(_WAIT_S * 20)):
        await asyncio.sleep(0.05)
        if all(c.times and not c.busy for c in checks):
            return
    raise AssertionError("a node did not come to an end within %g s" % _WAIT_S)


def _row(check):
    s = check.summary
    step = s[2] - 256 if s[2] > 127 else s[2]
    d = check.document()
    return {
        "type": TYPES[s[0]], "sub": SUBS[s[1]], "step": step, "flags": s[3],
        "by_address": bool(s[3] & BY_ADDRESS), "port": s[4] << 8 | s[5],
        "width": s[6] << 8 | s[7], "ms": check.took_ms, "seen": d.get("seen"), "why": d["why"],
    }  # fmt: skip


def run(kinds=tuple(KINDS), rtt_ms=60.0, jitter_ms=4.0, loss=0.0, seed=1) -> dict:
    lab = Lab(rtt_ms, jitter_ms, loss, seed)
    for name in HELPERS:
        # sympool chooses by destination; from the first three addresses it is one and the same to
        # it, and then nobody can see that there are two.
        if name == HELPERS[-1]:
            lab.public("nobody")
        lab.public(name)
    for kind in kinds:
        lab.home(kind, kind)
    with tempfile.TemporaryDirectory() as folder:
        world = World(lab, folder, levels=())
        with lab, world:
            return asyncio.run(_classify(lab, world, kinds))


def main() -> None:
    p = argparse.ArgumentParser(description="What nodes find out about the lab's NATs.")
    p.add_argument("--rtt", type=float, default=60.0, help="ms between any two")
    p.add_argument("--loss", type=float, default=0.0, help="one way, 0.01 = 1 %%")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("kinds", nargs="*", default=list(KINDS))
    a = p.parse_args()
    found = run(tuple(a.kinds), a.rtt, loss=a.loss, seed=a.seed)
    bad = [w for w in (wrong(k, row) for k, row in found.items()) if w]
    print(json.dumps({"found": found, "wrong": bad}))


if __name__ == "__main__":
    main()
