"""Tiers as assistants, as real processes: two nodes meet by them, by one of them, by none."""

from l4mesh.meet import Meet
from l4tools.link import now_ms
from l4tools.upstream.assists import Assists
from tierbed import Bed, run, until


class Meeting:
    """A HostNode that wants to be met."""

    def __init__(self, node):
        self.node = node
        self.meet = None
        self.told = []

    async def start(self):
        await self.node.__aenter__()
        await self.node.join()
        self.meet = Meet(self.node.node)
        self.meet.on_incoming = lambda *a: self.told.append(a)
        self.node._wake.set()
        return self

    def connect(self, other):
        self.meet.connect(other.node.node.id, now_ms(), lambda *a: self.told.append(a))
        self.node._wake.set()

    def registered(self):
        places = self.meet.standing.list
        return len(places) == 2 and all(p.ok for p in places)


def test_two_nodes_meet_by_a_tier(tmp_path):
    async def main():
        a = await Meeting(bed.node("a")).start()
        b = await Meeting(bed.node("b")).start()
        try:
            await until(lambda: a.registered() and b.registered(), "both registered")
            # The nearest tier and the farthest; both saw them where they are.
            assert {p.seen for p in a.meet.standing.list} == {a.node.link.local}
            a.connect(b)
            await until(lambda: a.told and b.told, "a way")
            sid, addr, sock, ms, why = a.told[0]
            assert (sid, addr, sock) == (b.node.node.short_id, b.node.link.local, None), why
            assert b.told[0][:3] == (a.node.node.short_id, a.node.link.local, None)
            assert 0 <= ms < 5000
        finally:
            await a.node.__aexit__()
            await b.node.__aexit__()

    with Bed(tmp_path, tiers=(1, 3)) as bed:
        run(main())


def test_pings_register_and_a_dead_tier_leaves_the_other(tmp_path):
    async def main():
        a = await Meeting(bed.node("a")).start()
        b = bed.node("b")
        await b.__aenter__()
        await b.join()
        try:
            await until(a.registered, "registered")
            # b never registered: its pings to the nearest tier are enough to be told of a. It has
            # no Meet, so nothing comes of it but that the tier says so.
            a.meet.connect(b.node.id, now_ms(), lambda *x: a.told.append(x))
            a.node._wake.set()
            await until(lambda: a.told, "a word")
            assert a.told[0][1] is None and "says nothing" in a.told[0][4], a.told
            meet = Meet(b.node)
            b._wake.set()
            await until(lambda: [p.ok for p in meet.standing.list] == [True, True], "b registers")
            bed.tiers[3].kill()
            a.told.clear()
            a.meet.connect(b.node.id, now_ms(), lambda *x: a.told.append(x))
            a.node._wake.set()
            await until(lambda: a.told, "a way by L1")
            assert a.told[0][1] == b.link.local, a.told
            nobody = bytes(16)
            a.told.clear()
            a.meet.connect(nobody, now_ms(), lambda *x: a.told.append(x))
            a.node._wake.set()
            await until(lambda: a.told, "a refusal")
            assert a.told[0][1] is None
        finally:
            await a.node.__aexit__()
            await b.__aexit__()

    with Bed(tmp_path, tiers=(1, 3)) as bed:
        run(main())


def test_what_is_due_sooner_does_not_wait_for_what_is_due_later():
    class Tier:
        tx = counters = None

    async def main():
        assists = Assists(Tier())
        waits = [3000, 10, 60000]
        assists.assist.poll = lambda now: waits.pop(0)
        assists._set()
        assists._set()
        assert waits == [60000]
        await until(lambda: not waits, "the second alarm", 2.0)
        assert assists._alarm is None
        assists.stop()

    run(main())
