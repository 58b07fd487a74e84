"""The GATT side of a node with a few lines for aioble: what connections leave behind, and a node
short of memory. On a radio, with the real one, too: tests/host/test_ble_meeting.py."""

import asyncio
import sys

from kit import bare_node, count
from l4mesh.counters import C_MEM_ERROR
from skip import Skip


class Thing:
    def __init__(self, *args, **kw):
        self.writes = []
        self.made = []
        if isinstance(args[0], Thing):  # a service
            args[0].made.append(self)

    def write(self, data, send_update=False):
        self.writes.append(data)

    async def written(self):
        while not self.writes:
            await asyncio.sleep(0.001)
        return self.writes.pop(0)


class Module:
    Characteristic = BufferedCharacteristic = Service = UUID = Thing
    GattError = DeviceDisconnectedError = OSError


class Link:
    """A central's, as aioble has it. It asks for RECORD whenever it can."""

    def __init__(self, read):
        self.read = read
        self.up = True
        self.mtu = None
        self.device = Module()
        self.device.addr = bytes(6)

    def is_connected(self):
        return self.up

    async def disconnect(self, timeout_ms):
        await asyncio.sleep(0)
        self.read(self)  # on its way when the end was asked for
        self.up = False


class Near:
    """Nobody is near."""

    class table:
        slots = 0
        at_addr = staticmethod(lambda addr: -1)
        named = staticmethod(lambda sid: -1)


class Bed:
    def __enter__(self):
        if not hasattr(asyncio, "sleep_ms"):
            raise Skip("links run on MicroPython only")
        self.before = [(name, sys.modules.get(name)) for name in ("aioble", "bluetooth")]
        for name, _ in self.before:
            sys.modules[name] = Module
        self._forget()
        from l4mesh.faces import Faces
        from l4mesh_io.ble_gatt import Gatt

        self.loop = asyncio.new_event_loop()
        self.now = 1000
        self.node = bare_node(1, now=1000)
        self.ble = Module()
        self.ble.links = 0
        self.faces = Faces(self.node, Near)
        self.gatt = Gatt(self.ble, self.faces, lambda: self.now, self.node)
        return self

    def _forget(self):
        for name in ("l4mesh_io.ble_gatt", "l4mesh_io.ble_ask"):
            sys.modules.pop(name, None)

    def __exit__(self, *_):
        self._forget()
        for name, module in self.before:
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module

    async def over(self, task):
        while not task.done():
            self.now += 1000
            await asyncio.sleep(0)

    def run(self, coro):
        return self.loop.run_until_complete(coro)


def test_a_connection_that_ends_leaves_nothing_behind():
    with Bed() as b:
        read = b.gatt._value
        for _ in range(5):
            c = Link(read)
            assert len(read(c)) == 152
            b.now += 11000  # it has nothing to say
            b.run(b.over(b.loop.create_task(b.ble.guest(c))))
        assert not b.gatt._early and not b.gatt._links
        assert b.ble.links == 0 and b.faces.list == []


def test_who_reads_and_is_never_handed_over_fills_nothing():
    with Bed() as b:
        for _ in range(20):
            c = Link(None)
            b.gatt._value(c)
            c.up = False
        c = Link(None)
        assert len(b.gatt._value(c)) == 152 and len(b.gatt._early) <= 4
        assert b.gatt._value(c) == b.gatt._value(c)
        for _ in range(20):
            b.gatt._value(Link(None))  # these stay
        assert len(b.gatt._early) <= 4
        assert b.gatt._value(None) is None


def test_a_lack_of_memory_does_not_end_what_takes_the_writes():
    with Bed() as b:
        c = Link(None)
        face = b.faces.come(bytes(6), b.now)
        b.gatt._links[c] = face
        took = []

        def take(f, data, now):
            took.append(data)
            if data == b"1":
                raise MemoryError

        b.faces.take = take
        b.gatt._box.writes = [(c, b"1"), (c, b"2")]

        async def wait():
            for _ in range(50):
                await asyncio.sleep_ms(1)

        b.run(wait())
        assert took == [b"1", b"2"] and face.over and count(b.node, C_MEM_ERROR) == 1


def test_a_read_never_raises_in_the_radios_handler():
    """MicroPython removes a handler that an exception leaves: the end of all Bluetooth."""
    with Bed() as b:

        def no_room(*_):
            raise MemoryError

        (record,) = [c for c in b.gatt.service.made if hasattr(c, "value_for")]
        assert record.on_read(Link(None)) == 0 and len(record.writes[0]) == 152
        b.node.entropy = no_room
        assert record.on_read(Link(None)) == 14
        record.value_for = lambda c: b"x"
        record.write = no_room
        assert record.on_read(Link(None)) == 14
