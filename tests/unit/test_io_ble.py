"""The radio's loop: rounds, duty, rotation in one step, traps of aioble, hush, errors.

aioble is a few lines here that do what the real one does; tests/host has both on a radio.
"""

import asyncio
import gc
import time

from air import home
from l4mesh.near_say import Voice
from l4mesh.nearby import Nearby
from l4mesh.prng import XorShift
from l4mesh_io.ble import Ble
from skip import Skip


class Device:
    def __init__(self, addr, kind=1):
        self.addr = addr
        self.addr_type = kind


class Result:
    def __init__(self, addr, data, rssi=-50):
        self.device = Device(addr)
        self.adv_data = data
        self.rssi = rssi


class Scan:
    def __init__(self, air, ms, every, window, active):
        self.air = air
        self.args = (ms, every, window, active)
        self.results = list(air.results)

    async def __aenter__(self):
        if self.air.broken:
            raise OSError(19)
        self.air.scans.append(self.args)
        self.air.scanning = True
        return self

    async def __aexit__(self, *a):
        self.air.scanning = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.results and not self.air.hushed:
            self.air.took += 1
            return self.results.pop()
        await asyncio.sleep_ms(1)
        self.air.t += 1 if self.air.hushed else self.args[0] * self.air.speed
        self.air.scanning = False
        raise StopAsyncIteration


class Aioble:
    """Scans take no time: the clock jumps. Keeps what was asked of it."""

    def __init__(self):
        self.t = 1000
        self.scans = []
        self.adverts = []
        self.results = []
        self.log = []
        self.advertising = self.scanning = self.broken = self.hushed = False
        self.took = 0
        self.speed = 1
        self.mac = 0
        self.visitor = None

    def now(self):
        self.t += 1
        return self.t

    def config(self, *args, **kw):
        assert not self.advertising and not self.scanning, "the radio is not silent"
        if kw:
            assert kw == {"addr_mode": 3}
            self.mac += 1
            self.log.append("address")
            return None
        assert args == ("mac",)
        return 1, memoryview(bytes((0, 0, 0, 0, 0, self.mac)))

    def scan(self, ms, interval_us=None, window_us=None, active=False):
        return Scan(self, ms, interval_us, window_us, active)

    async def advertise(self, interval_us, adv_data=None, resp_data=None, connectable=True):
        if self.broken:
            raise OSError(19)
        self.adverts.append((interval_us, adv_data, resp_data, connectable, self.mac))
        self.advertising = True
        try:
            while self.visitor is None:
                await asyncio.sleep_ms(1)
            v, self.visitor = self.visitor, None
            return v
        except asyncio.CancelledError:
            pass  # as the real one: the cancel ends here
        finally:
            self.advertising = False

    # as bluetooth.BLE()
    def gap_scan(self, ms):
        assert ms is None
        self.hushed = True

    def gap_advertise(self, us):
        assert us is None
        self.advertising = False


def bed(**more):
    if not hasattr(asyncio, "sleep_ms"):
        raise Skip("the radio's loop runs on MicroPython only")
    air = Aioble()
    node = home(1)
    near = Nearby(node, Voice(node, 0xFFFF))
    ble = Ble(air, air, near, air.now, XorShift(1), **more)
    return air, near, ble


def run(ble, until):
    """Turns of a loop of its own until until(); it has seconds where it needs some ms."""
    loop = asyncio.new_event_loop()
    end = time.time() + 20
    task = loop.create_task(ble.run())

    async def turn():
        await asyncio.sleep_ms(0)

    while not until():
        loop.run_until_complete(turn())
        assert time.time() < end, "it never came"
    task.cancel()
    return loop


def test_rounds_with_boot_duty_first_then_a_fifth():
    air, near, ble = bed()
    run(ble, lambda: ble.rounds == 6)
    assert all(active is False for _, _, _, active in air.scans)
    full = [s for s in air.scans if s[1] == s[2]]
    rest = [s for s in air.scans if s[1] != s[2]]
    assert 4900 <= sum(s[0] for s in full) <= 5000 and air.scans[0] in full
    assert len(rest) >= 5 and all(s[1:3] == (317000, 60000) for s in rest)
    assert all(4000 < s[0] < 10000 for s in rest[1:])


def test_one_explicit_advert_a_round_each_with_its_own_sequence():
    air, near, ble = bed()
    run(ble, lambda: ble.rounds == 5)
    assert 5 <= len(air.adverts) <= 6 and len(set(a[1] for a in air.adverts)) == len(air.adverts)
    for every, data, resp, can, _ in air.adverts:
        assert 211000 <= every <= 257000 and every % 102400
        assert len(data) == 31 and resp == b"" and can is False


def test_what_is_heard_comes_to_nearby_in_any_order():
    air, near, ble = bed()
    other = home(2)
    voice = Voice(other, 0xFFFF)
    first, second = bytes(voice.advert(b"\1" * 6)), bytes(voice.advert(b"\1" * 6))
    air.results = [Result(b"\1" * 6, second), Result(b"\1" * 6, first), Result(b"\2" * 6, None)]
    run(ble, lambda: ble.rounds == 1)
    assert len(near.table) == 1
    assert near.table.part(0, 15, 2) == second[22:24]


def test_newest_first_keeps_the_newest():
    air, near, ble = bed()
    voice = Voice(home(2), 0xFFFF)
    said = [bytes(voice.advert(b"\1" * 6)) for _ in range(6)]
    air.results = [Result(b"\1" * 6, d) for d in said]  # pop(): the last comes first
    run(ble, lambda: ble.rounds == 1)
    assert near.table.part(0, 15, 2) == said[-1][22:24]
    assert near.counts[7] >= 5  # the others are older


def test_a_scan_ends_after_forty_senders():
    air, near, ble = bed()
    air.results = [Result(bytes((9, 9, 9, 9, k >> 8, k & 255)), b"\2\1\6") for k in range(500)]
    run(ble, lambda: len(air.scans) >= 3)
    assert 80 <= air.took <= 121 and len(near.table) == 0


def test_rotation_changes_address_and_id_in_one_silent_step():
    air, near, ble = bed()
    salts = []
    rotate = near.voice.rotate

    def noted():
        assert not air.advertising and not air.scanning
        rotate()
        salts.append((air.mac, near.voice.salt, air.t))

    near.voice.rotate = noted
    air.speed = 10
    run(ble, lambda: len(salts) == 4)
    for k in range(3):
        a, b = salts[k], salts[k + 1]
        assert b[0] == a[0] + 1 and b[1] != a[1]
        assert 720000 <= b[2] - a[2] <= 1080000 + 200000, (a, b)
    codec = near.voice.coders()[0]
    for _, data, _, _, mac in air.adverts:
        # Never the id of one rotation from the address of another.
        addr = bytes((0, 0, 0, 0, 0, mac))
        assert codec.tagged(addr, data, 7) and codec.good(addr, data, 7)


def test_no_rotation_while_a_link_is_open():
    air, near, ble = bed()
    ble.links = 1
    air.speed = 10
    run(ble, lambda: air.t > 2000000)
    assert air.mac == 1
    turns = []
    ble.turn = lambda: turns.append(1)
    assert ble.poll(0) == 5
    ble.links = 0
    assert ble.poll(0) == 40 and len(turns) == 2


def test_shared_radio_never_speaks_and_listens_at_once():
    air, near, ble = bed(shared=True)
    both = []
    enter = Scan.__aenter__

    class Watch(Scan):
        async def __aenter__(self):
            both.append(self.air.advertising)
            return await enter(self)

    air.scan = lambda ms, interval_us, window_us, active: Watch(air, ms, interval_us, window_us,
                                                                 active)  # fmt: skip
    air.now = lambda: step(air)

    def step(air):
        air.t += 900
        return air.t

    ble2 = Ble(air, air, near, air.now, XorShift(1), shared=True)
    run(ble2, lambda: ble2.rounds == 3)
    assert len(both) >= 2 and not any(both) and len(air.adverts) >= 3
    assert all(s[0] <= 2000 for s in air.scans)


def test_on_battery_it_rests_and_goes_on_speaking():
    air, near, ble = bed(slow=lambda: True)

    def step():
        air.t += 1500
        return air.t

    ble2 = Ble(air, air, near, step, XorShift(1), slow=lambda: True)
    rested = []
    sleep = ble2._sleep

    async def noted(ms):
        t = air.t
        await asyncio.sleep_ms(2)
        rested.append((ms, air.advertising, air.scanning))
        await sleep(ms)
        assert air.t - t >= ms

    ble2._sleep = noted
    run(ble2, lambda: len(rested) == 2)
    assert all(4000 <= ms < 6000 and adv and not scan for ms, adv, scan in rested)
    assert all(s[0] <= 5000 for s in air.scans)


def test_who_connects_is_handed_over_and_the_round_goes_on():
    air, near, ble = bed()
    met = []

    async def guest(c):
        met.append(c)

    ble.guest = guest
    air.visitor = "central"
    run(ble, lambda: met and ble.rounds >= 2)
    assert met == ["central"] and air.adverts[0][3] is True


def test_after_each_round_while_nothing_scans():
    air, near, ble = bed()
    seen = []

    async def after(b):
        assert b is ble and not air.scanning and air.advertising
        seen.append(air.t)

    ble.after = after
    run(ble, lambda: len(seen) == 3)
    hurried = []

    def until():
        if air.scanning and air.advertising and not hurried:
            hurried.append(air.t)
            ble.hurry()
            assert air.advertising
        elif len(seen) > 3:
            air.hushed = False  # the scan of that round is over
        return len(seen) == 5

    run(ble, until)
    assert seen[3] - hurried[0] < 1000 and seen[4] - seen[3] >= 5000


def test_nothing_comes_after_a_round_that_was_hushed():
    air, near, ble = bed()
    seen = []

    async def after(b):
        seen.append(1)

    ble.after = after

    def until():
        if air.scanning and not ble.rounds:
            ble.hush()
        elif ble.rounds:
            air.hushed = False
        return ble.rounds >= 2

    run(ble, until)
    assert len(seen) == 1


def test_hush_ends_the_round_and_the_next_one_begins():
    air, near, ble = bed()
    run_once = []

    def until():
        if air.scanning and not run_once:
            run_once.append(ble.rounds)
            ble.hush()
            assert not air.advertising
        elif run_once:
            air.hushed = False
        return run_once and ble.rounds >= run_once[0] + 2

    run(ble, until)
    assert air.t < 40000


def test_a_radio_that_is_off_is_told_and_tried_again():
    air, near, ble = bed()
    air.broken = True
    sleeps = []

    def until():
        if ble.errors and air.broken:
            sleeps.append(ble.why())
            air.broken = False
        return ble.rounds == 1

    run(ble, until)
    assert "Bluetooth fails" in sleeps[0] and "tried again" in sleeps[0]
    assert ble.why() == "0 nearby by Bluetooth, 0 of them known by name."


def test_hush_with_the_radio_off_does_not_raise():
    air, near, ble = bed()

    def off(x):
        raise OSError(19)

    air.gap_scan = off
    ble.hush()
    assert ble.errors == 1


def test_a_thousand_strangers_leave_nothing_in_memory():
    air, near, ble = bed()
    air.speed = 20
    rng = XorShift(3)
    friend = Voice(home(2), 0xFFFF)

    def crowd():
        """Some of a thousand, with new addresses every 15 min; a friend among them."""
        era = (air.t // 900000) & 255
        out = []
        for _ in range(30):
            k = rng.getrandbits(16) % 1000
            addr = bytes((40, era, 1, 1, k >> 8, k & 255))
            out.append(Result(addr, bytes([rng.getrandbits(8) for _ in range(31)])))
        addr = bytes((7, era, 0, 0, 0, 1))
        out.insert(15, Result(addr, bytes(friend.advert(addr))))
        return out

    used = [0] * 300
    n = [0]
    scan = air.scan

    def scanned(*a, **kw):
        air.results = crowd()
        near.poll(air.t)
        air.adverts.clear()
        air.scans.clear()
        gc.collect()
        used[n[0]] = gc.mem_alloc()
        n[0] += 1
        return scan(*a, **kw)

    air.scan = scanned
    run(ble, lambda: n[0] == 300)
    assert air.t > 3600000 and air.took > 9000, (air.t, air.took)
    assert len(near.table) <= 3  # the friend, and itself under its last addresses
    assert near.counts[0] > 50
    assert max(used[200:]) <= max(used[50:150]) * 1.01, (used[50::25], len(near.table))
