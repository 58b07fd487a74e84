"""Set-ups between pairs of homes, many at once, with real nodes: processes or in this process.

    run = Matrix(lab, world, {"a-pr": "pr", ..}, micropython=False)
    async with run:                          nodes started, joined, and they know their NAT
        trials = await run.round([("a-pr", "b-sym"), ..])

A round asks for all of its ways in the same moment and ends when each has become what it can.
"""

import asyncio
import time

from .labnode import LabNode
from .mpynode import MpyNode
from .populations import BLOCKED
from .trials import LIMIT_S, Trial
from .world import MESH_PORT

_READY_S = 25
_CLOSE_S = 0.3


class Matrix:
    def __init__(
        self, lab, world, hosts: dict[str, str], micropython=False, seed=0, ports=None, **config
    ):
        """`hosts`: {host: kind}. `config`: settings of every node (lib/l4mesh/config.py). `ports`:
        a mesh port for all, or {host: port} for some."""
        self._lab, self._world, self._hosts = lab, world, hosts
        self._ports = ports if isinstance(ports, dict) else dict.fromkeys(hosts, ports)
        self._make = self._process if micropython else self._here
        self._seed, self._config = seed, config
        self.nodes = {}
        self.ready, self.why = {}, {}  # host: what it said of its NAT, in bytes and in words
        self._number = 0
        self._waiting = {}  # number of a set-up: (Trial, done)
        self._asked = {}  # number of a command: future of its answer
        self.log = []  # (host, words) of nodes that ended or failed

    def _here(self, host, settings):
        return LabNode(self._lab, host, settings, self._say)

    def _process(self, host, settings):
        node = MpyNode(self._lab, host, settings)
        node.listen(self._say)
        return node

    async def __aenter__(self) -> "Matrix":
        try:
            for host in self._hosts:
                port = self._ports.get(host) or MESH_PORT
                settings = self._world.settings(host, (self._seed, host), port, **self._config)
                self.nodes[host] = self._make(host, settings)
            await self.until(lambda: len(self.ready) == len(self.nodes), _READY_S)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_):
        self.close()

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    async def until(self, condition, seconds) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.02)
        return True

    def _say(self, node, doc):
        if doc.get("n") in self._asked:
            self._asked.pop(doc["n"]).set_result(doc)
        elif "nat" in doc:
            self.ready[node.host] = doc["nat"]
            self.why[node.host] = doc["why"]
        elif "open" in doc:
            self._opened(doc)
        elif "ended" in doc or "text" in doc:
            self.log.append((node.host, doc))

    def under_way(self, kind: str) -> list[Trial]:
        """Set-ups that such a node asked for."""
        return [t for t in self._waiting.values() if t.a == kind]

    async def ask(self, host, wait_s=20.0, **command) -> dict:
        """The answer to a command that has one."""
        self._number += 1
        future = self._asked[self._number] = asyncio.get_running_loop().create_future()
        self.nodes[host].tell(n=self._number, **command)
        return await asyncio.wait_for(future, wait_s)

    def _opened(self, doc):
        """One of: a PING came back by the relay, by TCP, or the way is direct; or why not."""
        trial = self._waiting.get(doc["n"])
        if trial is None:
            return
        by, ms = doc["open"], doc.get("ms")
        if by == "direct":
            trial.direct_ms = trial.direct_ms or ms
        elif by in ("udp", "tcp"):
            trial.relay_ms = trial.relay_ms or ms
        if by in ("direct", "udp", "tcp") and trial.first_ms is None:
            trial.first_ms, trial.by = ms, by
        trial.why = doc.get("why", trial.why)

    async def round(
        self, pairs, limit_s=LIMIT_S, meanwhile=None, shut=True, apart_s=0.0, **note
    ) -> list[Trial]:
        """`meanwhile()`: a coroutine that hurts somebody while the ways are made. `shut`: end
        the ways when all is known. `apart_s`: between one pair's beginning and the next one's."""
        todo = {}
        for a, b in pairs:
            self._number += 1
            trial = Trial(self._hosts[a], self._hosts[b], **note)
            todo[self._number] = (trial, a, b)
            self._waiting[self._number] = trial
        hurt = asyncio.create_task(meanwhile()) if meanwhile is not None else None
        for n, (_, a, b) in todo.items():
            self.nodes[a].tell(do="open", id=self.nodes[b].id.hex(), n=n)
            await asyncio.sleep(apart_s)
        trials = [t for t, _, _ in todo.values()]
        await self.until(lambda: all(map(_settled, trials)), limit_s + 0.3)
        for n, (_, a, b) in todo.items():
            self._waiting.pop(n)
            if shut:
                self.nodes[a].tell(do="shut", id=self.nodes[b].id.hex())
                self.nodes[b].tell(do="shut", id=self.nodes[a].id.hex())
        if hurt is not None:
            await hurt
        if shut:
            await asyncio.sleep(_CLOSE_S)
        return trials


async def twice(run: Matrix, pairs, **options) -> list[Trial]:
    """A round for tests on a busy machine: what did not become direct is tried once more."""
    trials = await run.round(pairs, **options)
    missed = [k for k, t in enumerate(trials) if not t.direct]
    if missed:
        more = await run.round([pairs[k] for k in missed], again=True, **options)
        for k, t in zip(missed, more, strict=True):
            trials[k] = t
    return trials


def _settled(t: Trial) -> bool:
    """Nothing better is to come."""
    return t.direct or t.usable and (bool(t.why) or t.a in BLOCKED or t.b in BLOCKED)
