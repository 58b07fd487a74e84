"""Nodes that meet over aioble and a simulated radio; a phone; and who means no good."""

import asyncio
import json
import time

import pytest
from bumble.device import Peer
from bumble.hci import Address
from l4mesh import ed25519, record
from l4tools.paths import ROOT
from l4tools.radio.station import bumble_device
from radiobed import AIOBLE, bed
from test_aioble_contract import _NOT, REAL

UUID = "205A%04X-DCF3-44D7-885C-86AEA617FF26"
NODE = """
import turns
turns.loop()
from blenode import *
h = number(%d, say=True)
print("READY", h.node.id.hex())
%s
"""
MEET = """
spin(h, 20000, lambda: h.faces.met >= %d)
print("MET", h.faces.met, time.ticks_ms())
"""
STAY = """
spin(h, 60000)
"""


@pytest.fixture(params=["standin", pytest.param("real", marks=_NOT)])
def air(request):
    paths = [AIOBLE if request.param == "standin" else REAL]
    paths += [ROOT / "lib", ROOT / "firmware", ROOT / "tests/sim"]
    with bed(paths, conn_interval=0.03) as made:
        made.node = lambda n, code: made.run("10.77.1.%d" % n, NODE % (n, code), heap=2000000)
        yield made


def test_two_meet_and_talk(air):
    a = air.node(
        41,
        MEET % 1
        + """
sid = h.node.peers.short_id([i for i in range(56) if h.node.peers.flags(i)][0])
print("PING", ping(h, sid))
print("SAY", h.say.send(sid, b"face to face", now()))
"""
        + STAY,
    )
    b = air.node(42, MEET % 1 + STAY)
    ids = {p: p.until("READY")[:16] for p in (a, b)}
    for p, other in ((a, b), (b, a)):
        p.until("MET 1")
        assert p.until("EV 2 ").split() == [ids[other], "0002" + ids[other][:8]]
    # Over the link, whoever has to open one again: their endpoints are those of the meeting.
    assert a.until("PONG").split() == [ids[b], "0002" + ids[b][:8], "0002" + ids[a][:8]]
    assert b.until("EV 16").split() == [ids[a], b"face to face".hex()]
    assert a.until("EV 16").split()[:2] == [ids[b], "None"]
    assert air.radio.links() <= 1


async def _phone(radio, name, code):
    """Connects to the board `name` and does `code(peer, link)`."""
    board = radio.stations[name]
    device, controller = await bumble_device(
        radio.air, "phone", Address("C0:FF:EE:00:00:01", Address.PUBLIC_DEVICE_ADDRESS)
    )
    for _ in range(200):
        if board.controller.le_legacy_advertiser.enabled:
            break
        await asyncio.sleep(0.02)
    try:
        link = await device.connect(board.controller.random_address, timeout=5)
        peer = Peer(link)
        return await code(peer, link)
    finally:
        controller.off(silent=False)
        radio.air.remove_controller(controller)


async def _ours(peer):
    await peer.discover_services()
    (service,) = [s for s in peer.services if str(s.uuid).upper() == UUID % 0]
    await service.discover_characteristics()
    return {str(c.uuid).upper(): c for c in service.characteristics}


async def _gone(link, seconds):
    gone = asyncio.get_running_loop().create_future()
    link.on("disconnection", lambda *_: gone.done() or gone.set_result(True))
    return await asyncio.wait_for(gone, seconds)


def test_a_phone_reads_record_and_status(air):
    a = air.node(43, STAY)
    node_id = bytes.fromhex(a.until("READY"))

    async def look(peer, link):
        found = await _ours(peer)
        short = await found[UUID % 1].read_value()  # by long reads, at an MTU of 23
        await peer.request_mtu(247)
        values = [await found[UUID % n].read_value() for n in (1, 1, 3)]
        await link.disconnect()
        return [short, *values]

    short, first, again, status = air.radio.call(_phone, air.radio, a.ip, look)
    assert len(first) == 152 and first == short == again  # one link, one nonce
    rec = first[:136]
    assert record.id_of(rec, 0) == node_id
    assert ed25519.verify(rec[14:46], record.signed_text(rec, 0), rec[72:])
    assert json.loads(status) == {
        "l4": 1,
        "mode": "standard",
        "uplink": False,
        "name": "porch",
    }

    async def once(peer, link):
        await peer.request_mtu(247)
        return await (await _ours(peer))[UUID % 1].read_value()

    another = air.radio.call(_phone, air.radio, a.ip, once)
    assert another[:136] == rec and another[136:] != first[136:]


def test_what_is_no_word_of_a_node_ends_the_link(air):
    a = air.node(44, STAY)
    a.until("READY")

    def write(data, mtu):
        async def go(peer, link):
            told = []
            await peer.request_mtu(mtu)
            found = await _ours(peer)
            await found[UUID % 4].subscribe(told.append)
            gone = asyncio.create_task(_gone(link, 5))
            await asyncio.sleep(0)
            await found[UUID % 2].write_value(data, with_response=True)
            assert await gone
            return [bytes(t) for t in told]

        return air.radio.call(_phone, air.radio, a.ip, go)

    assert write(b"\x81" + bytes(177), 247) == [b"\x83\x01\x00"]
    assert write(b"\x40" + bytes(60), 247) == [b"\x83\x01\x00"]
    assert write(bytes(250), 256) == []
    assert a.until("LEFT", n=3) == "5 0 it wrote 250 bytes at once"


def test_one_that_vanishes_leaves_nothing_and_others_are_met(air):
    a = air.node(45, MEET % 1 + 'print("PEERS", len(h.node.peers), len(h.faces.list))\n' + STAY)
    b = air.node(46, STAY)
    c = None
    for p in (a, b):
        p.until("READY")
    for p in (a, b):  # whichever asks: gone in the middle of it
        air.radio.vanish_after(p.ip, 6)
    dead = time.monotonic() + 20
    while not any("the link was lost" in x for p in (a, b) for x in p.lines):
        assert time.monotonic() < dead, (a.lines, b.lines)
        time.sleep(0.05)
    assert not any(x.startswith("EV 2 ") for p in (a, b) for x in p.lines)
    b.kill()
    air.radio.silence(a.ip, False)
    air.radio.vanish_after(a.ip, 1000000)
    c = air.node(47, MEET % 1 + STAY)
    c.until("MET 1")
    assert a.until("PEERS") == "1 0" or a.until("PEERS") == "1 1"
    assert a.until("EV 2 ").split()[0] == c.until("READY")[:16]
