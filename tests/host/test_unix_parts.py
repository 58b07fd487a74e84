"""I2C, 1-Wire and pin interrupts of virtual boards behave as stock firmware and chips do."""

from errno import ENODEV, ETIMEDOUT

import pytest
from vbench import bench


@pytest.fixture
def b():
    with bench() as made:
        yield made


ERR = (
    "import machine\nfrom machine import I2C, SoftI2C, Pin\n"
    "def err(f, *a):\n"
    "    try:\n        return f(*a)\n    except Exception as e:\n"
    "        return type(e).__name__, e.args[0] if e.args else None\n"
    "def wait(c):\n    sys.stdin.readline()\n"
)


def run(b, code, steps=(), **kw):
    """Run code; at each `stop()` of it one of `steps` is called with the board's world."""
    head = "import sys, time\ndef say(x):\n    print('SAY', repr(x))\n"
    head += "def stop():\n    print('STOP')\n    sys.stdin.read(1)\n"
    board = b.board(head + ERR + code + "\nprint('DONE')\n", boot="import sys\n", **kw)
    for i, step in enumerate(steps):
        b.until("STOP", count=i + 1)
        step(board.world)
        b.rack.write("n1", b"g")
    b.until("DONE")
    return [eval(line[4:]) for line in b.lines["n1"] if line.startswith("SAY ")]


def test_i2c_methods_and_their_errors(b):
    said = run(
        b,
        "i = I2C(0, scl=Pin(22), sda=Pin(21), freq=100000)\n"
        "say(i.scan())\nsay(i.readfrom_mem(0x76, 0xD0, 1))\n"
        "say((i.writeto(0x76, b'\\xd0', False), i.readfrom(0x76, 1)))\n"
        "x = bytearray(2)\ni.readfrom_mem_into(0x76, 0x88, x)\nsay(x)\n"
        "i.readfrom_into(0x76, x)\nsay(len(x))\n"
        "i.writeto_mem(0x76, 0xF5, b'\\x10')\nsay(i.readfrom_mem(0x76, 0xF5, 1))\n"
        "say(i.writevto(0x76, (b'\\xf5', b'\\x20')))\nsay(i.readfrom_mem(0x76, 0xF5, 1))\n"
        "say(err(i.readfrom, 0x77, 1))\nsay(err(i.writeto, 0x20, b'x'))\n"
        "say(err(i.readfrom, 200, 1))\n"
        "say(err(lambda: I2C(7)))\n"
        "say(I2C(0, scl=Pin(21), sda=Pin(22)).scan())\n"  # swapped
        "s = SoftI2C(scl=Pin(22), sda=Pin(21))\nsay((s.scan(), err(s.readfrom, 0x77, 1)))\n",
    )
    assert said == [
        [0x76],
        b"\x60",
        (1, b"\x60"),
        b"\x70\x6b",  # 27504
        2,
        b"\x10",
        2,
        b"\x20",
        ("OSError", ENODEV),
        ("OSError", ENODEV),
        ("ValueError", "invalid address"),
        ("ValueError", "I2C(7) doesn't exist"),
        [],
        ([0x76], ("OSError", ENODEV)),
    ]


def test_i2c_faults_differ_between_peripheral_and_software(b):
    def nack(world):
        world.i2c[0x76].nacks = 2

    said = run(
        b,
        "i = I2C(0, scl=Pin(22), sda=Pin(21))\ns = SoftI2C(Pin(22), Pin(21))\n"
        "stop()\nsay(err(i.writeto, 0x76, b'ab'))\nsay(err(s.writeto, 0x76, b'ab'))\n"
        "stop()\nsay((i.scan(), err(i.readfrom, 0x76, 1), err(s.readfrom, 0x76, 1)))\n"
        "stop()\nsay((i.scan(), err(i.readfrom, 0x76, 1)))\n"
        "say((len(s.scan()), s.readfrom(0x33, 2), s.writeto(0x33, b'abc')))\n"
        "stop()\nsay(i.scan())\n",
        (
            nack,
            lambda world: world.set(i2c_fault="scl"),
            lambda world: world.set(i2c_fault="sda"),
            lambda world: (world.set(i2c_fault=""), setattr(world.i2c[0x76], "silent", True)),
        ),
    )
    late = ("OSError", ETIMEDOUT)
    assert said == [
        ("OSError", ENODEV),
        0,
        ([], late, late),
        ([], late),
        (112, b"\0\0", 3),
        [],
    ]


WIRE = (
    "from onewire import OneWire, OneWireError\nfrom ds18x20 import DS18X20\n"
    "ow = OneWire(Pin(5))\nds = DS18X20(ow)\n"
)


def test_onewire_and_ds18x20_as_stock(b):
    b_ = "28ff641e8216a2"

    def third(world):
        world.probes["10aabbccddeeff"] = -7.0
        world.wires[5].probes.append(world.probe("10aabbccddeeff"))
        world.set(probes={b_: -10.125})

    said = run(
        b,
        WIRE + "stop()\nroms = ds.scan()\nsay(sorted([bytes(r) for r in ow.scan()]))\n"
        "say(len(roms))\nsay([ow.crc8(r) for r in roms])\n"
        "roms.sort(key=lambda r: bytes(r))\n"
        "say([ds.read_temp(r) for r in roms[1:]])\n"  # nothing was measured yet
        "say(bytes(ds.buf))\n"
        "ds.convert_temp()\nsay(ow.readbit())\ntime.sleep_ms(60)\nsay(ow.readbit())\n"
        "say([ds.read_temp(r) for r in roms[1:]])\n"
        "time.sleep_ms(750)\nsay([ds.read_temp(r) for r in roms[1:]])\n"
        "say(ow.reset())\n",
        (third,),
    )
    first, second = (bytes.fromhex("28ff641e8216a%d" % k) for k in (1, 2))
    assert [r[:7] for r in said[0]] == [bytes.fromhex("10aabbccddeeff"), first, second]
    assert said[1:4] == [3, [0, 0, 0], [85.0, 85.0]]
    assert said[4][:2] == b"\x50\x05" and said[4][6] == 12
    assert said[5:] == [0, 0, [85.0, 85.0], [18.5, -10.125], True]


def test_onewire_faults(b):
    def stuck(world):
        world.wires[5].stuck = True

    def nobody(world):
        world.wires[5].stuck = False
        for p in world.wires[5].probes:
            p.absent = True

    def one(world):
        world.wires[5].probes[0].absent = False
        world.wires[5].probes[0].bad_crc = 1

    said = run(
        b,
        WIRE + "roms = sorted([bytes(r) for r in ds.scan()])\n"
        "stop()\nsay((ow.reset(), ow.readbit(), bytes(ds.read_scratch(roms[0]))))\n"
        "stop()\nsay((ow.reset(), ds.scan(), err(ow.reset, True), err(ds.convert_temp)))\n"
        "say(err(ds.read_temp, roms[0]))\n"
        "stop()\nsay(err(ds.read_temp, roms[0]))\nsay(err(ds.read_temp, roms[0]))\n"
        "say(err(ds.read_temp, roms[1]))\nsay(bytes(ds.buf))\n"
        "ds.write_scratch(roms[0], b'abc')\n"
        "say(OneWire(Pin(6)).reset())\n",
        (stuck, nobody, one),
    )
    none = ("OneWireError", None)
    assert said == [
        (True, 0, bytes(9)),
        (False, [], none, none),
        none,
        ("Exception", "CRC error"),
        85.0,
        ("Exception", "CRC error"),
        b"\xff" * 9,
        False,
    ]


def test_interrupts_come_in_order_and_as_far_apart(b):
    said = run(
        b,
        "p = Pin(14, Pin.IN, Pin.PULL_UP)\nsay(p.value())\nseen = []\n"
        "def on(pin):\n    seen.append((pin.value(), time.ticks_ms()))\n"
        "p.irq(on, Pin.IRQ_FALLING | Pin.IRQ_RISING)\nstop()\n"
        "wdt = machine.WDT(timeout=60000)\n"
        "while len(seen) < 8:\n    time.sleep_ms(30)\n    wdt.feed()\n"
        "say([v for v, t in seen])\n"
        "say(all([seen[i + 1][1] - seen[i][1] >= 28 for i in range(7)]))\n"
        "seen.clear()\np.irq(on, Pin.IRQ_FALLING)\nstop()\n"
        "while len(seen) < 2:\n    p.value()\n    time.sleep_ms(5)\n"
        "say([v for v, t in seen])\n"
        "p.irq(on, Pin.IRQ_FALLING | Pin.IRQ_RISING)\nseen.clear()\nstop()\n"
        "while len(seen) < 10:\n    p.value()\n    time.sleep_ms(5)\n"
        "say([v for v, t in seen])\n"
        "p.irq(None)\nsay(p.value())\n",
        (
            lambda world: world.pulse(14, 4, 30, 30),
            lambda world: world.pulse(14, 2, 5, 5),
            lambda world: world.pulse(14, bounces=2),
        ),
    )
    bouncing = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert said == [1, [0, 1, 0, 1, 0, 1, 0, 1], True, [0, 0], bouncing, 1]


def test_an_interrupt_that_raises_is_told_and_the_next_one_comes(b):
    run(
        b,
        "n = []\ndef on(pin):\n    n.append(1)\n"
        "    if len(n) == 1:\n        raise ValueError('x')\n"
        "p = Pin(14, Pin.IN, Pin.PULL_UP)\np.irq(on, Pin.IRQ_FALLING)\nstop()\n"
        "while len(n) < 2:\n    p.value()\n    time.sleep_ms(5)\n",
        (lambda world: world.pulse(14, 2, 5, 5),),
    )
    b.until("ValueError: x")
