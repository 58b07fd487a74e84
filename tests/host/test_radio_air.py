"""The simulated radio by itself, on a virtual clock: kinds of adverts, windows, chance, links."""

import asyncio
import heapq
import selectors

import pytest
from bumble.device import Peer
from bumble.gatt import Characteristic, Service
from bumble.hci import Address
from l4tools.radio.air import SUPERVISION_S, Air
from l4tools.radio.controller import BoardController
from l4tools.radio.station import bumble_device

FLAGS = bytes((2, 1, 6))


class _Clock(selectors.SelectSelector):
    """Instead of waiting, time goes on to the next timer."""

    loop = None

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("nothing is left to wait for")
        self.loop.virtual += timeout
        if self.loop.virtual > 1000:
            raise RuntimeError("a test of a radio takes no quarter of an hour")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        clock = _Clock()
        self.virtual = 0.0
        super().__init__(clock)
        clock.loop = self

    def time(self):
        return self.virtual


def on_virtual_time(main):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def address(n):
    return Address(bytes((n, 0, 0, 0, 0, 2)), Address.PUBLIC_DEVICE_ADDRESS)


def advertise(c, data=b"x", kind=0, interval_s=0.1, answer=b""):
    adv = c.le_legacy_advertiser
    adv.advertising_type, adv.advertising_data, adv.scan_response_data = kind, data, answer
    adv.own_address_type = 0
    adv.advertising_interval_min = round(interval_s / 0.000625)
    adv.start()


def listen(c, interval_s=0.03, window_s=0.03, active=False):
    heard = []
    clock = asyncio.get_running_loop().time
    c.on_report = lambda who, kind, dbm, data: heard.append(
        (round(clock(), 6), bytes(who)[0], kind, dbm, bytes(data))
    )
    c.scan(True, interval_s, window_s, active)
    return heard


def two(seed=1, seconds=20.0, loss=0.0, kind=0, window_s=0.03, interval_s=0.03, active=False):
    """What b hears of a; and what both used."""

    async def main():
        air = Air(seed=seed, loss=loss)
        a, b = BoardController("a", air, address(1)), BoardController("b", air, address(2))
        heard = listen(b, interval_s, window_s, active)
        advertise(a, b"hello", kind, answer=b"more")
        await asyncio.sleep(seconds)
        return heard, a.energy(), b.energy()

    return on_virtual_time(main)


def test_the_same_seed_gives_the_same_air():
    first, again, other = two(seed=1, loss=0.3), two(seed=1, loss=0.3), two(seed=2, loss=0.3)
    assert len(first[0]) > 50
    assert first[0] == again[0]
    assert first[0] != other[0]


def test_an_interval_has_0_to_10_ms_more_by_chance():
    times = [h[0] for h in two(seconds=60)[0]]
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert 0.1 <= min(gaps) < 0.102
    assert 0.108 < max(gaps) <= 0.1101
    assert 60 / 0.106 < len(times) < 60 / 0.104


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_every_kind_is_heard_as_what_it_is(kind):
    heard = two(kind=kind, seconds=1)[0]
    assert {(h[2], h[4]) for h in heard} == {(kind, b"hello")}


def test_only_active_scanners_get_the_answer_and_only_of_who_answers():
    assert {h[2] for h in two(seconds=1, active=True)[0]} == {0, 4}
    assert {h[4] for h in two(seconds=1, active=True)[0] if h[2] == 4} == {b"more"}
    assert {h[2] for h in two(seconds=1, active=True, kind=3)[0]} == {3}


def test_a_window_hears_its_share():
    all_of = len(two(seconds=200)[0])
    part = len(two(seconds=200, interval_s=0.317, window_s=0.06)[0])
    assert 0.15 < part / all_of < 0.23  # 19 %


def test_loss_is_what_it_was_told():
    assert 0.76 < len(two(seconds=100, loss=0.2)[0]) / len(two(seconds=100)[0]) < 0.84


def test_distance_weakens_and_ends_it_and_a_wall_too():
    async def main():
        air = Air(seed=1)
        c = {n: BoardController(n, air, address(k)) for k, n in enumerate("abc", 1)}
        air.places.update(a=(0, 0), b=(5, 0), c=(50, 0))
        heard = {n: listen(c[n]) for n in "bc"}
        advertise(c["a"])
        await asyncio.sleep(2)
        near = sorted(h[3] for h in heard["b"])[len(heard["b"]) // 2]
        far = sorted(h[3] for h in heard["c"])[len(heard["c"]) // 2]
        assert -67 < near < -58 and -92 < far < -83
        air.places["c"] = (300, 0)
        air.walls.add(frozenset("ab"))
        for lines in heard.values():
            lines.clear()
        await asyncio.sleep(2)
        assert heard == {"b": [], "c": []}
        air.walls.clear()
        await asyncio.sleep(2)
        assert heard["b"] and not heard["c"]

    on_virtual_time(main)


def test_energy_is_the_time_the_radio_is_on():
    _, a, b = two(seconds=100, interval_s=0.32, window_s=0.08)
    assert 0.24 < b["share"] < 0.26
    # about 950 events of three times 21 bytes, and listening after each
    assert a["adverts"] == pytest.approx(952, abs=5)
    assert 0.009 < a["share"] < 0.013


async def _linked(air, interval=30.0):
    """(link of the central, link of the peripheral, central's device, peripheral's device)."""
    from bumble.device import ConnectionParametersPreferences
    from bumble.hci import HCI_LE_1M_PHY, OwnAddressType

    peripheral, p = await bumble_device(air, "p", address(1))
    central, _ = await bumble_device(air, "c", address(2))
    other = asyncio.get_running_loop().create_future()
    peripheral.on("connection", other.set_result)
    advertise(p)
    prefs = {HCI_LE_1M_PHY: ConnectionParametersPreferences(interval, interval)}
    link = await central.connect_le(p.public_address, prefs, OwnAddressType.PUBLIC, 5)
    return link, await other, central, peripheral


def test_a_link_carries_gatt_and_one_exchange_takes_connection_events():
    async def main():
        air = Air(seed=1)
        clock = asyncio.get_running_loop().time
        link, _, _, device = await _linked(air)
        value = Characteristic("2A19", Characteristic.Properties.READ, 1, bytes(range(200)))
        device.add_service(Service("180F", [value]))
        peer = Peer(link)
        await peer.request_mtu(247)
        await peer.discover_all()
        start = clock()
        got = await peer.get_characteristics_by_uuid(value.uuid)[0].read_value()
        assert got == bytes(range(200))
        assert clock() - start == pytest.approx(0.06, abs=0.035)  # there, and back

    on_virtual_time(main)


@pytest.mark.parametrize("how", ["vanishes", "walks away", "is behind a wall"])
def test_a_link_to_one_that_is_gone_ends_by_the_time_out_on_both_sides(how):
    async def main():
        air = Air(seed=1)
        clock = asyncio.get_running_loop().time
        link, other, _, _ = await _linked(air)
        ended = {}
        link.on("disconnection", lambda why: ended.update(central=(clock(), why)))
        other.on("disconnection", lambda why: ended.update(peripheral=(clock(), why)))
        await asyncio.sleep(1)
        start = clock()
        if how == "vanishes":
            next(c for c in air.controllers if c.name == "c").silent = True
        elif how == "walks away":
            air.places.update(p=(0, 0), c=(5000, 0))
        else:
            air.walls.add(frozenset("pc"))
        await asyncio.sleep(5)
        assert set(ended) == {"central", "peripheral"}
        for when, why in ended.values():
            assert SUPERVISION_S - 0.1 < when - start < SUPERVISION_S + 0.2
            assert why == 0x08
        assert not air.pairs

    on_virtual_time(main)


def test_a_short_gap_loses_nothing_of_a_link():
    async def main():
        air = Air(seed=1, loss=0.3)
        link, _, _, device = await _linked(air)
        value = Characteristic("2A19", Characteristic.Properties.READ, 1, b"still here")
        device.add_service(Service("180F", [value]))
        peer = Peer(link)
        await peer.discover_all()
        air.walls.add(frozenset("pc"))
        asyncio.get_running_loop().call_later(1.5, air.walls.clear)
        assert await peer.get_characteristics_by_uuid(value.uuid)[0].read_value() == b"still here"

    on_virtual_time(main)


def test_a_crowd_of_64_all_know_all_within_seconds():
    async def main():
        air = Air(seed=1, loss=0.1)
        heard = []
        for k in range(64):
            c = BoardController("n%d" % k, air, address(k))
            heard.append(listen(c, 0.06, 0.06))
            advertise(c, interval_s=0.25)
        await asyncio.sleep(2)
        assert all(len({h[1] for h in lines}) == 63 for lines in heard)

    on_virtual_time(main)


def test_the_virtual_clock_is_one():
    """What the tests above rest on: timers come in order, at their times."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        times = [3.0, 1.0, 2.5]
        for t in times:
            loop.call_later(t, lambda t=t: seen.append((t, loop.time())))
        await asyncio.sleep(4)
        return times

    times = on_virtual_time(main)
    heapq.heapify(times)
    assert [t for t, _ in seen] == sorted(times)
    assert all(abs(t - at) < 0.002 for t, at in seen)
