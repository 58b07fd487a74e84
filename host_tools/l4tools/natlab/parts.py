"""The parts of the report: which labs are built, and which pairs meet in them."""

import asyncio
import random

from .baseline import Baseline
from .kinds import KINDS, TUNED
from .lab import Lab
from .matrix import Matrix
from .populations import BLOCKED, EASY
from .selfcheck import Helpers
from .trials import NAIVE, SIMULTANEOUS, Trial, rounds
from .world import MESH_PORT, World

_JITTER_MS = 4
_SIDES = ("a-", "b-")


def _homes(lab, kinds) -> dict[str, str]:
    """Two homes of each kind; {host: kind}."""
    hosts = {side + kind: kind for side in _SIDES for kind in kinds}
    for host, kind in hosts.items():
        lab.home(host, kind)
    return hosts


def baselines(rtt_ms, loss, times, kinds=tuple(KINDS)) -> list[Trial]:
    lab = Lab(rtt_ms=rtt_ms, jitter_ms=_JITTER_MS, loss=loss)
    for name in Helpers.NAMES:
        lab.public(name)
    udp = [k for k in kinds if k not in BLOCKED]
    hosts = _homes(lab, udp)
    pairs = [("a-" + a, "b-" + b) for a in udp for b in udp]
    out = []
    with lab:
        run = Baseline(lab, rtt_ms)
        for _ in range(times):
            for method in (NAIVE, SIMULTANEOUS):
                for a, b, ms in run.run(pairs, method):
                    out.append(Trial(hosts[a], hosts[b], method, ms, "direct", ms, rtt=rtt_ms))
        run.close()
    return out


LEVELS = (1, 2, 3)  # three assistants at three addresses
_APART_S = 0.03
_OF_A_GENERATION = 6  # rounds that one set of nodes goes through: they may guess ports 8 times


async def matrix(rtt_ms, loss, setups, folder, note, seed=5, kinds=tuple(KINDS)) -> list[Trial]:
    """Every pair, again and again, until there were so many set-ups.

    New nodes every few rounds; in the last of those L3 is killed, at some moment of the first
    0.4 s, and started again for the next: more than one set-up in ten finds it dead or dying.
    """
    lab = Lab(rtt_ms=rtt_ms, jitter_ms=_JITTER_MS, loss=loss, seed=seed)
    hosts = _homes(lab, kinds)
    world = World(lab, folder, levels=LEVELS)
    todo = rounds(["a-" + k for k in kinds], ["b-" + k for k in kinds])
    rng = random.Random(seed)
    out, order, generation = [], [], 0
    with lab, world:
        while len(out) < setups:
            if len(order) < _OF_A_GENERATION:
                order += rng.sample(todo, len(todo))
            some = [order.pop() for _ in range(min(_OF_A_GENERATION, len(order)))]
            some.sort(key=_spoils)
            # Another port: routers still know of the last ones.
            port = MESH_PORT + generation % 1000
            async with Matrix(lab, world, hosts, seed=(seed, generation), ports=port) as run:
                _missing(run, note)
                for k, pairs in enumerate(some):
                    kill = k == len(some) - 1
                    hurt = _killer(world, rng) if kill else None
                    out += await run.round(
                        pairs, meanwhile=hurt, apart_s=_APART_S, killed=kill, rtt=rtt_ms
                    )
                for host, doc in run.log:
                    note("%s: %s" % (host, str(doc)[:300]))
            generation += 1
            note(_so_far(out))
    return out


def _spoils(pairs):
    """Last of a generation: a hard peer's early packet may spoil such a router for half a minute,
    which is as long as these nodes are needed."""
    return sum("clash" in p[0] + p[1] and not {p[0][2:], p[1][2:]} <= set(EASY) for p in pairs)


def _missing(run, note):
    missing = sorted(set(run.nodes) - set(run.ready))
    if missing:
        note("not ready: %s" % ", ".join(missing))


def _so_far(trials):
    return "%d set-ups, %d direct, %d without a path" % (
        len(trials), sum(t.direct for t in trials), sum(not t.usable for t in trials)
    )  # fmt: skip


def _killer(world, rng):
    async def hurt():
        await asyncio.sleep(rng.uniform(0, 0.4))
        await asyncio.to_thread(world.kill, 3)
        await asyncio.sleep(4)
        await asyncio.to_thread(world.start, 3)

    return hurt


async def far(rtt_ms, loss, folder, note) -> list[Trial]:
    """Easy cells only, at another round trip."""
    lab = Lab(rtt_ms=rtt_ms, jitter_ms=_JITTER_MS, loss=loss)
    hosts = _homes(lab, EASY)
    world = World(lab, folder, levels=LEVELS)
    out = []
    with lab, world:
        async with Matrix(lab, world, hosts) as run:
            for pairs in rounds(["a-" + k for k in EASY], ["b-" + k for k in EASY]):
                out += await run.round(pairs, apart_s=_APART_S, rtt=rtt_ms)
    note("round trip %d ms: %d set-ups" % (rtt_ms, len(out)))
    return out


_HELPERS = {"help-1": "fc", "help-2": "fc", "help-3": "pr"}
_GENERATIONS = 3
_AT_ONCE = 7  # a node assists eight meetings at a time, six seconds each


async def by_nodes(rtt_ms, loss, folder, note, kinds=TUNED) -> list[Trial]:
    """No tier assists: L4 nodes with a board's limits do, two behind full-cone routers and one
    behind a port-restricted one, reached over their standing mappings. Each pair, both ways."""
    lab = Lab(rtt_ms=rtt_ms, jitter_ms=_JITTER_MS, loss=loss)
    kinds = [k for k in kinds if k not in BLOCKED]
    hosts = _homes(lab, kinds)
    for host, kind in _HELPERS.items():
        lab.home(host, kind)
    world = World(lab, folder, levels=LEVELS)
    todo = rounds(["a-" + k for k in kinds], ["b-" + k for k in kinds])
    out = []
    with lab, world:
        for generation in range(_GENERATIONS):
            some = todo[generation::_GENERATIONS]
            port = MESH_PORT + generation
            everybody = hosts | _HELPERS
            async with Matrix(lab, world, everybody, seed=generation, ports=port) as run:
                _missing(run, note)
                await _only_nodes(lab, run, hosts, port)
                for pairs in some:
                    for i in range(0, len(pairs), _AT_ONCE):
                        part = pairs[i : i + _AT_ONCE]
                        out += await run.round(
                            part, apart_s=_APART_S, assisted="nodes", rtt=rtt_ms
                        )
                        await asyncio.sleep(1)
            note("assisted by nodes: " + _so_far(out))
    return out


async def _only_nodes(lab, run, hosts, port):
    """They meet the three helpers while tiers still assist, and register with them."""
    at = {h: "%s:%d" % (lab.address[h + "-router"], port) for h in _HELPERS}
    behind = "help-3"  # lets nobody in that it did not send to: a way to it first
    for k in range(0, len(hosts), 2):  # it takes part in four meetings at a time
        for host in list(hosts)[k : k + 2]:
            run.nodes[host].tell(do="open", id=run.nodes[behind].id.hex(), n=0)
        await asyncio.sleep(0.3)
    await asyncio.sleep(2)
    for host in hosts:
        for helper in _HELPERS:
            run.nodes[host].tell(do="know", id=run.nodes[helper].id.hex(), at=at[helper])
    for host in hosts:
        run.nodes[host].tell(do="nodes_only")
        await asyncio.sleep(0.1)  # a node takes 30 frames a second in all
    standing = lambda h: run.nodes[h].driver.meet.standing.list
    enough = lambda h: sum(p.ok for p in standing(h)) >= 2
    await run.until(lambda: all(map(enough, hosts)), 30)
