"""Batches and acknowledgements that get lost, come twice, late and in another order."""

import asyncio
import os
import random

import pytest
from l4mesh.wire import T_ACK, T_BATCH
from l4tools.hostnode import HostNode
from tierbed import Bed, give_queue, run, submit, until

SOAK = bool(os.environ.get("L4_SOAK"))
KINDS = (T_BATCH, T_ACK)


class BadLink:
    """Between a node and its tiers: of each frame of `KINDS`, some copies, each after a while."""

    def __init__(self, rng):
        self.rng = rng
        self.copies = {kind: [0, 0, 0, 0] for kind in KINDS}  # none, one, two, late

    def carry(self, data, deliver):
        if data[1] not in KINDS:
            deliver()
            return
        copies = self.rng.choice((0, 1, 1, 1, 2))
        self.copies[data[1]][copies] += 1
        for _ in range(copies):
            late_s = self.rng.choice((0, 0, 0, 0.01, 0.05, 0.3, 0.8))
            self.copies[data[1]][3] += late_s > 0.2
            asyncio.get_running_loop().call_later(late_s, deliver)


class BadNode(HostNode):
    bad: BadLink

    def _receive(self, data, addr):
        self.bad.carry(data, lambda: HostNode._receive(self, data, addr))

    def _open_link(self):
        link = super()._open_link()
        send, self.closed = link.send, False

        def bad_send(buf, n, addr):
            frame = bytes(buf[:n])
            self.bad.carry(frame, lambda: self.closed or send(frame, n, addr))
            return True

        link.send = bad_send
        return link

    def _close(self):
        self.closed = True
        super()._close()


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("bad"), tiers=(1, 3)) as bed:
        yield bed


@pytest.mark.parametrize("seed", range(1, 9) if SOAK else [5])
def test_nothing_is_lost_or_doubled_by_a_link_that_does_what_it_likes(bed, seed):
    async def main():
        node = bed.node("bad-%d" % seed, cls=BadNode)
        node.bad = bad = BadLink(random.Random(seed))
        async with node as n:
            await n.join()
            queue = give_queue(n)
            texts = []
            for turn in range(8):
                part = ["t=%d.%d %s" % (turn, i, "x" * 80) for i in range(15)]
                texts += part
                submit(n, part)
                await asyncio.sleep(0.1)
            await until(lambda: queue.pending == 0, "everything acknowledged", 80)
            stored = [r[1:] for r in await bed.stored() if r[0] == n.ident.id]
            assert sorted(stored) == list(enumerate(texts))  # lost == doubled == 0
            assert queue.dropped == 0
            both = [sum(n) for n in zip(*bad.copies.values(), strict=True)]
            assert all(both), bad.copies

    run(main())
