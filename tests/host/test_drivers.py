"""The drivers on virtual boards against simulated chips, which have faults."""

import pytest
from l4tools.paths import LIB
from l4tools.vboard import parts
from vbench import bench

FILES = {"lib/%s/__init__.py" % name: "" for name in ("l4mesh", "l4mesh_io", "l4drivers")}
for name in ("l4mesh/compat", "l4mesh/ticks", "l4mesh_io/clock"):
    FILES["lib/%s.py" % name] = (LIB / (name + ".py")).read_text()
for path in (LIB / "l4drivers").glob("[a-z]*.py"):
    FILES["lib/l4drivers/" + path.name] = path.read_text()

HEAD = """
import asyncio, sys, time
def one(f):
    try:
        v = f()
        return asyncio.run(v) if hasattr(v, "send") else v
    except OSError as e:
        return e.args[0]
def say(x):
    print("SAY", repr(x))
def stop():
    print("STOP")
    sys.stdin.read(1)
"""


@pytest.fixture
def b():
    with bench() as made:
        yield made


def run(b, code, *steps):
    """Run code on a board; at each stop() of it one of `steps` is called with the world."""
    board = b.board(HEAD + code + "\nprint('DONE')\n", boot="import sys\n", files=FILES)
    for i, step in enumerate(steps):
        b.until("STOP", count=i + 1)
        step(board.world)
        b.rack.write("n1", b"g")
    b.until("DONE")
    return [eval(line[4:]) for line in b.lines["n1"] if line.startswith("SAY ")]


def test_bme280_says_what_the_air_is(b):
    air = [(21.5, 48.0, 1013.25), (-17.3, 91.0, 948.1), (44.0, 8.5, 1049.0), (3.3, 63.0, 1000.0)]

    def weather(i):
        names = ("temperature", "humidity", "pressure")
        return lambda world: world.set(**dict(zip(names, air[i], strict=True)))

    said = run(
        b,
        "from l4drivers.bme280 import BME280\n"
        "for i in range(4):\n    stop()\n    c = BME280(22, 21)\n"
        "    say((c.temperature(), c.humidity(), c.pressure()))\n",
        *[weather(i) for i in range(4)],
    )
    for got, real in zip(said, air, strict=True):
        assert abs(got[0] - real[0]) <= 0.011
        assert abs(got[1] - real[1]) <= 0.05
        assert abs(got[2] - real[2]) <= 0.02


def test_bme280_with_faults(b):
    def chip(**values):
        def change(world):
            for name, value in values.items():
                setattr(world.i2c[0x76], name, value)

        return change

    def moved(world):
        world.i2c[0x77] = world.i2c.pop(0x76)

    def stuck(world):
        world.i2c[0x76] = world.i2c.pop(0x77)
        world.set(i2c_fault="sda")

    said = run(
        b,
        "from l4drivers.bme280 import BME280\nc = BME280(22, 21)\nsay(one(c.temperature))\n"
        "for i in range(7):\n    stop()\n    c._at = None\n    say(one(c.temperature))\n"
        "say(one(c.humidity))\nsay(one(BME280(5, 6).pressure))\n",
        chip(nacks=1),
        chip(silent=True),
        chip(silent=False, asleep=True),
        moved,
        stuck,
        lambda world: (world.set(i2c_fault=""), chip(chip_id=0x55, asleep=False)(world)),
        chip(chip_id=0x58),
    )
    nobody = "No BME280 on pins 22 (SCL) and 21 (SDA): check power, SCL and SDA (swapped?)."
    assert said[0] == 21.5
    assert said[1] == "No BME280 at 0x76 on pins 22 (SCL) and 21 (SDA); there: 0x76."
    assert said[2] == nobody
    assert said[3].startswith("The BME280 at 0x76 did not measure")
    assert said[4] == "No BME280 at 0x76 on pins 22 (SCL) and 21 (SDA); there: 0x77."
    assert "is stuck (error 110)" in said[5]
    assert said[6] == "What answers at 0x76 is no BME280: its chip id is 0x55, not 0x60."
    assert said[7] == 21.5
    assert said[8] == "The chip at 0x76 is a BMP280, which has no humidity."
    assert said[9] == "No BME280 on pins 5 (SCL) and 6 (SDA): check power, SCL and SDA (swapped?)."


def test_ds18b20_two_on_a_wire_with_faults(b):
    def probe(k, **values):
        def change(world):
            for name, value in values.items():
                setattr(world.wires[5].probes[k], name, value)

        return change

    def glitch(world):
        probe(1, absent=False)(world)
        world.wires[5].probes[0].convert = lambda: None  # no power while it should measure
        world.wires[5].probes[0].lost_power()

    def short(world):
        del world.wires[5].probes[0].convert
        world.wires[5].stuck = True

    code = (
        "from l4drivers.ds18b20 import DS18B20\nd = DS18B20(5)\nroms = sorted(d.roms())\n"
        "say(roms)\nreads = [d.reader(r) for r in roms]\n"
        "async def both():\n    return await asyncio.gather(*[r() for r in reads])\n"
        "t = time.ticks_ms()\nsay(asyncio.run(both()))\n"
        "say(700 < time.ticks_diff(time.ticks_ms(), t) < 1400)\n"
        "say(one(d.read))\n"
        "stop()\nd._began = None\nsay(one(reads[0]))\n"  # -> slow
        "stop()\nd._began = None\nsay(one(reads[0]))\nsay(one(reads[1]))\n"
        "stop()\nd._began = None\nsay(one(reads[0]))\nsay(one(reads[1]))\n"
        "stop()\nsay(one(reads[0]))\nsay(DS18B20(6).__class__.__name__)\n"
        "say(one(DS18B20(6).read))\n"
    )
    said = run(
        b,
        code,
        lambda world: (probe(0, conversion_s=1.1)(world), world.set(probes={ROM[:14]: -4.5})),
        lambda world: (probe(0, bad_crc=2)(world), probe(1, absent=True)(world)),
        glitch,
        short,
    )
    assert said[0] == [ROM, OTHER]
    assert said[1:3] == [[18.5, 55.25], True]
    assert said[3].startswith("2 DS18B20 on pin 5: ") and ROM in said[3] and OTHER in said[3]
    assert said[4] == -4.5  # waited for, though it takes longer than the data sheet allows
    assert said[5] == -4.5  # at the third try
    assert said[6] == "No DS18B20 %s on pin 5: was it unplugged?" % OTHER
    assert said[7].startswith("DS18B20 %s on pin 5 lost power for a moment" % ROM)
    assert said[8] == 55.25
    assert said[9] == "The wire on pin 5 is held low: a short circuit, or another pin."
    assert said[11].startswith("No DS18B20 on pin 6: check the 4.7 kΩ pull-up")


def _rom(first):
    return first + "%02x" % parts.crc8(bytes.fromhex(first))


ROM, OTHER = _rom("28ff641e8216a1"), _rom("28ff641e8216a2")


def test_small_ones(b):
    said = run(
        b,
        "from l4drivers import chip\nfrom l4drivers.adc import Voltage\n"
        "from l4drivers.dht22 import DHT22\nfrom l4drivers.counter import Counter\n"
        "say(chip.temperature())\nsay(Voltage(34, 2).read())\n"
        "d = DHT22(4)\nsay((d.temperature(), d.humidity()))\n"
        "c = Counter(14, 10)\nsay(c.total())\nstop()\n"
        "end = time.ticks_add(time.ticks_ms(), 5000)\n"
        "while c.n < 5 and time.ticks_diff(end, time.ticks_ms()) > 0:\n"
        "    c._pin.value()\n    time.sleep_ms(2)\n"
        "time.sleep_ms(100)\nc._pin.value()\nsay(c.total())\n"
        "stop()\nd._at = None\nsay(one(d.humidity))\n",
        lambda world: world.pulse(14, 5, 40, 40),
        lambda world: world.set(dht_works=False),
    )
    assert said[:4] == [38, 4.0, (21.5, 48.0), 0]
    assert said[4] == 5
    assert said[5].startswith("No DHT22 answers on pin 4: check its power")
