"""A roll-out: some nodes first, then, when their neighbours say that they are well, the others.

    rows = await Rollout(way, host, bundle, say).push(targets, canary=1)

A row says how it ended for a node: `good`, `failed` (with `why`), or `waits` (never offered, as a
canary failed before). A node is good when it runs the version and has judged it itself; a canary,
when besides a neighbour of it hears it, or the authority knows it, and its counters are sane.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass

from l4mesh import ota_manifest as manifest
from l4mesh.endpoint import parse_endpoint

from ..errors import NotFound, ToolError, Unavailable
from .bundle import Bundle
from .offer import Offers, reason

WAIT_S = 600.0
ASK_S = 2.0
_POLL_S = 0.5
_CONFIRM_S = 40.0
_AT_ONCE = 8
_ASKED = 3  # neighbours
_MEM_ERRORS = 2
_ID, _ADDR, _PATH = 0, 1, 2  # of a row of topic "neighbours"
# So that one who gives pieces to many does not refuse what they ask for.
LIMITS = {"addr_s": 400, "addr_burst": 800, "id_s": 200, "id_burst": 400}


@dataclass
class Row:
    name: str
    node: str
    state: str = "waits"
    done: int = 0
    confirmed: str | None = None
    why: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("good", "failed")


class Rollout:
    """`say(text)` is told what happens, a line each. `wait_s`: for a node to judge itself."""

    def __init__(
        self,
        way,
        host,
        bundle: Bundle,
        say: Callable[[str], None] = lambda text: None,
        wait_s: float = WAIT_S,
        peers: bool = False,
    ):
        self._way, self._host, self.bundle, self._say = way, host, bundle, say
        self._wait_s, self._peers = wait_s, peers
        self._good: list = []  # targets that run it and could give it on
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.stopped: str | None = None

    async def push(self, targets: list, canary: int = 0) -> list[Row]:
        rows = [Row(t.label, t.id.hex()) for t in targets]
        pairs = list(zip(targets, rows, strict=True))
        if any(t.addr is None for t in targets):
            await self._way.join(self._host)
        async with Offers(self._host, self.bundle) as offers:
            first, rest = pairs[:canary], pairs[canary:]
            await asyncio.gather(*(self._one(offers, t, r) for t, r in first))
            await asyncio.gather(*(self._confirm(t, r) for t, r in first if r.state == "good"))
            bad = [r for _, r in first if r.state != "good"]
            if bad:
                self.stopped = "; ".join("%s: %s" % (r.name, r.why) for r in bad)
                return rows
            await asyncio.gather(*(self._one(offers, t, r) for t, r in rest))
        return rows

    def _to(self, row, state, why=None):
        row.state, row.why = state, why
        self._say("%s %s%s" % (row.name, state, ": " + why if why else ""))

    async def _one(self, offers, target, row):
        async with self._at_once:
            try:
                await self._give(offers, target, row)
            except (ToolError, TimeoutError) as e:
                self._to(row, "failed", str(e) or "It does not answer any more.")
            if row.state == "good":
                self._good.append(target)

    async def _give(self, offers, target, row):
        self._to(row, "fetching")
        total = len(self.bundle.data)

        def progress(done):
            if done * 4 // total != row.done * 4 // total:
                self._say("%s has %d of %d bytes" % (row.name, done, total))
            row.done = done

        source = self._near(target)
        code, seen = await offers.give(target.id, target.addr, progress, source)
        if code == manifest.N_OLD and await self._failed(target):
            self._to(row, "failed", "It was taken back before: %s." % await self._failed(target))
        elif code in (manifest.N_HAVE, manifest.N_SOON):
            row.done = total
            if code == manifest.N_SOON:
                self._to(row, "restarts")
            await self._judged(target, row)
        else:
            self._to(row, "failed", reason(code, seen))

    def _near(self, target):
        """The short id of a node on the same LAN that has it already."""
        for t in self._good if self._peers else ():
            if t.addr and target.addr and t.addr[:3] == target.addr[:3]:
                return t.id[:8]
        return bytes(8)

    async def _status(self, target) -> dict | None:
        """What it says of its updates; None while it is silent."""
        peers = self._host.node.peers
        slot = peers.find(target.id[:8])
        if slot >= 0:
            peers.drop(slot)  # its epoch is another one after a restart
        try:
            said = await self._host.info(target.id, "status", ASK_S, target.addr)
        except (ToolError, TimeoutError):
            return None
        ota = said.get("ota")
        return ota if isinstance(ota, dict) else {}

    async def _failed(self, target) -> str | None:
        ota = await self._status(target) or {}
        return ota.get("why") if ota.get("failed") == self.bundle.counter else None

    async def _judged(self, target, row):
        """Until it has judged itself."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._wait_s
        heard = False
        while loop.time() < end_s:
            ota = await self._status(target)
            heard = heard or ota is not None
            ota = ota or {}
            ours = ota.get("counter") == self.bundle.counter
            if ours and ota.get("state") == "good":
                return self._to(row, "good")
            if ota.get("failed") == self.bundle.counter and ota.get("state") != "trial":
                return self._to(row, "failed", "It went back by itself: %s." % ota.get("why"))
            if ours and ota.get("state") == "trial" and row.state != "trial":
                self._to(row, "trial")
            await asyncio.sleep(_POLL_S)
        why = "It has not judged the version after %d s." if heard else "It was silent for %d s."
        return self._to(row, "failed", why % self._wait_s)

    # canaries

    async def _confirm(self, target, row):
        """Somebody else's word that it is there and well."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + _CONFIRM_S
        while True:
            trouble = await self._trouble(target, row)
            if trouble is None:
                self._say("%s is confirmed by %s" % (row.name, row.confirmed))
                return
            if loop.time() > end_s:
                return self._to(row, "failed", trouble)
            await asyncio.sleep(_POLL_S)

    async def _trouble(self, target, row) -> str | None:
        try:
            counters = await self._ask(target.id, "counters", target.addr)
            near = await self._ask(target.id, "neighbours", target.addr)
        except (ToolError, TimeoutError):
            return "It is good by its own word, but does not answer any more."
        if counters.get("mem_error", 0) > _MEM_ERRORS or counters.get("flash_fail", 0):
            return "Its counters are not sane: mem_error %d, flash_fail %d." % (
                counters.get("mem_error", 0), counters.get("flash_fail", 0),
            )  # fmt: skip
        near = [n for n in near if n[_PATH] == "lan"][:_ASKED]
        for n in near:
            if await self._hears(n, target):
                row.confirmed = n[_ID]
                return None
        if near:
            return "None of %d neighbours hears it." % len(near)
        return await self._known(target, row)

    async def _ask(self, node_id, topic, addr):
        return await self._host.info(node_id, topic, ASK_S, addr)

    async def _hears(self, row, target) -> bool:
        try:
            said = await self._ask(
                bytes.fromhex(row[_ID]), "neighbours", parse_endpoint(row[_ADDR])
            )
        except (ToolError, TimeoutError):
            return False
        return any(n[_ID] == target.id.hex()[:16] and n[_PATH] == "lan" for n in said)

    async def _known(self, target, row):
        """It has no neighbour: the authority's word, if there is one."""
        if not self._way.upstream:
            row.confirmed = "nobody: it is alone, and there is no upstream"
            return None
        try:
            await self._way.join(self._host)
            found = await self._host.lookup(target.id, authority=True)
        except (NotFound, Unavailable):
            return "It has no neighbour, and no upstream answers."
        if found.status != "found":
            return "It has no neighbour, and the authority does not know it."
        row.confirmed = "l1"
        return None


def document(bundle: Bundle, rows: list[Row], stopped: str | None) -> dict:
    return {"bundle": bundle.public(), "nodes": [asdict(r) for r in rows], "stopped": stopped}
