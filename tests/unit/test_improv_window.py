"""Improv by Bluetooth without a radio: when its window is open, and what does not end its tasks.

With a radio and a client of other people's: tests/host/test_improv_ble.py.
"""

import asyncio
import sys

from skip import Skip

NAMES = ("aioble", "bluetooth", "machine", "turns", "improv_ble")


class Thing:
    def __init__(self, *args, **kw):
        self.came = []

    def write(self, data, send_update=False):
        self.said = data

    async def written(self):
        while not self.came:
            await asyncio.sleep_ms(1)
        return self.came.pop(0)


class Pin:
    IN = PULL_UP = 0

    def __init__(self, *args):
        self.up = True

    def value(self):
        return self.up


class Machine:
    """improv.py's, whose states these are."""

    def __init__(self):
        self.state = 1
        self.commands = []
        self.bads = 0
        self.short = False

    def poll(self, now):
        return 1000

    def authorize(self, now):
        self.state = 2

    def command(self, command, data, now):
        self.commands.append(command)
        if self.short:
            raise MemoryError

    def bad(self):
        self.bads += 1


class Named:
    def __init__(self, **kw):
        for k in kw:
            setattr(self, k, kw[k])


class World:
    def __init__(self, pin=None):
        self.pin = pin

    def __enter__(self):
        if not hasattr(asyncio, "sleep_ms"):
            raise Skip("Improv by Bluetooth runs on MicroPython only")
        self.had = [(n, sys.modules.pop(n, None)) for n in NAMES]
        sys.modules["aioble"] = self.aioble = Named(
            Service=Thing, Characteristic=Thing, BufferedCharacteristic=Thing
        )
        sys.modules["bluetooth"] = Named(UUID=Thing)
        sys.modules["machine"] = Named(Pin=Pin)
        sys.modules["turns"] = Named()
        import improv_ble

        self.module = improv_ble
        self.loop = asyncio.new_event_loop()
        self.machine = Machine()
        self.said = []
        s = Named(
            cfg=Named(button_pin=self.pin),
            improv=lambda now, out: Named(machine=self.machine),
        )
        self.window = improv_ble.Window(s, lambda: 0, self.said.append)
        return self

    def __exit__(self, *_):
        for name, module in self.had:
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module

    def turns(self, n=30):
        async def wait():
            for _ in range(n):
                await asyncio.sleep_ms(1)

        self.loop.run_until_complete(wait())

    def write(self, data):
        self.window._command.came.append((Named(mtu=23), data))
        self.turns()


def packet(command):
    return bytes((command, 0, command))


def test_closed_it_does_nothing_whoever_writes():
    with World() as w:
        w.write(packet(3))
        assert w.machine.commands == [] and w.window.advert() is None
        w.window.open(0, 1000)
        w.write(packet(3))
        assert w.machine.commands == [3] and w.window.holds(None)
        w.window.poll(999)
        assert w.window.improv is not None
        w.window.poll(1000)
        w.write(packet(3))
        assert w.machine.commands == [3] and not w.window.holds(None)


def test_with_a_button_nobody_is_let_in_before_it_is_pressed():
    with World(pin=0) as w:
        w.window.open(0, 1000)
        w.window.poll(10)
        assert w.machine.state == 1
        w.window._pin.up = False
        w.window.poll(20)
        assert w.machine.state == 2


def test_a_lack_of_memory_does_not_end_what_takes_the_writes():
    with World() as w:
        w.window.open(0, 1000)
        w.machine.short = True
        w.write(packet(3))
        w.machine.short = False
        w.write(packet(4))
        assert w.machine.commands == [3, 4] and w.machine.bads == 1


def test_a_client_that_can_not_be_got_rid_of_does_not_silence_it():
    with World() as w:

        class Client:
            async def disconnected(self, timeout_ms):
                raise asyncio.TimeoutError  # noqa: UP041 - no builtin on boards

            async def disconnect(self):
                raise asyncio.TimeoutError  # noqa: UP041

        adverts = []

        async def advertise(*_, **kw):
            adverts.append(kw["adv_data"])
            await asyncio.sleep_ms(1)
            return Client()

        w.aioble.advertise = advertise
        w.window.open(0, 1000)
        task = w.loop.create_task(w.module._speak(w.window))
        w.turns()
        assert len(adverts) > 2 and not task.done()
        task.cancel()
