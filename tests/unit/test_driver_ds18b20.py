"""DS18B20: conversions shared by all on a wire, and values that are none."""

import asyncio
import sys

from l4drivers.ds18b20 import DS18B20

A = bytes.fromhex("28ff641e8216a15c")
B = bytes.fromhex("28ff641e8216a20f")


class Wire:
    """onewire and ds18x20 as the firmware has them, without the bits."""

    def __init__(self):
        self.there = {A: 20.5, B: -3.0}
        self.low = False
        self.converts = 0
        self.crc = 0
        self.measured = {}
        self.six = 4
        self.wait = 0
        self.buf = bytearray(9)
        self.ow = self

    def reset(self, required=False):
        return self.low or bool(self.there)

    def readbit(self):
        if self.low:
            return 0
        if self.wait:
            self.wait -= 1
            return 0
        return 1

    def scan(self):
        return [bytearray(r) for r in self.there]

    def convert_temp(self):
        self.converts += 1
        self.measured = dict(self.there)

    def read_temp(self, rom):
        self.buf[:] = b"\x08\x01KF\x7f\xff\x04\x10\0"
        self.buf[6] = self.six
        if self.low:
            self.buf[:] = bytes(9)
            return 0.0
        if rom not in self.there:
            self.buf[:] = b"\xff" * 9
            raise Exception("CRC error")
        if self.crc:
            self.crc -= 1
            raise Exception("CRC error")
        return self.measured[rom]


class Slept:
    def __init__(self):
        self.s = 0


def made(wire):
    """A driver on this wire."""

    class Module:
        def __init__(self, **names):
            for k in names:
                setattr(self, k, names[k])

    fakes = {
        "ds18x20": Module(DS18X20=lambda ow: wire),
        "onewire": Module(OneWire=lambda pin: wire),
        "machine": Module(Pin=lambda n: n),
    }
    old = {k: sys.modules.get(k) for k in fakes}
    sys.modules.update(fakes)
    try:
        d = DS18B20(5)
        try:
            d._bus()
        except OSError:
            pass  # the first test of what is on the wire
        return d
    finally:
        for k in old:
            if old[k] is None:
                del sys.modules[k]
            else:
                sys.modules[k] = old[k]


def quick(*reads):
    """Results of reads that go on side by side: values, or the sentences of errors."""

    async def one(read):
        try:
            return await read()
        except OSError as e:
            return e.args[0]

    async def every():
        return list(await asyncio.gather(*[one(r) for r in reads]))

    real = asyncio.sleep

    async def short(s):
        await real(s / 20)

    asyncio.sleep = short
    try:
        return asyncio.run(every())
    finally:
        asyncio.sleep = real


def hexed(rom):
    return "".join(["%02x" % b for b in rom])


def test_all_on_a_wire_share_a_conversion():
    w = Wire()
    d = made(w)
    assert sorted(d.roms()) == [hexed(A), hexed(B)]
    assert quick(d.reader(hexed(A)), d.reader(hexed(B))) == [20.5, -3.0]
    assert w.converts == 1


def test_the_only_one_needs_no_name():
    w = Wire()
    del w.there[B]
    d = made(w)
    assert quick(d.read) == [20.5]
    w.there[B] = 1.0  # one more: the first is still meant
    d._began = None
    assert quick(d.read) == [20.5]
    text = quick(made(w).read)[0]
    assert text.startswith("2 DS18B20 on pin 5: ") and hexed(A) in text and hexed(B) in text


def test_nobody_short_circuit_garbage_and_names():
    w = Wire()
    d = made(w)
    there, w.there = w.there, {}
    said = quick(d.reader(hexed(A)))[0]
    assert said.startswith("No DS18B20 on pin 5: check the 4.7 kΩ pull-up")
    w.there = there
    w.low = True
    assert "held low" in quick(d.reader(hexed(A)))[0]
    w.low = False
    w.crc = 2  # within three tries
    assert quick(d.reader(hexed(A))) == [20.5]
    w.crc = 3
    assert "garbage (CRC)" in quick(d.reader(hexed(A)))[0]
    assert "was it unplugged?" in quick(d.reader("28" + "00" * 7))[0]
    assert "16 hex digits" in quick(d.reader("xyz"))[0]
    assert "16 hex digits" in quick(d.reader("28ff"))[0]


def test_a_slow_conversion_is_waited_for_but_not_for_ever():
    w = Wire()
    d = made(w)
    d._bus()
    w.wait = 5

    def bit():
        return 1

    d._bus = lambda: w  # whose bits are those of the conversion only
    assert quick(d.reader(hexed(A))) == [20.5] and w.wait == 0
    d._began = None
    w.wait = 100
    assert "does not get ready" in quick(d.reader(hexed(A)))[0]


def test_85_at_power_on_is_never_a_reading():
    w = Wire()
    d = made(w)
    read = d.reader(hexed(A))
    w.there[A] = 85.0
    w.six = 12
    for _ in range(2):
        d._began = None
        assert "lost power for a moment" in quick(read)[0]
    w.six = 16  # it was measured
    d._began = None
    assert quick(read) == [85.0]
    w.six = 3  # a copy of the chip: believed only near what it said before
    d._began = None
    assert quick(read) == [85.0]
    w.there[A] = 20.0
    d._began = None
    assert quick(read) == [20.0]
    w.there[A] = 85.0
    d._began = None
    assert "lost power" in quick(read)[0]
    w.there[A] = 84.9375
    d._began = None
    assert quick(read) == [84.9375]
