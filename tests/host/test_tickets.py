"""One-time tickets: made offline, traded at real tiers, once."""

import asyncio
import contextlib
import json
import secrets
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from l4mesh import keys, ticket
from l4mesh.endpoint import parse_endpoint
from l4mesh.mac import Mac
from l4mesh.orders import DO_REVOKE
from l4mesh.wire import F_TICKET, T_GIVEN, T_TICKET, VERSION
from l4tools import cli, fastsig, tickets
from l4tools.errors import ToolError, Unavailable
from l4tools.link import UdpLink
from l4tools.network import Network
from l4tools.orders import Orders
from l4tools.ticket_trade import Traded, revoke, trade
from l4tools.upstream.connect import connect
from l4tools.upstream.ticket_book import TicketBook, Use
from l4tools.upstream.tickets import Tickets
from tierbed import Bed, run, until

GIVEN, USED, EXPIRED, LATER, REVOKED = range(5)


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("tiers")) as bed:
        yield bed


def link(receive):
    return UdpLink("127.0.0.1:0", receive)


def at(bed, *levels):
    return {level: bed.up[level] for level in levels or (3,)}


def one(bed, days=1.0):
    return tickets.issue(bed.network, 1, days)[0]


def spoilt(bed):
    """A ticket whose last hour is over."""
    hour = int((time.time() - tickets.ZERO_S) // 3600)
    return tickets.of_id(bed.network, hour.to_bytes(3, "big") + secrets.token_bytes(5))


async def show(bed, raw, seed=None, up=None, **more) -> Traded:
    return await trade(raw, seed or secrets.token_bytes(32), up or at(bed), link, **more)


def id_of(seed):
    return keys.node_id(fastsig.public_key(seed))


async def asked(bed, topic, level=1):
    async with bed.node("asker") as n:
        await n.join()
        return await n.info(bed.network.tier_id(level), topic)


@contextlib.asynccontextmanager
async def book_of(bed):
    """L1's book, opened by another process."""
    state = json.loads((bed.folder / "l1/nats/state.json").read_text())
    nc = await connect(bed.tiers[1].ready["nats"], state["user"], state["password"])
    book = TicketBook(nc.jetstream())
    try:
        await book.start()
        yield book
    finally:
        await book.stop()
        await nc.close()


# -- issuing --------------------------------------------------------------------------------------


def test_tickets_are_different_and_say_when_they_end():
    net = Network.create("t")
    made = tickets.issue(net, 200, days=3)
    found = [tickets.parse(raw) for raw in made]
    assert len({t.id for t in found}) == 200 and len({raw[16:48] for raw in made}) == 200
    for t in found:
        assert t.network == net.network_id and t.owner == net.owner_public
        assert keys.node_id(t.authority) == net.tier_id(1)
        assert 3 * 86400 <= t.expires - time.time() <= 3 * 86400 + 3600 and not t.expired
    assert all(len(raw) == ticket.SIZE == 116 for raw in made)
    assert tickets.of_id(net, found[0].id) == made[0]


def test_no_key_of_the_network_is_in_a_ticket():
    net = Network.create("t")
    (raw,) = tickets.issue(net)
    for secret in (net.master, net.owner_seed, net.group[1], net.tier_identity(1)):
        assert secret not in raw


def test_the_hour_is_bound_to_the_secret():
    net = Network.create("t")
    raw = bytearray(tickets.issue(net)[0])
    longer = (int.from_bytes(raw[8:11], "big") + 1000).to_bytes(3, "big") + bytes(raw[11:16])
    assert tickets.of_id(net, longer)[16:48] != raw[16:48]


def test_the_golden_frames_are_what_l1_makes_of_them():
    golden = {}
    for name in ("keys", "ticket", "given"):
        text = (Path(__file__).parent.parent / "golden" / (name + ".hex")).read_text()
        pairs = (line.partition(" ") for line in text.splitlines())
        golden[name] = {k: bytes.fromhex(v) for k, _, v in pairs}
    k, ask = golden["keys"], golden["ticket"]["payload"][4:]
    ticket_id, public, nonce = ask[28:36], ask[36:68], ask[68:84]
    assert (public, nonce) == (k["public"], k["nonce"])
    secret = tickets.secret_of(k["master"], ticket_id)
    assert secret == k["ticketfile"][16:48]
    shared = fastsig.shared(k["l1seed"], public)
    for frame in (ask, golden["given"]["payload"][4:]):
        mac = Mac(keys.mac_key(ticket.frame_key(secret, shared, nonce)))
        assert mac.good(memoryview(frame)[:-16], frame, len(frame) - 16)
    assert tickets.expires_s(ticket_id) == 1798761600  # 2027-01-01


def test_bad_orders_are_told():
    net = Network.create("t")
    for count, days in ((0, 1), (-1, 1), (100_001, 1), (1, 0), (1, -1), (1, 3651), (1, 1e300)):
        with pytest.raises(ValueError, match="must be"):
            tickets.issue(net, count, days)


def test_files(tmp_path):
    net = Network.create("t")
    (raw,) = tickets.issue(net)
    path = tickets.write(tmp_path / "new", raw)
    assert path.read_bytes() == raw and path.stat().st_mode & 0o777 == 0o600
    assert tickets.read(path) == tickets.parse(raw)
    with pytest.raises(ToolError, match="can't be written"):
        tickets.write(tmp_path / "new", raw)
    path.write_bytes(raw[:-1])
    with pytest.raises(ToolError, match="no ticket"):
        tickets.read(path)
    path.write_bytes(raw + b"x")
    with pytest.raises(ToolError, match="no ticket"):
        tickets.read(path)
    with pytest.raises(ToolError, match="can't be read"):
        tickets.read(tmp_path / "none")


# -- trading --------------------------------------------------------------------------------------


def test_a_ticket_is_traded_for_the_keys_at_every_tier(bed):
    async def main():
        for level in (3, 2, 1):
            seed = secrets.token_bytes(32)
            got = await show(bed, one(bed), seed, at(bed, level))
            number, key = bed.network.group
            assert got.status == GIVEN
            assert got.node_key == bed.network.node_key(id_of(seed))
            assert got.group == bytes((number,)) + key

    run(main())


def test_with_those_keys_the_node_joins(bed):
    async def main():
        folder = bed.folder / "node-factory"
        folder.mkdir()
        seed = secrets.token_bytes(32)
        got = await show(bed, one(bed), seed)
        (folder / "seed").write_bytes(seed)
        async with bed.node("factory") as n:
            assert await n.join() == 3 and n.ident.id == id_of(seed)
            assert n.ident.node_key == got.node_key and n.ident.group == got.group

    run(main())


def test_an_answer_that_got_lost_is_given_again_to_the_same_node_only(bed):
    async def main():
        raw, seed = one(bed), secrets.token_bytes(32)
        first = await show(bed, raw, seed)
        for level in (3, 1):
            assert await show(bed, raw, seed, at(bed, level)) == first
            other = await show(bed, raw, up=at(bed, level))
            assert (other.status, other.node_key, any(other.told)) == (USED, None, False)
        assert (await show(bed, raw, seed)).status == GIVEN

    run(main())


def test_the_owner_hears_of_a_second_copy(bed):
    async def main():
        raw, seed, thief = one(bed), secrets.token_bytes(32), secrets.token_bytes(32)
        ticket_id = tickets.parse(raw).id.hex()
        await show(bed, raw, seed)
        await show(bed, raw, thief)
        said = [s for s in await asked(bed, "why") if ticket_id in s]
        assert len(said) == 1 and said[0].startswith("Ticket used twice: ")
        assert id_of(seed).hex() in said[0] and id_of(thief).hex() in said[0]
        row = next(r for r in await asked(bed, "tickets") if r[0] == ticket_id)
        assert row[1] == id_of(seed).hex() and row[3] is None
        assert row[4:] == [1, id_of(thief).hex()]

    run(main())


def test_of_two_at_the_same_moment_one_wins(bed):
    async def main():
        raw = one(bed)
        seeds = [secrets.token_bytes(32) for _ in range(8)]
        up = [at(bed, 1 + k % 3) for k in range(8)]
        got = await asyncio.gather(*(show(bed, raw, s, u) for s, u in zip(seeds, up, strict=True)))
        assert sorted(g.status for g in got) == [GIVEN] + [USED] * 7
        winner = seeds[[g.status for g in got].index(GIVEN)]
        assert (await show(bed, raw, winner)).status == GIVEN

    run(main())


def test_an_expired_ticket_is_refused_also_to_the_one_that_used_it(bed):
    async def main():
        got = await show(bed, spoilt(bed))
        assert (got.status, got.node_key) == (EXPIRED, None)
        raw, seed = spoilt(bed), secrets.token_bytes(32)
        async with book_of(bed) as book:  # as if it had been used in time
            use = await book.claim(tickets.parse(raw).id, id_of(seed))
            assert use.node == id_of(seed)
            again = await book.claim(tickets.parse(raw).id, bytes(16))
            assert again.node == id_of(seed)

        async def known():
            return tickets.parse(raw).id.hex() in [r[0] for r in await asked(bed, "tickets")]

        await until(known, "L1 sees what another process wrote")
        assert (await show(bed, raw, seed)).status == EXPIRED
        assert (await show(bed, raw)).status == USED

    run(main())


def test_a_revoked_ticket_is_worth_nothing(bed):
    async def main():
        raw, used, seed = one(bed), one(bed), secrets.token_bytes(32)
        await show(bed, used, seed)
        ids = [tickets.parse(r).id for r in (raw, used)]
        assert await revoke(bed.network, ids[0], at(bed), link) is None
        assert await revoke(bed.network, ids[1], at(bed, 1), link) == id_of(seed)
        assert await revoke(bed.network, ids[1], at(bed, 1), link) == id_of(seed)
        assert (await show(bed, raw)).status == REVOKED
        assert (await show(bed, used, seed)).status == REVOKED
        rows = {r[0]: r for r in await asked(bed, "tickets")}
        assert rows[ids[0].hex()][1] is None and rows[ids[0].hex()][3]
        assert rows[ids[1].hex()][1] == id_of(seed).hex() and rows[ids[1].hex()][3]

    run(main())


def test_a_key_that_only_has_the_networks_id_is_not_the_owner():
    """4 bytes can be found by trying: only the owner's whole key revokes."""
    net, seed = Network.create("t"), secrets.token_bytes(32)
    public = fastsig.public_key(seed)
    (raw,) = tickets.issue(net)
    ticket_id, revoked = tickets.parse(raw).id, []

    class Book:
        def of(self, ticket_id):
            return Use(bytes(16), 0, None, 1)

        async def refused(self, ticket_id, node):
            pass

        async def revoke(self, ticket_id):
            revoked.append(ticket_id)
            return Use(None, 0, 0, 1)

    tier = SimpleNamespace(
        level=1,
        net=keys.network_id(public),
        cfg=SimpleNamespace(owner=net.owner_public),
        stores=SimpleNamespace(revoked=None),
    )
    judge = Tickets(tier, Book())
    assert asyncio.run(judge._decide(ticket_id, public, id_of(seed))) == bytes((USED,))
    assert revoked == []
    got = asyncio.run(judge._decide(ticket_id, net.owner_public, id_of(net.owner_seed)))
    assert got[0] == REVOKED and revoked == [ticket_id]


def test_a_node_that_was_taken_out_gets_nothing_for_its_ticket(bed):
    async def main():
        raw, seed = one(bed), secrets.token_bytes(32)
        assert (await show(bed, raw, seed)).status == GIVEN
        async with bed.node("owner") as n:
            await n.join()
            async with Orders(n) as orders:
                l1 = bed.network.tier_id(1)
                await orders.give(l1, DO_REVOKE, body=id_of(seed))
            assert (await show(bed, raw, seed)).status == REVOKED
            assert (await show(bed, one(bed), seed)).status == REVOKED

    run(main())


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def l4(bed, tmp_path, monkeypatch, capsys):
    """Runs `l4 network ticket ..` in this process, with the bed's network."""
    monkeypatch.setenv("L4_HOME", str(tmp_path))
    monkeypatch.setenv("L4_PASSPHRASE", "four quite common words")
    bed.network.save(tmp_path / "test.l4net", "four quite common words", new=True)

    def call(*args):
        code = cli.main(["network", "ticket", *map(str, args), "--json"])
        out, err = capsys.readouterr()
        return (code, json.loads(out)) if code == 0 else (code, json.loads(err))

    return call


def test_tickets_by_the_command(bed, l4, tmp_path):
    folder, up = tmp_path / "t", [f"--upstream=L{k}={bed.up[k]}" for k in (1, 3)]
    code, doc = l4("new", "--count", 3, "--days", 0.5, "--out", folder)
    assert code == 0 and doc["count"] == 3 and len(doc["files"]) == 3
    paths = sorted(folder.iterdir())
    assert [p.name for p in paths] == sorted(doc["files"])
    code, rows = l4("list", folder)
    assert code == 0 and [r["state"] for r in rows] == ["good"] * 3
    assert {r["expires"] for r in rows} == {doc["expires"]}

    seed = secrets.token_bytes(32)
    run(show(bed, paths[0].read_bytes(), seed))
    run(show(bed, paths[0].read_bytes()))
    code, rows = l4("revoke", paths[0], tickets.read(paths[1]).id.hex(), *up)
    assert code == 0 and [r["node"] for r in rows] == [id_of(seed).hex(), None]
    code, rows = l4("list", folder, "--used", *up)
    assert code == 0 and [r["state"] for r in rows] == ["revoked", "revoked", "good"]
    assert rows[0]["node"] == id_of(seed).hex() and rows[0]["tried_again"] == 1
    assert rows[2]["used"] is None
    code, all_of_them = l4("list", "--used", *up)
    assert code == 0 and len(all_of_them) > 2
    assert {r["ticket"] for r in rows[:2]} < {r["ticket"] for r in all_of_them}


def test_the_command_says_what_is_wrong(bed, l4, tmp_path):
    up = "--upstream=L3=" + bed.up[3]
    assert l4("new", "--count", 0, "--out", tmp_path)[0] == 2
    assert l4("new", "--days", 4000, "--out", tmp_path)[0] == 2
    assert l4("list")[0] == 2
    assert l4("list", tmp_path / "none")[0] == 3
    assert l4("list", tmp_path) == (0, [])
    for args, word in (
        (("list", "--used", up), "L1=IP:PORT"),
        (("revoke", "zz", up), "l4 network ticket list"),
        (("new", "--out", tmp_path / "test.l4net"), "--out"),
    ):
        code, doc = l4(*args)
        assert code == 1 and word in doc["next"], doc
    bad = tmp_path / "x.ticket"
    bad.write_bytes(b"junk")
    code, doc = l4("list", tmp_path)
    assert code == 1 and "x.ticket" in doc["error"]
    tickets_of_another = tmp_path / "y"
    path = tickets.write(tickets_of_another, tickets.issue(Network.create("o"))[0])
    code, doc = l4("revoke", path, up)
    assert code == 1 and "--network" in doc["next"]


# -- what is not answered -------------------------------------------------------------------------


async def silence(bed, frames, level, wait_s=0.3):
    """What comes back at all to these frames; from a few senders, as one is limited."""
    got, links = [], []
    try:
        for k, frame in enumerate(frames):
            if k % 15 == 0:
                links.append(link(lambda data, addr: got.append(data)))
            links[-1].send(frame, len(frame), parse_endpoint(bed.up[level]))
        await asyncio.sleep(wait_s)
    finally:
        for here in links:
            here.close()
    return got


async def frame_of(raw, seed):
    """The TICKET that a board would send."""
    taken = []

    class Catch:
        local = bytes(6)

        def send(self, buf, n, addr):
            taken.append(bytes(buf[:n]))
            return True

        def close(self):
            pass

    with pytest.raises(Unavailable, match="asked: L3"):
        await trade(raw, seed, {3: "127.0.0.1:4104"}, lambda receive: Catch(), 0.05)
    return taken[0]


def test_junk_gets_no_word_and_breaks_nothing(bed):
    async def main():
        good = await frame_of(one(bed), secrets.token_bytes(32))
        assert len(good) == ticket.ASK_LEN and good[1] == T_TICKET and good[2] == F_TICKET
        bad = [good[:k] + bytes((good[k] ^ 1,)) + good[k + 1 :] for k in range(116)]
        bad += [good[:36] + y + good[68:] for y in (bytes(32), b"\1" + bytes(31), b"\xff" * 32)]
        bad += [good[:-1], good + b"\0", good[:1], bytes((VERSION, T_TICKET, F_TICKET)) * 38]
        before = await asked(bed, "counters")
        for level in (1, 2, 3):
            assert await silence(bed, bad, level) == []
        after = await asked(bed, "counters")
        # All but the head's first 20 bytes are judged by the tag; twice, as L2 passes them on.
        assert after["bad_tag"] - before.get("bad_tag", 0) >= 2 * 90
        assert (await show(bed, one(bed))).status == GIVEN
        async with bed.node("after") as n:  # .. and L3 does not think that L1 is silent
            assert await n.join() == 3
            assert all(u[1] for u in (await n.info(bed.network.tier_id(3), "status"))["upper"])

    run(main())


def test_a_ticket_of_another_network_gets_no_word(bed):
    async def main():
        strange = Network.create("other")
        (raw,) = tickets.issue(strange)
        authority = fastsig.public_key(bed.network.tier_identity(1))
        ours = bed.network.network_id, raw[8:16], raw[16:48], bed.network.owner_public, authority
        forged = ticket.pack(*ours)
        for bad in (raw, forged):
            with pytest.raises(Unavailable, match="l4 upstream"):
                await show(bed, bad, timeout_s=0.4)

    run(main())


def test_the_same_frame_again_gets_the_same_and_no_more(bed):
    async def main():
        frame = await frame_of(one(bed), secrets.token_bytes(32))
        first = await silence(bed, [frame], 1)
        again = await silence(bed, [frame], 3)
        assert [len(f) for f in first + again] == [ticket.ANSWER_LEN] * 2
        assert first[0][1] == T_GIVEN and first[0][28:] != again[0][28:]  # sealed anew each time

    run(main())


def test_a_flood_is_limited_and_the_tier_serves_on(bed):
    async def main():
        frame = await frame_of(one(bed), secrets.token_bytes(32))

        got = []
        here = link(lambda data, addr: got.append(data))
        for _ in range(300):
            here.send(frame, len(frame), parse_endpoint(bed.up[3]))
        async with bed.node("first") as n:
            assert await n.join() == 3
        here.close()
        assert len(got) <= 20 + 10
        async with bed.node("flooded") as n:
            assert await n.join() == 3
            counters = await n.info(bed.network.tier_id(3), "counters")
        assert counters["limited"] >= 250

    run(main())


def test_only_a_tier_may_pass_tickets_on(bed):
    async def main():
        frame = await frame_of(one(bed), secrets.token_bytes(32))
        async with bed.node("passer", at(bed, 1)) as n:
            await n.join()
            before = (await n.info(bed.network.tier_id(1), "counters")).get("bad_parse", 0)
            tx, addr = n.node.tx, parse_endpoint(bed.up[1])
            o = tx.begin(T_TICKET, bed.network.tier_id(1)[:8], link=True)
            tx.buf[o : o + 4 + len(frame)] = bytes(4) + frame
            tx.send(o + 4 + len(frame), addr)

            async def counted():
                now = await n.info(bed.network.tier_id(1), "counters")
                return now.get("bad_parse", 0) == before + 1

            await until(counted, "it is counted")

    run(main())


# -- the store ------------------------------------------------------------------------------------


def test_used_stays_used_over_a_power_cut_of_l1(tmp_path):
    with Bed(tmp_path, tiers=(1, 3)) as bed:

        async def main():
            raw, seed, thief = one(bed), secrets.token_bytes(32), secrets.token_bytes(32)
            first = await show(bed, raw, seed)
            await show(bed, raw, thief)
            bed.cut_power(1)
            with pytest.raises(Unavailable):
                await show(bed, one(bed), timeout_s=0.3)
            bed.restart(1)
            assert await show(bed, raw, seed, timeout_s=30) == first
            row = (await asked(bed, "tickets"))[0]
            assert row[1] == id_of(seed).hex() and row[4:] == [1, id_of(thief).hex()]
            assert (await show(bed, raw, thief)).status == USED

        run(main())
