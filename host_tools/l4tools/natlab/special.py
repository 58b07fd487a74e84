"""Situations that a matrix of kinds does not have: `python -m l4tools.natlab.special`, JSON.

One lab without loss with MicroPython nodes (`hurt`), then nodes in this process on ways with loss
(`lossy`) and long ones (`long`); a way that nobody uses for more than a minute (`idle`). The
scenarios of one lab go on side by side where they can.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from .lab import Lab
from .matrix import Matrix, twice
from .parts import LEVELS
from .trials import plain
from .world import MESH_PORT, World

_CELLS = (("pr", "pr"), ("pr", "symseq"), ("symseq", "symseq"), ("pr", "sym"), ("symblk", "pr"),
          ("sym", "symblk"))  # fmt: skip
_PING_MS = 20
_LIMITS = {"id_s": 1000, "id_burst": 1000, "addr_s": 1000, "addr_burst": 1000, "global_s": 1000,
           "global_burst": 1000}  # fmt: skip


async def hurt(folder) -> dict:
    """Skewed starts, carriers' NATs, one LAN, who helps or relays is killed, nothing is lost."""
    lab = Lab(rtt_ms=60, jitter_ms=2)
    far = lambda ms: ((15 + ms / 2) / 1000, 0.001, 0)  # that much later, each way
    hosts = {}

    def home(name, kind, **options):
        hosts[name] = kind
        lab.home(name, kind, **options)

    for ms in (0, 20, 100):
        home("near-%d" % ms, "pr")
        home("far-%d" % ms, "clash", figures=far(ms))
    carrier = lab.carrier("carrier", "eim")
    home("carried-1", "pr", parent=carrier)
    home("carried-2", "pr", parent=carrier)
    lab.inside("inside", carrier)
    hosts["inside"] = lab.kind["inside"] = "cgpr"
    hairpin = lab.carrier("hairpin", "fc", hairpin=True)
    home("looped-1", "pr", parent=hairpin)
    home("looped-2", "pr", parent=hairpin)
    home("lan", "pr", hosts=2)
    hosts["lan2"] = "pr"
    home("short", "pr", udp_timeout_s=5)
    home("steady", "pr")
    for name in ("hard-1", "hard-2"):
        home(name, "symhi")
    for k in range(1, 7):
        home("up-%d" % k, "symblk")
    world = World(lab, folder, levels=LEVELS)
    with lab, world:
        # looped-2: a full-cone carrier of the lab has one map of ports for all of its homes.
        ports = {"looped-2": MESH_PORT + 1}
        async with Matrix(lab, world, hosts, micropython=True, ports=ports, limits=_LIMITS) as run:
            out = {"ready": sorted(run.ready), "hosts": sorted(hosts)}
            at_once = _meetings(lab, run), _upgrade(run), _short(run)
            for part in await asyncio.gather(*at_once):
                out |= part
            out |= await _killed(world, run)
            out["log"] = run.log
    return out


async def _meetings(lab, run):
    """All that only has to become direct, in one round."""
    inside = "%s:%d" % (lab.address["inside"], MESH_PORT)
    pairs = {"skew %d" % ms: ("near-%d" % ms, "far-%d" % ms) for ms in (0, 20, 100)}
    pairs |= {"hairpin": ("looped-1", "looped-2"), "one LAN": ("lan", "lan2"),
              "same carrier": ("carried-1", "carried-2")}  # fmt: skip
    trials = dict(zip(pairs, plain(await twice(run, list(pairs.values()))), strict=True))
    out = {"meetings": trials}
    # The same two, once they know a node on the carrier's own network.
    for name in ("carried-1", "carried-2"):
        run.nodes[name].tell(do="know", id=run.nodes["inside"].id.hex(), at=inside)
    await asyncio.sleep(3)
    trial = plain(await twice(run, [("carried-1", "carried-2")]))[0]
    back = {n: (b, a) for n, (a, b) in pairs.items() if n.startswith("skew")}
    trials |= {"helped inside": trial}
    turned = plain(await twice(run, list(back.values())))
    trials |= {n + ", turned": t for n, t in zip(back, turned, strict=True)}
    return out


async def _pinged(run, a, b, count, every):
    node = run.nodes[b].id.hex()
    return await run.ask(a, 60, do="ping", id=node, way=True, count=count, every=every)


async def _upgrade(run):
    """Data goes on while relayed ways become direct; of three one nearly always does."""
    pairs = [("up-1", "up-2"), ("up-3", "up-4"), ("up-5", "up-6")]
    setup = asyncio.create_task(run.round(pairs, shut=False))
    await asyncio.sleep(0)
    await run.until(lambda: all(t.usable for t in run.under_way("symblk")), 5)
    pings = await asyncio.gather(*(_pinged(run, a, b, 150, _PING_MS) for a, b in pairs))
    trials = plain(await setup)
    return {"upgrade": [{"trial": t, **p} for t, p in zip(trials, pings, strict=True)]}


async def _short(run):
    """A router that forgets after 5 s: silence of 8 s, then who is behind it speaks."""
    trial = plain(await run.round([("steady", "short")], shut=False))[0]
    await asyncio.sleep(8)
    out = await _pinged(run, "short", "steady", 20, 100)
    back = await _pinged(run, "steady", "short", 20, 100)
    return {"short": {"trial": trial, **out}, "short, back": {"trial": trial, **back}}


async def idle(folder) -> dict:
    """A router that forgets after 30 s, as Linux does, and a way that nobody uses for 70 s."""
    lab = Lab(rtt_ms=60, jitter_ms=2)
    hosts = {"one": "pr", "two": "symseq"}
    for host, kind in hosts.items():
        lab.home(host, kind)
    world = World(lab, folder, levels=LEVELS)
    with lab, world:
        async with Matrix(lab, world, hosts, micropython=True, limits=_LIMITS) as run:
            trial = plain(await run.round([("one", "two")], shut=False))[0]
            await asyncio.sleep(70)
            return {"trial": trial, **await _pinged(run, "one", "two", 20, 100)}


async def _killed(world, run):
    """L3 dies: first who relays for a way, then in the midst of a meeting."""
    trial = plain(await run.round([("hard-1", "hard-2")], shut=False))[0]
    pings = asyncio.create_task(_pinged(run, "hard-1", "hard-2", 60, 100))
    await asyncio.sleep(1)
    await asyncio.to_thread(world.kill, 3)
    before = (await run.ask("hard-1", do="path"))["path"]
    relay = {"trial": trial, **await pings}
    after = (await run.ask("hard-1", do="path"))["path"]
    await asyncio.to_thread(world.start, 3)
    await asyncio.sleep(4)

    async def soon():
        await asyncio.sleep(0.02)  # CONNECT is on its way
        await asyncio.to_thread(world.kill, 3)

    pairs = [("near-0", "steady"), ("near-20", "near-100"), ("up-1", "lan")]
    mid = plain(await run.round(pairs, meanwhile=soon))
    dead = plain(await twice(run, [("far-0", "lan2"), ("near-20", "up-2")]))
    return {"relay killed": relay, "by": [before, after], "assistant killed": mid,
            "assistant dead": dead}  # fmt: skip


async def cells(folder, rtt_ms, loss, kinds) -> list:
    """The cells above on another path."""
    lab = Lab(rtt_ms=rtt_ms, jitter_ms=4, loss=loss)
    hosts, pairs = {}, []
    for k, (a, b) in enumerate(kinds):
        for side, kind in (("a", a), ("b", b)):
            host = "%s%d-%s" % (side, k, kind)
            hosts[host] = kind
            lab.home(host, kind)
        pairs.append(tuple(list(hosts)[-2:]))
    world = World(lab, folder, levels=LEVELS)
    with lab, world:
        async with Matrix(lab, world, hosts) as run:
            return plain(await twice(run, pairs, rtt=rtt_ms))


def main() -> None:
    parse = argparse.ArgumentParser(prog="python -m l4tools.natlab.special")
    parse.add_argument("names", nargs="*", default=["hurt", "lossy", "long"])
    names = parse.parse_args().names
    out = {}
    with tempfile.TemporaryDirectory(prefix="natlab-") as folder:
        folder = Path(folder)
        if "hurt" in names:
            out["hurt"] = asyncio.run(hurt(folder / "a"))
        if "idle" in names:
            out["idle"] = asyncio.run(idle(folder / "i"))
        if "lossy" in names:
            out["lossy"] = asyncio.run(cells(folder / "b", 60, 0.05, _CELLS))
        if "long" in names:
            out["long"] = asyncio.run(cells(folder / "c", 240, 0, _CELLS))
    print(json.dumps(out))


if __name__ == "__main__":
    main()
