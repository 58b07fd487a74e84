"""One contract for aioble and its stand-in: what the firmware builds on, and every trap in it.

Runs on tests/standin/aioble everywhere, and on the real one where it is installed for the unix
port. Programs are MicroPython, each a process with the `bluetooth` of a virtual board.
"""

from pathlib import Path

import pytest
from radiobed import AIOBLE, bed

REAL = Path.home() / ".micropython" / "lib"
_THERE = any((REAL / "aioble" / ("__init__" + e)).exists() for e in (".py", ".mpy"))
_NOT = pytest.mark.skipif(
    not _THERE, reason="aioble is not installed for the unix port: make deps (needs the Internet)"
)

START = """
import asyncio, sys, time, gc
import aioble, bluetooth
SVC, OTHER = bluetooth.UUID(0xFEA0), bluetooth.UUID(0xFEA1)
REC = bluetooth.UUID("7d0f0001-5a3c-4f6e-9d57-0c2f5b1e9a01")
BOX = bluetooth.UUID("7d0f0002-5a3c-4f6e-9d57-0c2f5b1e9a01")
BELL = bluetooth.UUID("7d0f0003-5a3c-4f6e-9d57-0c2f5b1e9a01")
FEW = bluetooth.UUID("7d0f0004-5a3c-4f6e-9d57-0c2f5b1e9a01")
NOTE = bluetooth.UUID(0x2901)
ALWAYS = dict(interval_us=30000, window_us=30000)
async def find(**kw):
    async with aioble.scan(20000, 30000, 30000, **kw) as s:
        async for r in s:
            if r.adv_data:
                return r
async def fails(what, kind):
    try:
        await what
    except kind as e:
        return e
    raise AssertionError("no %s" % kind)
def go(main):
    asyncio.run(main())
    print("END")
    aioble.stop()
"""


@pytest.fixture(params=["standin", pytest.param("real", marks=_NOT)])
def air(request):
    with bed([AIOBLE if request.param == "standin" else REAL], conn_interval=0.005) as made:
        made.start = lambda name, code: made.run(name, START + code)
        yield made


SERVER = """
class Moody(aioble.Characteristic):
    def on_read(self, connection):
        return 0 if good else 0x03
good = True
svc = aioble.Service(SVC)
rec = Moody(svc, REC, read=True, initial=bytes(range(200)))
note = aioble.Descriptor(rec, NOTE, read=True, initial=b"words")
box = aioble.BufferedCharacteristic(svc, BOX, write=True, write_no_response=True, max_len=220)
bell = aioble.Characteristic(svc, BELL, read=True, notify=True, indicate=True, initial=b"-")
few = aioble.Characteristic(svc, FEW, write=True)
aioble.register_services(svc)
"""


def test_advertising_is_heard_as_it_was_given(air):
    air.start(
        "a",
        """
async def main():
    await aioble.advertise(50000, adv_data=bytes(range(31)))
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    r = await find()
    assert bytes(r.adv_data) == bytes(range(31)), r.adv_data
    assert r.connectable and r.resp_data is None and -100 < r.rssi < 0
    d = r.device
    assert d.addr_type == aioble.ADDR_PUBLIC and len(d.addr) == 6
    again = aioble.Device(d.addr_type, d.addr_hex())
    assert again == d and hash(again) == hash(d)
    assert str(d) == "Device(ADDR_PUBLIC, %s)" % d.addr_hex()
go(main)
""",
    )
    b.until("END")


def test_fields_are_built_and_read(air):
    air.start(
        "a",
        """
async def main():
    await aioble.advertise(50000, name="node", services=[SVC, REC], appearance=512,
        manufacturer=(0xFFFF, b"12345"))
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    r = await find(active=True)
    async with aioble.scan(20000, active=True, **ALWAYS) as s:
        async for r in s:
            if r.resp_data and r.adv_data:
                break
    assert r.name() == "node", r.name()
    assert list(r.services()) == [SVC, REC], list(r.services())
    got = [(i, bytes(d)) for i, d in r.manufacturer()]
    assert got == [(0xFFFF, b"12345")], got
    assert list(r.manufacturer(filter=1)) == []
    assert r.adv_data[:3] == b"\\x02\\x01\\x06"
go(main)
""",
    )
    b.until("END")


def test_a_passive_scan_gets_no_answers_and_who_is_not_connectable_is_heard(air):
    air.start(
        "a",
        """
async def main():
    await aioble.advertise(30000, adv_data=b"\\x02\\x01\\x06", resp_data=b"\\x03\\x09ab",
        connectable=False)
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    n = 0
    async with aioble.scan(400, **ALWAYS) as s:
        async for r in s:
            n += 1
            assert r.resp_data is None and not r.connectable
            assert bytes(r.adv_data) == b"\\x02\\x01\\x06"
    assert n
    async with aioble.scan(20000, active=True, **ALWAYS) as s:
        async for r in s:
            if r.name() == "ab":
                break
go(main)
""",
    )
    b.until("END")


def test_a_whole_exchange(air):
    a = air.start(
        "a",
        SERVER
        + """
async def main():
    async with await aioble.advertise(30000, adv_data=b"x", timeout_ms=20000) as c:
        print("BY", c.is_connected(), c.device.addr_type, len(c.device.addr))
        assert await box.written(timeout_ms=9000) is c
        assert box.read() == bytes(range(180))
        assert await box.written(timeout_ms=9000) is c
        assert box.read() == b"quick"
        bell.notify(c, b"ding")
        await bell.indicate(c, b"dong", timeout_ms=5000)
        assert c.mtu == 247, c.mtu
        await few.written(timeout_ms=9000)
        assert few.read() == bytes(range(20)), few.read()
        global good
        good = False
        bell.write(b"now", send_update=True)
        await c.disconnected(timeout_ms=9000)
        assert not c.is_connected()
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    r = await find()
    async with await r.device.connect(timeout_ms=9000) as c:
        svc = await c.service(SVC)
        assert svc.uuid == SVC and await c.service(OTHER) is None
        rec = await svc.characteristic(REC)
        assert await svc.characteristic(OTHER) is None
        found = []
        async for x in svc.characteristics():
            found.append(x.uuid)
        assert len(found) == 4 and REC in found and BELL in found
        note = await rec.descriptor(NOTE)
        assert await note.read() == b"words"
        assert await c.exchange_mtu(247) == 247 == c.mtu
        assert await rec.read() == bytes(range(200))
        bell = await svc.characteristic(BELL)
        await bell.subscribe(notify=True, indicate=True)
        box = await svc.characteristic(BOX)
        await box.write(bytes(range(180)), response=True)
        await box.write(b"quick")
        assert await bell.notified(timeout_ms=5000) == b"ding"
        assert await bell.indicated(timeout_ms=5000) == b"dong"
        few = await svc.characteristic(FEW)
        await few.write(bytes(range(60)))
        assert await bell.notified(timeout_ms=5000) == b"now"
        e = await fails(rec.read(), aioble.GattError)
        assert e._status == 3, e._status
        await fails(rec.write(b"1"), ValueError)
        await fails(rec.notified(), ValueError)
    assert not c.is_connected() and r.device._connection is None
    await fails(c.exchange_mtu(), ValueError)
go(main)
""",
    )
    b.until("END")
    a.until("END")


def test_captured_writes_come_in_order_with_their_data(air):
    a = air.start(
        "a",
        """
async def main():
    svc = aioble.Service(SVC)
    one = aioble.Characteristic(svc, BOX, write=True, capture=True)
    log = aioble.BufferedCharacteristic(svc, FEW, write=True, max_len=30, append=True)
    aioble.register_services(svc)
    async with await aioble.advertise(30000, adv_data=b"x", timeout_ms=20000) as c:
        for k in range(3):
            who, data = await one.written(timeout_ms=9000)
            assert who is c and data == b"%d" % k, data
        await log.written(timeout_ms=9000)
        await asyncio.sleep_ms(200)
        got = log.read()
        assert log.read() == b""
        print("LOG", got)
        await c.disconnected(timeout_ms=9000)
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    r = await find()
    async with await r.device.connect(timeout_ms=9000) as c:
        svc = await c.service(SVC)
        one = await svc.characteristic(BOX)
        for k in range(3):
            await one.write(b"%d" % k, response=True)
        log = await svc.characteristic(FEW)
        await log.write(b"ab", response=True)
        await log.write(b"cd", response=True)
        await asyncio.sleep_ms(500)
go(main)
""",
    )
    b.until("END")
    assert a.until("LOG") == "b'abcd'"
    a.until("END")


def test_time_outs_are_errors_and_leave_nothing_on(air):
    a = air.start(
        "a",
        SERVER
        + """
async def main():
    await fails(aioble.advertise(30000, adv_data=b"x", timeout_ms=100), asyncio.TimeoutError)
    await fails(box.written(timeout_ms=50), asyncio.TimeoutError)
    nobody = aioble.Device(0, "02:00:00:00:00:99")
    await fails(nobody.connect(timeout_ms=100, scan_duration_ms=50), asyncio.TimeoutError)
    async with aioble.scan(100, **ALWAYS) as s:
        async for r in s:
            print("HEARD", r)
    async with aioble.scan(100000, **ALWAYS) as s:
        pass
    aioble.stop()
    assert not bluetooth.BLE().active()
    await fails(aioble.advertise(30000, adv_data=b"x", timeout_ms=100), asyncio.TimeoutError)
    aioble.config(gap_name="me")
    assert aioble.config("gap_name") == b"me" and aioble.config("mac")[0] == 0
go(main)
""",
    )
    a.until("END")
    assert air.radio.energy()[a.ip]["adverts"] < 30


def test_who_waits_is_told_when_the_link_ends(air):
    a = air.start(
        "a",
        SERVER
        + """
async def main():
    for k in range(2):
        c = await aioble.advertise(30000, adv_data=b"x", timeout_ms=20000)
        await box.written(timeout_ms=9000)
        await c.disconnect()
        assert not c.is_connected()
        print("ENDED", k)
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    for k in range(2):
        d = (await find()).device
        c = await d.connect(timeout_ms=9000)
        svc = await c.service(SVC)
        box = await svc.characteristic(BOX)
        bell = await svc.characteristic(BELL)
        await box.write(b"end it", response=True)
        if k:
            await fails(bell.notified(), aioble.DeviceDisconnectedError)
        else:
            async def wait():
                with c.timeout(9000):
                    await asyncio.sleep(60)
            await fails(wait(), aioble.DeviceDisconnectedError)
        assert not c.is_connected()
        await c.disconnect()
go(main)
""",
    )
    b.until("END")
    assert a.until("ENDED", n=2) == "1"


def test_a_peer_whose_power_goes_ends_a_read_by_the_links_time_out(air):
    a = air.start(
        "a",
        SERVER
        + """
async def main():
    await aioble.advertise(30000, adv_data=b"x")
    await asyncio.sleep(60)
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    c = await (await find()).device.connect(timeout_ms=9000)
    rec = await (await c.service(SVC)).characteristic(REC)
    print("READY")
    async def read():
        while True:
            await rec.read(timeout_ms=8000)
    t = time.ticks_ms()
    await fails(read(), aioble.DeviceDisconnectedError)
    print("TOOK", time.ticks_diff(time.ticks_ms(), t))
go(main)
""",
    )
    b.until("READY")
    a.kill()
    assert int(b.until("TOOK")) > 1000
    b.until("END")


# -- traps: what looks right and is not ----------------------------------------------------------


def test_trap_24_bytes_with_flags_move_to_the_answer(air):
    """The builder stops at 30 bytes, silently. What the firmware does: explicit adv_data."""
    air.start(
        "a",
        "go(lambda: aioble.advertise(30000, manufacturer=(0xFFFF, bytes(24))))\n",
    )
    b = air.start(
        "b",
        """
async def main():
    r = await find()
    assert bytes(r.adv_data) == b"\\x02\\x01\\x06", r.adv_data
    assert not list(r.manufacturer())
go(main)
""",
    )
    b.until("END")


def test_trap_31_bytes_are_taken_32_are_an_os_error(air):
    a = air.start(
        "a",
        """
async def main():
    e = await fails(aioble.advertise(30000, adv_data=bytes(32)), OSError)
    assert e.errno == -4, e
    await fails(aioble.advertise(30000, adv_data=bytes(31), timeout_ms=50), asyncio.TimeoutError)
    await fails(aioble.advertise(30000, name="n" * 29), ValueError)
go(main)
""",
    )
    a.until("END")


def test_trap_results_come_newest_first(air):
    """A slow reader sees numbers go backwards: the firmware keeps the highest of each node."""
    air.start(
        "a",
        """
async def main():
    n = 0
    while True:
        n += 1
        try:
            await aioble.advertise(20000, adv_data=bytes((n >> 8, n & 255)), timeout_ms=25)
        except asyncio.TimeoutError:
            pass
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    last = back = 0
    async with aioble.scan(20000, **ALWAYS) as s:
        async for r in s:
            n = r.adv_data[0] << 8 | r.adv_data[1]
            back += n < last
            last = n
            if back:
                break
            if n % 8 == 0:
                await asyncio.sleep_ms(300)
    print("BACK", back)
go(main)
""",
    )
    assert b.until("BACK") == "1"


def test_trap_an_active_scan_may_begin_without_adv_data(air):
    """Newest first: the answer is looked at before what it answers."""
    air.start(
        "a",
        """
def main():
    return aioble.advertise(20000, adv_data=b"\\x02\\x01\\x06", resp_data=b"\\x02\\x09a")
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    async with aioble.scan(20000, active=True, **ALWAYS) as s:
        time.sleep_ms(300)
        async for r in s:
            print("FIRST", r.adv_data, r.resp_data is not None)
            break
go(main)
""",
    )
    assert b.until("FIRST") == "None True"


def test_trap_a_scan_remembers_everybody(air):
    """Hence short scans in a loop: what one holds goes with it."""
    a = air.start(
        "a",
        """
async def main():
    while True:
        bluetooth.BLE().active(True)
        aioble.config(addr_mode=3)
        try:
            await aioble.advertise(20000, adv_data=b"x" * 20, timeout_ms=25)
        except asyncio.TimeoutError:
            pass
go(main)
""",
    )
    b = air.start(
        "b",
        """
def used():
    gc.collect()
    return gc.mem_alloc()
async def scan(start):
    n = 0
    async with aioble.scan(60000, **ALWAYS) as s:
        async for r in s:
            n += 1
            if n == 25:
                return used() - start
async def main():
    await scan(0)
    start = used()
    held = await scan(start)
    await asyncio.sleep_ms(50)
    print("HELD", held // 25, (used() - start) // 25)
go(main)
""",
    )
    during, after = map(int, b.until("HELD", seconds=60).split())
    assert during > 200  # bytes for each stranger
    assert after < during / 3
    assert a.lines == []


def test_trap_advertise_swallows_its_own_cancelling(air):
    """`while True: await advertise(..)` survives task.cancel(): the firmware looks at a flag."""
    a = air.start(
        "a",
        """
turns = 0
async def run():
    global turns
    while turns < 3:
        turns += 1
        got = await aioble.advertise(30000, adv_data=b"x")
        assert got is None
async def main():
    t = asyncio.create_task(run())
    await asyncio.sleep_ms(50)
    t.cancel()
    await asyncio.sleep_ms(50)
    assert turns == 2 and not t.done(), turns
    t.cancel()
    await asyncio.sleep_ms(50)
    t.cancel()
    await asyncio.sleep_ms(50)
    assert t.done()
go(main)
""",
    )
    a.until("END")


def test_trap_no_answer_means_the_one_before(air):
    """resp_data=None keeps what was set; b"" clears it, and costs the builder nothing."""
    a = air.start(
        "a",
        """
async def main():
    for answer in (b"\\x04\\x09old", None, b""):
        print("NOW", answer)
        adv = aioble.advertise(20000, adv_data=b"\\x02\\x01\\x06", resp_data=answer)
        t = asyncio.create_task(adv)
        await asyncio.sleep_ms(700)
        t.cancel()
        await asyncio.sleep_ms(20)
go(main)
""",
    )
    b = air.start(
        "b",
        """
async def main():
    while True:
        names = set()
        async with aioble.scan(250, active=True, **ALWAYS) as s:
            async for r in s:
                names.add(r.name())
        print("NAMES", "old" if "old" in names else "-" if names else "nobody")
go(main)
""",
    )
    a.until("NOW None")
    b.until("NAMES old")
    n = len([x for x in b.lines if x.startswith("NAMES")])
    assert b.until("NAMES", n=n + 2) == "old"
    a.until("NOW b''")
    b.until("NAMES -")


def test_trap_the_default_scan_listens_for_a_hundredth_of_the_time(air):
    a = air.start(
        "a",
        """
async def main():
    async with aioble.scan(800) as s:
        async for r in s:
            pass
go(main)
""",
    )
    a.until("END")
    assert 0.004 < air.radio.energy()[a.ip]["share"] < 0.012


def test_trap_a_device_that_could_not_be_reached_gives_a_dead_link(air):
    """A second connect() on the same Device is no attempt: the firmware makes a new Device."""
    a = air.start(
        "a",
        """
async def main():
    d = aioble.Device(0, "02:00:00:00:00:99")
    await fails(d.connect(timeout_ms=80, scan_duration_ms=50), asyncio.TimeoutError)
    t = time.ticks_ms()
    c = await d.connect(timeout_ms=5000)
    assert not c.is_connected() and time.ticks_diff(time.ticks_ms(), t) < 1000
    d = aioble.Device(d.addr_type, d.addr)
    await fails(d.connect(timeout_ms=80, scan_duration_ms=50), asyncio.TimeoutError)
go(main)
""",
    )
    a.until("END")


def test_trap_a_connect_that_timed_out_can_still_happen(air):
    """scan_duration_ms goes on after timeout_ms, and the link that comes then is nobody's."""
    a = air.start(
        "a",
        """
async def main():
    await asyncio.sleep_ms(300)
    c = await aioble.advertise(30000, adv_data=b"x", timeout_ms=20000)
    print("HELD BY", c.device.addr_hex())
    await asyncio.sleep_ms(500)
    assert c.is_connected()
go(main)
""",
    )
    mac = "02:4c:34:4d:01:%02x" % (int(a.ip.rpartition(".")[2]) + 2)
    b = air.start(
        "b",
        """
async def main():
    d = aioble.Device(0, "%s")
    await fails(d.connect(timeout_ms=100, scan_duration_ms=5000), asyncio.TimeoutError)
    await asyncio.sleep_ms(1500)
go(main)
"""
        % mac,
    )
    a.until("HELD BY")
    a.until("END")
    b.until("END")
